// screen.js - the wall screen: six charts that move as the server pushes; full screen and theme are the same on every window.
// SPDX-License-Identifier: MIT

import { chartCard } from "./charts.js";
import { SocketService } from "./socket_service.js";

const TITLES = {
  trend: "Sales over the year", seller: "Sellers", map: "Orders of the last hour",
  rank: "Regions", hot: "In demand", stock: "Sold of the stock",
};

const $ = (id) => document.getElementById(id);
const socket = SocketService.Instance;
const charts = new Map();

for (const [name, title] of Object.entries(TITLES)) {
  const tellAll = (value) => socket.send({ action: "fullScreen", socketType: "fullScreen", chartName: name, value });
  const chart = chartCard(name, title, tellAll);
  charts.set(name, chart);
  $("charts").append(chart.card);
  socket.registerCallBack(`${name}Data`, chart.show);
}

socket.registerCallBack("fullScreen", ({ chartName, value }) => charts.get(chartName)?.setFull(value === true));

function setTheme(value) {
  const theme = value === "light" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = theme === "dark" ? "Light theme" : "Dark theme";
  for (const chart of charts.values()) chart.restyle();
}
socket.registerCallBack("themeChange", ({ value }) => setTheme(value));

$("theme").onclick = () => {
  const value = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  socket.send({ action: "themeChange", socketType: "themeChange", chartName: "", value });
};

addEventListener("keydown", ({ key }) => {
  if (key === "Escape") document.querySelector(".chart.full button")?.click();
});

// Also after the connection was lost: how things are now is told right behind.
function onConnected() {
  setTheme("dark");
  for (const chart of charts.values()) chart.setFull(false);
  for (const name of charts.keys()) socket.send({ action: "getData", socketType: `${name}Data`, chartName: name, value: "" });
}

function onStatus(status, retry) {
  const state = retry ? "waiting" : status === "OPEN" ? "open" : "connecting";
  document.body.dataset.state = $("state").dataset.state = state;
  $("state").textContent = { open: "Live", waiting: "No connection", connecting: "Connecting" }[state];
}

socket.connect("./", { onConnected, onStatus });

const tick = () => ($("clock").textContent = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
setInterval(tick, 1000);
tick();
