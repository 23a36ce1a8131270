// chat.js - the page of the chat example: one room, one WebSocket, everything shown as plain text.
// Owns the connection and tries again, ever more slowly, whenever it breaks. What it says and hears is in server.lua.
// SPDX-License-Identifier: MIT

const FIRST_DELAY = 0.5, MAX_DELAY = 15, GIVE_UP_AFTER = 10; // seconds
const MAX_SHOWN = 500;
const LONG_PAUSE = 300; // seconds; after it a message shows its sender again

const $ = (id) => document.getElementById(id);
const room = [...(new URLSearchParams(location.search).get("room") ?? "").trim() || "lobby"].slice(0, 24).join("");

let name = sessionStorage.getItem("name") ?? ""; // of this window: a second one may be somebody else
let socket = null;
let joined = false; // now
let joinedBefore = false;
let people = new Set();
let delay = FIRST_DELAY;
let retryTimer = 0;
let unread = 0;
let following = true; // the log shows its end, and is to go on doing so
let last = {}; // the latest message shown, to group what one person says in a row
const shown = new Map(); // what is in the log: a message as it came -> its element

// --- the connection

function connect() {
  clearInterval(retryTimer);
  if (!name) return askName();
  show("connecting");
  const address = new URL(`chat/${encodeURIComponent(room)}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const attempt = new WebSocket(address);
  const patience = setTimeout(() => attempt.close(), GIVE_UP_AFTER * 1000);
  attempt.onopen = () => tell({ type: "join", name });
  attempt.onmessage = ({ data }) => {
    clearTimeout(patience);
    const message = JSON.parse(data);
    hear[message.type]?.(message, data);
  };
  attempt.onclose = () => {
    clearTimeout(patience);
    if (attempt !== socket) return; // given up for another one
    socket = null;
    joined = false;
    retryLater();
  };
  socket = attempt;
}

function disconnect() {
  socket?.close(1000);
  socket = null;
  joined = false;
}

function tell(message) {
  socket.send(JSON.stringify(message));
}

// Waits longer after each failure, and never exactly as long as the others do who lost the same server.
function retryLater() {
  const at = Date.now() + delay * (0.75 + Math.random() / 2) * 1000;
  delay = Math.min(delay * 2, MAX_DELAY);
  show("waiting");
  const tick = () => {
    const seconds = Math.ceil((at - Date.now()) / 1000);
    if (seconds <= 0) return connect();
    $("countdown").textContent = `Next try in ${seconds} s.`;
  };
  clearInterval(retryTimer);
  retryTimer = setInterval(tick, 250);
  tick();
}

function retryNow() {
  if (!socket) connect();
}

// --- what the server says

const hear = {
  here({ people: names }) {
    const now = new Set(names);
    if (joined) {
      for (const who of now) if (!people.has(who)) note(`${who} came in`);
      for (const who of people) if (!now.has(who)) note(`${who} left`);
    } else {
      joined = true;
      delay = FIRST_DELAY;
      note(joinedBefore ? "Connected again" : `You are in ${room} as ${name}`);
      show("open");
      if (!joinedBefore && matchMedia("(pointer: fine)").matches) $("text").focus();
      joinedBefore = true;
    }
    people = now;
    showPeople();
  },

  said(message, raw) {
    if (shown.has(raw)) return; // told again after a reconnect
    const mine = message.name === name;
    append(raw, bubble(message, mine));
    if (mine) following = true;
    follow();
    if (document.hidden) showUnread(unread + 1);
  },

  error({ message }) {
    if (joined) note(message, "wrong");
    else askName(message);
  },
};

// --- what there is to see

const STATES = { idle: "", connecting: "Connecting", open: "Connected", waiting: "Not connected" };

function show(state) {
  document.body.dataset.state = state;
  $("status").textContent = STATES[state];
  $("broken").hidden = state !== "waiting";
  $("send").disabled = state !== "open";
  $("rename").hidden = !name;
}

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content); // strings become text, never markup
  return made;
}

// The same name has the same colour for everybody.
function avatar(who) {
  let hash = 0;
  for (const letter of who) hash = (hash * 33 + letter.codePointAt(0)) % 99991;
  const made = element("span", "avatar", [...who][0].toUpperCase());
  made.style.setProperty("--hue", (hash * 137.5) % 360);
  made.ariaHidden = "true";
  return made;
}

function bubble({ name: who, text, at }, mine) {
  const date = new Date(at * 1000);
  const follows = last.who === who && at - last.at < LONG_PAUSE;
  last = { who, at };
  const time = element("time", "", date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = date.toISOString();
  time.title = date.toLocaleString();
  const item = element("li", `said${mine ? " mine" : ""}${follows ? " follows" : ""}`);
  item.append(avatar(who), element("span", "who", who), element("p", "bubble", text), time);
  return item;
}

function note(text, kind = "") {
  last = {};
  append(Symbol("note"), element("li", `note ${kind}`, text));
  follow();
}

function append(key, item) {
  shown.set(key, item);
  $("log").append(item);
  for (const [oldest, old] of shown) {
    if (shown.size <= MAX_SHOWN) break;
    shown.delete(oldest);
    old.remove();
  }
  $("empty").hidden = $("log").querySelector(".said") !== null;
}

function showPeople() {
  const others = [...people].filter((who) => who !== name);
  const items = [name, ...others].map((who) => {
    const item = element("li", "", avatar(who), element("span", "name", who));
    if (who === name) item.append(element("span", "you", "you"));
    return item;
  });
  $("people").replaceChildren(...items);
  $("count").textContent = people.size;
}

// The rooms seen in this browser; a room comes into being when somebody goes there.
function showRooms() {
  const known = new Set(["lobby", "music", "garden"]);
  try {
    for (const seen of JSON.parse(localStorage.getItem("rooms"))) known.add(String(seen));
  } catch { /* nothing kept, or not by us */ }
  known.delete(room);
  const names = [...known].slice(0, 11).concat(room).sort();
  localStorage.setItem("rooms", JSON.stringify(names));
  $("rooms").replaceChildren(...names.map((each) => {
    const link = element("a", "", element("span", "hash", "#"), element("span", "name", each));
    link.href = `?room=${encodeURIComponent(each)}`;
    if (each === room) link.ariaCurrent = "page";
    return element("li", "", link);
  }));
  $("rooms").querySelector("[aria-current]").scrollIntoView({ block: "nearest", inline: "center" });
}

function showUnread(count) {
  unread = count;
  document.title = `${count ? `(${count}) ` : ""}${room} · moonwire chat`;
}

function follow() {
  if (following) $("scroll").scrollTop = $("scroll").scrollHeight;
  $("newer").hidden = following;
}

function fitText() {
  $("text").style.height = "auto";
  $("text").style.height = `${$("text").scrollHeight + 2}px`;
}

// Also after the server refused a name, and then says why.
function askName(problem = "") {
  disconnect();
  name = "";
  show("idle");
  $("refused").textContent = problem;
  if (!$("hello").open) $("hello").showModal();
}

// --- what the person does

$("join").onsubmit = () => {
  name = $("name").value.trim();
  sessionStorage.setItem("name", name);
  connect();
};
$("hello").oncancel = (event) => event.preventDefault(); // nobody gets in without a name
$("name").oninput = () => $("name").setCustomValidity($("name").value.trim() ? "" : "A name has at least one letter.");

$("rename").onclick = () => {
  sessionStorage.removeItem("name");
  location.reload();
};

$("say").onsubmit = (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text || !joined) return;
  tell({ type: "say", text });
  $("text").value = "";
  fitText();
  $("text").focus();
};
$("text").oninput = fitText;
$("text").onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("say").requestSubmit();
};

$("scroll").onscroll = () => {
  const { scrollTop, clientHeight, scrollHeight } = $("scroll");
  following = scrollHeight - scrollTop - clientHeight < 60;
  if (following) $("newer").hidden = true;
};
new ResizeObserver(() => following && follow()).observe($("scroll"));
$("newer").onclick = () => {
  following = true;
  follow();
};
$("retry").onclick = retryNow;
window.addEventListener("online", retryNow);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) showUnread(0);
});

$("room").textContent = room;
$("empty").hidden = false;
showRooms();
showUnread(0);
connect();
