// socket_service.js - the one WebSocket of the wall screen: whoever draws something registers for its type of message.
// What is sent before the connection is up waits, and leaves when it is.
// SPDX-License-Identifier: MIT

import { useWebSocket } from "./common/moonwire.js";

export class SocketService {
  static #instance = null;
  #callbacks = new Map();
  #socket = null;

  static get Instance() {
    SocketService.#instance ??= new SocketService();
    return SocketService.#instance;
  }

  // The tries come 500 ms, 1 s, 1.5 s … after one another; a success begins anew.
  connect(url, { onConnected, onStatus }) {
    this.#socket = useWebSocket(url, {
      autoReconnect: { retries: -1, delay: (n) => 500 * n, maxDelay: 10_000 },
      onConnected,
      onMessage: (ws, { data }) => this.#hear(JSON.parse(data)),
      onStatus,
    });
  }

  registerCallBack(socketType, callback) {
    this.#callbacks.set(socketType, callback);
  }

  unRegisterCallBack(socketType) {
    this.#callbacks.delete(socketType);
  }

  send(message) {
    return this.#socket.send(JSON.stringify(message));
  }

  #hear(message) {
    const { action, socketType } = message;
    const callback = this.#callbacks.get(socketType);
    if (action === "getData") callback?.(JSON.parse(message.data));
    else if (action === socketType) callback?.(message); // what another window says can't pass for figures
  }
}
