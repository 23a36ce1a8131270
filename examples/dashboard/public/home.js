// home.js - the home page: one WebSocket instead of ten interfaces to poll, full or simple, live or standing still.
// SPDX-License-Identifier: MIT

import { chartCard } from "./charts.js";
import { useWebSocket } from "./common/moonwire.js";

const $ = (id) => document.getElementById(id);
const charts = { trend: chartCard("trend", "Sales over the year"), stock: chartCard("stock", "Sold of the stock") };
for (const { card } of Object.values(charts)) {
  card.style.gridArea = "";
  $("charts").append(card);
}

const hear = {
  numbers(message) {
    for (const place of document.querySelectorAll("[data-number]")) {
      place.textContent = message[place.dataset.number].toLocaleString("en-GB");
    }
  },
  trend: ({ data }) => charts.trend.show(data),
  stock: ({ data }) => charts.stock.show(data),
  live: ({ live }) => ($("live").checked = live),
  mode({ mode }) {
    $("simple").checked = mode === "simple";
    document.body.dataset.mode = mode;
  },
};

// A connection that is not usable is made anew every 10 s. What is sent meanwhile is refused and not kept: the switches are
// told to the server at each connection.
const socket = useWebSocket("home", {
  autoReconnect: { retries: -1, delay: 10_000 },
  closeReason: "用户已经离开当前页面或页面发生刷新",
  onConnected: tellSwitches,
  onMessage(ws, { data }) {
    const message = JSON.parse(data);
    hear[message.name]?.(message);
  },
  onStatus(status, retry) {
    const state = retry ? "waiting" : status === "OPEN" ? "open" : "connecting";
    document.body.dataset.state = $("state").dataset.state = state;
    $("state").textContent = { open: "Connected", waiting: "No connection", connecting: "Connecting" }[state];
  },
});

function tellSwitches() {
  tell({ name: "mode", mode: $("simple").checked ? "simple" : "full" });
  tell({ name: "live", live: $("live").checked });
}

function tell(message) {
  const answer = socket.send(JSON.stringify(message), false);
  if (answer !== "sent") console.warn(`not sent, the connection is ${answer}: ${message.name}`);
}

$("live").onchange = () => tell({ name: "live", live: $("live").checked });
$("simple").onchange = () => {
  hear.mode({ mode: $("simple").checked ? "simple" : "full" });
  tell({ name: "mode", mode: document.body.dataset.mode });
};
