// browser_client_messages.mjs - the rules of examples/common/moonwire.js about heartbeats and about what is sent.
// SPDX-License-Identifier: MIT

import assert from "node:assert/strict";
import { playRules, rule } from "./rules.mjs";

// ---- heartbeats ----

rule("it sends its beat, and what answers it is no news", async ({ $, pass }) => {
  await $(() => use("ws", { heartbeat: true, onMessage: (_, { data }) => heard.push(data) }));
  await $(() => sockets[0].accept());
  for (let i = 1; i <= 5; i++) {
    await pass(999);
    assert.equal(await $(() => sockets[0].sent.length), i - 1);
    await pass(1);
    assert.equal(await $(() => sockets[0].sent.length), i);
    await $(() => (sockets[0].say("ping"), sockets[0].say("news")));
  }
  assert.deepEqual(await $(() => [sockets[0].sent, heard]), [Array(5).fill("ping"), Array(5).fill("news")]);
});

rule("when nothing comes after a beat the connection is lost", async ({ $, pass }) => {
  await $(() => use("ws", {
    heartbeat: { message: "beat", responseMessage: (data) => /^beat/.test(data), interval: 5000, pongTimeout: 2000 },
    onMessage: (_, { data }) => heard.push(data),
    onDisconnected: (_, { code, reason }) => heard.push(code, reason),
  }));
  await $(() => sockets[0].accept());
  await pass(6999);
  await $(() => sockets[0].say("beat 1"));
  await pass(5000);
  await $(() => sockets[0].say("anything"));
  await pass(5000);
  assert.deepEqual(await $(() => [sockets[0].readyState, heard]), [1, ["anything"]]);
  await pass(1);
  assert.deepEqual(await $(() => [sockets[0].readyState, sockets[0].sent]), [2, ["beat", "beat", "beat"]]);
  assert.deepEqual(await $(() => heard), ["anything", 1006, "no heartbeat"]);
  await pass(1000);
  await $(() => sockets[1].accept());
  await pass(5500);
  await $(() => sockets[1].end());
  await pass(1000);
  await $(() => sockets[2].accept());
  await pass(6999);
  assert.equal(await $(() => sockets[2].readyState), 1, "what the one before waited for is forgotten");
  await pass(1);
  assert.equal(await $(() => sockets[2].readyState), 2);
});

rule("silence is counted from the first beat that was not answered", async ({ $, pass }) => {
  await $(() => use("ws", { heartbeat: { interval: 1000, pongTimeout: 2500 } }));
  await $(() => sockets[0].accept());
  await pass(2500);
  await $(() => sockets[0].say("ping"));
  await pass(2999);
  assert.equal(await $(() => sockets[0].readyState), 1);
  await pass(1);
  assert.equal(await $(() => sockets[0].readyState), 2);
});

rule("it may beat only when nothing came for a while", async ({ $, pass }) => {
  await $(() => use("ws", { heartbeat: { message: "HeartBeat", interval: 30_000, idleOnly: true } }));
  await $(() => sockets[0].accept());
  for (let i = 0; i < 4; i++) {
    await pass(29_999);
    await $(() => sockets[0].say("news"));
  }
  assert.deepEqual(await $(() => sockets[0].sent), []);
  await pass(30_000);
  assert.deepEqual(await $(() => (sockets[0].say("HeartBeat"), sockets[0].sent)), ["HeartBeat"]);
});

rule("pongTimeout: 0 waits for no answer", async ({ $, pass }) => {
  await $(() => use("ws", { heartbeat: { message: () => `beat ${sockets[0].sent.length}`, pongTimeout: 0 } }));
  await $(() => sockets[0].accept());
  await pass(3000);
  assert.deepEqual(await $(() => [sockets[0].sent, sockets[0].readyState]), [["beat 0", "beat 1", "beat 2"], 1]);
  assert.equal(await $(() => (sockets[0].say("news"), socket.data)), "news");
});

