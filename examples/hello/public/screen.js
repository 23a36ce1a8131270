// screen.js - the page of a big screen: shows what it is told, and comes back every 3 s when the connection breaks, unless
// it was switched off by hand.
// SPDX-License-Identifier: MIT

import { useWebSocket } from "./common/moonwire.js";

const LONG = 60; // characters
const $ = (id) => document.getElementById(id);
const uid = new URLSearchParams(location.search).get("uid") || "ttq123";

const socket = useWebSocket(`ws?${new URLSearchParams({ uid })}`, {
  autoReconnect: { retries: -1, delay: 3000 },
  onConnected: (ws) => ws.send("hello"),
  onMessage: (ws, event) => hear(event.data),
  onStatus: showState,
});

// Plain text is the answer to our hello; the rest is JSON.
function hear(data) {
  let message;
  try {
    message = JSON.parse(data);
  } catch {
    message = { text: $("text").textContent || data };
  }
  const { screens } = message;
  if (screens) $("screens").textContent = screens === 1 ? "the only screen" : `one of ${screens} screens`;
  if (message.text) show(message.text);
}

function show(text) {
  if (text === $("text").textContent) return;
  $("text").textContent = text;
  $("text").className = text.length > LONG ? "long" : "";
  $("text").offsetWidth; // so that the movement begins anew
  $("text").classList.add("arrives");
}

function showState(status, retry) {
  const state = status === "OPEN" ? "open" : retry ? "waiting" : status === "CONNECTING" ? "connecting" : "off";
  const words = { open: "Connected", waiting: "No connection", connecting: "Connecting", off: "Switched off" };
  document.body.dataset.state = $("state").dataset.state = state;
  $("state").textContent = words[state];
  $("switch").textContent = state === "off" ? "Switch on" : "Switch off";
  if (state !== "open") $("screens").textContent = "";
}

$("switch").onclick = () => (document.body.dataset.state === "off" ? socket.open() : socket.close(1000));

$("say").onsubmit = async (event) => {
  event.preventDefault();
  $("problem").hidden = true;
  try {
    const body = JSON.stringify({ uid: $("whom").value || uid, text: $("words").value });
    const answer = await fetch("say", { method: "POST", body });
    if (!answer.ok) throw new Error((await answer.json()).message);
    $("words").value = "";
  } catch (error) {
    $("problem").textContent = `It was not shown: ${error.message}`;
    $("problem").hidden = false;
  }
};

$("uid").textContent = uid;
document.title = `${uid} · moonwire big screen`;
