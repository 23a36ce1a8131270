// progress_page.mjs - one person's downloads in several tabs and on a phone: reloaded again and again, left and come back
// to, cancelled, cut off. Every view has to show the same, at once.
//
// Options, besides those of browser.mjs: user (the name), expired (a token of theirs that is too old).
// SPDX-License-Identifier: MIT

import assert from "node:assert/strict";
import { doesNotScrollSideways, need, openTab, openWindow, PHONE, picture, play, step } from "./browser.mjs";
import { options } from "./lines.mjs";

const RELOADS = 20, BETWEEN_RELOADS = 8; // pictures
const title = (page) => page.locator("#title");
const shows = (page, text) => title(page).getByText(text).waitFor();
const button = (page, name) => page.getByRole("button", { name });
const isConnected = (page) => page.waitForSelector("#state[data-state=open]");

async function logIn(page) {
  await page.getByLabel("Your name").fill(options.user);
  await button(page, "Log in").click();
  await isConnected(page);
}

// How many a text says there are: "120 of 200 pictures", "All 200 pictures are here".
const done = (text) => Number(text.match(/\d+/)[0]);

// Everything a page says, in numbers.
function view(page) {
  return page.evaluate(() => {
    const text = (id) => document.getElementById(id).textContent;
    const tiles = [...document.querySelectorAll("#tiles li")].map((tile) => tile.dataset.state[0]).join("");
    return { title: text("title"), bytes: text("bytes"), failed: text("failed"), time: text("time"), tiles };
  });
}

// Everything the title has been since the page was opened.
function rememberTitles(page) {
  return page.addInitScript(() => {
    window.titles = [];
    new MutationObserver(() => {
      const now = document.getElementById("title")?.textContent;
      if (now && now !== window.titles.at(-1)) window.titles.push(now);
    }).observe(document, { childList: true, characterData: true, subtree: true });
  });
}

// By a clock of its own: a browser hardly draws a tab that is behind another one.
async function firstNumber(page) {
  const found = await page.waitForFunction(() => window.titles.find((each) => /\d/.test(each)), null, { polling: 20 });
  return found.jsonValue();
}

