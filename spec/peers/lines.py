# lines.py - how a Python peer talks with the spec that started it; the same manners as lines.mjs.
# SPDX-License-Identifier: MIT

import asyncio
import base64
import hashlib
import json
import os
import sys

SHORT = 8192  # bytes; longer payloads are reported by length and digest only

options = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def report(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


async def commands(run):
    """Call `run(command)` for every line of standard input; end the process with it."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=64 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            await run(json.loads(line))
        except Exception as error:  # the spec is to see whatever went wrong
            report("failed", message=repr(error), command=line[:200].decode())
    os._exit(0)


def describe(data):
    """What a payload was, in few words."""
    is_text = isinstance(data, str)
    raw = data.encode() if is_text else bytes(data)
    told = {"kind": "text" if is_text else "binary", "length": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    if len(raw) <= SHORT:
        told.update({"text": data} if is_text else {"base64": base64.b64encode(raw).decode()})
    return told


def payload(spec):
    """Payloads as specs write them, see lines.mjs. Returns str or bytes."""
    if "text" in spec:
        return spec["text"]
    if "binary_base64" in spec:
        return base64.b64decode(spec["binary_base64"])
    size = spec["size"]
    if spec.get("kind") == "binary" and "fill" not in spec:
        return _noise(size)
    unit = spec.get("fill", "mß世🌙").encode()
    raw = unit * (size // len(unit)) + b"." * (size % len(unit))
    return raw if spec.get("kind") == "binary" else raw.decode()


def _noise(size):
    """Bytes that don't compress, the same in every run."""
    blocks = (hashlib.sha256(i.to_bytes(4, "big")).digest() for i in range(size // 32 + 1))
    return b"".join(blocks)[:size]
