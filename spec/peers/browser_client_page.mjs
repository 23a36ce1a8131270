// browser_client_page.mjs - the rules of examples/common/moonwire.js about when and where it connects. The last one
// talks with a real server, and needs to know how a connection ended: need("close", { name }).
// SPDX-License-Identifier: MIT

import assert from "node:assert/strict";
import { need, openWindow } from "./browser.mjs";
import { playRules, rule } from "./rules.mjs";

const CHINESE = "用户已经离开当前页面或页面发生刷新";

// ---- where to ----

rule("an address may be relative to the page, and http or ws", async ({ $, page }) => {
  const host = new URL(page.url()).host;
  const addresses = ["ws?a=b", "/ws", "http://example.com/x", "https://example.com/y", "wss://example.com/z"];
  const made = await $(async (list) => {
    for (const each of list) await use(each, { protocols: () => ["a", "b"] });
    return sockets.map(({ url, protocols }) => [url, protocols.join()]);
  }, addresses);
  assert.deepEqual(made, [`ws://${host}/ws?a=b`, `ws://${host}/ws`, "ws://example.com/x", "wss://example.com/y",
    "wss://example.com/z"].map((url) => [url, "a,b"]));
});

rule("a function is asked for the address before each attempt", async ({ $, pass }) => {
  await $(() => (window.token = 0, use(() => `ws?token=${++token}`)));
  await $(() => sockets[0].end());
  await pass(1000);
  assert.deepEqual(await $(() => sockets.map(({ url }) => new URL(url).search)), ["?token=1", "?token=2"]);
});

rule("without an address nothing is tried until open()", async ({ $, pass }) => {
  await $(() => use(() => window.address, { autoReconnect: { retries: 1, onFailed: () => heard.push("failed") } }));
  await pass(100_000);
  assert.deepEqual(await $(() => [sockets.length, heard, socket.status]), [0, [], "CLOSED"]);
  assert.equal(await $(() => socket.send("later")), "queued");
  await $(() => (window.address = "ws", socket.open()));
  assert.deepEqual(await $(() => (sockets[0].accept(), sockets[0].sent)), ["later"]);
});

rule("an address may take its time", async ({ $, pass }) => {
  await $(() => use(() => new Promise((resolve) => setTimeout(resolve, 500, "ws"))));
  assert.deepEqual(await $(() => [sockets.length, socket.status]), [0, "CONNECTING"]);
  assert.equal(await $(() => socket.send("x", false)), "connecting");
  await pass(500);
  assert.equal(await $(() => sockets.length), 1);
  await $(() => (socket.open(), socket.open(), socket.close()));
  await pass(5000); // one that comes too late is not used
  assert.deepEqual(await $(() => [sockets.length, socket.status]), [1, "CLOSED"]);
});

rule("an address that can't be found or used counts as an attempt that failed", async ({ $, pass }) => {
  const failed = async (url) => {
    await $(async (what) => {
      window.reportError = (error) => heard.push(error.message);
      const rejects = () => Promise.reject(Error("no"));
      const throws = () => { throw Error("no"); };
      await use({ throws, rejects, bad: "http://" }[what], {
        autoReconnect: { retries: 2, onFailed: () => heard.push("failed") },
        onDisconnected: () => heard.push("disconnected"),
      });
    }, url);
    await pass(10_000);
    return $(() => heard.splice(0));
  };
  assert.deepEqual(await failed("throws"), ["no", "no", "no", "failed"]);
  assert.deepEqual(await failed("rejects"), ["no", "no", "no", "failed"]);
  assert.equal((await failed("bad")).length, 4);
});

rule("immediate: false leaves the first open() to the page", async ({ $ }) => {
  await $(() => use("ws", { immediate: false }));
  assert.deepEqual(await $(() => [sockets.length, socket.send("x")]), [0, "closed"]);
  assert.equal(await $(async () => (socket.open(), await 0, sockets.length)), 1);
});

// ---- coming back ----

// The delays that are used for `count` failures in a row; each is tried to be one millisecond shorter first.
async function delays({ $, pass }, settings, count) {
  await $(async (given) => {
    if (given.times) given.delay = (n) => n * given.times;
    await use("ws", { autoReconnect: given, onStatus: (status, retry) => retry && (window.retry = retry) });
  }, settings);
  const found = [];
  for (let i = 1; i <= count; i++) {
    const { attempt, delay } = await $(async () => (sockets.at(-1).end(), await 0, retry));
    assert.equal(attempt, i);
    await pass(Math.ceil(delay) - 1);
    assert.equal(await $(() => sockets.length), i, `not before ${delay} ms`);
    await pass(1);
    assert.equal(await $(() => sockets.length), i + 1, `after ${delay} ms`);
    found.push(delay);
  }
  return found;
}

rule("by default it comes back after 1 s, each time", async (tab) => {
  assert.deepEqual(await delays(tab, true, 6), [1000, 1000, 1000, 1000, 1000, 1000]);
});

