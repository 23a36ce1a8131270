// store_socket_page.mjs - one shop in several windows: buying, coming back, and the rule of the server's beats by a clock that
// the story moves.
// SPDX-License-Identifier: MIT

import assert from "node:assert/strict";
import { doesNotScrollSideways, need, openWindow, PHONE, picture, play, step } from "./browser.mjs";

const is = (page, state) => page.waitForSelector(`body[data-state=${state}]`);
const left = (page, text) => page.locator("#shelf .count").getByText(text, { exact: true }).waitFor();

async function comeIn(page, name) {
  await page.getByLabel("what is your name?").fill(name);
  await page.getByRole("button", { name: "Come in" }).click();
  await is(page, "open");
}

play(async (browser) => {
  const ada = await openWindow(browser, "Ada");
  await comeIn(ada, "Ada");
  await ada.getByText("You are alone here").waitFor();
  assert.ok(!await ada.getByLabel("what is your name?").isVisible());
  const ben = await openWindow(browser, "Ben", { viewport: PHONE, colorScheme: "dark" });
  await comeIn(ben, "Ben");
  await ada.getByText("2 windows are here").waitFor();
  step("two come in");

  await ada.getByRole("button", { name: "Buy: Eyepiece" }).click();
  await left(ben, "2 left");
  await ada.locator("#basket").getByText("1 × Eyepiece, 25 mm").waitFor();
  assert.equal(await ben.locator("#basket li").count(), 0);
  for (let i = 0; i < 2; i++) {
    await ben.getByRole("button", { name: "Buy: Eyepiece" }).click();
    await ben.locator("#count").getByText(String(i + 1), { exact: true }).waitFor();
  }
  await left(ada, "sold out");
  assert.ok(await ada.getByRole("button", { name: "Buy: Eyepiece" }).isDisabled());
  await doesNotScrollSideways(ben);
  await picture(ada, "store-desk");
  await picture(ben, "store-phone");
  step("what one buys, all see");

  await ada.reload();
  await is(ada, "open");
  await ada.locator("#basket").getByText("1 × Eyepiece, 25 mm").waitFor();
  step("a reload shows the present");

  const clocked = await openWindow(browser, "clocked", { address: "about:blank" });
  await clocked.clock.install();
  const sockets = [];
  clocked.on("websocket", (socket) => {
    sockets.push(socket);
    socket.beats = 0;
    socket.on("framesent", ({ payload }) => (socket.beats += payload === '{"type":"heartCheck"}'));
  });
  await clocked.routeWebSocket(/./, (client) => {
    const server = client.connectToServer();
    clocked.beat = () => client.send('{"type":"heartCheck"}');
    client.onMessage((message) => {
      if (message === '{"type":"heartCheck"}') clocked.answers = (clocked.answers ?? 0) + 1;
      server.send(message);
    });
  });
  await clocked.goto(ada.url());
  await comeIn(clocked, "Cy");
  for (let i = 1; i <= 3; i++) {
    await clocked.clock.runFor(29_000);
    clocked.beat();
    for (const end = Date.now() + 10_000; clocked.answers !== i && Date.now() < end;) await clocked.evaluate(() => 0);
    assert.equal(clocked.answers, i, "each beat is answered");
  }
  await is(clocked, "open");
  step("the server's beats are answered");

  await clocked.clock.runFor(30_000);
  await is(clocked, "open");
  await clocked.clock.runFor(1_500);
  await is(clocked, "waiting");
  await clocked.clock.runFor(1_000);
  await is(clocked, "open");
  step("without a beat for 31 s it connects anew");

  await need("stop");
  await Promise.all([is(ada, "waiting"), is(ben, "waiting")]);
  await need("start");
  await Promise.all([is(ada, "open"), is(ben, "open")]);
  await left(ada, "3 left");
  step("they come back, and see how it is now");

  const late = await openWindow(browser, "late", { viewport: PHONE });
  await late.evaluate(() => sessionStorage.setItem("token", "expired"));
  await late.reload();
  await late.getByRole("alert").getByText("Please come in again").waitFor();
  await comeIn(late, "W".repeat(40));
  assert.ok(await late.getByRole("alert").isHidden());
  await doesNotScrollSideways(late);
  step("who is not known any more is told so, and comes in again");
});
