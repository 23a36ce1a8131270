// shop.js - the components of the shop. Each is a function that shows its part of the store's state whenever that changes.
// SPDX-License-Identifier: MIT

import { store } from "./store.js";

const ARTICLES = { map: "Star map that turns", lamp: "Red lamp", eyepiece: "Eyepiece, 25 mm" };
const STATES = { open: "Connected", connecting: "Connecting", waiting: "No connection", closed: "" };
const $ = (id) => document.getElementById(id);

const components = [
  function state({ status, known }) {
    const now = status === "open" && !known ? "connecting" : status;
    document.body.dataset.state = $("state").dataset.state = now;
    $("state").textContent = STATES[now];
    $("state").hidden = !STATES[now];
  },

  function door({ token, name }) {
    document.body.dataset.login = token ? "in" : "out";
    $("who").textContent = token ? name : "";
  },

  function shelf({ stock, known }) {
    for (const [article, card] of cards) {
      const left = stock[article];
      card.count.textContent = left === undefined ? "" : left === 0 ? "sold out" : `${left} left`;
      card.buy.disabled = !known || !left;
    }
  },

  function basket({ basket }) {
    const lines = Object.entries(basket).map(([article, count]) => {
      const line = document.createElement("li");
      line.textContent = `${count} × ${ARTICLES[article]}`;
      return line;
    });
    $("basket").replaceChildren(...lines);
    $("count").textContent = Object.values(basket).reduce((sum, count) => sum + count, 0);
  },

  function online({ online: count, known }) {
    $("online").textContent = !known || !count ? "" : count === 1 ? "You are alone here" : `${count} windows are here`;
  },

  function problem({ problem: text }) {
    $("problem").textContent = text;
    $("problem").hidden = !text;
  },
];

function makeCard(article, title) {
  const card = $("article").content.firstElementChild.cloneNode(true);
  const [name, count, buy] = ["h2", ".count", "button"].map((selector) => card.querySelector(selector));
  name.textContent = title;
  buy.ariaLabel = `Buy: ${title}`;
  buy.onclick = () => store.dispatch("buy", article);
  $("shelf").append(card);
  return { count, buy };
}

const cards = Object.entries(ARTICLES).map(([article, title]) => [article, makeCard(article, title)]);

$("login").onsubmit = (event) => {
  event.preventDefault();
  store.dispatch("login", $("name").value.trim());
};
$("logout").onclick = () => store.dispatch("logout");

const show = () => components.forEach((component) => component(store.state));
store.subscribe(show);
show();
store.dispatch("connect");
