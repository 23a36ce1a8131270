// undici_client.mjs - HTTP and WebSocket as node's undici speaks them (what node's own fetch and WebSocket are), for specs of our server.
//
// Options: ca (file), unix (path of a socket).
// Commands: {"fetch": url, "method": …, "headers": {…}, "body": text | payload}   -> response (status, headers, kind, length, sha256, text)
//   {"pipeline": origin, "paths": [path, …], "depth": N}   N requests in flight on one connection -> pipelined (connections, responses)
//   {"open": url, "protocols": [...], "headers": {…}}      a WebSocket -> open (protocol, extensions), message, close (code, reason, clean), error
//   {"send": payload} {"close": [code, reason]}            on that WebSocket
// SPDX-License-Identifier: MIT

import { readFileSync } from "node:fs";
import { Agent, Client, WebSocket, fetch } from "undici";
import { commands, describe, options, payload, report } from "./lines.mjs";

const connect = { ca: options.ca && readFileSync(options.ca), socketPath: options.unix };
const dispatcher = new Agent({ connect });
let ws = null;

async function request({ fetch: url, method, headers, body }) {
  const sent = body === undefined || typeof body === "string" ? body : payload(body).bytes;
  const answer = await fetch(url, { method, headers, body: sent, dispatcher });
  const bytes = Buffer.from(await answer.arrayBuffer());
  report("response", { status: answer.status, headers: Object.fromEntries(answer.headers), ...describe(bytes, false) });
}

async function pipeline({ pipeline: origin, paths, depth }) {
  let connections = 0;
  const client = new Client(origin, { connect, pipelining: depth });
  client.on("connect", () => connections++);
  const responses = await Promise.all(paths.map(async (path) => {
    const { statusCode, body } = await client.request({ path, method: "GET" });
    return { status: statusCode, text: await body.text() };
  }));
  report("pipelined", { connections, responses });
  await client.close();
}

function open({ open: url, protocols, headers }) {
  ws = new WebSocket(url, { protocols, headers, dispatcher });
  ws.binaryType = "arraybuffer";
  ws.onopen = () => report("open", { protocol: ws.protocol, extensions: ws.extensions });
  ws.onmessage = ({ data }) => report("message", describe(data, typeof data !== "string"));
  ws.onclose = ({ code, reason, wasClean }) => report("close", { code, reason, clean: wasClean });
  ws.onerror = ({ error, message }) => report("error", { message: String(error?.message ?? message) });
}

function send(command) {
  const { bytes, isBinary } = payload(command.send);
  ws.send(isBinary ? bytes : bytes.toString());
  report("sent", describe(bytes, isBinary));
}

commands(async (command) => {
  if (command.fetch) await request(command);
  else if (command.pipeline) await pipeline(command);
  else if (command.open) open(command);
  else if (command.send) send(command);
  else if (command.close) ws.close(...command.close);
  else throw new Error("unknown command");
});
