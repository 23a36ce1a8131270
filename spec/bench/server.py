# server.py - the same as server.lua with Python's websockets: / echoes, /fanout is a broadcast.
# SPDX-License-Identifier: MIT
import asyncio
import logging

import websockets

# A generator that resets its connections is no news: asyncio would tell for each message that was under way.
logging.getLogger("asyncio").setLevel(logging.ERROR)
clients = set()


async def serve(socket):
    # Later versions know the request, earlier ones only its path.
    path = socket.request.path if hasattr(socket, "request") else socket.path
    is_fanout = path == "/fanout"
    if is_fanout:
        clients.add(socket)
    try:
        async for message in socket:
            if is_fanout:
                websockets.broadcast(clients, message)
            else:
                await socket.send(message)
    except websockets.ConnectionClosed:
        pass
    finally:
        clients.discard(socket)


async def main():
    options = {"compression": None, "max_size": 16 << 20, "ping_interval": None, "write_limit": 64 << 20}
    async with websockets.serve(serve, "127.0.0.1", 0, **options) as server:
        listening = getattr(server, "sockets", None) or server.server.sockets
        print(listening[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())
