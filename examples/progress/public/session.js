/* session.js - who is logged in, and the progress of their job, for every page of the site.
 * Owns the token, kept where all tabs find it, and the socket of this page.
 * SPDX-License-Identifier: MIT */

import { useWebSocket } from "./common/moonwire.js";

const KEY = "moonwire-pictures";

export const session = JSON.parse(localStorage.getItem(KEY) ?? "{}"); // name and token

function keep({ name, token }) {
  Object.assign(session, { name, token });
  localStorage.setItem(KEY, JSON.stringify(session));
}

export const logout = () => keep({});

// What one tab does about the token concerns all.
addEventListener("storage", (event) => event.key === KEY && location.reload());

/* Resolves when logged in; rejects with what is wrong, in words for people. */
export async function login(name) {
  const answer = await fetch("login", { method: "POST", body: JSON.stringify({ name }) });
  const { token, message } = await answer.json();
  if (!answer.ok) throw new Error(message);
  keep({ name, token });
}

/**
 * Follow the job. What comes is all there is to know each time, so nothing has to be asked for after a break.
 * @param {object} on
 * @param {(progress: object, files: object) => void} on.progress
 * @param {(answer: object) => void} [on.answer] "ok" or "error", to what this window has asked for
 * @param {(state: "open"|"connecting"|"waiting"|"off", delay?: number) => void} on.state
 * @param {(message: string) => void} on.refused the token is good no more
 */
export function follow(on) {
  let files, progress;
  const socket = useWebSocket(address, {
    autoReconnect: { delay: 500, factor: 2, maxDelay: 10_000, jitter: 0.3 },
    closeReason: "the page was left",
    queue: 0, // what was clicked while cut off is better clicked again
    onMessage: (ws, { data }) => hear(JSON.parse(data)),
    onStatus: (status, retry) => {
      const state = status === "OPEN" ? "open" : retry ? "waiting" : status === "CONNECTING" ? "connecting" : "off";
      on.state(state, retry?.delay);
    },
  });

  // A browser doesn't tell a page with which status a socket was refused, so ask before.
  async function address() {
    if (!session.token) return null;
    const path = `api/litchi/${session.token}`;
    const answer = await fetch(path).catch(() => null);
    if (answer?.status !== 401) return path;
    logout();
    on.refused((await answer.json()).message);
    return null;
  }

  function hear(message) {
    if (message.type === "ok" || message.type === "error") on.answer?.(message);
    else if (message.type === "files") files = message;
    else progress = message;
    if (files && progress && files.job === progress.job) on.progress(progress, files);
  }

  return { open: socket.open, close: socket.close, ask: (order) => socket.send(JSON.stringify(order)) };
}

const STATES = { open: "Connected", connecting: "Connecting", waiting: "No connection", off: "Not logged in" };

export function showState(element, state) {
  element.dataset.state = state;
  element.textContent = STATES[state];
}

/* The share that is done. Pictures on their way count in part, as far as they tell their length. */
export function share({ total, done, failed, loading }) {
  const parts = loading.reduce((sum, { received, total: of }) => sum + (of ? received / of : 0), 0);
  return total ? (done + failed + parts) / total : 0;
}

export function sentence({ state, total, done, failed }) {
  if (state === "idle") return "No pictures yet";
  if (state === "running") return `${done} of ${total} pictures`;
  if (state === "cancelled") return `Cancelled: ${done} of ${total} pictures are here`;
  return failed ? `${done} of ${total} pictures are here, ${failed} failed` : `All ${total} pictures are here`;
}
