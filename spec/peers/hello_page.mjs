// hello_page.mjs - two big screens: told what to show, cut off and back again, switched off by hand.
// SPDX-License-Identifier: MIT

import assert from "node:assert/strict";
import { doesNotScrollSideways, need, openWindow, PHONE, picture, play, step } from "./browser.mjs";

const shows = (page, text) => page.locator("#text").getByText(text, { exact: true }).waitFor();
const is = (page, state) => page.waitForSelector(`body[data-state=${state}]`);

play(async (browser) => {
  const wall = await openWindow(browser, "wall", { address: "screen.html?uid=ttq123" });
  await shows(wall, "你好,客户端");
  await wall.getByText("the only screen").waitFor();
  step("it greets");

  const hall = await openWindow(browser, "hall", { address: "screen.html?uid=hall", viewport: PHONE, colorScheme: "dark" });
  await wall.getByText("one of 2 screens").waitFor();
  assert.equal(await need("say", { uid: "ttq123", text: "<b>The moon</b> rises at 21:48" }), 1);
  await shows(wall, "<b>The moon</b> rises at 21:48");
  await shows(hall, "你好,客户端");
  step("it shows what it is told, as text");

  await hall.getByLabel("Something to show").fill("Everybody onto the roof, please, and bring the telescope along");
  await hall.getByRole("button", { name: "Show" }).click();
  for (const page of [wall, hall]) await shows(page, "Everybody onto the roof, please, and bring the telescope along");
  await doesNotScrollSideways(hall);
  await picture(wall, "hello-desk");
  await picture(hall, "hello-phone");
  step("anybody tells all screens");

  await need("stop");
  await is(wall, "waiting");
  await picture(wall, "hello-cut-off");
  await hall.getByRole("button", { name: "Switch off" }).click();
  await is(hall, "off");
  await need("start");
  await is(wall, "open");
  await wall.getByText("the only screen").waitFor();
  step("it comes back");

  // The wall waited its three seconds, and the hall, which would have come back with it, did not.
  await is(hall, "off");
  assert.equal(await need("say", { uid: "*", text: "Good night" }), 1);
  await shows(wall, "Good night");
  await hall.getByRole("button", { name: "Switch on" }).click();
  await is(hall, "open");
  await shows(hall, "Good night");
  step("not after it was switched off by hand");
});
