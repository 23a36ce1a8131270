// rules.mjs - for stories about examples/common/moonwire.js that are lists of rules, one step each. A rule is played in
// a page whose clock stands still until the rule lets time pass, and whose WebSockets are connected to nothing:
// `sockets` holds them all, in order, and the rule plays their server.
// SPDX-License-Identifier: MIT

import { openWindow, play, step } from "./browser.mjs";
import { options } from "./lines.mjs";

// Runs in the page, before its scripts.
function prepare() {
  window.sockets = [];
  window.heard = []; // what a rule wants to look at later
  window.WebSocket = class {
    readyState = 0;
    sent = [];
    constructor(url, protocols) {
      Object.assign(this, { url, protocols });
      sockets.push(this);
    }
    send(data) {
      if (this.readyState === 0) throw new Error("sent too early");
      this.sent.push(data);
    }
    close(...how) {
      if (this.readyState < 2) Object.assign(this, { readyState: 2, closed: how });
    }
    accept() {
      this.readyState = 1;
      this.onopen?.(new Event("open"));
    }
    say(data) {
      this.onmessage?.(new MessageEvent("message", { data }));
    }
    end(code = 1006, reason = "") {
      this.readyState = 3;
      this.onclose?.(new CloseEvent("close", { code, reason }));
    }
  };
  window.use = async (...given) => (window.socket = (await import("/common/moonwire.js")).useWebSocket(...given));
}

const rules = []; // [name, what is done]

// `run` is given: $ (what page.evaluate does), pass (so many milliseconds), begin (the page as it is at first), page,
// browser and url.
export const rule = (name, run) => rules.push([name, run]);

export function playRules() {
  play(async (browser) => {
    const { url } = options;
    const page = await openWindow(browser, "page");
    await page.clock.install({ time: 0 });
    await page.clock.pauseAt(1000);
    await page.addInitScript(prepare);
    const tab = {
      browser, page, url,
      $: (run, about) => page.evaluate(run, about),
      pass: (ms) => page.clock.runFor(ms),
      begin: () => page.goto(url),
    };
    for (const [name, run] of rules) {
      await tab.begin();
      await run(tab).catch((error) => { throw new Error(`${name}: ${error.message}`, { cause: error }); });
      step(name);
    }
  });
}