rule("the delay is the given one, also a long one", async (tab) => {
  assert.deepEqual(await delays(tab, { delay: 60_000, factor: 2 }, 3), [60_000, 60_000, 60_000]);
});

rule("it grows by a factor up to a limit", async (tab) => {
  const found = await delays(tab, { delay: 500, factor: 2, maxDelay: 3000 }, 6);
  assert.deepEqual(found, [500, 1000, 2000, 3000, 3000, 3000]);
});

rule("it may be a function of the attempt's number", async (tab) => {
  assert.deepEqual(await delays(tab, { times: 500, maxDelay: 1800 }, 4), [500, 1000, 1500, 1800]);
});

rule("chance takes away its share and no more", async (tab) => {
  for (const [random, delay] of [[0, 1000], [0.5, 800], [0.999999, 600]]) {
    await tab.begin();
    await tab.$((value) => (Math.random = () => value), random);
    const found = await delays(tab, { jitter: 0.4 }, 2);
    assert.deepEqual(found.map(Math.round), [delay, delay]);
  }
});

rule("after so many attempts it gives up and hands back what was queued", async ({ $, pass }) => {
  await $(() => use("ws", { autoReconnect: { retries: 3, onFailed: (unsent) => heard.push(unsent) } }));
  await $(() => (socket.send("a"), socket.send("b")));
  for (let i = 0; i < 4; i++) {
    assert.deepEqual(await $(() => heard), []);
    await $(() => sockets.at(-1).end());
    await pass(1000);
  }
  assert.deepEqual(await $(() => [sockets.length, heard]), [4, [["a", "b"]]]);
  assert.deepEqual(await $(() => [socket.send("c"), socket.status]), ["closed", "CLOSED"]);
  await $(() => socket.open());
  assert.deepEqual(await $(() => (sockets.at(-1).accept(), [sockets.length, sockets.at(-1).sent])), [5, []]);
});

rule("a function may decide whether to go on, and so may the delay", async ({ $, pass, begin }) => {
  for (const name of ["retries", "delay"]) {
    await begin();
    await $((which) => use("ws", { autoReconnect: {
      [which]: which === "retries" ? (made) => made < 2 : (attempt) => (attempt <= 2 ? 10 : null),
      onFailed: () => heard.push("failed"),
    } }), name);
    for (let i = 0; i < 3; i++) {
      await $(() => sockets.at(-1).end());
      await pass(1000);
    }
    assert.deepEqual(await $(() => [sockets.length, heard]), [3, ["failed"]], name);
  }
});

rule("success makes it count from the beginning", async ({ $, pass }) => {
  await $(() => use("ws", {
    autoReconnect: { retries: 1, factor: 2 },
    onStatus: (_, retry) => retry && heard.push(retry),
  }));
  for (let i = 0; i < 4; i++) {
    await $(() => (sockets.at(-1).accept(), sockets.at(-1).end()));
    await pass(1000);
  }
  assert.deepEqual(await $(() => heard), Array(4).fill({ attempt: 1, delay: 1000 }));
});

rule("autoReconnect: false stays away", async ({ $, pass }) => {
  await $(() => use("ws", { autoReconnect: false }));
  await $(() => (sockets[0].accept(), sockets[0].end()));
  await pass(100_000);
  assert.deepEqual(await $(() => [sockets.length, socket.status]), [1, "CLOSED"]);
});

rule("there is never a second connection, and nothing is heard from an old one", async ({ $, pass }) => {
  await $(() => use("ws", { onMessage: (_, { data }) => heard.push(data), onDisconnected: () => heard.push("lost") }));
  await $(async () => {
    sockets[0].accept();
    for (let i = 0; i < 3; i++) {
      socket.open();
      await 0;
    }
    dispatchEvent(new Event("online"));
  });
  assert.deepEqual(await $(() => sockets.map(({ readyState }) => readyState)), [2, 2, 2, 0]);
  await $(() => {
    sockets.at(-1).accept();
    for (const old of sockets.slice(0, -1)) old.say("a voice from the past"), old.end();
    sockets.at(-1).say("now");
  });
  await pass(60_000);
  assert.deepEqual(await $(() => [heard, socket.data, socket.ws === sockets[3], sockets[3].readyState, sockets.length]),
    [["now"], "now", true, 1, 4]);
});

rule("an attempt that hangs is given up", async ({ $, pass }) => {
  await $(() => use("ws", {
    connectTimeout: 4000,
    onDisconnected: (_, { code, reason }) => heard.push([code, reason]),
  }));
  await pass(3999);
  assert.equal(await $(() => sockets[0].readyState), 0);
  await pass(1);
  assert.deepEqual(await $(() => [sockets[0].readyState, heard]), [2, [[1006, "connect timeout"]]]);
  await pass(1000);
  await $(() => sockets[1].accept());
  await pass(60_000);
  assert.deepEqual(await $(() => sockets.map(({ readyState }) => readyState)), [2, 1], "one that opened is not");
});

