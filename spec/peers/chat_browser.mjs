// chat_browser.mjs - the story of the chat example, played in headless Chromium by several people.
//
// Options: url (of the running example), tmp (directory for what Chromium leaves behind), screenshots (directory; none
//   when absent), chromium (its path).
// Reports: step (name) for each part that went well, need (what: "stop" or "start") when the spec is to stop or to start
//   the server on the same port, failed (message) and finished.
// Commands: {"done": what} answers a need.
// SPDX-License-Identifier: MIT

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { commands, options, report } from "./lines.mjs";

const DESK = { width: 1440, height: 900 }, PHONE = { width: 390, height: 844 };
const LONG_WORD = "moonwire".repeat(40);
const waiting = new Map(); // what is needed -> how to go on
const troubles = []; // what no page may do: script errors, requests to somewhere else

commands(({ done }) => waiting.get(done)?.());

function need(what) {
  return new Promise((resolve) => {
    waiting.set(what, resolve);
    report("need", { what });
  });
}

// One person at one window.
class Person {
  constructor(page, name) {
    this.page = page;
    this.name = name;
  }

  static async arrive(browser, name, { room, viewport = DESK, colorScheme = "light" } = {}) {
    const context = await browser.newContext({ viewport, colorScheme, locale: "en-GB", deviceScaleFactor: viewport === PHONE ? 2 : 1 });
    context.setDefaultTimeout(20_000);
    const page = await context.newPage();
    page.on("pageerror", (error) => troubles.push(`${name}: ${error}`));
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (url.protocol !== "data:" && url.host !== new URL(options.url).host) troubles.push(`${name} asked for ${url}`);
    });
    await page.goto(room ? `${options.url}?room=${encodeURIComponent(room)}` : options.url);
    const person = new Person(page, name);
    await page.getByLabel("Your name").fill(name);
    await page.getByRole("button", { name: "Join the room" }).click();
    await person.isConnected();
    return person;
  }

  isConnected() {
    return this.page.waitForSelector("body[data-state=open]");
  }

  isCutOff() {
    return this.page.waitForSelector("body[data-state=waiting], body[data-state=connecting]");
  }

  async say(text) {
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.page.keyboard.press("Enter");
    await this.hears(text);
  }

  hears(text) {
    return this.page.locator(".bubble").getByText(text, { exact: true }).waitFor();
  }

  reads(note) {
    return this.page.locator(".note").getByText(note, { exact: true }).last().waitFor();
  }

  // Everything said, as this window shows it.
  messages() {
    return this.page.locator(".bubble").allInnerTexts();
  }

  // Waits until exactly these people are here.
  async sees(...names) {
    await this.page.waitForFunction((wanted) => {
      const shown = [...document.querySelectorAll("#people .name")].map((item) => item.textContent);
      return shown.sort().join("\n") === wanted;
    }, names.sort().join("\n"));
  }

  async leave() {
    await this.page.context().close();
  }

  async picture(title) {
    if (!options.screenshots) return;
    await this.page.evaluate(() => Promise.all(document.getAnimations().map((each) => each.finished.catch(() => {}))));
    await this.page.screenshot({ path: join(options.screenshots, `${title}.png`) });
  }
}

async function play(browser) {
  const ada = await Person.arrive(browser, "Ada");
  const ben = await Person.arrive(browser, "Ben", { colorScheme: "dark" });
  const cy = await Person.arrive(browser, "Cy", { room: "garden" });
  await ada.reads("Ben came in");
  await Promise.all([ada.sees("Ada", "Ben"), ben.sees("Ada", "Ben"), cy.sees("Cy")]);
  report("step", { name: "who is here" });

  await ada.say("Hello, is anybody here?");
  await ben.hears("Hello, is anybody here?");
  await ben.say("Ben is. 你好 🌙");
  await ada.hears("Ben is. 你好 🌙");
  report("step", { name: "two people chat" });

  const markup = "<img src=x onerror=\"document.title='bad'\"><b>bold</b>";
  await ben.say(markup);
  await ada.hears(markup);
  assert.equal(await ada.page.locator("#log img, #log b").count(), 0, "markup in a message is text");
  report("step", { name: "markup is text" });

  const own = await ada.page.locator(".mine .bubble").last().boundingBox();
  const others = await ada.page.locator(".said:not(.mine) .bubble").last().boundingBox();
  const log = await ada.page.locator("#log").boundingBox();
  assert.ok(log.x + log.width - (own.x + own.width) < 2, "own messages stand on the right");
  assert.ok(others.x - log.x < 60, "others' messages stand on the left");
  report("step", { name: "own messages on the right" });

  assert.deepEqual(await cy.messages(), [], "another room hears nothing");
  await cy.page.getByRole("link", { name: "lobby" }).click();
  await cy.isConnected();
  await cy.sees("Ada", "Ben", "Cy");
  await cy.hears("Hello, is anybody here?");
  report("step", { name: "another room, and the way from it" });

  const dora = await Person.arrive(browser, "Dora the late", { viewport: PHONE });
  assert.deepEqual(await dora.messages(), ["Hello, is anybody here?", "Ben is. 你好 🌙", markup]);
  report("step", { name: "history for a late joiner" });

  await dora.say(LONG_WORD);
  const { inner, outer } = await dora.page.evaluate(() => ({ inner: document.scrollingElement.scrollWidth, outer: innerWidth }));
  assert.ok(inner <= outer, `a phone does not scroll sideways: ${inner} of ${outer}`);
  for (const [person, title] of [[ada, "desk-light"], [ben, "desk-dark"], [dora, "phone-light"]]) await person.picture(title);
  await dora.page.emulateMedia({ colorScheme: "dark" });
  await dora.picture("phone-dark");
  report("step", { name: "a narrow page does not scroll sideways" });

  await cy.leave();
  await ada.reads("Cy left");
  await ada.sees("Ada", "Ben", "Dora the late");
  report("step", { name: "who is here, after one left" });

  await need("stop");
  await Promise.all([ada.isCutOff(), ben.isCutOff()]);
  await ada.page.getByText("No connection.").waitFor();
  await ada.picture("desk-cut-off");
  assert.ok(await ada.page.getByRole("button", { name: "Send" }).isDisabled(), "nothing can be sent while cut off");
  await dora.leave();
  await need("start");
  await Promise.all([ada.isConnected(), ben.isConnected()]);
  await Promise.all([ada.sees("Ada", "Ben"), ben.sees("Ada", "Ben")]);
  await ada.reads("Connected again");
  report("step", { name: "both reconnect" });

  await ben.say("Still there?");
  await ada.hears("Still there?");
  await ada.say("Still here.");
  await ben.hears("Still here.");
  assert.equal((await ada.messages()).length, 6, "what was said before stands above, once");
  await ada.picture("desk-back");
  report("step", { name: "the chat goes on" });
}

if (options.screenshots) mkdirSync(options.screenshots, { recursive: true });
const browser = await chromium.launch({
  executablePath: options.chromium ?? "/usr/bin/chromium",
  env: { ...process.env, TMPDIR: options.tmp ?? tmpdir() },
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
try {
  await play(browser);
  assert.deepEqual(troubles, []);
  report("finished");
} catch (error) {
  report("failed", { message: String(error.stack ?? error) });
} finally {
  await browser.close();
}
