# activate.py - opens sockets as a service manager does, and becomes the program that shall serve on them. Argument: JSON
# with "sockets" (each with "name", and "host" and "port" or "path"; "datagram" makes it one that nobody can listen on),
# "environment" (added to our own), "other_process" (the sockets are somebody else's) and "command".
# SPDX-License-Identifier: MIT
import json
import os
import socket
import sys

options = json.loads(sys.argv[1])
FIRST = 3
sockets = []
for wanted in options["sockets"]:
    kind = socket.SOCK_DGRAM if wanted.get("datagram") else socket.SOCK_STREAM
    if "path" in wanted:
        one = socket.socket(socket.AF_UNIX, kind)
        one.bind(wanted["path"])
    else:
        host = wanted.get("host", "127.0.0.1")
        one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, wanted["port"]))
    if kind == socket.SOCK_STREAM:
        one.listen(128)
    sockets.append(one)

# Out of the way first, so that none is overwritten by another.
high = [os.dup2(one.fileno(), 100 + i) for i, one in enumerate(sockets)]
for i, descriptor in enumerate(high):
    os.dup2(descriptor, FIRST + i, inheritable=True)
    os.close(descriptor)
environment = dict(os.environ, **options.get("environment", {}))
environment["LISTEN_FDS"] = str(len(sockets))
environment["LISTEN_PID"] = str(os.getpid() + (1 if options.get("other_process") else 0))
environment["LISTEN_FDNAMES"] = ":".join(wanted["name"] for wanted in options["sockets"])
os.execvpe(options["command"][0], options["command"], environment)
