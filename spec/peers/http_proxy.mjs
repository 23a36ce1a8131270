// http_proxy.mjs - an HTTP proxy that tunnels (CONNECT, RFC 9110 §9.3.6), for specs of our client.
//
// Options: status (refuse every CONNECT with it).
// Reports: listening (port), connect (authority).
// SPDX-License-Identifier: MIT

import http from "node:http";
import net from "node:net";
import { commands, options, report } from "./lines.mjs";

const server = http.createServer((request, response) => {
  response.writeHead(405).end();
});

server.on("connect", (request, client, head) => {
  client.on("error", () => {});
  report("connect", { authority: request.url });
  if (options.status) {
    client.end(`HTTP/1.1 ${options.status} ${http.STATUS_CODES[options.status]}\r\nContent-Length: 0\r\n\r\n`);
    return;
  }
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
