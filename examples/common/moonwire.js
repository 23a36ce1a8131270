/* moonwire.js - one WebSocket that comes back, for the browser, with the names of VueUse's useWebSocket.
 * Owns its socket, its timers and the queue of what could not leave yet.
 * Read `status`, `data` and `ws` from the object each time: taken out of it they stand still.
 * SPDX-License-Identifier: MIT */

/**
 * @typedef {object} Reconnect  times in ms
 * @property {number|((made: number) => boolean)} [retries] attempts after a loss; -1 (default): for ever
 * @property {number|((attempt: number) => number|null)} [delay] 1000; `attempt` is 1 at first, null gives up
 * @property {number} [factor] 1; it grows by this
 * @property {number} [maxDelay] 30000; but not beyond
 * @property {number} [jitter] 0; the share of it, up to 1, that chance may take away
 * @property {(unsent: any[]) => void} [onFailed] no attempt is left; what was queued is handed back
 *
 * @typedef {object} Heartbeat  times in ms
 * @property {string|(() => string)|null} [message] "ping"; null: the server beats
 * @property {string|((data: any) => boolean)} [responseMessage] what is a beat, not news; default: message
 * @property {string|((data: any) => string)} [answer] sent for each beat that comes in
 * @property {number} [interval] 1000
 * @property {number} [pongTimeout] 1000; the connection is lost when for so long nothing came after our
 *   beat, or the server's beat is so late; 0: never
 * @property {boolean} [idleOnly] false; true: each message starts the interval anew
 *
 * @typedef {object} Options
 * @property {string|string[]|(() => string|string[])} [protocols]
 * @property {boolean} [immediate] true; false: open() is yours to call
 * @property {boolean} [autoClose] true; leaving the page closes with 1000, coming back opens again
 * @property {string} [closeReason] at most 123 bytes
 * @property {boolean|Reconnect} [autoReconnect] true
 * @property {boolean|Heartbeat} [heartbeat] false
 * @property {number} [queue] 100; messages kept while not open
 * @property {number} [connectTimeout] 10000 ms; 0: never
 * @property {(ws: WebSocket) => void} [onConnected] what it sends goes before the queue
 * @property {(ws: WebSocket, event: CloseEvent) => void} [onDisconnected]
 * @property {(ws: WebSocket, event: Event) => void} [onError]
 * @property {(ws: WebSocket, event: MessageEvent) => void} [onMessage]
 * @property {(status: Status, retry?: {attempt: number, delay: number}) => void} [onStatus] `retry` while waiting
 *
 * @typedef {"CONNECTING"|"OPEN"|"CLOSED"} Status  CLOSED also while an attempt is waited for
 *
 * @param {string|(() => string|null|Promise<string|null>)} url or relative to the page. A function is asked before
 *   each attempt; null: not now, open() asks again
 * @param {Options} [options]
 */
