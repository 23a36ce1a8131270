// dashboard_page.mjs - two wall screens that follow each other, and the home page with its switches.
// SPDX-License-Identifier: MIT

import assert from "node:assert/strict";
import { doesNotScrollSideways, need, openWindow, PHONE, picture, play, step } from "./browser.mjs";

const CHARTS = ["trend", "seller", "map", "rank", "hot", "stock"];
const figures = (page, name) => page.locator(`[data-chart=${name}]`).getAttribute("data-shown");
const is = (page, state) => page.waitForSelector(`body[data-state=${state}]`);

// Whether anything was drawn there.
const painted = (page, name) => page.locator(`[data-chart=${name}] canvas`).evaluate((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
});

const hasMoved = (page, name, before) => page.waitForFunction(
  ([chart, old]) => document.querySelector(`[data-chart=${chart}]`).dataset.shown !== old, [name, before]);

const theme = (page, wanted) => page.waitForSelector(`html[data-theme=${wanted}]`);
const full = (page, name) => page.waitForSelector(`[data-chart=${name}].full`);
const back = (page, name) => page.waitForSelector(`[data-chart=${name}]:not(.full)`);

play(async (browser) => {
  const wall = await openWindow(browser, "wall");
  for (const name of CHARTS) {
    await wall.waitForSelector(`[data-chart=${name}][data-shown]`);
    assert.ok(await painted(wall, name) > 20, `${name} is drawn`);
  }
  const fits = await wall.evaluate(() => document.scrollingElement.scrollHeight <= innerHeight);
  assert.ok(fits, "a wall doesn't scroll");
  step("six charts");

  for (const name of CHARTS) await hasMoved(wall, name, await figures(wall, name));
  await picture(wall, "dashboard-desk");
  step("they move");

  const phone = await openWindow(browser, "phone", { viewport: PHONE });
  await is(phone, "open");
  await wall.getByRole("button", { name: "Light theme" }).click();
  await Promise.all([theme(wall, "light"), theme(phone, "light")]);
  await picture(wall, "dashboard-light");
  await phone.getByRole("button", { name: "Dark theme" }).click();
  await Promise.all([theme(wall, "dark"), theme(phone, "dark")]);
  await doesNotScrollSideways(phone);
  await picture(phone, "dashboard-phone");
  step("the theme follows on every window");

  // What a program sends to all windows, and what none of them may take for something else.
  await phone.evaluate(async () => {
    const socket = new WebSocket(new URL("./", document.baseURI));
    await new Promise((resolve) => (socket.onopen = resolve));
    for (const chartName of ["nothing", "constructor", "__proto__", null, ["trend"], {}]) {
      socket.send(JSON.stringify({ action: "fullScreen", socketType: "fullScreen", chartName, value: true }));
    }
    for (const socketType of ["trendData", "connected", "constructor", null]) {
      socket.send(JSON.stringify({ action: "fullScreen", socketType, chartName: "trend", data: "[]", value: false }));
    }
    socket.send('{"action":"themeChange","socketType":"themeChange","chartName":"","value":"light"}');
  });
  await theme(wall, "light");
  await hasMoved(wall, "trend", await figures(wall, "trend"));
  await wall.getByRole("button", { name: "Dark theme" }).click();
  await Promise.all([theme(wall, "dark"), theme(phone, "dark")]);
  step("nonsense disturbs no window");

  await wall.getByRole("button", { name: "Orders of the last hour: full screen" }).click();
  await Promise.all([full(wall, "map"), full(phone, "map")]);
  await picture(wall, "dashboard-full");
  const late = await openWindow(browser, "late");
  await full(late, "map");
  await late.keyboard.press("Escape");
  await Promise.all([wall, phone, late].map((page) => back(page, "map")));
  step("full screen follows, also on a window that comes later");

  await need("restart");
  await Promise.all([is(wall, "open"), is(phone, "open")]);
  await hasMoved(wall, "stock", await figures(wall, "stock"));
  step("they come back");

  const home = await openWindow(browser, "home", { address: "home.html" });
  await home.waitForSelector("[data-chart=trend][data-shown]");
  assert.match(await home.locator("[data-number=orders]").innerText(), /^\d[\d,]+$/);
  await hasMoved(home, "trend", await figures(home, "trend"));
  await picture(home, "dashboard-home");
  step("the home page shows numbers and charts");

  await home.getByLabel("Simple").check();
  await home.waitForSelector("body[data-mode=simple]");
  assert.ok(!await home.locator("[data-chart=trend]").isVisible());
  await picture(home, "dashboard-home-simple");
  await home.getByLabel("Live").uncheck();
  await home.waitForTimeout(0);
  const answered = home.waitForEvent("websocket");
  await home.reload();
  await answered;
  await is(home, "open");
  await home.getByLabel("Live").uncheck();
  await home.evaluate(() => new Promise((resolve) => setTimeout(resolve, 500)));
  const still = await figures(home, "trend");
  await home.evaluate(() => new Promise((resolve) => setTimeout(resolve, 1000)));
  assert.equal(await figures(home, "trend"), still, "nothing moves that is not live");
  await home.getByLabel("Live").check();
  await hasMoved(home, "trend", still);
  step("simple and full, live and not");

  await home.goto("about:blank");
  for (let text = ""; !text.includes("a home page was left: 1000 用户已经离开当前页面或页面发生刷新");) text = await need("left");
  step("the server is told that the page was left");
});
