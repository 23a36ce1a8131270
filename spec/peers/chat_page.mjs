// chat_page.mjs - customers and agents, on a desk and on phones: what they write, who reads it, and a server that goes away.
// SPDX-License-Identifier: MIT

import assert from "node:assert/strict";
import { DESK, doesNotScrollSideways, need, openTab, openWindow, PHONE, picture, play, step } from "./browser.mjs";

const LONG_WORD = "moonwire".repeat(40);
const MARKUP = "<img src=x onerror=\"document.title='bad'\"><b>bold</b>";

// One person at one window.
class Person {
  constructor(page, name) {
    this.page = page;
    this.name = name;
  }

  static async arrive(browser, name, role, settings) {
    const person = new Person(await openWindow(browser, name, settings), name);
    await person.logIn(role);
    return person;
  }

  async logIn(role) {
    await this.page.getByLabel("Your name").fill(this.name);
    await this.page.getByLabel(role).check();
    await this.page.getByRole("button", { name: "Come in" }).click();
    await this.isConnected();
  }

  isConnected() {
    return this.page.waitForSelector("body[data-state=open]");
  }

  async say(text) {
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.page.keyboard.press("Enter");
    await this.hears(text);
  }

  hears(text) {
    return this.page.locator(".bubble").getByText(text, { exact: true }).waitFor();
  }

  // Waits until the last own message has that receipt.
  async receipt(wanted) {
    const last = this.page.locator(".mine").last();
    await this.page.waitForFunction(
      (receipt) => [...document.querySelectorAll(".mine")].at(-1)?.dataset.receipt === receipt, wanted);
    assert.ok(await last.locator(".receipt svg").isVisible(), "a receipt is to be seen");
  }

  reads(selector, text) {
    return this.page.locator(selector).getByText(text, { exact: true }).waitFor();
  }

  messages() {
    return this.page.locator(".bubble").allInnerTexts();
  }

  enter(room) {
    return this.page.locator("#rooms a", { hasText: room }).click();
  }

  titled(title) {
    return this.page.waitForFunction((wanted) => document.title === wanted, title);
  }
}

async function arrivals(browser) {
  const door = await openWindow(browser, "door");
  await door.getByLabel("Your name").waitFor();
  await picture(door, "chat-login-desk");
  await door.context().close();
  const ann = await Person.arrive(browser, "Ann", "a customer", { viewport: PHONE });
  await ann.reads("#subtitle", "Nobody is here right now. We answer later.");
  const bea = await Person.arrive(browser, "Bea", "an agent");
  await ann.reads("#subtitle", "One of us is here");
  await bea.page.getByText("No customer has written yet.").waitFor();
  step("who is here");
  return { ann, bea };
}

async function talk({ ann, bea }) {
  await ann.say("Hello, is anybody here?");
  await ann.receipt("stored");
  await bea.reads("#rooms .badge", "1 unread");
  await bea.titled("(1) moonwire chat");
  await picture(bea.page, "chat-agent-desk-list");
  step("a new conversation is in the list, unread");

  await bea.enter("Ann");
  await bea.hears("Hello, is anybody here?");
  await ann.receipt("read");
  await bea.titled("moonwire chat");
  assert.equal(await bea.page.locator("#rooms .badge").count(), 0);
  await bea.reads("#subtitle", "online");
  step("it is read, and the customer sees that");

  await bea.page.getByLabel("Message", { exact: true }).pressSequentially("Of");
  await ann.reads("#typing", "Bea is typing …");
  await picture(ann.page, "chat-customer-phone-typing");
  await bea.say("Of course. 你好 🌙");
  await ann.hears("Of course. 你好 🌙");
  await bea.receipt("read");
  await ann.page.waitForFunction(() => document.querySelector("#typing").textContent === "");
  await ann.page.getByLabel("Message", { exact: true }).fill("x");
  await bea.reads("#typing", "Ann is typing …");
  await bea.reads("#rooms .last", "typing …");
  await ann.page.getByLabel("Message", { exact: true }).fill("");
  await bea.page.waitForFunction(() => document.querySelector("#typing").textContent === "");
  step("typing is shown while it lasts");
}

async function text({ ann, bea }) {
  await ann.say(MARKUP);
  await bea.hears(MARKUP);
  assert.equal(await bea.page.locator("main img, main b, aside b").count(), 0, "markup in a message is text");
  await ann.say(LONG_WORD);
  await doesNotScrollSideways(ann.page);
  await doesNotScrollSideways(bea.page);
  const own = await ann.page.locator(".mine .bubble").last().boundingBox();
  assert.ok(PHONE.width - (own.x + own.width) < 30, "own messages stand on the right");
  const other = await ann.page.locator(".said:not(.mine) .bubble").last().boundingBox();
  assert.ok(other.x < 80, "others' messages stand on the left");
  await bea.receipt("read");
  step("what is written is text, on its writer's side");

  await ann.page.evaluate(() => document.querySelector("#text").removeAttribute("maxlength"));
  await ann.page.getByLabel("Message", { exact: true }).fill("x".repeat(4001));
  await ann.page.keyboard.press("Enter");
  await ann.page.getByText("Not sent: a message has 1 to 4000 characters").waitFor();
  await ann.receipt("failed");
  await ann.page.getByRole("button", { name: "Try again" }).click();
  await ann.receipt("failed");
  await picture(ann.page, "chat-customer-phone-refused");
  await ann.page.getByRole("button", { name: "Discard" }).click();
  await ann.receipt("read");
  step("what is refused says why");
}

