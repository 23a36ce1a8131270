// tls_client.mjs - TLS by node, for specs of our server: many WebSockets of one kind, and single https requests.
//
// Commands: {"open": {count, url, ca, servername, cert, key}}   that many WebSockets more
//   {"echo": text}     sends it on all of them, and reports when all have had it back
//   {"get": {url, ca, servername, cert, key}}
// Reports: opened (count, serials: what the server showed, each once), echoed (text, count), closed (code),
//   got (status, body, serial, protocol, authorized), refused (code, message)
// SPDX-License-Identifier: MIT

import { readFileSync } from "node:fs";
import { Agent, get } from "node:https";
import { WebSocket } from "ws";
import { commands, report } from "./lines.mjs";

const all = [];

function tlsOptions({ ca, cert, key, servername }) {
  return {
    ca: readFileSync(ca),
    cert: cert && readFileSync(cert),
    key: key && readFileSync(key),
    servername,
    checkServerIdentity: () => undefined, // which name is shown is for the spec to judge
  };
}

function opened(settings) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(settings.url, tlsOptions(settings));
    let serial;
    ws.on("upgrade", (response) => (serial = response.socket.getPeerCertificate().serialNumber));
    ws.on("open", () => resolve(serial));
    ws.on("close", (code) => report("closed", { code }));
    ws.on("error", reject);
    all.push(ws);
  });
}

async function open(settings) {
  const serials = await Promise.all(Array.from({ length: settings.count }, () => opened(settings)));
  report("opened", { count: serials.length, serials: [...new Set(serials)] });
}

async function echo(text) {
  const answers = all.map((ws) => new Promise((resolve) => ws.once("message", (data) => resolve(data.toString()))));
  all.forEach((ws) => ws.send(text));
  report("echoed", { texts: [...new Set(await Promise.all(answers))], count: answers.length });
}

function request(settings) {
  return new Promise((resolve) => {
    const agent = new Agent({ ...tlsOptions(settings), keepAlive: false });
    get(settings.url, { agent }, async (response) => {
      const { socket } = response;
      const told = {
        serial: socket.getPeerCertificate().serialNumber,
        protocol: socket.getProtocol(),
        authorized: socket.authorized,
      };
      const body = Buffer.concat(await response.toArray()).toString();
      resolve(report("got", { status: response.statusCode, body, ...told }));
    }).on("error", ({ code, message }) => resolve(report("refused", { code, message })));
  });
}

commands(async (command) => {
  try {
    if (command.open) await open(command.open);
    else if (command.echo) await echo(command.echo);
    else await request(command.get);
  } catch ({ code, message }) {
    report("refused", { code, message });
  }
});
