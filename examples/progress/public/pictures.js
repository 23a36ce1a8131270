/* pictures.js - the page of the pictures: the job as one bar, each picture as a tile, and what can be done about it.
 * Shows what the server says and nothing else: a click changes the page only when the server has answered.
 * SPDX-License-Identifier: MIT */

import { follow, login, logout, sentence, session, share, showState } from "./session.js";

const STATES = { w: "waiting", l: "loading", d: "done", f: "failed" };
const USUAL_COUNT = 200;

const $ = (id) => document.getElementById(id);
let job; // the one whose tiles are shown
let before = ""; // its state when it was last spoken of

const inUnits = (bytes) => (bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

function inTime(seconds) {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

// --- the job

function showJob(progress) {
  const { state, total, done, failed, bytes, seconds, left } = progress;
  const isRunning = state === "running";
  const text = sentence(progress);
  $("title").textContent = text;
  $("overall").value = share(progress);
  $("job").dataset.state = failed && state === "done" ? "failed" : state;
  $("facts").hidden = state === "idle";
  $("hint").hidden = state !== "idle";
  $("bytes").textContent = inUnits(bytes);
  $("speed").textContent = seconds > 0 ? `${inUnits(bytes / seconds)}/s` : "–";
  $("time-word").textContent = isRunning ? "Time left" : "Time";
  $("time").textContent = !isRunning ? inTime(seconds) : left == null ? "–" : inTime(left);
  $("failed").textContent = failed;
  $("cancel").hidden = !isRunning;
  $("start").hidden = isRunning;
  $("retry").hidden = isRunning || done === total;
  $("retry").textContent = state === "cancelled" ? `Go on with ${total - done}` : `Try ${failed} again`;
  document.title = isRunning ? `${Math.floor(100 * share(progress))} % · pictures` : text;
  const tenth = Math.floor(10 * share(progress));
  if (before !== state + tenth) $("spoken").textContent = isRunning ? `${tenth * 10} percent` : text;
  before = state + tenth;
}

// --- the pictures

function makeTile(name, i) {
  const tile = document.createElement("li");
  const number = document.createElement("span");
  number.className = "number";
  number.textContent = i + 1;
  tile.append(number);
  tile.dataset.name = name;
  return tile;
}

// Something of a tile that is there in some of its states only.
function part(tile, tag, isThere) {
  const found = tile.querySelector(tag);
  if (!isThere) return found?.remove();
  return found ?? tile.appendChild(document.createElement(tag));
}

function showTile(tile, { state, on, problem, picture }) {
  const { name } = tile.dataset;
  tile.dataset.state = problem && state === "waiting" ? "again" : state;
  const image = part(tile, "img", state === "done");
  if (image && image.alt !== name) Object.assign(image, { loading: "lazy", alt: name, src: picture });
  const bar = part(tile, "progress", state === "loading");
  if (bar) {
    bar.ariaLabel = name;
    if (on?.total) Object.assign(bar, { max: on.total, value: on.received });
    else bar.removeAttribute("value");
  }
  const note = part(tile, "small", state === "loading" ? on?.received && !on.total : problem);
  if (note) note.textContent = problem && state !== "loading" ? problem.problem : inUnits(on.received);
  const tries = problem && state !== "loading" ? `: ${problem.problem}, try ${problem.tries}` : "";
  tile.title = `${name}, ${state}${tries}`;
}

function showTiles({ job: id, files: letters, loading, problems }, { names }) {
  if (job !== id) $("tiles").replaceChildren(...names.map(makeTile));
  job = id;
  const onTheirWay = new Map(loading.map((each) => [each.file, each]));
  const wrong = new Map(problems.map((each) => [each.file, each]));
  [...$("tiles").children].forEach((tile, i) => {
    const [on, problem] = [onTheirWay.get(i + 1), wrong.get(i + 1)];
    const shown = `${letters[i]} ${on?.received} ${on?.total} ${problem?.tries}`;
    if (tile.shown === shown) return;
    tile.shown = shown;
    showTile(tile, { state: STATES[letters[i]], on, problem, picture: `pictures/${session.token}/${id}/${i + 1}` });
  });
  showFailures(problems.filter(({ file }) => letters[file - 1] === "f"), names);
}

function showFailures(failures, names) {
  $("failures").hidden = failures.length === 0;
  $("failures-title").textContent = failures.length === 1 ? "1 picture failed" : `${failures.length} pictures failed`;
  const lines = failures.map(({ file, problem, tries }) =>
    `${names[file - 1]}: ${problem} (${tries === 1 ? "1 try" : `${tries} tries`})`);
  if (lines.join() === $("failure-list").said) return; // a reader may have selected something
  $("failure-list").said = lines.join();
  $("failure-list").replaceChildren(...lines.map((line) => {
    const item = document.createElement("li");
    item.textContent = line;
    return item;
  }));
}

// --- the connection

const socket = follow({
  progress: (progress, files) => {
    if ($("count").max !== String(files.most)) {
      $("count").max = files.most;
      $("count").value = Math.min(USUAL_COUNT, files.most);
    }
    showJob(progress);
    showTiles(progress, files);
  },
  answer: ({ type, message }) => showProblem(type === "error" && message),
  state: (state, delay) => {
    showState($("state"), state);
    $("cut-off").hidden = state !== "waiting";
    $("cut-off").textContent = `No connection; the job doesn't need it. Next try in ${Math.ceil(delay / 1000)} s.`;
    for (const button of $("actions").querySelectorAll("button")) button.disabled = state !== "open";
    $("logout").hidden = !session.token;
    $("logout").textContent = `Log out ${session.name ?? ""}`;
  },
  refused: askName,
});

function showProblem(message) {
  $("problem").hidden = !message;
  $("problem").textContent = message || "";
}

function ask(order) {
  if (socket.ask(order) !== "sent") showProblem("There is no connection.");
}

$("start").onsubmit = (event) => {
  event.preventDefault();
  ask({ action: "start", count: Number($("count").value) });
};
$("cancel").onclick = () => ask({ action: "cancel" });
$("retry").onclick = () => ask({ action: "retry" });

// --- who it is

function askName(message) {
  $("refused").hidden = !message;
  $("refused").textContent = message ?? "";
  $("login").showModal();
}

$("login").querySelector("form").onsubmit = async (event) => {
  event.preventDefault();
  try {
    await login($("name").value);
    $("login").close();
    socket.open();
  } catch (error) {
    $("refused").hidden = false;
    $("refused").textContent = error.message;
  }
};
$("login").oncancel = (event) => event.preventDefault();
$("logout").onclick = () => {
  logout();
  location.reload();
};
if (!session.token) askName();
