// front.js - the front page of the examples: lists those that run, and shows their Lua with its words coloured.
// What is shown stands in the address (#chat/server.lua), so that a reload and a bookmark show it again.
// SPDX-License-Identifier: MIT

const KEYWORDS = new Set(("and break do else elseif end false for function goto if in local nil not or repeat return then "
  + "true until while").split(" "));
const TOKEN = new RegExp([
  /(?<comment>--\[(=*)\[[^]*?\]\2\]|--[^\n]*)/,
  /(?<string>"(?:\\[^]|[^"\\\n])*"|'(?:\\[^]|[^'\\\n])*'|\[(=*)\[[^]*?\]\4\])/,
  /(?<word>[A-Za-z_]\w*)/,
  /(?<number>\b(?:0x[\da-fA-F]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?))/,
].map(({ source }) => source).join("|"), "g");

const $ = (id) => document.getElementById(id);
let examples = [];

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content); // strings become text, never markup
  return made;
}

// --- the list

function link(example) {
  const made = element("a", "button strong", "Open");
  made.href = `${location.protocol}//${location.hostname}:${example.port}${example.page}`;
  made.target = "_blank";
  made.ariaLabel = `Open ${example.name}`;
  return made;
}

function choice(text, label, path) {
  const made = element("button", "", text);
  made.type = "button";
  made.ariaLabel = label;
  made.dataset.path = path;
  made.onclick = () => {
    location.hash = path;
    if (matchMedia("(max-width: 56rem)").matches) document.querySelector("main").scrollIntoView({ behavior: "smooth" });
  };
  return made;
}

function card(example) {
  const actions = element("div", "actions");
  if (example.port) actions.append(link(example));
  actions.append(choice("Source", `Source of ${example.name}`, `${example.name}/server.lua`));
  const item = element("li", "example card", element("h2", "", title(example)), element("p", "", example.sentence ?? ""));
  item.append(actions);
  if (example.problem) item.append(element("p", "notice bad", `It doesn't run: ${example.problem}`));
  return item;
}

const title = ({ name }) => name.replaceAll("-", " ");

// --- the source

function coloured(source) {
  const lines = [element("span", "line")];
  const put = (text, kind) => text.split("\n").forEach((part, i) => {
    if (i > 0) lines.push(element("span", "line"));
    if (part) lines.at(-1).append(kind ? element("span", kind, part) : part);
  });
  let at = 0;
  for (const found of source.matchAll(TOKEN)) {
    put(source.slice(at, found.index));
    const { comment, string, word } = found.groups;
    put(found[0], comment ? "comment" : string ? "string" : word ? KEYWORDS.has(word) && "keyword" : "number");
    at = found.index + found[0].length;
  }
  put(source.slice(at).trimEnd());
  return lines;
}

async function show() {
  const [name, file] = decodeURIComponent(location.hash.slice(1)).split("/");
  const example = examples.find((each) => each.name === name) ?? examples[0];
  const path = `${example.name}/${example.files.includes(file) ? file : "server.lua"}`;
  $("title").textContent = title(example);
  $("command").textContent = `moonwire examples/${example.name}/server.lua`;
  $("copy").textContent = `cp -r examples/${example.name} examples/common my-project/`;
  $("files").replaceChildren(...example.files.map((each) => choice(each, each, `${example.name}/${each}`)));
  for (const each of document.querySelectorAll("[data-path]")) {
    const inFiles = each.parentElement === $("files");
    each.ariaPressed = String(inFiles ? each.dataset.path === path : each.dataset.path.startsWith(`${example.name}/`));
  }
  const answer = await fetch(`source/${path}`);
  const text = await answer.text();
  $("source").replaceChildren(...coloured(text));
  $("source").scrollTo(0, 0);
  $("source").dataset.path = path;
}

try {
  examples = await (await fetch("examples")).json();
  $("examples").replaceChildren(...examples.map(card));
  addEventListener("hashchange", show);
  await show();
} catch (error) {
  $("problem").textContent = `The list of examples didn't come: ${error.message}. Is the server still running?`;
  $("problem").hidden = false;
}
