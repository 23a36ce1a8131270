// bun.ts - the same as server.lua with Bun.serve: / echoes, /fanout is a topic of the server's own.
// SPDX-License-Identifier: MIT
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    const isFanout = new URL(request.url).pathname === "/fanout";
    return server.upgrade(request, { data: isFanout }) ? undefined : new Response("a WebSocket, please\n", { status: 426 });
  },
  websocket: {
    maxPayloadLength: 16 << 20,
    backpressureLimit: 64 << 20,
    closeOnBackpressureLimit: false,
    idleTimeout: 0,
    sendPings: false,
    perMessageDeflate: false,
    open(socket) {
      if (socket.data) {
        socket.subscribe("all");
      }
    },
    message(socket, message) {
      if (socket.data) {
        server.publish("all", message);
      } else {
        socket.send(message);
      }
    },
  },
});
console.log(server.port);
