// ws_server.mjs - a WebSocket server made of node's `ws`, for specs of our client. What it does is chosen by the path:
//   /echo                    every message comes back
//   /silent                  says nothing by itself
//   /fragments               every message comes back in frames of 7 bytes, with a ping between the first two
//   /large/<bytes>           one message of that size (?kind=binary), then as /echo
//   /close/<code>/<reason>   closes at once; code 0 sends a Close frame without a code
//   /terminate               accepts, then drops the connection
//   /ping-flood              50 pings at once; when 50 pongs are back it sends "50 pongs in order" (or what came instead)
//   /no-close-reply          accepts, sends "ready", and never answers a Close frame
//   /status/<code>           refuses with that HTTP status, `x-reason: told` and a body of two lines
//   /redirect                refuses with 302 to /echo
//   /slow-handshake          takes the request and never answers
//   /bad-accept              answers with a wrong Sec-WebSocket-Accept
//   /bad-protocol            answers with a subprotocol that nobody offered
//   /bad-extension           answers with an extension that nobody offered
//   /bad-frame               accepts, then sends a masked frame, which servers must not do
//
// Options: cert, key (files; makes it wss), deflate (as for ws_client.mjs), protocol (choose it when offered), host, port.
// Commands: {"send": payload} {"close": [code, reason]} {"terminate": true}: to every open connection.
// Reports: listening (port), request (path, headers), connection (path, protocol, extensions),
//   message (path, kind, length, sha256, text), ping, pong, close (path, code, reason).
// SPDX-License-Identifier: MIT

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { WebSocketServer } from "ws";
import { commands, describe, options, payload, report } from "./lines.mjs";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const PINGS = 50;

const server = options.cert
  ? https.createServer({ cert: readFileSync(options.cert), key: readFileSync(options.key) })
  : http.createServer();
const sockets = new WebSocketServer({
  noServer: true,
  perMessageDeflate: options.deflate ?? false,
  maxPayload: 64 << 20,
  closeTimeout: 120_000, // longer than any spec waits: not to paper over a close that the other side missed
  handleProtocols: (offered) => (options.protocol && offered.has(options.protocol) ? options.protocol : false),
});

// Handshakes that are not what they should be. Each writes to the bare socket.
const refusals = {
  status(socket, request, [code]) {
    const body = "refused\nfor a spec\n";
    socket.end(`HTTP/1.1 ${code} ${http.STATUS_CODES[code] ?? "Unknown"}\r\nX-Reason: told\r\nContent-Type: text/plain\r\n`
      + `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
  },
  redirect(socket) {
    socket.end("HTTP/1.1 302 Found\r\nLocation: /echo\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  },
  "slow-handshake"() {},
  "bad-accept"(socket, request) {
    switchProtocols(socket, "not the right key");
  },
  "bad-protocol"(socket, request) {
    switchProtocols(socket, request.headers["sec-websocket-key"], "Sec-WebSocket-Protocol: never-offered\r\n");
  },
  "bad-extension"(socket, request) {
    switchProtocols(socket, request.headers["sec-websocket-key"], "Sec-WebSocket-Extensions: never-offered\r\n");
  },
  "bad-frame"(socket, request) {
    switchProtocols(socket, request.headers["sec-websocket-key"]);
    socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
  },
  "no-close-reply"(socket, request) {
    switchProtocols(socket, request.headers["sec-websocket-key"]);
    socket.write(Buffer.from([0x81, 5, ...Buffer.from("ready")]));
  },
};

function switchProtocols(socket, key, more = "") {
  const accept = createHash("sha1").update(key + GUID).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
    + `Sec-WebSocket-Accept: ${accept}\r\n${more}\r\n`);
  socket.resume();
}

const behaviours = {
  echo(ws) {
    ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }));
  },
  silent() {},
  fragments(ws) {
    ws.on("message", (data, isBinary) => {
      for (let at = 0; at === 0 || at < data.length; at += 7) {
        ws.send(data.subarray(at, at + 7), { binary: isBinary, fin: at + 7 >= data.length });
        if (at === 0) ws.ping("between");
      }
    });
  },
  large(ws, [size], query) {
    const { bytes, isBinary } = payload({ size: Number(size), kind: query.get("kind") ?? "text" });
    ws.send(bytes, { binary: isBinary });
    behaviours.echo(ws);
  },
  close(ws, [code, reason]) {
    if (code === "0") ws.close();
    else ws.close(Number(code), decodeURIComponent(reason ?? ""));
  },
  terminate(ws) {
    ws.terminate();
  },
  "ping-flood"(ws) {
    const pongs = [];
    ws.on("pong", (data) => {
      pongs.push(data.toString());
      if (pongs.length < PINGS) return;
      const inOrder = pongs.every((text, i) => text === `ping ${i}`);
      ws.send(inOrder ? `${PINGS} pongs in order` : `out of order: ${pongs.join()}`);
    });
    for (let i = 0; i < PINGS; i++) ws.ping(`ping ${i}`);
  },
};

server.on("upgrade", (request, socket, head) => {
  const { pathname, searchParams } = new URL(request.url, "http://peer");
  const [name, ...parts] = pathname.slice(1).split("/");
  const path = request.url;
  report("request", { path, headers: request.headers });
  socket.on("error", () => {}); // a client may leave whenever it likes
  if (refusals[name]) return refusals[name](socket, request, parts);
  if (!behaviours[name]) return refusals.status(socket, request, ["404"]);
  sockets.handleUpgrade(request, socket, head, (ws) => {
    report("connection", { path, protocol: ws.protocol, extensions: ws.extensions });
    ws.on("message", (data, isBinary) => report("message", { path, ...describe(data, isBinary) }));
    ws.on("ping", (data) => report("ping", { path, text: data.toString() }));
    ws.on("pong", (data) => report("pong", { path, text: data.toString() }));
    ws.on("close", (code, reason) => report("close", { path, code, reason: reason.toString() }));
    ws.on("error", (error) => report("error", { path, message: error.message }));
    behaviours[name](ws, parts, searchParams);
  });
});
server.listen(options.port ?? 0, options.host ?? "127.0.0.1", () => report("listening", { port: server.address().port }));

commands((command) => {
  for (const ws of sockets.clients) {
    if (command.send) {
      const { bytes, isBinary } = payload(command.send);
      ws.send(bytes, { binary: isBinary });
    } else if (command.close) ws.close(...command.close);
    else if (command.terminate) ws.terminate();
  }
});
