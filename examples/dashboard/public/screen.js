// screen.js - the wall screen: six charts that move as the server pushes; full screen and theme are the same on every window.
// SPDX-License-Identifier: MIT

import { chartCard } from "./charts.js";
import { SocketService } from "./socket_service.js";

const TITLES = {
  trend: "Sales over the year", seller: "Sellers", map: "Orders today",
  rank: "Regions", hot: "In demand", stock: "Sold from stock",
};

const $ = (id) => document.getElementById(id);
const socket = SocketService.Instance;
const charts = {};

for (const [name, title] of Object.entries(TITLES)) {
  const tellAll = (value) => socket.send({ action: "fullScreen", socketType: "fullScreen", chartName: name, value });
  charts[name] = chartCard(name, title, tellAll);
  $("charts").append(charts[name].card);
  socket.registerCallBack(`${name}Data`, charts[name].show);
}

socket.registerCallBack("fullScreen", ({ chartName, value }) => charts[chartName]?.setFull(value === true));

socket.registerCallBack("themeChange", ({ value }) => {
  const theme = value === "light" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = theme === "dark" ? "Light theme" : "Dark theme";
  for (const chart of Object.values(charts)) chart.restyle();
});

$("theme").onclick = () => {
  const value = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  socket.send({ action: "themeChange", socketType: "themeChange", chartName: "", value });
};

addEventListener("keydown", ({ key }) => {
  if (key === "Escape") document.querySelector(".chart.full button")?.click();
});

// Also after the connection was lost: what happened meanwhile comes with the answers.
socket.registerCallBack("connected", () => {
  for (const chart of Object.values(charts)) chart.setFull(false);
  for (const name in charts) socket.send({ action: "getData", socketType: `${name}Data`, chartName: name, value: "" });
});

socket.connect("./", (status, retry) => {
  const state = retry ? "waiting" : status === "OPEN" ? "open" : "connecting";
  document.body.dataset.state = $("state").dataset.state = state;
  $("state").textContent = { open: "Live", waiting: "No connection", connecting: "Connecting" }[state];
});

const tick = () => ($("clock").textContent = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
setInterval(tick, 1000);
tick();
