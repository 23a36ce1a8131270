// chat_crowd.mjs - a crowd in the chat example: in each room windows of its customer and one agent, who all write at once,
// come back when the server was away, and send again what was not acknowledged.
//
// Options: url (of the page), rooms, windows (in each room, the agent's included), messages (of each window), marks (list:
//   how many acknowledgements in all make a mark).
// Reports: mark (acknowledged) at each of them, finished with what the history has in the end: stored, missing (messages
//   that are not there), doubled, gaps (in the numbers of a room), and losses (connections), repeats (relayed twice),
//   errors (list), seconds.
// Commands: none.
// SPDX-License-Identifier: MIT

import { WebSocket } from "ws";
import { options, report } from "./lines.mjs";

const { url, rooms, windows, messages, marks } = options;
const IN_FLIGHT = 10;
const AGAIN = 50; // milliseconds until the next try to connect

const errors = [];
let acknowledged = 0, losses = 0, repeats = 0;

async function logIn(name, role) {
  const response = await fetch(`${url}login`, { method: "POST", body: JSON.stringify({ name, role }) });
  return (await response.json()).token;
}

function connect(token, hear) {
  const ws = new WebSocket(url.replace("http", "ws"), [`Bearer${token}`]);
  ws.on("message", (data) => hear(JSON.parse(data)));
  ws.on("error", () => {}); // "close" follows
  return ws;
}

// Writes its messages until all are acknowledged.
function write(token, room, label, from, to) {
  return new Promise((resolve) => {
    const open = new Map(); // sent, not acknowledged: id -> frame
    let next = from, ws = null;
    let seen = new Set();

    function more() {
      while (next < to && open.size < IN_FLIGHT) {
        const id = `${label} ${next++}`;
        open.set(id, JSON.stringify({ content: `${room} ${id}`, id, room }));
        ws.send(open.get(id));
      }
      if (open.size > 0 || next < to) return;
      ws.removeAllListeners("close");
      ws.close();
      resolve();
    }

    function hear(message) {
      if (message.type === "error") errors.push(message.message);
      if (message.content) {
        const key = `${message.room} ${message.seq}`;
        if (seen.has(key)) repeats += 1;
        seen.add(key);
      }
      if (message.type !== "ack" || !open.delete(message.id)) return;
      acknowledged += 1;
      if (marks.includes(acknowledged)) report("mark", { acknowledged });
      more();
    }

    function begin() {
      seen = new Set();
      ws = connect(token, hear);
      ws.on("open", () => {
        for (const frame of open.values()) ws.send(frame);
        more();
      });
      ws.on("close", () => {
        losses += 1;
        setTimeout(begin, AGAIN);
      });
    }
    begin();
  });
}

// All of a room's history, page by page.
function read(token, room) {
  return new Promise((resolve) => {
    const all = [];
    const ws = connect(token, ({ type, messages: page, more }) => {
      if (type !== "history") return;
      all.unshift(...page);
      if (more) return ask({ before: page[0].seq });
      ws.close();
      resolve(all);
    });
    const ask = (history) => ws.send(JSON.stringify({ history, room }));
    ws.on("open", () => ask({}));
  });
}

const began = Date.now();
const agent = await logIn("agent", "agent");
const names = Array.from({ length: rooms }, (_, i) => `room ${i + 1}`);
const tokens = await Promise.all(names.map((name) => logIn(name, "customer")));
// An agent can't begin a conversation: the customers write first.
await Promise.all(names.map((name, i) => write(tokens[i], name, "0", 0, 1)));
await Promise.all(names.flatMap((name, i) => Array.from({ length: windows }, (_, w) => (
  write(w === 1 ? agent : tokens[i], name, String(w), w === 0 ? 1 : 0, messages)
))));

const count = { stored: 0, missing: 0, doubled: 0, gaps: 0 };
for (const room of names) {
  const all = await read(agent, room);
  const contents = new Set(all.map(({ content }) => content));
  count.stored += all.length;
  count.doubled += all.length - contents.size;
  count.gaps += all.filter(({ seq }, i) => seq !== i + 1).length;
  for (let w = 0; w < windows; w++) {
    for (let i = 0; i < messages; i++) if (!contents.has(`${room} ${w} ${i}`)) count.missing += 1;
  }
}
report("finished", { ...count, losses, repeats, errors: [...new Set(errors)], seconds: (Date.now() - began) / 1000 });
