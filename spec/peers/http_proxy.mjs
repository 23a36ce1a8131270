// http_proxy.mjs - an HTTP proxy that tunnels (CONNECT, RFC 9110 §9.3.6), for specs of our client.
//
// Options: status (refuse every CONNECT with it), credentials ("user:password", asked for with 407).
// Reports: listening (port), connect (authority, authorized), refused (status).
// SPDX-License-Identifier: MIT

import http from "node:http";
import net from "node:net";
import { commands, options, report } from "./lines.mjs";

const expected = options.credentials && `Basic ${Buffer.from(options.credentials).toString("base64")}`;
const server = http.createServer((request, response) => {
  response.writeHead(405).end();
});

function refuse(socket, status) {
  report("refused", { status });
  const more = status === 407 ? "Proxy-Authenticate: Basic realm=\"spec\"\r\n" : "";
  socket.end(`HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n${more}Content-Length: 0\r\n\r\n`);
}

server.on("connect", (request, client, head) => {
  client.on("error", () => {});
  if (options.status) return refuse(client, options.status);
  if (expected && request.headers["proxy-authorization"] !== expected) return refuse(client, 407);
  report("connect", { authority: request.url, authorized: Boolean(expected) });
  const { hostname, port } = new URL(`http://${request.url}`);
  const target = net.connect(port, hostname.replace(/^\[|\]$/g, ""), () => {
    client.write("HTTP/1.1 200 Connection established\r\n\r\n");
    target.write(head);
    client.pipe(target).pipe(client);
  });
  target.on("error", () => client.destroy());
  client.on("close", () => target.destroy());
});
server.listen(0, "127.0.0.1", () => report("listening", { port: server.address().port }));

commands(() => {});