rule("the server may beat: that is answered, and its absence is noticed", async ({ $, pass }) => {
  await $(() => use("ws", {
    heartbeat: {
      message: null,
      responseMessage: (data) => JSON.parse(data).type === "heartCheck",
      answer: '{"type":"heartCheck"}',
      interval: 30_000,
      pongTimeout: 1000,
    },
    onMessage: (_, { data }) => heard.push(data),
  }));
  await $(() => sockets[0].accept());
  for (let i = 1; i <= 3; i++) {
    await pass(30_999);
    await $(() => sockets[0].say('{"type":"heartCheck"}'));
    assert.deepEqual(await $(() => [sockets[0].sent, heard]), [Array(i).fill('{"type":"heartCheck"}'), []]);
  }
  await pass(30_500);
  await $(() => sockets[0].say('{"type":"news"}'));
  await pass(499);
  assert.deepEqual(await $(() => [sockets[0].readyState, heard]), [1, ['{"type":"news"}']]);
  await pass(1);
  assert.equal(await $(() => sockets[0].readyState), 2, "news is no beat");
  await pass(1000);
  assert.equal(await $(() => sockets.length), 2);
});

// ---- sending ----

rule("what onConnected sends goes first, then the queue in order", async ({ $ }) => {
  await $(() => use("ws", {
    onConnected: () => heard.push(socket.send("auth")),
    onStatus: (status) => status === "OPEN" && socket.send("late"),
  }));
  const answers = await $(() => ["a", "b", "c"].map((each) => socket.send(each)));
  assert.deepEqual(answers, ["queued", "queued", "queued"]);
  await $(() => sockets[0].accept());
  assert.deepEqual(await $(() => [heard, sockets[0].sent]), [["sent"], ["auth", "a", "b", "c", "late"]]);
});

rule("when onConnected opens anew, the queue and the heartbeat wait for that", async ({ $, pass }) => {
  await $(() => use("ws", { heartbeat: true, onConnected: () => sockets.length === 1 && socket.open() }));
  await $(() => (socket.send("a"), sockets[0].accept()));
  await pass(5000);
  assert.deepEqual(await $(() => [sockets[0].sent, sockets.length]), [[], 2]);
  await $(() => sockets[1].accept());
  await pass(1000);
  assert.deepEqual(await $(() => sockets[1].sent), ["a", "ping"]);
});

rule("the queue outlives the attempts, and has an end", async ({ $, pass }) => {
  await $(() => use("ws", { queue: 3 }));
  assert.deepEqual(await $(() => ["a", "b"].map((each) => socket.send(each))), ["queued", "queued"]);
  await $(() => sockets[0].end());
  assert.deepEqual(await $(() => ["c", "d"].map((each) => socket.send(each))), ["queued", "full"]);
  await pass(1000);
  await $(() => sockets[1].accept());
  assert.deepEqual(await $(() => [socket.send("e"), sockets[1].sent]), ["sent", ["a", "b", "c", "e"]]);
});

rule("send tells in each state what became of a message", async ({ $ }) => {
  await $(() => use("ws", { queue: 0 }));
  assert.deepEqual(await $(() => {
    const answers = [socket.send("x"), socket.send("x", false)];
    sockets[0].accept();
    answers.push(socket.send("x"));
    sockets[0].readyState = 2;
    answers.push(socket.send("x"));
    sockets[0].end();
    return [...answers, socket.send("x")];
  }), ["connecting", "connecting", "sent", "closing", "closed"]);
  assert.deepEqual(await $(async () => {
    await socket.open();
    socket.close();
    const answers = [socket.send("x")];
    sockets[1].end();
    return [...answers, socket.send("x"), sockets.map(({ sent }) => sent)];
  }), ["closing", "closed", [["x"], []]]);
});

rule("a callback that throws is reported and stops nothing", async ({ $, pass }) => {
  await $(() => {
    window.reportError = (error) => heard.push(error.message);
    const fail = (name) => () => { throw Error(name); };
    return use("ws", { onConnected: fail("connected"), onStatus: fail("status"), onDisconnected: fail("disconnected"),
      onMessage: fail("message"), onError: fail("error"), autoReconnect: { retries: 1, onFailed: fail("failed") } });
  });
  await $(() => (socket.send("a"), sockets[0].accept(), sockets[0].say("x"), sockets[0].onerror(new Event("error"))));
  assert.deepEqual(await $(() => [sockets[0].sent, socket.data]), [["a"], "x"]);
  await $(() => sockets[0].end());
  await pass(1000);
  await $(() => sockets[1].end());
  assert.deepEqual(await $(() => heard.filter((each) => each !== "status")),
    ["connected", "message", "error", "disconnected", "disconnected", "failed"]);
});

playRules();