async function many(browser, { ann, bea }) {
  const cy = await Person.arrive(browser, "Cy 蛋", "a customer", { colorScheme: "dark" });
  assert.deepEqual(await cy.messages(), [], "another customer sees nothing of it");
  await cy.say("My order is late.");
  await bea.reads("#rooms .badge", "1 unread");
  const dan = await Person.arrive(browser, "Dan", "an agent", { viewport: PHONE, colorScheme: "dark" });
  await dan.page.locator("#rooms a").nth(1).waitFor();
  await doesNotScrollSideways(dan.page);
  await picture(dan.page, "chat-agent-phone-list-dark");
  await dan.enter("Cy 蛋");
  await dan.hears("My order is late.");
  await bea.page.waitForFunction(() => !document.querySelector("#rooms .badge"));
  await dan.say("I look it up.");
  await cy.hears("I look it up.");
  await picture(dan.page, "chat-agent-phone-talk-dark");
  await dan.page.getByLabel("Back to all conversations").click();
  await dan.page.locator("#rooms a", { hasText: "Cy 蛋" }).waitFor();
  await dan.enter("Ann");
  await dan.say("And I am here, too.");
  await bea.hears("And I am here, too.");
  await ann.hears("And I am here, too.");
  await ann.reads("#subtitle", "2 of us are here");
  await picture(bea.page, "chat-agent-desk-talk");
  await picture(cy.page, "chat-customer-desk-dark");
  await dan.page.context().close(); // what he has in front of him would be read
  step("several customers and agents, none of whom sees too much");
  return { cy };
}

async function cutOff(browser, { ann, bea, cy }) {
  const before = (await bea.messages()).length;
  await need("stop");
  await Promise.all([ann, bea, cy].map(({ page }) => page.getByText("No connection.").waitFor()));
  await bea.say("I write on.");
  await bea.receipt("sending");
  await picture(bea.page, "chat-agent-desk-cut-off");
  await ann.say("So do I.");
  await picture(ann.page, "chat-customer-phone-cut-off");
  await need("start");
  await ann.page.reload();
  await Promise.all([ann, bea, cy].map((person) => person.isConnected()));
  await ann.hears("I write on.");
  await bea.hears("So do I.");
  await bea.receipt("read");
  assert.equal((await bea.messages()).length, before + 2, "everything stands there once");
  step("what was written while cut off arrives once");

  await bea.page.reload();
  await bea.hears("So do I.");
  assert.equal((await bea.messages()).length, before + 2, "and is there after a reload");
  await bea.receipt("read");
  step("the history survives a restart and a reload");
}

async function long({ ann, bea, cy }) {
  await need("flood", { room: "Ann", count: 120 });
  await bea.hears("message 120");
  await bea.page.getByLabel("Messages", { exact: true }).evaluate((scroll) => scroll.scrollTo(0, 0));
  await need("flood", { room: "Ann", count: 1 });
  await bea.page.getByRole("button", { name: "New messages ↓" }).waitFor();
  await bea.reads("#rooms .badge", "1 unread");
  await bea.page.getByRole("button", { name: "New messages ↓" }).click();
  await bea.page.waitForFunction(() => !document.querySelector("#rooms .badge"));
  step("who reads further up is not disturbed");

  await ann.page.reload();
  await ann.hears("message 120");
  const earlier = ann.page.getByRole("button", { name: "Earlier messages" });
  while (await earlier.isVisible()) {
    const count = (await ann.messages()).length;
    await earlier.click();
    await ann.page.waitForFunction((was) => document.querySelectorAll(".bubble").length > was, count);
  }
  await ann.hears("Hello, is anybody here?");
  assert.equal(new Set(await ann.messages()).size, (await ann.messages()).length - 1, "all once, but for message 1");
  step("earlier messages are fetched, down to the first");

  await cy.page.context().close();
  await bea.page.waitForFunction(() => document.querySelectorAll("#rooms .online").length === 1);
  await ann.page.evaluate(() => {
    const me = JSON.parse(sessionStorage.getItem("me"));
    sessionStorage.setItem("me", JSON.stringify({ ...me, token: `${me.token}x` }));
  });
  await ann.page.reload();
  await ann.page.getByText("the token is not signed by this server").waitFor();
  await picture(ann.page, "chat-refused-phone");
  await ann.logIn("a customer");
  await ann.hears("message 120");
  step("a bad token leads back to the door, and says why");

  const other = new Person(await openTab(ann.page.context(), "Ann's second tab"), "Eve");
  await other.page.getByLabel("Your name").waitFor();
  await ann.page.getByRole("button", { name: "Log out" }).click();
  await ann.page.getByLabel("Your name").waitFor();
  await bea.page.waitForFunction(() => document.querySelectorAll("#rooms .online").length === 0);
  step("who logs out is gone");
}

play(async (browser) => {
  assert.equal(DESK.width, 1440);
  const people = await arrivals(browser);
  await talk(people);
  await text(people);
  Object.assign(people, await many(browser, people));
  await cutOff(browser, people);
  await long(people);
});
