// browser.mjs - what the stories that headless Chromium plays have in common. A story is a file beside this one that calls
// `play(async (browser) => …)`; the spec that started it counts its steps and does what it needs.
//
// Options: url (of the page), tmp (directory for what Chromium leaves behind), screenshots (directory; none when absent),
//   chromium (its path), and whatever the story wants.
// Reports: step (name) for each part that went well, need (what, and further fields) when the spec is to do something,
//   failed (message) and finished.
// Commands: {"done": what, "answer": …} answers a need.
// SPDX-License-Identifier: MIT

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { commands, options, report } from "./lines.mjs";

export const DESK = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

const PATIENCE = 20_000; // milliseconds
const waiting = new Map(); // what is needed -> how to go on
const troubles = []; // what no page may do: script errors, requests to another host

commands(({ done, answer }) => waiting.get(done)?.(answer));

// Ask the spec for something, such as stopping the server, and wait until it is done.
export function need(what, fields = {}) {
  return new Promise((resolve) => {
    waiting.set(what, resolve);
    report("need", { what, ...fields });
  });
}

export function step(name) {
  report("step", { name });
}

// A window of its own, with its own storage. `address` is relative to the page of the story. Hosts in `also` may be asked, too.
export async function openWindow(browser, name, { address = "", viewport = DESK, colorScheme = "light", also = [], ...rest } = {}) {
  const context = await browser.newContext({
    viewport, colorScheme, locale: "en-GB", deviceScaleFactor: viewport === PHONE ? 2 : 1, ...rest,
  });
  context.setDefaultTimeout(PATIENCE);
  return openTab(context, name, { address, also });
}

// Another tab of the same person.
export async function openTab(context, name, { address = "", also = [] } = {}) {
  const page = await context.newPage();
  const hosts = [new URL(options.url).host, ...also];
  page.on("pageerror", (error) => troubles.push(`${name}: ${error.stack ?? error}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!["data:", "blob:"].includes(url.protocol) && !hosts.includes(url.host)) troubles.push(`${name} asked for ${url}`);
  });
  await page.goto(new URL(address, options.url).href);
  return page;
}

// The page as it looks when nothing moves any more.
export async function picture(page, title) {
  if (!options.screenshots) return;
  await page.evaluate(() => Promise.all(document.getAnimations()
    .filter((each) => each.effect.getComputedTiming().iterations !== Infinity)
    .map((each) => each.finished.catch(() => {}))));
  await page.screenshot({ path: join(options.screenshots, `${title}.png`) });
}

export async function doesNotScrollSideways(page) {
  const { inner, outer } = await page.evaluate(() => ({ inner: document.scrollingElement.scrollWidth, outer: innerWidth }));
  assert.ok(inner <= outer, `the page does not scroll sideways: ${inner} of ${outer}`);
}

export async function play(story) {
  if (options.screenshots) mkdirSync(options.screenshots, { recursive: true });
  const browser = await chromium.launch({
    executablePath: options.chromium ?? "/usr/bin/chromium",
    env: { ...process.env, TMPDIR: options.tmp ?? tmpdir() },
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  try {
    await story(browser);
    assert.deepEqual(troubles, []);
    report("finished");
  } catch (error) {
    report("failed", { message: String(error.stack ?? error), troubles });
  } finally {
    await browser.close();
  }
}
