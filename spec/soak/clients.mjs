// clients.mjs - the clients of the soak that know nothing of moonwire: node's `ws`, http and https. The same orders and answers
// as clients.lua: "go", "rest" on standard input, {"event":"ready"} and {"event":"rested", counts, problems} on standard output. Options, as JSON in
// the first argument: port, tls_port, ca, workers, pause (seconds), file_sizes.
// SPDX-License-Identifier: MIT

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createInterface } from "node:readline";
import { WebSocket } from "ws";

const options = JSON.parse(process.argv[2]);
const ca = readFileSync(options.ca);
const TIMEOUT = 60_000; // milliseconds
const PROBLEMS_KEPT = 20;
const counts = { connections: 0, sent: 0, acknowledged: 0, lost: 0, requests: 0, vanished: 0, faults: 0, reconnects: 0 };
const problems = [];
let going = false;
let running = 0;

const below = (n) => Math.floor(Math.random() * n);
const oneOf = (list) => list[below(list.length)];
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const agents = {
  http: new http.Agent({ keepAlive: true, timeout: 2000 }),
  https: new https.Agent({ keepAlive: true, timeout: 2000, ca }),
};

// Sizes from 1 B to 300 KB, each magnitude as often as the others.
function anyMessage() {
  const size = Math.max(1, Math.floor(10 ** (Math.random() * Math.log10(300_000))));
  if (below(2)) return { bytes: randomBytes(size), binary: true };
  return { bytes: Buffer.from(oneOf(["push", "größer", "世界", '{"a":1}']).repeat(Math.ceil(size / 8))), binary: false };
}

function address(scheme, path) {
  const secure = below(3) === 0;
  return `${scheme}${secure ? "s" : ""}://localhost:${secure ? options.tls_port : options.port}${path}`;
}

function connect(path, deflate) {
  counts.connections++;
  const ws = new WebSocket(address("ws", path), {
    ca, perMessageDeflate: deflate, handshakeTimeout: TIMEOUT, maxPayload: 4 << 20, family: 4,
  });
  ws.queue = [];
  ws.waiting = [];
  const settle = () => {
    while (ws.waiting.length > 0 && (ws.queue.length > 0 || ws.ended)) ws.waiting.shift()(ws.queue.shift() ?? null);
  };
  ws.receive = () => new Promise((resolve) => (ws.waiting.push(resolve), settle()));
  ws.on("message", (bytes, binary) => (ws.queue.push({ bytes, binary }), settle()));
  ws.on("close", (code, reason) => ((ws.ended = `${code} ${reason} ${ws.problem ?? ""}`), settle()));
  return new Promise((resolve, reject) => {
    ws.on("open", () => resolve(ws));
    ws.on("error", (error) => ((ws.problem = error.message), reject(error)));
  });
}

// FIN, RST, or a Close frame.
async function leave(ws) {
  const way = below(4);
  if (way === 0) ws.terminate();
  else if (way === 1 && ws._socket.resetAndDestroy && !ws._socket.encrypted) ws._socket.resetAndDestroy();
  else ws.close(1000, "done");
  if (way < 2) counts.vanished++;
  while ((await ws.receive()) !== null);
}

function sendInFragments(ws, { bytes, binary }) {
  const size = Math.ceil(bytes.length / (1 + below(5)));
  for (let at = 0; at < bytes.length; at += size) {
    ws.send(bytes.subarray(at, at + size), { binary, fin: at + size >= bytes.length });
    if (below(4) === 0) ws.ping("in between");
  }
}

const ROUTES = [
  ["/echo", false],
  ["/packed", true],
  ["/packed", { clientNoContextTakeover: true, serverNoContextTakeover: true }],
  ["/context", true],
  ["/context", { clientMaxWindowBits: 10, serverMaxWindowBits: 10 }],
];

