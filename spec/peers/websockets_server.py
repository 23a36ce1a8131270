# websockets_server.py - a WebSocket server made of Python's `websockets`, for specs of our client.
# Runs with 10.4 (Debian 12) and 15 (Debian 13), as websockets_client.py does. Paths:
#   /echo                    every message comes back
#   /fragments               every message comes back in frames of 7 bytes (7 characters of a text)
#   /close/<code>/<reason>   closes at once
#   /ping                    pings, and sends "pong came" when the pong is back
#   anything else            is refused with 404
#
# Options: cert, key (files; makes it wss), deflate (as for websockets_client.py), protocol.
# Reports: listening (port), connection (path, protocol), message (path, kind, length, sha256, text), close (path, code, reason).
# SPDX-License-Identifier: MIT

import asyncio
import http
import ssl
from urllib.parse import unquote

from lines import commands, describe, options, report
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

try:
    from websockets.asyncio.server import serve

    IS_LEGACY = False
except ImportError:
    from websockets.legacy.server import serve

    IS_LEGACY = True

FRAME = 7
CLOSE_TIMEOUT = 120  # longer than any spec waits: this side is not to paper over a close that the other one missed
KNOWN = {"echo", "fragments", "close", "ping"}


def name_of(path):
    return path.split("/")[1]


def cut(data):
    return [data[i : i + FRAME] for i in range(0, len(data), FRAME)] or [data]


async def serve_one(ws, path):
    name, *rest = path.split("/")[1:]
    if name == "close":
        return await ws.close(int(rest[0]), unquote(rest[1]))
    if name == "ping":
        await (await ws.ping("are you there?"))
        return await ws.send("pong came")
    async for data in ws:
        report("message", path=path, **describe(data))
        await ws.send(cut(data) if name == "fragments" else data)


async def handler(ws, *_):
    path = ws.path if IS_LEGACY else ws.request.path
    report("connection", path=path, protocol=ws.subprotocol or "")
    try:
        await serve_one(ws, path)
        await ws.wait_closed()
    except ConnectionClosed:
        pass
    report("close", path=path, code=ws.close_code, reason=ws.close_reason or "")


# The two generations of the library ask in different ways.
async def refuse_legacy(path, headers):
    if name_of(path) not in KNOWN:
        return http.HTTPStatus.NOT_FOUND, [], b"no such path\n"


def refuse(connection, request):
    if name_of(request.path) not in KNOWN:
        return connection.respond(http.HTTPStatus.NOT_FOUND, "no such path\n")


# Whoever offers nothing is welcome too; the newer library would refuse.
def choose(offered):
    return options["protocol"] if options.get("protocol") in offered else None


def extensions():
    wanted = options.get("deflate", False)
    if not wanted:
        return None
    return [ServerPerMessageDeflateFactory(**(wanted if isinstance(wanted, dict) else {}))]


def tls():
    if "cert" not in options:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options["cert"], options["key"])
    return context


async def main():
    server = await serve(
        handler,
        "127.0.0.1",
        options.get("port", 0),
        subprotocols=[options["protocol"]] if "protocol" in options else None,
        select_subprotocol=(lambda offered, _: choose(offered)) if IS_LEGACY else (lambda _, offered: choose(offered)),
        extensions=extensions(),
        compression=None,
        max_size=64 << 20,
        ping_interval=None,
        close_timeout=CLOSE_TIMEOUT,
        process_request=refuse_legacy if IS_LEGACY else refuse,
        ssl=tls(),
    )
    report("listening", port=next(iter(server.sockets)).getsockname()[1])
    await commands(lambda command: asyncio.sleep(0))


asyncio.run(main())
