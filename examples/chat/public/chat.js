// chat.js - the page of the chat: the connection, the conversations as far as they are known here, and what was written
// but is not confirmed yet. That is kept through a reload and sent again, with the same id, until the server has it.
// Shown by view.js; what is said and heard is listed in server.lua.
// SPDX-License-Identifier: MIT

import { useWebSocket } from "./common/moonwire.js";
import * as view from "./view.js";

const TYPING_AGAIN = 3000, TYPING_ENDS = 6000; // ms; who types says so now and then, and is believed that long
const MAX_KEPT = 1000; // messages of a conversation
const HEART = JSON.stringify({ heart: true });

const $ = (id) => document.getElementById(id);
const rooms = new Map(); // name -> a conversation
let me = JSON.parse(sessionStorage.getItem("me")); // name, role and token; in another window one may be somebody else
let outbox = JSON.parse(sessionStorage.getItem("outbox")) ?? []; // id, room, content; and the problem, if it was refused
let isIn = false; // the server knows us, now
let agents = null; // how many are online
let refusal = ""; // why the token was not taken
let typedAt = 0; // when we last told that we type
let planned = 0;

const socket = useWebSocket("ws", {
  immediate: false,
  queue: 0, // the outbox is the queue
  autoReconnect: { delay: 500, factor: 2, maxDelay: 15000, jitter: 0.5 },
  heartbeat: { message: HEART, interval: 30000, pongTimeout: 10000 },
  onConnected: (ws) => ws.send(JSON.stringify({ type: "auth", data: me.token })),
  onMessage: (ws, { data }) => {
    const message = JSON.parse(data);
    if ("content" in message) said(message);
    else hear[message.type]?.(message);
    changed();
  },
  onDisconnected: (ws, { reason }) => {
    isIn = false;
    if (refusal) askName(reason || refusal);
  },
  onStatus: (status, retry) => view.showStatus(status, retry),
});

function tell(message) {
  return isIn && socket.send(JSON.stringify(message), false) === "sent";
}

// --- the conversations

const newRoom = (name) => ({
  name, messages: [], more: false, isLoaded: false, online: false, read: { customer: 0, agent: 0 }, unread: 0, last: null,
  typing: new Map(), // who -> timer
});

function roomOf(name) {
  if (!rooms.has(name)) rooms.set(name, newRoom(name));
  return rooms.get(name);
}

// The name of the conversation in front of us, if any.
function current() {
  return me?.role === "agent" ? new URLSearchParams(location.hash.slice(1)).get("room") : me?.name;
}

function insert(room, message) {
  const { messages } = room;
  let at = messages.length;
  while (at > 0 && messages[at - 1].seq > message.seq) at -= 1;
  if (messages[at - 1]?.seq === message.seq) return false;
  messages.splice(at, 0, message);
  if (messages.length > MAX_KEPT && at > 0) {
    messages.shift();
    room.more = true;
  }
  if (!room.last || message.seq > room.last.seq) room.last = message;
  return true;
}

function stopsTyping(room, who) {
  clearTimeout(room.typing.get(who));
  room.typing.delete(who);
}

function said(message) {
  const room = roomOf(message.room);
  stopsTyping(room, message.from);
  if (message.role === "customer") room.online = true; // perhaps the first we hear of them
  if (insert(room, message) && message.role !== me.role) room.unread += 1;
}

// What came since we last looked; asked for on entering and after each reconnect.
function load() {
  const name = current();
  if (name) tell({ history: {}, room: name });
}

function markRead() {
  const room = rooms.get(current());
  if (!room?.isLoaded || document.hidden || !view.isAtEnd()) return;
  const seq = room.messages.findLast(({ role }) => role !== me.role)?.seq ?? 0;
  if (seq <= room.read[me.role] || !tell({ read: seq, room: room.name })) return;
  room.read[me.role] = seq;
  room.unread = 0;
}

// --- what the server says

