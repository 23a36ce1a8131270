// view.js - what the page of the chat shows: the list, the conversation, the state of the connection. What people wrote
// is shown as text, never as markup.
// Owns what is on the page; knows nothing of the wire.
// SPDX-License-Identifier: MIT

const LONG_PAUSE = 300; // seconds; after it a message shows its sender again
const NEAR = 60; // pixels from the end that count as the end
const STATES = { CONNECTING: ["connecting", "Connecting"], OPEN: ["open", "Connected"], CLOSED: ["waiting", "Offline"] };
const RECEIPTS = { sending: "being sent", stored: "sent", read: "read", failed: "not sent" };

const $ = (id) => document.getElementById(id);
const shown = new Map(); // of the conversation in front: key of a message -> its element
const links = new Map(); // room -> its line in the list
let shownRoom = null;
let following = true; // the end is in sight, and is to stay so
let lastKey = "";
let retryTimer = 0;
let actions = {};

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content);
  return made;
}

function icon(name) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${name}`);
  made.append(use);
  made.ariaHidden = "true";
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

const dateOf = ({ at }) => new Date(at * 1000);
const dayOf = (message) => dateOf(message).toLocaleDateString([], { day: "numeric", month: "long", year: "numeric" });

function clock(message) {
  const date = dateOf(message);
  const made = element("time", "numbers", date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  made.dateTime = date.toISOString();
  made.title = date.toLocaleString();
  return made;
}

// Makes the children of a parent these, touching only what differs.
function arrange(parent, wanted) {
  wanted.forEach((each, at) => {
    if (parent.children[at] !== each) parent.insertBefore(each, parent.children[at] ?? null);
  });
  while (parent.children.length > wanted.length) parent.lastChild.remove();
}

// --- the conversation

function bubble(message, me) {
  const ours = message.role === me.role, mine = ours && message.from === me.name;
  const made = element("li", `said${ours ? " ours" : ""}${mine ? " mine" : ""}`);
  const when = element("span", "when", clock(message));
  if (mine) when.append(element("span", "receipt"));
  made.append(avatar(message.from), element("span", "who", message.from), element("p", "bubble", message.content), when);
  return made;
}

function showReceipt(item, receipt, { id, problem }) {
  if (item.dataset.receipt === receipt) return;
  item.dataset.receipt = receipt;
  item.querySelector(".receipt").replaceChildren(icon(receipt), element("span", "unseen", RECEIPTS[receipt]));
  item.querySelector(".wrong")?.remove();
  if (receipt !== "failed") return;
  const again = element("button", "", "Try again"), discard = element("button", "", "Discard");
  again.onclick = () => actions.tryAgain(id);
  discard.onclick = () => actions.discard(id);
  item.append(element("p", "wrong", `Not sent: ${problem}`, again, discard));
}

function receiptOf(message, room, me) {
  if (message.seq) return message.seq <= room.read[me.role === "agent" ? "customer" : "agent"] ? "read" : "stored";
  return message.problem ? "failed" : "sending";
}

function showMessages({ me, room, outbox }) {
  if (room !== shownRoom) shown.clear();
  shownRoom = room;
  const written = outbox.filter((each) => each.room === room?.name);
  const messages = room ? [...room.messages, ...written.map((each) => ({ ...each, from: me.name, role: me.role }))] : [];
  const items = [], keys = new Set();
  let before = null;
  const use = (key, make) => {
    if (!shown.has(key)) shown.set(key, make());
    keys.add(key);
    items.push(shown.get(key));
    return shown.get(key);
  };
  for (const message of messages) {
    const day = dayOf(message), isNewDay = !before || dayOf(before) !== day;
    if (isNewDay) use(`day ${day}`, () => element("li", "day", day));
    const item = use(message.id ?? message.seq, () => bubble(message, me));
    const isSame = !isNewDay && before.from === message.from && before.role === message.role;
    item.classList.toggle("follows", isSame && message.at - before.at < LONG_PAUSE);
    if (item.classList.contains("mine")) showReceipt(item, receiptOf(message, room, me), message);
    before = message;
  }
  for (const key of shown.keys()) if (!keys.has(key)) shown.delete(key);

  const scroll = $("scroll"), height = scroll.scrollHeight, top = scroll.scrollTop;
  const isEarlier = items.length > 0 && $("log").firstChild && items.at(-1) === $("log").lastChild;
  arrange($("log"), items);
  $("earlier").hidden = !room?.more;
  if (following) scroll.scrollTop = scroll.scrollHeight;
  else if (isEarlier) scroll.scrollTop = top + scroll.scrollHeight - height; // what one reads stays where it is
  const key = String(before?.id ?? before?.seq);
  if (following || isEarlier) $("newer").hidden = $("newer").hidden || following;
  else if (key !== lastKey) $("newer").hidden = false;
  lastKey = key;
}

function empty(me, room) {
  if (!room) return "Choose a conversation.";
  if (!room.isLoaded) return "";
  return me.role === "agent" ? "Nothing has been said here yet." : "How can we help you?";
}

function subtitle(me, room, agents) {
  if (me.role === "agent") return room ? (room.online ? "online" : "not online") : "";
  if (agents === null) return "";
  if (agents === 0) return "Nobody is here right now. We answer later.";
  return agents === 1 ? "One of us is here" : `${agents} of us are here`;
}

function typingLine(room) {
  const names = [...(room?.typing.keys() ?? [])];
  if (names.length === 0) return "";
  return names.length === 1 ? `${names[0]} is typing …` : `${names.join(", ")} are typing …`;
}

// --- the list

// The link stays the same while what it says changes: it may just be clicked, or have the focus.
function roomItem(room, isOpen) {
  if (!links.has(room)) links.set(room, element("li", "", element("a", "")));
  const item = links.get(room), link = item.firstChild;
  const { role, from, content, at } = room.last;
  const last = room.typing.size ? "typing …" : (role === "agent" ? `${from}: ` : "") + content;
  const now = JSON.stringify([last, at, room.unread, room.online]);
  link.ariaCurrent = isOpen ? "true" : null;
  if (item.dataset.now === now) return item;
  item.dataset.now = now;
  link.href = `#${new URLSearchParams({ room: room.name })}`;
  link.className = `${room.online ? "online" : ""} ${room.unread ? "unread" : ""}`;
  link.replaceChildren(avatar(room.name), element("span", "name", room.name), clock(room.last), element("span", "last", last));
  if (room.unread) link.append(element("span", "badge numbers", room.unread, element("span", "unseen", " unread")));
  if (room.online) link.append(element("span", "unseen", "online"));
  return item;
}

