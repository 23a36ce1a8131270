// server.mjs - the same as server.lua with node's `ws`, to compare with.
// SPDX-License-Identifier: MIT
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => {
    if (data[0] !== 80) {
      socket.send(data, { binary: isBinary });
      return;
    }
    for (const other of server.clients) {
      other.send(data, { binary: isBinary });
    }
  });
});
server.on("listening", () => console.log(server.address().port));
