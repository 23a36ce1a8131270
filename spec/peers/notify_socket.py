# notify_socket.py - what a service manager hears: a Unix socket for datagrams.
# Options: path, or name (of one without a file).
# Reports: listening, notified (lines: a list).
# SPDX-License-Identifier: MIT
import asyncio
import socket

from lines import commands, options, report


class Ear(asyncio.DatagramProtocol):
    def datagram_received(self, data, _):
        report("notified", lines=data.decode().splitlines())


async def nothing(_):
    pass


async def main():
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear.bind("\0" + options["name"] if "name" in options else options["path"])
    await asyncio.get_running_loop().create_datagram_endpoint(Ear, sock=ear)
    report("listening")
    await commands(nothing)


asyncio.run(main())