play(async (browser) => {
  const first = await openWindow(browser, "first tab");
  await logIn(first);
  await shows(first, "No pictures yet");
  assert.equal(await first.getByLabel("How many").inputValue(), "200");
  await picture(first, "progress-idle-desk");
  const phone = await openWindow(browser, "phone", { viewport: PHONE, colorScheme: "dark" });
  await logIn(phone);
  await picture(phone, "progress-idle-phone");
  step("it is idle");

  await need("watch");
  await need("some", { count: 10 });
  await button(first, "Start").click();
  await first.locator("#tiles progress").first().waitFor();
  assert.equal(await first.locator("#tiles li").count(), 200);
  const second = await openTab(first.context(), "second tab");
  const third = await openTab(first.context(), "third tab");
  const reading = await openTab(first.context(), "reading", { address: "reading.html" });
  for (const page of [second, third, phone]) await shows(page, "of 200 pictures");
  await reading.getByText("of 200 pictures").waitFor();
  await second.getByRole("progressbar", { name: "moon-" }).first().waitFor();
  await second.getByRole("progressbar", { name: "of 200 pictures" }).waitFor();
  step("every window follows");

  await rememberTitles(first);
  await rememberTitles(phone);
  for (let i = 1; i <= RELOADS; i++) {
    const before = done(await title(first).textContent());
    await need("some", { count: BETWEEN_RELOADS });
    await first.reload({ waitUntil: "commit" });
    const shown = await firstNumber(first);
    assert.match(shown, /^\d+ of 200 pictures$/, `it still runs at reload ${i}`);
    assert.ok(done(shown) >= before, `the first that is shown after reload ${i} is no old number: ${shown}, before ${before}`);
    if (i === 6) {
      await second.evaluate(() => document.querySelector("#tiles progress")?.scrollIntoView({ block: "center" }));
      await picture(second, "progress-running-desk");
      await picture(phone, "progress-running-phone");
      await doesNotScrollSideways(phone);
    }
  }
  step("a reload shows the present at once");

  const before = done(await title(phone).textContent());
  await phone.getByRole("link", { name: "Reading" }).click();
  await phone.getByText("of 200 pictures").waitFor();
  await doesNotScrollSideways(phone);
  await picture(phone, "progress-reading-phone");
  await picture(reading, "progress-reading-desk");
  await phone.goBack();
  const back = await firstNumber(phone);
  assert.ok(done(back) >= before, `${back}, before ${before}`);
  step("it goes on while another page is read");

  await need("all");
  const pages = [first, second, third, phone];
  await Promise.all(pages.map((page) => shows(page, /pictures are here/)));
  const said = await view(first);
  const truth = await need("compare", { done: done(said.title) });
  assert.equal(said.title, `${truth.done} of 200 pictures are here, ${truth.failed} failed`);
  assert.equal(said.tiles, truth.files);
  assert.equal(said.bytes, `${(truth.bytes / 1e6).toFixed(1)} MB`);
  for (const page of pages) assert.deepEqual(await view(page), said);
  await reading.getByText(said.title).waitFor();
  await first.locator("#failures summary").click();
  const lost = first.locator("#failure-list li").filter({ hasText: /^moon-\d+\.bmp: 410 Gone \(\d (try|tries)\)$/ });
  assert.equal(await lost.count(), truth.failed);
  await first.locator("#tiles li").last().scrollIntoViewIfNeeded();
  await first.waitForFunction((wanted) => [...document.querySelectorAll("#tiles img")].filter((image) =>
    image.complete && image.naturalWidth === 160).length > wanted, 20);
  await first.evaluate(() => scrollTo(0, 0));
  await picture(first, "progress-done-desk");
  await picture(phone, "progress-done-phone");
  step("all end with the same true numbers");

  await need("heal");
  await button(first, `Try ${truth.failed} again`).click();
  await Promise.all(pages.map((page) => shows(page, "All 200 pictures are here")));
  assert.equal(await second.locator("#failures").isVisible(), false);
  await picture(phone, "progress-all-phone");
  step("what failed is tried again");

  await need("some", { count: 20 });
  await first.getByLabel("How many").fill("100");
  await first.keyboard.press("Enter");
  await first.waitForFunction(() => document.querySelectorAll("#tiles [data-state=done]").length > 3);
  await button(second, "Cancel").click();
  await shows(phone, /^Cancelled: \d+ of 100 pictures are here$/);
  await shows(first, await title(phone).textContent());
  const requests = await need("requests");
  await button(phone, /^Go on with \d+$/).waitFor();
  assert.equal(await first.locator("#tiles progress").count(), 0);
  await picture(first, "progress-cancelled-desk");
  assert.equal(await need("requests"), requests);
  step("it is cancelled for all");

  await need("stop");
  await first.getByText("No connection;").waitFor();
  assert.ok(await button(first, "Start").isDisabled());
  await phone.waitForSelector("#state[data-state=waiting]");
  await picture(first, "progress-cut-off-desk");
  await picture(phone, "progress-cut-off-phone");
  await need("start");
  await Promise.all(pages.map(isConnected));
  await shows(first, "No pictures yet");
  await button(first, "Start").click();
  await shows(third, "100 pictures");
  step("it comes back by itself, with what the server says");

  // The other tabs would notice as well, and the first one that does logs out all.
  await Promise.all([second, third, reading].map((page) => page.close()));
  await first.evaluate((expired) => {
    const kept = Object.keys(localStorage)[0];
    localStorage.setItem(kept, JSON.stringify({ name: "x", token: expired }));
  }, options.expired);
  await first.reload();
  await first.getByText("the token has expired; log in again").waitFor();
  await picture(first, "progress-expired-desk");
  await logIn(first);
  await shows(first, "100 pictures");
  step("who has been away too long logs in again");
});