function showRooms({ rooms, room: open }) {
  const listed = [...rooms.values()].filter(({ last }) => last);
  listed.sort((a, b) => b.last.at - a.last.at || b.last.seq - a.last.seq);
  arrange($("rooms"), listed.map((room) => roomItem(room, room === open)));
  $("no-rooms").hidden = listed.length > 0;
}

// --- everything

export function render(state) {
  const { me, rooms, room, outbox, agents } = state;
  if (!me) return;
  const unread = [...rooms.values()].reduce((sum, each) => sum + each.unread, 0);
  const isAgent = me.role === "agent";
  document.title = `${unread ? `(${unread}) ` : ""}moonwire chat`;
  $("title").textContent = isAgent ? room?.name ?? "Customer service" : "Customer service";
  $("subtitle").textContent = subtitle(me, room, agents);
  $("waiting").hidden = unread === 0;
  $("waiting").textContent = unread;
  $("say").hidden = !room;
  $("leave").hidden = false;
  $("leave").title = me.name;
  if (isAgent) showRooms(state);
  showMessages(state);
  $("empty").textContent = empty(me, room);
  $("empty").hidden = Boolean(room?.messages.length || outbox.some((each) => each.room === room?.name));
  $("typing").textContent = typingLine(room);
}

export function showStatus(status, retry) {
  const [state, text] = STATES[status];
  $("state").dataset.state = state;
  $("state").textContent = text;
  document.body.dataset.state = state;
  clearInterval(retryTimer);
  $("broken").hidden = !retry;
  if (!retry) return;
  const at = Date.now() + retry.delay;
  const tick = () => {
    $("countdown").textContent = `Next try in ${Math.max(0, Math.ceil((at - Date.now()) / 1000))} s.`;
  };
  retryTimer = setInterval(tick, 250);
  tick();
}

export function askName(problem, before) {
  $("refused").textContent = problem;
  $("refused").hidden = !problem;
  if (before) $("name").value = before.name;
  if (before) document.querySelector(`[name=role][value=${before.role}]`).checked = true;
  if (!$("login").open) $("login").showModal();
}

export function isAtEnd() {
  return following;
}

export function follow() {
  following = true;
  $("newer").hidden = true;
  $("scroll").scrollTop = $("scroll").scrollHeight;
}

function fitText() {
  $("text").style.height = "auto";
  $("text").style.height = `${$("text").scrollHeight + 2}px`;
}

/* What the person does goes to these functions: logIn, say, tellTyping, tryAgain, discard, markRead. */
export function start(given) {
  actions = given;
  $("login").oncancel = (event) => event.preventDefault(); // nobody gets in without a name
  $("login").querySelector("form").onsubmit = () => {
    actions.logIn($("name").value, document.querySelector("[name=role]:checked").value);
  };
  $("say").onsubmit = (event) => {
    event.preventDefault();
    const text = $("text").value.trim();
    if (!text) return;
    $("text").value = "";
    fitText();
    $("text").focus();
    actions.say(text);
  };
  $("text").oninput = () => {
    fitText();
    actions.tellTyping();
  };
  $("text").onkeydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $("say").requestSubmit();
  };
  $("scroll").onscroll = () => {
    const { scrollTop, clientHeight, scrollHeight } = $("scroll");
    const isNear = scrollHeight - scrollTop - clientHeight < NEAR;
    if (isNear && !following) actions.markRead();
    following = isNear;
    if (isNear) $("newer").hidden = true;
  };
  new ResizeObserver(() => {
    if (following) $("scroll").scrollTop = $("scroll").scrollHeight;
  }).observe($("scroll"));
  $("newer").onclick = () => {
    follow();
    actions.markRead();
  };
}
