# websockets_client.py - a WebSocket client made of Python's `websockets`, for specs of our server.
# Runs with 10.4 (Debian 12: the legacy client is the only one) and 15 (Debian 13: the asyncio client).
#
# Options: url, protocols (list), headers (object), deflate (false | true | object of
#   server_no_context_takeover, client_no_context_takeover, server_max_window_bits, client_max_window_bits), ca (file).
#   Without a url it waits for the command to connect.
# Commands: {"connect": options} (a new connection; the one before should be closed) {"send": payload} {"send": payload, "every": N} (frames of N bytes, or characters of a text)
#   {"fragments": [payload, …]} {"ping": text} {"close": [code, reason]} {"terminate": true}
# Reports: open (protocol, extensions), sent and message (kind, length, sha256, text), pong, close (code, reason),
#   error (message), unexpected-response (status).
# SPDX-License-Identifier: MIT

import asyncio
import ssl

from lines import commands, describe, options, payload, report
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

try:
    from websockets.asyncio.client import connect

    IS_LEGACY = False
except ImportError:
    from websockets.legacy.client import connect

    IS_LEGACY = True

CLOSE_TIMEOUT = 120  # longer than any spec waits: this side is not to paper over a close that the other one missed


def extensions(settings):
    wanted = settings.get("deflate", False)
    if not wanted:
        return None
    return [ClientPerMessageDeflateFactory(**(wanted if isinstance(wanted, dict) else {}))]


def tls(settings):
    if not settings["url"].startswith("wss:"):
        return None
    return ssl.create_default_context(cafile=settings.get("ca"))


def open_connection(settings):
    # The newer one would also go through a proxy that the environment names.
    differing = {"extra_headers" if IS_LEGACY else "additional_headers": settings.get("headers", {})}
    if not IS_LEGACY:
        differing["proxy"] = None
    return connect(
        settings["url"],
        subprotocols=settings.get("protocols"),
        extensions=extensions(settings),
        compression=None,
        max_size=64 << 20,
        ping_interval=None,
        close_timeout=CLOSE_TIMEOUT,
        ssl=tls(settings),
        **differing,
    )


def answered_extensions(ws):
    headers = ws.response_headers if IS_LEGACY else ws.response.headers
    return headers.get("Sec-WebSocket-Extensions", "")


def cut(data, step):
    return [data[i : i + step] for i in range(0, len(data), step)] or [data]


class Client:
    def __init__(self):
        self.ws = None
        self.listening = None

    async def connect(self, settings):
        try:
            self.ws = await open_connection(settings)
        except Exception as error:  # whatever went wrong is what the spec asks about
            response = getattr(error, "response", None)
            status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
            if status:
                report("unexpected-response", status=status)
            else:
                report("error", message=repr(error))
            return
        report("open", protocol=self.ws.subprotocol or "", extensions=answered_extensions(self.ws))
        self.listening = asyncio.create_task(self.listen(self.ws))

    async def listen(self, ws):
        try:
            while True:
                report("message", **describe(await ws.recv()))
        except ConnectionClosed:
            report("close", code=ws.close_code, reason=ws.close_reason or "")

    async def obey(self, command):
        ws = self.ws
        if "connect" in command:
            await self.connect(command["connect"])
        elif "send" in command:
            data = payload(command["send"])
            await ws.send(cut(data, command["every"]) if "every" in command else data)
            report("sent", **describe(data))
        elif "fragments" in command:
            parts = [payload(part) for part in command["fragments"]]
            await ws.send(parts)
            report("sent", **describe(type(parts[0])().join(parts)))
        elif "ping" in command:
            waiter = await ws.ping(command["ping"])
            waiter.add_done_callback(lambda done: done.exception() or report("pong", text=command["ping"]))
        elif "close" in command:
            await ws.close(*command["close"])
        elif "terminate" in command:
            ws.transport.abort()
        else:
            raise ValueError("unknown command")


async def main():
    client = Client()
    if "url" in options:
        await client.connect(options)
    await commands(client.obey)


asyncio.run(main())