export function useWebSocket(url, options = {}) {
  const { immediate = true, autoClose = true, closeReason = "", autoReconnect = true, heartbeat = false } = options;
  const { retries = -1, delay = 1000, factor = 1, maxDelay = 30000, jitter = 0, onFailed } = autoReconnect;
  const { message = "ping", answer, interval = 1000, pongTimeout = 1000, idleOnly } = heartbeat;
  const { responseMessage = typeof message === "string" ? message : null } = heartbeat;
  const { queue: limit = 100, connectTimeout = 10000 } = options;
  const queue = [];
  let wanted = false; // from open() until close() or the last attempt
  let away = false; // the page was left while wanted
  let made = 0; // attempts since the loss
  let turn = 0; // an address may come too late
  let planned, patience, pulse, pong;

  const value = (given, ...about) => (typeof given === "function" ? given(...about) : given);
  const call = (handler, ...about) => {
    try {
      handler?.(...about);
    } catch (error) {
      reportError(error);
    }
  };
  const say = (status, retry) => {
    socket.status = status;
    queueMicrotask(() => call(options.onStatus, status, retry)); // the page has the object then
  };

  /* One at a time: whatever is there is let go. */
  function drop(code, reason) {
    const { ws } = socket;
    turn += 1;
    [planned, patience, pulse, pong].forEach(clearTimeout);
    planned = pong = socket.ws = undefined;
    if (ws) {
      ws.onopen = ws.onmessage = ws.onerror = ws.onclose = null;
      ws.close(code, reason);
    }
    return ws;
  }

  function lost(event) {
    const ws = drop();
    const repeats = wanted && autoReconnect;
    const more = typeof retries === "function" ? retries : () => retries < 0 || made < retries;
    let wait = repeats && more(made) ? value(delay, made + 1) : null;
    if (wait == null) {
      wanted = false;
      say("CLOSED");
    } else {
      wait = Math.min(wait * factor ** made++, delay > maxDelay ? delay : maxDelay) * (1 - jitter * Math.random());
      planned = setTimeout(attempt, wait);
      say("CLOSED", { attempt: made, delay: wait });
    }
    if (ws) call(options.onDisconnected, ws, event);
    if (repeats && !wanted && onFailed) call(onFailed, queue.splice(0));
  }

  /* A browser may need minutes to tell that a line is dead. */
  const giveUp = (reason) => lost(new CloseEvent("close", { code: 1006, reason }));

  async function attempt() {
    drop();
    const mine = turn;
    say("CONNECTING");
    if (connectTimeout) patience = setTimeout(giveUp, connectTimeout, "connect timeout");
    try {
      const address = await value(url);
      if (mine === turn) connect(address);
    } catch (error) {
      reportError(error);
      if (mine === turn) giveUp("no usable address");
    }
  }

  function connect(address) {
    if (address == null) {
      drop();
      return say("CLOSED");
    }
    const href = new URL(address, document.baseURI).href.replace(/^http/, "ws");
    const ws = (socket.ws = new WebSocket(href, value(options.protocols) ?? []));
    ws.onopen = () => {
      clearTimeout(patience);
      made = 0;
      say("OPEN");
      call(options.onConnected, ws);
      while (queue.length && socket.ws === ws && ws.readyState === 1) ws.send(queue.shift());
      if (heartbeat && socket.ws === ws) pulse = setTimeout(beat, interval);
    };
    ws.onmessage = (event) => {
      if (heartbeat && heard(event.data)) return;
      socket.data = event.data;
      call(options.onMessage, ws, event);
    };
    ws.onerror = (event) => call(options.onError, ws, event);
    ws.onclose = lost;
  }

  function beat() {
    pulse = setTimeout(beat, interval);
    if (pongTimeout) pong ??= setTimeout(giveUp, pongTimeout, "no heartbeat");
    if (message !== null) send(value(message), false);
  }

  function heard(data) {
    const isBeat = typeof responseMessage === "function" ? responseMessage(data) : data === responseMessage;
    if (message !== null || isBeat) {
      clearTimeout(pong);
      pong = undefined;
    }
    if (message === null ? isBeat : idleOnly) {
      clearTimeout(pulse);
      pulse = setTimeout(beat, interval);
    }
    if (isBeat && answer) send(value(answer, data), false);
    return isBeat;
  }

  function open() {
    wanted = true;
    away = false;
    made = 0;
    attempt();
  }

  /**
   * By hand: no attempt follows.
   * @returns {any[]} what was queued and never left
   */
  function close(code = 1000, reason = "") {
    const { ws } = socket;
    ws?.close(code, reason);
    wanted = away = false;
    if (!ws) {
      if (planned || socket.status !== "CLOSED") say("CLOSED");
      drop();
    }
    return queue.splice(0);
  }

  /**
   * Never throws. "queued" leaves with the next connection; all other answers than "sent" mean: not taken.
   * @param {string|Blob|ArrayBuffer|ArrayBufferView} data
   * @param {boolean} [useBuffer] true; false: now or not at all
   * @returns {"sent"|"queued"|"full"|"connecting"|"closing"|"closed"}
   */
  function send(data, useBuffer = true) {
    const { ws } = socket;
    if (ws?.readyState === 1) {
      ws.send(data);
      return "sent";
    }
    if (wanted && useBuffer && limit) return queue.length < limit ? (queue.push(data), "queued") : "full";
    if (ws?.readyState === 2) return "closing";
    return socket.status === "CONNECTING" ? "connecting" : "closed";
  }

  const hurry = () => planned && attempt();
  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && hurry());
  if (autoClose) {
    addEventListener("pagehide", () => {
      away = wanted;
      wanted = false;
      drop(1000, closeReason);
      say("CLOSED");
    });
    addEventListener("pageshow", () => away && open());
  }

  const socket = {
    status: /** @type {Status} */ ("CLOSED"),
    data: /** @type {any} */ (null),
    ws: /** @type {WebSocket|undefined} */ (undefined),
    open,
    close,
    send,
  };
  if (immediate) open();
  return socket;
}