rule("the page can count down", async ({ $, pass }) => {
  await $(async () => {
    const { useWebSocket } = await import("/common/moonwire.js");
    const made = useWebSocket("ws", { onStatus: (status, retry = null) => heard.push([status, retry, made.status]) });
  });
  await $(() => sockets[0].end());
  await pass(1000);
  await $(() => sockets[1].accept());
  assert.deepEqual(await $(() => heard), [["CONNECTING", null, "CONNECTING"],
    ["CLOSED", { attempt: 1, delay: 1000 }, "CLOSED"], ["CONNECTING", null, "CONNECTING"], ["OPEN", null, "OPEN"]]);
});

// ---- by hand ----

rule("after close() by hand it stays closed, whenever that was", async ({ $, pass, begin }) => {
  for (const when of ["open", "connecting", "waiting"]) {
    await begin();
    await $(async (what) => {
      await use("ws", {
        autoReconnect: { onFailed: () => heard.push("failed") },
        onDisconnected: (_, { code }) => heard.push(code),
      });
      if (what === "open") sockets[0].accept();
      if (what === "waiting") sockets[0].end();
      heard.length = 0;
      socket.close(4000, "enough");
      if (what !== "waiting") sockets[0].end(4000, "enough");
      dispatchEvent(new Event("online"));
    }, when);
    await pass(100_000);
    assert.deepEqual(await $(() => [sockets.length, socket.status, sockets[0].closed ?? [], heard]),
      when === "waiting" ? [1, "CLOSED", [], []] : [1, "CLOSED", [4000, "enough"], [4000]], when);
    assert.equal(await $(async () => (socket.open(), await 0, sockets.length)), 2, "open() by hand");
  }
});

rule("close() hands back what was queued", async ({ $ }) => {
  await $(() => use("ws"));
  const got = await $(async () => {
    socket.send("a");
    socket.send("b");
    const unsent = socket.close();
    sockets[0].end();
    await socket.open();
    sockets.at(-1).accept();
    return [unsent, sockets.at(-1).sent];
  });
  assert.deepEqual(got, [["a", "b"], []]);
});

// ---- the world ----

rule("it comes back at once when the network does", async ({ $, page }) => {
  await $(() => use("ws"));
  await page.context().setOffline(true);
  await $(() => sockets[0].end());
  assert.equal(await $(() => sockets.length), 1);
  await page.context().setOffline(false);
  await page.waitForFunction(() => sockets.length === 2);
});

rule("it comes back at once when the page is looked at again", async ({ $, pass }) => {
  await $(() => use("ws"));
  const look = (state) => $(async (value) => {
    Object.defineProperty(document, "visibilityState", { value, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    await 0;
    return sockets.length;
  }, state);
  await $(() => sockets[0].end());
  assert.equal(await look("hidden"), 1);
  assert.equal(await look("visible"), 2);
  await $(() => sockets[1].accept());
  assert.equal(await look("visible"), 2, "a connection that is there stays");
  await pass(60_000);
  assert.equal(await $(() => sockets.length), 2);
});

// ---- with a server ----

rule("leaving the page says why, and coming back to it connects again", async ({ browser, url }) => {
  const page = await openWindow(browser, "real", { address: url });
  const connect = (name, autoClose) => page.evaluate(async ([path, given]) => {
    const { useWebSocket } = await import("/common/moonwire.js");
    window.socket = useWebSocket(path, given);
    socket.send("a");
    await new Promise((resolve) => (given.onConnected = resolve));
    return socket.send(new Uint8Array([98]));
  }, [`ws?name=${name}`, { closeReason: CHINESE, autoClose }]);
  assert.equal(await connect("leaves", true), "sent");
  await page.goto(`${url}?elsewhere`);
  assert.deepEqual(await need("close", { name: "leaves" }), { code: 1000, reason: CHINESE, got: "ab" });

  await connect("returns", true);
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true })));
  assert.deepEqual(await need("close", { name: "returns" }), { code: 1000, reason: CHINESE, got: "ab" });
  assert.deepEqual(await page.evaluate(() => [socket.status, socket.send("c")]), ["CLOSED", "closed"]);
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
  await page.waitForFunction(() => socket.status === "OPEN");
  await page.evaluate(() => socket.close(4321, "by hand"));
  assert.deepEqual(await need("close", { name: "returns" }), { code: 4321, reason: "by hand", got: "" });
  for (const steps of [["pagehide", "pageshow"], ["open", "pagehide", "close", "pageshow"]]) {
    await page.evaluate((names) => names.forEach((name) => socket[name]?.() ?? dispatchEvent(new Event(name))), steps);
    assert.equal(await page.evaluate(() => socket.status), "CLOSED", "but not after close() by hand");
  }

  await connect("stays", false);
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide")));
  assert.equal(await page.evaluate(() => socket.status), "OPEN");
});

playRules();
