// bun.ts - the same as server.lua with Bun.serve: echo, and the server's own topics for what begins with "P".
// SPDX-License-Identifier: MIT
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response("a WebSocket, please\n", { status: 426 });
  },
  websocket: {
    maxPayloadLength: 16 << 20,
    backpressureLimit: 64 << 20,
    closeOnBackpressureLimit: false,
    idleTimeout: 0,
    sendPings: false,
    perMessageDeflate: false,
    open(socket) {
      socket.subscribe("all");
    },
    message(socket, message) {
      const first = typeof message === "string" ? message.charCodeAt(0) : message[0];
      if (first === 80) {
        server.publish("all", message);
      } else {
        socket.send(message);
      }
    },
  },
});
console.log(server.port);
