// ws_client.mjs - a WebSocket client made of node's `ws`, for specs of our server.
//
// Options: url, protocols (list), headers, deflate (false | true | ws's perMessageDeflate options), ca (file),
//   insecure, unix (path of a socket), max_payload. Without a url it waits for the command to connect.
// Commands: {"connect": options}              a new connection; the one before should be closed
//   {"send": payload}                         one message; payload as in lines.mjs
//   {"send": payload, "every": N}             the same in frames of N bytes
//   {"send": payload, "cuts": [N, …]}         the same, cut at these offsets
//   {"fragments": [payload | {"ping": text}, …]}   frames of one message, control frames between them
//   {"ping": text} {"pong": text} {"close": [code, reason]} {"terminate": true} {"pause": true} {"resume": true}
// Reports: open (protocol, extensions), upgrade (status, headers), sent and message (kind, length, sha256, text),
//   ping, pong, close (code, reason, clean), error (message), unexpected-response (status, headers, body).
// SPDX-License-Identifier: MIT

import { readFileSync } from "node:fs";
import { WebSocket } from "ws";
import { commands, describe, options, payload, report } from "./lines.mjs";

// Milliseconds; longer than any spec waits: this side is not to paper over a close that the other one missed.
const CLOSE_TIMEOUT = 120_000;

let ws = null;

function connect(settings) {
  const url = settings.unix ? `ws+unix:${settings.unix}:${settings.url}` : settings.url;
  ws = new WebSocket(url, settings.protocols ?? [], {
    headers: settings.headers,
    perMessageDeflate: settings.deflate ?? false,
    ca: settings.ca && readFileSync(settings.ca),
    rejectUnauthorized: !settings.insecure,
    maxPayload: settings.max_payload ?? 64 << 20,
    closeTimeout: CLOSE_TIMEOUT,
  });
  const current = ws;
  ws.on("upgrade", ({ statusCode, headers }) => report("upgrade", { status: statusCode, headers }));
  ws.on("open", () => report("open", { protocol: current.protocol, extensions: current.extensions }));
  ws.on("message", (data, isBinary) => report("message", describe(data, isBinary)));
  ws.on("ping", (data) => report("ping", { text: data.toString() }));
  ws.on("pong", (data) => report("pong", { text: data.toString() }));
  ws.on("close", (code, reason) => report("close", { code, reason: reason.toString() }));
  ws.on("error", (error) => report("error", { message: error.message, code: error.code }));
  ws.on("unexpected-response", async (request, response) => {
    const body = Buffer.concat(await response.toArray()).toString();
    report("unexpected-response", { status: response.statusCode, headers: response.headers, body });
    request.destroy();
  });
}

// Frames of one message; what ws compresses, it compresses over all of them.
function sendFrames(parts, isBinary) {
  parts.forEach((part, i) => ws.send(part, { binary: isBinary, fin: i === parts.length - 1 }));
}

function cut(bytes, offsets) {
  return [0, ...offsets].map((from, i) => bytes.subarray(from, offsets[i] ?? bytes.length));
}

function send(command) {
  const { bytes, isBinary } = payload(command.send);
  let offsets = command.cuts ?? [];
  for (let at = command.every; at < bytes.length; at += command.every) offsets = [...offsets, at];
  sendFrames(cut(bytes, offsets), isBinary);
  report("sent", describe(bytes, isBinary));
}

function sendFragments(items) {
  const last = items.findLastIndex((item) => item.ping === undefined);
  const whole = [];
  let isBinary = false;
  items.forEach((item, i) => {
    if (item.ping !== undefined) return ws.ping(item.ping);
    const part = payload(item);
    if (whole.length === 0) isBinary = part.isBinary;
    whole.push(part.bytes);
    ws.send(part.bytes, { binary: isBinary, fin: i === last });
  });
  report("sent", describe(Buffer.concat(whole), isBinary));
}

if (options.url) connect(options);
commands((command) => {
  if (command.connect) connect(command.connect);
  else if (command.send) send(command);
  else if (command.fragments) sendFragments(command.fragments);
  else if (command.ping !== undefined) ws.ping(command.ping);
  else if (command.pong !== undefined) ws.pong(command.pong);
  else if (command.close) ws.close(...command.close);
  else if (command.terminate) ws.terminate();
  else if (command.pause) ws.pause();
  else if (command.resume) ws.resume();
  else throw new Error("unknown command");
});