const actions = {
  async talk() {
    const ws = await connect(...oneOf(ROUTES));
    const waiting = [];
    const take = async () => {
      const message = await ws.receive();
      const expected = waiting.shift();
      if (!message || message.binary !== expected.binary || !message.bytes.equals(expected.bytes)) {
        counts.lost++;
        throw new Error(`${message ? message.bytes.length : ws.ended} instead of ${expected.bytes.length} bytes`);
      }
      counts.acknowledged++;
    };
    for (let i = 1 + below(20); i > 0; i--) {
      const message = anyMessage();
      if (below(3) === 0) sendInFragments(ws, message);
      else ws.send(message.bytes, { binary: message.binary });
      counts.sent++;
      waiting.push(message);
      while (waiting.length >= 4) await take();
    }
    if (below(4) > 0) while (waiting.length > 0) await take();
    await leave(ws);
  },
  async slow_reader() {
    const ws = await connect(`/slow/${oneOf(["close", "drop", "latest"])}`, below(2) === 0);
    ws.pause();
    await sleep(200 + below(2000));
    ws.terminate();
    counts.vanished++;
  },
  async body() {
    const { bytes } = anyMessage();
    const answer = await request("/body", { method: "POST", headers: { "Content-Length": bytes.length } }, bytes);
    if (answer.status !== 200 || !answer.body.equals(bytes)) throw new Error("a body came back changed");
  },
  async chunked_body() {
    const { bytes } = anyMessage();
    const answer = await request("/body", { method: "POST" }, bytes);
    if (answer.status !== 200 || !answer.body.equals(bytes)) throw new Error("a chunked body came back changed");
  },
  async file() {
    const name = 1 + below(options.file_sizes.length);
    const answer = await request(`/files/${name}`, {});
    if (answer.body.length !== options.file_sizes[name - 1]) throw new Error("a file is not whole");
    const part = await request(`/files/${name}`, { headers: { Range: "bytes=10-99" } });
    if (part.status !== 206 || part.body.length !== 90) throw new Error("a part of a file is not whole");
  },
  abort() {
    return new Promise((resolve) => {
      counts.vanished++;
      const path = oneOf(["/stream", "/body", "/fetch?name=3"]);
      const sent = http.request({ host: "127.0.0.1", port: options.port, path, method: "POST", agent: false });
      sent.on("error", () => {}).on("close", resolve).write("x".repeat(1 + below(50_000)));
      setTimeout(() => sent.destroy(), below(30));
    });
  },
};

function request(path, settings, body) {
  counts.requests++;
  const url = address("http", path);
  const module = url.startsWith("https") ? https : http;
  return new Promise((resolve, reject) => {
    const sent = module.request(url, {
      ...settings, family: 4, ca, agent: below(2) ? agents[url.startsWith("https") ? "https" : "http"] : false,
    }, async (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part)).on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode, body: Buffer.concat(parts) }));
    });
    // A kept connection may be closed by the server just when it is used again: that is HTTP, and is tried once more.
    sent.on("error", (error) => (sent.reusedSocket && error.code === "ECONNRESET"
      ? resolve(request(path, settings, body)) : reject(error)));
    sent.setTimeout(TIMEOUT, () => sent.destroy(new Error("no answer")));
    sent.end(body);
  });
}

const NAMES = ["talk", "talk", "talk", "talk", "body", "chunked_body", "file", "file", "abort", "slow_reader"];

async function work() {
  running++;
  while (going) {
    const name = oneOf(NAMES);
    try {
      await actions[name]();
    } catch (error) {
      if (problems.length < PROBLEMS_KEPT) problems.push(`node, ${name}: ${error.message}`);
    }
    await sleep(Math.random() * 2000 * options.pause);
  }
  if (--running === 0) {
    agents.http.destroy();
    agents.https.destroy();
    process.stdout.write(JSON.stringify({ event: "rested", counts, problems }) + "\n");
  }
}

process.stdout.write('{"event":"ready"}\n');
createInterface({ input: process.stdin })
  .on("line", (order) => {
    going = order === "go";
    for (let i = 0; going && i < options.workers; i++) work();
  })
  .on("close", () => process.exit(0));
