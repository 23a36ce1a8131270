// lines.mjs - how a peer talks with the spec that started it: its options are one JSON object in the first argument,
// commands come as JSON lines on standard input, reports leave as JSON lines on standard output ({"event": …}).
// A peer ends when its standard input ends, so that none outlives its spec.
// SPDX-License-Identifier: MIT

import { createHash } from "node:crypto";
import { createInterface } from "node:readline";

const SHORT = 8192; // bytes; longer payloads are reported by length and digest only

export const options = JSON.parse(process.argv[2] ?? "{}");

export function report(event, fields = {}) {
  process.stdout.write(JSON.stringify({ event, ...fields }) + "\n");
}

// Calls `run(command)` for one line after the other; a command may take its time.
export async function commands(run) {
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      await run(JSON.parse(line));
    } catch (error) {
      report("failed", { message: String(error?.message ?? error), command: line.slice(0, 200) });
    }
  }
  process.exit(0);
}

export function digest(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

// What a payload was, in few words.
export function describe(data, isBinary) {
  const bytes = Buffer.isBuffer(data) ? data : Buffer.from(data);
  const told = { kind: isBinary ? "binary" : "text", length: bytes.length, sha256: digest(bytes) };
  if (bytes.length <= SHORT) {
    if (isBinary) told.base64 = bytes.toString("base64");
    else told.text = bytes.toString();
  }
  return told;
}

// Payloads as specs write them: {"text": …} | {"binary_base64": …} | {"size": N, "kind": "text"|"binary", "fill": …}.
// Sized texts hold characters of one to four bytes, so that cutting them anywhere cuts characters; sized binaries don't compress.
// "fill" is a string to repeat instead.
export function payload(spec) {
  if (spec.text !== undefined) return { bytes: Buffer.from(spec.text), isBinary: false };
  if (spec.binary_base64 !== undefined) return { bytes: Buffer.from(spec.binary_base64, "base64"), isBinary: true };
  const isBinary = spec.kind === "binary";
  if (isBinary && spec.fill === undefined) return { bytes: noise(spec.size), isBinary };
  const unit = Buffer.from(spec.fill ?? "mß世🌙");
  const whole = Math.floor(spec.size / unit.length);
  return { bytes: Buffer.concat([...Array(whole).fill(unit), Buffer.alloc(spec.size - whole * unit.length, ".")]), isBinary };
}

// The same bytes in every run (xorshift32).
function noise(size) {
  const bytes = Buffer.alloc(size);
  let state = 2463534242;
  for (let i = 0; i < size; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
  }
  return bytes;
}
