// notify_page.mjs - a shop with several tabs: notifications at once, in the bell, and for who comes later; heartbeat, waiting and
// giving up by a clock that the story moves.
// SPDX-License-Identifier: MIT

import assert from "node:assert/strict";
import { doesNotScrollSideways, need, openTab, openWindow, PHONE, picture, play, step } from "./browser.mjs";

const is = (page, state) => page.waitForSelector(`body[data-state=${state}]`);
const pops = (page, text) => page.locator(".toast").getByText(text, { exact: true }).waitFor();
const unread = (page, count) => page.waitForFunction((text) => document.querySelector(".count").textContent === text, count ? String(count) : "");

async function login(page, name) {
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Log in" }).click();
  await is(page, "open");
}

play(async (browser) => {
  const orders = await openWindow(browser, "orders", { address: "orders.html" });
  await is(orders, "closed");
  await login(orders, "Ada");
  const settings = await openTab(orders.context(), "settings", { address: "settings.html" });
  await is(settings, "open");
  step("who is logged in is connected on every page");

  await orders.getByRole("button", { name: "Order it" }).click();
  for (const page of [orders, settings]) {
    await pops(page, "We have your order, thank you.");
    await unread(page, 1);
  }
  assert.match(await settings.title(), /^\(1\) /);
  await picture(orders, "notify-desk");
  step("a notification is told on every page at once");

  assert.equal(await need("notify", { to: "Ada", msg: "<img src=x onerror=alert(1)> & more" }), 2);
  await pops(settings, "<img src=x onerror=alert(1)> & more");
  await settings.getByRole("button", { name: "Notifications, 2 new" }).click();
  await settings.locator(".panel li").getByText("We have your order, thank you.").waitFor();
  await unread(orders, 0);
  assert.equal(await settings.locator(".panel .new").count(), 2, "what is new stays marked while the list is open");
  await need("notify", { to: "Ada", msg: "You see this at once" });
  await settings.locator(".panel li").getByText("You see this at once").waitFor();
  await unread(orders, 0);
  await settings.getByRole("button", { name: "Notifications" }).click();
  await settings.locator(".panel").waitFor({ state: "hidden" });
  step("seen on one page is seen on all");

  for (let i = 1; i <= 60; i++) await need("notify", { to: "Ada", msg: `number ${i}` });
  await pops(orders, "number 60");
  assert.equal(await orders.locator(".toast").count(), 4);
  assert.equal(await orders.locator(".list li").count(), 50);
  await orders.locator(".bell").click();
  await Promise.all([orders, settings].map((page) => unread(page, 0)));
  await orders.keyboard.press("Escape");
  step("many at once leave the page to be seen");

  const phone = await openWindow(browser, "phone", { viewport: PHONE, colorScheme: "dark" });
  await need("notify", { to: "Ben", msg: "While you were away" });
  await login(phone, "Ben");
  await unread(phone, 1);
  assert.equal(await phone.locator(".toast").count(), 0, "old news don't pop up");
  await phone.getByRole("button", { name: "Notifications, 1 new" }).click();
  await phone.locator(".panel li").getByText("While you were away").waitFor();
  await doesNotScrollSideways(phone);
  await picture(phone, "notify-phone");
  step("who was away finds them in the bell");

  const clocked = await openWindow(browser, "clocked", { address: "about:blank" });
  await clocked.clock.install();
  const frames = [];
  clocked.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => frames.push(payload));
    socket.on("framereceived", ({ payload }) => frames.push(`< ${payload}`));
  });
  await clocked.goto(phone.url());
  await login(clocked, "Cy");
  await clocked.clock.runFor(29_000);
  await need("notify", { to: "Cy", msg: "in between" });
  await pops(clocked, "in between");
  await clocked.clock.runFor(29_000);
  assert.ok(!frames.includes("HeartBeat"), "every message puts the heartbeat off");
  await clocked.clock.runFor(1_500);
  for (const end = Date.now() + 10_000; !frames.includes("< HeartBeat") && Date.now() < end;) await clocked.evaluate(() => 0);
  assert.deepEqual(frames.filter((text) => !text.startsWith("< {")), ["Hello WebSockets!", "HeartBeat", "< HeartBeat"]);
  assert.equal(await clocked.locator(".panel li").count(), 1, "an answer to a heartbeat is no notification");
  step("a heartbeat after 30 s of silence");

  await need("stop");
  await is(clocked, "waiting");
  for (let attempt = 1; attempt <= 10; attempt++) {
    const waits = clocked.getByText(`No connection, try ${attempt} of 10 soon`, { exact: true });
    await waits.waitFor();
    await clocked.clock.runFor(5_000);
    assert.ok(await waits.isVisible(), "not earlier");
    await clocked.clock.runFor(1_000);
  }
  await clocked.getByText("No connection; reload to try again").waitFor();
  step("ten tries, six seconds apart, and then no more");

  await clocked.getByRole("button", { name: "Log out" }).click();
  await clocked.getByLabel("Your name").fill("Cy");
  await clocked.getByRole("button", { name: "Log in" }).click();
  await clocked.waitForFunction(() => document.querySelector("header input").validationMessage.startsWith("You can't log in"));
  step("who can't log in is told so");

  await need("start");
  await Promise.all([orders, settings, phone].map((page) => is(page, "open")));
  step("the others come back");

  await orders.getByRole("button", { name: "Log out" }).click();
  await Promise.all([is(orders, "closed"), is(settings, "closed")]);
  assert.equal(await need("notify", { to: "Ada", msg: "Are you there?" }), 0);
  await login(settings, "Ada");
  await is(orders, "open");
  await unread(orders, 1);
  await clocked.getByRole("button", { name: "Log in" }).click();
  await is(clocked, "open");
  step("logging out and in goes for all tabs");
});
