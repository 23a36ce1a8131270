// notify.js - what every page of the site shares: who is logged in, the bell with its list, notifications that pop up.
// Owns the one WebSocket of the page. The token is in localStorage, so that all tabs log in and out together.
// SPDX-License-Identifier: MIT

import { useWebSocket } from "./common/moonwire.js";

const SHOWN_FOR = 6000; // milliseconds
const SHOWN_AT_ONCE = 4;
const KEPT = 50; // as the server does

const found = new Map(); // id -> notification
let seen = 0;
let seenBefore = Infinity; // while the list is open: what had been seen then
let gaveUp = false; // no attempt is left

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content); // strings become text, never markup
  return made;
}

function button(text, className, onclick) {
  return Object.assign(element("button", className, text), { type: "button", onclick });
}

// --- who it is

// The token, unless it has expired.
function token() {
  const text = localStorage.getItem("token");
  try {
    const { exp } = JSON.parse(atob(text.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
    return exp * 1000 > Date.now() ? text : null;
  } catch {
    return null;
  }
}

async function login(event) {
  event.preventDefault();
  const name = field.value.trim();
  try {
    const answer = await fetch("login", { method: "POST", body: JSON.stringify({ name }) });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.problem);
    localStorage.setItem("name", name);
    localStorage.setItem("token", body.token); // last: other tabs wait for it
    come();
  } catch (error) {
    field.setCustomValidity(`You can't log in: ${error.message}`);
    field.reportValidity();
  }
}

function logout() {
  localStorage.removeItem("token");
  go();
}

function come() {
  show();
  socket.open();
}

function go() {
  socket.close(1000, "logged out");
  gaveUp = false;
  found.clear();
  show();
  showState("CLOSED");
}

// --- the connection

// No attempt is left. Was the server gone, or is it our token that it doesn't want?
async function giveUp() {
  gaveUp = true;
  const answer = await fetch("me", { headers: { Authorization: `Bearer ${token()}` } }).catch(() => null);
  if (answer?.status === 401) logout();
}

const socket = useWebSocket(() => token() && `./?list=all&token=${token()}`, {
  immediate: false,
  autoReconnect: { retries: 10, delay: 6000, onFailed: giveUp },
  heartbeat: { message: "HeartBeat", responseMessage: "HeartBeat", interval: 30_000, pongTimeout: 10_000, idleOnly: true },
  onConnected(ws) {
    ws.send("Hello WebSockets!");
    gaveUp = false;
    found.clear(); // all are told anew
    seen = 0;
    show();
  },
  onMessage: (ws, { data }) => hear(JSON.parse(data)),
  onStatus: showState,
});

function hear(message) {
  if (message.read > seen || message.read === true) seen = Math.max(seen, message.id ?? message.read);
  if (message.msg) {
    found.set(message.id, message);
    if (found.size > KEPT) found.delete(found.keys().next().value);
    if (message.read === undefined) pop(message);
  }
  show();
}

// Also to those who are with another tab.
function markSeen() {
  const last = Math.max(0, ...found.keys());
  if (last > seen) socket.send(JSON.stringify({ read: last }));
}

// --- what there is to see

const field = Object.assign(element("input", ""), {
  maxLength: 40, required: true, placeholder: "Your name", ariaLabel: "Your name",
});
const enter = element("button", "strong", "Log in");
field.oninput = enter.onclick = () => field.setCustomValidity("");
const door = element("form", "door", field, enter);
door.onsubmit = login;

const count = element("span", "count numbers");
const bell = button("", "bell");
bell.innerHTML = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M6 16V11a6 6 0 1 1 12 0v5l2 2H4zM10 21h4"/></svg>';
bell.append(count);
const name = element("span", "name");
const state = Object.assign(element("p", "state"), { role: "status" });
const inside = element("div", "inside", state, name, bell, button("Log out", "plain", logout));
const list = element("ul", "list");
const panel = Object.assign(element("section", "panel card", element("h2", "", "Notifications"), list), { popover: "auto" });
bell.popoverTargetElement = panel;
panel.ontoggle = ({ newState }) => {
  seenBefore = newState === "open" ? seen : Infinity;
  if (newState === "open") markSeen();
  show();
};
const toasts = Object.assign(element("div", "toasts"), { role: "log", ariaLabel: "New notifications" });

function item({ msg, at, id }) {
  const time = element("time", "soft", new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  return element("li", id > Math.min(seen, seenBefore) ? "new" : "", element("span", "", msg), time);
}

function show() {
  const is = token() !== null;
  const unread = [...found.keys()].filter((id) => id > seen).length;
  document.body.dataset.login = is ? "in" : "out";
  door.hidden = is;
  inside.hidden = !is;
  name.textContent = localStorage.getItem("name");
  count.textContent = unread || "";
  bell.ariaLabel = unread ? `Notifications, ${unread} new` : "Notifications";
  list.replaceChildren(...[...found.values()].reverse().map(item));
  if (!found.size) list.append(element("li", "soft", "Nothing yet."));
  document.title = document.title.replace(/^(\(\d+\) )?/, unread ? `(${unread}) ` : "");
}

function showState(status, retry) {
  const now = retry || gaveUp ? "waiting" : status.toLowerCase();
  document.body.dataset.state = state.dataset.state = now;
  state.textContent = retry ? `No connection, try ${retry.attempt} of 10 soon` : gaveUp ? "No connection; reload to try again"
    : now === "connecting" ? "Connecting" : "";
  state.hidden = !state.textContent;
  show(); // the token may have expired
}

function pop(notification) {
  if (panel.matches(":popover-open")) return markSeen();
  if (toasts.children.length === SHOWN_AT_ONCE) toasts.firstChild.remove();
  const toast = element("p", "toast card", notification.msg);
  toasts.append(toast);
  setTimeout(() => toast.remove(), SHOWN_FOR);
}

// --- for the pages

/** Ask the server for something, as the person who is logged in. */
export const post = (path) => fetch(path, { method: "POST", headers: { Authorization: `Bearer ${token()}` } });

document.querySelector("header").append(door, inside);
document.body.append(panel, toasts);
addEventListener("storage", ({ key }) => key === "token" && (token() ? come() : go())); // in another tab
showState("CLOSED");
if (token()) come();