const hear = {
  auth() {
    isIn = true;
    outbox.forEach(post);
    if (me.role === "agent") tell({ list: true });
    load();
  },

  noAuth() {
    refusal = "Please log in again.";
    socket.close();
  },

  list({ rooms: listed }) {
    for (const { room: name, online, unread, ...last } of listed) Object.assign(roomOf(name), { online, unread, last });
  },

  history({ room: name, before, messages, more, read }) {
    const room = roomOf(name);
    const last = room.messages.at(-1)?.seq ?? 0;
    const gap = !before && messages[0]?.seq > last + 1;
    if (gap) room.messages = [];
    for (const message of messages) insert(room, message);
    if (before || gap || !room.isLoaded) room.more = more;
    if (!before) {
      room.read = read;
      room.unread = room.messages.filter(({ role, seq }) => role !== me.role && seq > read[me.role]).length;
    }
    room.isLoaded = true;
  },

  ack({ id, room, seq, at }) {
    const written = outbox.find((each) => each.id === id);
    if (!written) return;
    keep(outbox.filter((each) => each !== written));
    insert(roomOf(room), { seq, at, id, from: me.name, role: me.role, content: written.content });
  },

  error({ id, message }) {
    const written = outbox.find((each) => each.id === id);
    if (written) written.problem = message;
    else console.warn(message);
    keep(outbox);
  },

  typing({ room: name, from, role, typing }) {
    const room = roomOf(name);
    stopsTyping(room, from);
    if (!typing || (from === me.name && role === me.role)) return;
    room.typing.set(from, setTimeout(() => {
      stopsTyping(room, from);
      changed();
    }, TYPING_ENDS));
  },

  read({ room: name, role, seq, unread }) {
    const room = roomOf(name);
    room.read[role] = Math.max(room.read[role], seq);
    if (role === me.role) room.unread = unread;
  },

  here({ room, online }) {
    if (rooms.has(room)) rooms.get(room).online = online;
  },

  agents({ online }) {
    agents = online;
  },
};

// --- what is written

function keep(list) {
  outbox = list;
  sessionStorage.setItem("outbox", JSON.stringify(outbox));
}

function post({ id, room, content, problem }) {
  if (!problem) tell({ content, id, room });
}

function say(content) {
  const id = Date.now().toString(36) + Math.random().toString(36).slice(2);
  const written = { id, room: current(), content, at: Math.floor(Date.now() / 1000) };
  keep([...outbox, written]);
  post(written);
  typedAt = 0;
  view.follow();
  changed();
}

function tryAgain(id) {
  const written = outbox.find((each) => each.id === id);
  delete written.problem;
  post(written);
  changed();
}

function discard(id) {
  keep(outbox.filter((each) => each.id !== id));
  changed();
}

function tellTyping() {
  const isTyping = $("text").value !== "";
  if (isTyping ? Date.now() - typedAt < TYPING_AGAIN : !typedAt) return;
  typedAt = isTyping ? Date.now() : 0;
  tell({ typing: isTyping, room: current() });
}

// --- coming, going, looking around

function changed() {
  planned ||= setTimeout(() => {
    planned = 0;
    view.render({ me, rooms, room: rooms.get(current()), outbox, agents });
    markRead();
  });
}

async function logIn(name, role) {
  const response = await fetch("login", { method: "POST", body: JSON.stringify({ name, role }) }).catch(() => null);
  const answer = await response?.json();
  if (!answer?.token) return askName(answer?.message ?? "The server doesn't answer.");
  me = { name: name.trim(), role, token: answer.token };
  sessionStorage.setItem("me", JSON.stringify(me));
  comeIn();
}

function comeIn() {
  refusal = "";
  document.body.dataset.role = me.role;
  enter();
  socket.open();
}

function askName(problem = "") {
  view.askName(problem, me);
}

function logOut() {
  socket.close(1000, "logged out");
  sessionStorage.clear();
  location.replace(location.pathname);
}

function enter() {
  const name = current();
  if (name) roomOf(name);
  document.body.dataset.view = name ? "talk" : "list";
  view.follow();
  load();
  changed();
}

addEventListener("hashchange", enter);
document.addEventListener("visibilitychange", changed);
$("retry").onclick = () => socket.open();
$("leave").onclick = logOut;
$("earlier").onclick = () => {
  const { name, messages } = rooms.get(current());
  tell({ history: { before: messages[0].seq }, room: name });
};
view.start({ logIn, say, tellTyping, tryAgain, discard, markRead: changed });
if (me) comeIn();
else askName();
