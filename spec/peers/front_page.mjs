// front_page.mjs - the front page of the examples, as somebody sees it who looks round.
//
// Options besides those of browser.mjs: names (of all examples), ports (name -> port).
// SPDX-License-Identifier: MIT

import assert from "node:assert/strict";
import { doesNotScrollSideways, openTab, openWindow, PHONE, picture, play, step } from "./browser.mjs";
import { options } from "./lines.mjs";

const { names, ports } = options;
const also = Object.values(ports).map((port) => `127.0.0.1:${port}`);

play(async (browser) => {
  const page = await openWindow(browser, "front");
  const cards = page.locator(".example");
  await cards.first().waitFor();
  assert.deepEqual((await page.locator(".example h2").allInnerTexts()).map((title) => title.toLowerCase().replaceAll(" ", "-")), names);
  for (const sentence of await page.locator(".example p").allInnerTexts()) assert.match(sentence, /^\S.{20,}\.$/);
  step("every example has a card with a sentence");

  for (const name of names) {
    await page.getByRole("button", { name: `Source of ${name}` }).click();
    await page.locator(`#source[data-path="${name}/server.lua"]`).waitFor();
    assert.match(await page.locator("#source .line").first().innerText(), /^-- server\.lua - /);
    assert.ok(await page.locator("#source .keyword").count() > 10, `${name}: words are coloured`);
    assert.equal(await page.locator("#command").innerText(), `moonwire examples/${name}/server.lua`);
  }
  await picture(page, "front-desk");
  await page.reload();
  await page.locator(`#source[data-path="${names.at(-1)}/server.lua"]`).waitFor();
  step("its source stands beside it, and is still there after a reload");

  for (const name of names) {
    const href = await page.getByRole("link", { name: `Open ${name}` }).getAttribute("href");
    assert.equal(new URL(href).port, String(ports[name]));
    const tab = await openTab(page.context(), name, { address: href, also });
    assert.match(await tab.title(), /moonwire/);
    await tab.close();
  }
  step("its link leads to it");

  const phone = await openWindow(browser, "phone", { viewport: PHONE, colorScheme: "dark" });
  await phone.locator("#source .line").first().waitFor();
  await doesNotScrollSideways(phone);
  await phone.getByRole("button", { name: `Source of ${names[1]}` }).click();
  await phone.locator(`#source[data-path="${names[1]}/server.lua"]`).waitFor();
  await picture(phone, "front-phone");
  step("it fits on a phone");
});
