// server.mjs - the same as server.lua with node's `ws`: / echoes, /fanout is a loop over the clients.
// SPDX-License-Identifier: MIT
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false, maxPayload: 16 << 20 });
server.on("connection", (socket, request) => {
  const isFanout = request.url === "/fanout";
  // A generator that resets its connections is no news.
  socket.on("error", () => socket.terminate());
  socket.on("message", (data, isBinary) => {
    if (!isFanout) {
      socket.send(data, { binary: isBinary });
      return;
    }
    for (const other of server.clients) {
      other.send(data, { binary: isBinary });
    }
  });
});
server.on("listening", () => console.log(server.address().port));
