"""Starts a program again and again, lets another allocation fail in each run, and visits it: WebSocket with compression,
publications, HTTP with bodies, files and streams, and what makes the program a client of itself.

    malloc_sweep.py JOB, a JSON object:
      command      the program and its arguments; it prints {"port": …} when it serves
      preload      the shared object that lets calls fail (spec/native/failing_malloc.c)
      content      the file that it serves
      when         "start": calls are counted from the program's start; "script": from when its script says so, by writing the
                   number in FAIL_AT to the file in FAILING_MALLOC; "serves": from when it serves; "soak": one run in which
                   calls fail again and again, and which tells what the program holds after each round
      first, last, step   which call fails first: one run each
      length       so many in a row
      every        … and again after so many more
      visits       in a round of "soak"
      tls          over TLS
      environment  further variables of the program
      at_once      runs at a time
      verbose      tell of every run

Outcomes: "went on" (everybody who came after the failure was served completely), "ended" (exit code 1 and a line in the log),
"untouched" (no call failed), or what is wrong. Tells {"event": "run"} for each that is wrong, with the program's log and
which connections were damaged, and in the end {"event": "done"} with how many there were of each.
"""
# SPDX-License-Identifier: MIT
import json
import mmap
import os
import queue
import random
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

LIMIT_SECONDS = 10  # a run that takes longer for a single answer hangs
NEVER = 1 << 60
TAIL = b"\0\0\xff\xff"
NOISE = random.Random(1).randbytes(20000)  # does not compress
PLAIN = b"moonwire " * 8000
CLOSED = (ConnectionError, EOFError, ssl.SSLError, BrokenPipeError)


class Damaged(Exception):
    """The connection was hit: closed, or answered with an error."""


class Wrong(Exception):
    """What must never happen."""


class Stream:
    """A connected socket, read by need."""

    def __init__(self, port, tls):
        sock = socket.create_connection(("127.0.0.1", port), LIMIT_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.bytes = sock, b""
        if tls:
            try:
                self.sock = tls.wrap_socket(sock)
            except BaseException:
                sock.close()
                raise

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise EOFError
        self.bytes += data

    def take(self, count):
        while len(self.bytes) < count:
            self.fill()
        taken, self.bytes = self.bytes[:count], self.bytes[count:]
        return taken

    def take_until(self, end):
        while end not in self.bytes:
            self.fill()
        at = self.bytes.index(end) + len(end)
        taken, self.bytes = self.bytes[:at], self.bytes[at:]
        return taken

    def close(self):
        self.sock.close()


class WebSocket:
    def __init__(self, port, tls):
        self.stream = Stream(port, tls)
        self.stream.send(
            b"GET /rooms/lobby HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        )
        head = self.stream.take_until(b"\r\n\r\n")
        status = int(head[9:12])
        if status != 101:
            raise Damaged("opening handshake: %d" % status)
        if b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" not in head or b"permessage-deflate" not in head:
            raise Wrong("opening handshake: %r" % head)
        self.inflate = zlib.decompressobj(-15)
        self.seen = []  # publications

    def frame(self, opcode, data, fin=True, rsv1=False):
        size = len(data)
        head = bytes([(0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += struct.pack(">BH", 0x80 | 126, size)
        else:
            head += struct.pack(">BQ", 0x80 | 127, size)
        self.stream.send(head + b"\0\0\0\0" + data)  # the key that masks nothing

    def send(self, data, parts=1):
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)  # without context takeover, as was agreed on
        packed = (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]
        step = -(-len(packed) // parts)
        for i in range(parts):
            self.frame(2 if i == 0 else 0, packed[i * step : (i + 1) * step], i == parts - 1, i == 0)

    def take(self):
        """The next frame that is no publication."""
        while True:
            first, size = self.stream.take(2)
            if size == 126:
                size = struct.unpack(">H", self.stream.take(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self.stream.take(8))[0]
            data = self.stream.take(size)
            if first & 0x40:
                data = self.inflate.decompress(data + TAIL)
            opcode = first & 0x0F
            if opcode == 8:
                code = struct.unpack(">H", data[:2])[0] if len(data) > 1 else 1005
                if code in (1002, 1007, 1009):
                    raise Wrong("closed with %d %r" % (code, data[2:]))
                return "close", code
            if opcode == 1:
                self.seen.append(data)
                continue
            return {2: "message", 10: "pong"}[opcode], data

    def expect(self, kind, data):
        got = self.take()
        if got[0] == "close":
            raise Damaged("closed with %d" % got[1])
        if got != (kind, data):
            raise Wrong("instead of a %s of %d bytes: %s %r" % (kind, len(data), got[0], got[1][:80]))

    def echo(self, data, parts=1):
        self.send(data, parts)
        self.expect("message", data)

    def goodbye(self):
        self.frame(8, struct.pack(">H", 1000))
        kind, code = self.take()
        if kind != "close":
            raise Wrong("no Close frame: %s" % kind)
        if code != 1000:
            raise Damaged("closed with %d" % code)
        self.stream.close()


def request(stream, head, body=b""):
    stream.send(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
    answer = stream.take_until(b"\r\n\r\n").decode()
    status = int(answer[9:12])
    fields = dict(line.lower().split(": ", 1) for line in answer.split("\r\n")[1:] if line)
    if fields.get("transfer-encoding") == "chunked":
        data = b""
        while True:
            size = int(stream.take_until(b"\r\n"), 16)
            data += stream.take(size + 2)[:-2]
            if not size:
                break
    else:
        data = stream.take(int(fields.get("content-length", "0")))
    if status in (404, 405, 400, 413, 414, 431):
        raise Wrong("%s: %d %r" % (head.split("\n")[0], status, data[:200]))
    if status != 200:
        raise Damaged("%s: %d %r" % (head.split("\n")[0], status, data[:200]))
    return data


def ask(stream, target, expected):
    data = request(stream, "GET %s HTTP/1.1\nHost: localhost" % target)
    if data != expected:
        raise Wrong("GET %s: %d bytes, %r" % (target, len(data), data[:200]))


class Visit:
    """What one guest does: a WebSocket that is acknowledged for what it says, and a connection for requests."""

    def __init__(self, port, tls, content, tag):
        self.port, self.tls, self.content, self.tag = port, tls, content, tag
        self.acknowledged, self.damaged = [], []

    def say(self, ws, text, *more):
        ws.echo(b"say " + text, *more)
        self.acknowledged.append(text)

    def talk(self):
        ws = WebSocket(self.port, self.tls)
        try:
            self.say(ws, self.tag + b" short")
            ws.echo(PLAIN)
            ws.echo(NOISE)
            self.say(ws, self.tag + b" in parts " + PLAIN[:200], 3)
            ws.frame(9, b"are you there?")
            ws.expect("pong", b"are you there?")
            self.say(ws, self.tag + b" last")
            ws.goodbye()
        finally:
            ws.stream.close()

    def ask(self):
        stream = Stream(self.port, self.tls)
        try:
            ask(stream, "/", b"hello\n")
            data = request(stream, "POST /count HTTP/1.1\nHost: localhost\nContent-Length: %d" % len(PLAIN), PLAIN)
            if data != b"%d" % len(PLAIN):
                raise Wrong("POST: %r" % data)
            ask(stream, "/files/content", self.content)
            ask(stream, "/stream", b"a b c ")
            ask(stream, "/fetch", b"hello\n")
            ask(stream, "/connect", b"and back")
        finally:
            stream.close()

    def make(self, which):
        for name in which:
            try:
                getattr(self, name)()
            except Damaged as problem:
                self.damaged.append("%s: %s" % (name, problem))
            except socket.timeout:
                raise Wrong("%s: no answer within %d s" % (name, LIMIT_SECONDS)) from None
            except CLOSED as problem:
                self.damaged.append("%s: closed (%s)" % (name, type(problem).__name__))
        return self


class Run:
    def __init__(self, job, number):
        self.job, self.number = job, number
        self.result = {"number": number, "damaged": []}
        self.tls = None
        if job.get("tls"):
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        with open(job["content"], "rb") as file:
            self.content = file.read()

    def arm(self, first):
        struct.pack_into("<3Q", self.control, 8, self.job.get("length", 1), self.job.get("every", 0), 0)
        struct.pack_into("<Q", self.control, 0, first)

    def counts(self):
        return struct.unpack_from("<2Q", self.control, 24)

    def start(self):
        file = tempfile.NamedTemporaryFile()
        file.write(bytes(64))
        file.flush()
        self.control = mmap.mmap(file.fileno(), 64)
        self.arm(self.number if self.job["when"] == "start" else 0)
        environment = dict(os.environ, LD_PRELOAD=self.job["preload"], FAILING_MALLOC=file.name)
        if self.job["when"] == "script":
            environment["FAIL_AT"] = str(self.number)
        environment.update(self.job.get("environment", {}))
        self.log = tempfile.TemporaryFile()
        self.child = subprocess.Popen(
            self.job["command"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log
        )
        timer = threading.Timer(LIMIT_SECONDS, self.child.kill)
        timer.start()
        line = self.child.stdout.readline()
        timer.cancel()
        file.close()
        return json.loads(line)["port"] if line.endswith(b"\n") else None

    def stderr(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def wait(self):
        try:
            return self.child.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise Wrong("it did not end") from None

    def explained(self):
        # Lua and the loader take a file that could not be opened, for want of memory too, for one that is not there.
        return re.search("memory|module .* not found|error loading module", self.stderr())

    def check_end(self):
        code = self.wait()
        if code == 255 and self.stderr() == "Out of memory\n":
            return "ended"  # by lua-cjson, which asks nobody
        if code != 1:
            raise Wrong("it ended with %s" % (("signal %d" % -code) if code < 0 else ("code %d" % code)))
        if not self.explained():
            raise Wrong("it ended without a word about memory")
        return "ended"

    def check_stop(self):
        self.child.send_signal(signal.SIGTERM)
        code = self.wait()
        if code not in (0, 1) or "could not be closed" in self.stderr():
            raise Wrong("at SIGTERM it ended with %d" % code)

    def has_ended(self, damaged):
        """A connection that breaks may be the first sign of the process's end."""
        if not damaged:
            return self.child.poll() is not None
        try:
            self.child.wait(0.02)
            return True
        except subprocess.TimeoutExpired:
            return False

    def visits(self, port):
        bystander = None
        which = self.job.get("visits", ["talk", "ask"])
        if self.job["when"] == "serves":
            if self.job.get("warm"):
                Visit(port, self.tls, self.content, b"warm").make(which)
            bystander = WebSocket(port, self.tls)
            bystander.echo(b"I was here before")
            self.arm(self.number)
        first = Visit(port, self.tls, self.content, b"first").make(which)
        calls, failed = self.counts()
        self.result["calls"] = calls
        struct.pack_into("<Q", self.control, 0, NEVER if failed else 0)
        self.result["damaged"] = damaged = first.damaged
        if self.has_ended(damaged):
            return self.check_end()
        if bystander:
            try:
                bystander.echo(b"I am still here")
                missing = [text for text in first.acknowledged if b"say " + text not in bystander.seen]
                if missing:
                    raise Wrong("a publication is missing: %r" % missing[0][:40])
            except (Damaged, *CLOSED) as problem:
                damaged.append("bystander: %s %s" % (type(problem).__name__, problem))
                bystander = None
        if self.has_ended(damaged):
            return self.check_end()
        if damaged and not self.explained() and not all("memory" in what for what in damaged):
            raise Wrong("silence")
        second = Visit(port, self.tls, self.content, b"second").make(which)
        if second.damaged:
            raise Wrong("afterwards: " + "; ".join(second.damaged))
        if bystander:
            bystander.echo(b"and here")
            if [text for text in second.acknowledged if b"say " + text not in bystander.seen]:
                raise Wrong("a later publication is missing")
            bystander.goodbye()
        self.check_stop()
        if len(damaged) > self.job.get("length", 1):
            raise Wrong("several connections were hit")
        return "went on" if failed else "untouched"

    def account(self):
        """What the program holds when nobody is there."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            stream = Stream(self.port, self.tls)
            told = json.loads(request(stream, "GET /account HTTP/1.1\nHost: localhost"))
            stream.close()
            if told["connections"] == 1 and told["websockets"] == 0:
                break
            if time.monotonic() > deadline:
                raise Wrong("connections are left over: %r" % told)
        with open("/proc/%d/status" % self.child.pid) as status:
            told["memory"] = int(re.search(r"VmRSS:\s*(\d+)", status.read()).group(1))
        told["descriptors"] = len(os.listdir("/proc/%d/fd" % self.child.pid))
        return told

    def soak(self, port):
        self.port = port
        which = ["talk", "ask"]
        chance = random.Random(self.number)
        Visit(port, self.tls, self.content, b"before").make(which)
        rounds = [self.account()]
        for _ in range(4):
            for _ in range(self.job["visits"]):
                # From another call on each time: the same ones would fail again and again.
                self.arm(chance.randint(1, 2 * self.job["every"]))
                Visit(port, self.tls, self.content, b"during").make(which)
            struct.pack_into("<Q", self.control, 0, 0)
            if Visit(port, self.tls, self.content, b"behind").make(which).damaged:
                raise Wrong("it did not recover")
            rounds.append(self.account())
            # Connections that linger, and files that a thread closes, are gone soon.
            deadline = time.monotonic() + LIMIT_SECONDS
            while rounds[-1]["descriptors"] > rounds[0]["descriptors"] and time.monotonic() < deadline:
                time.sleep(0.05)
                rounds[-1] = self.account()
        self.result["rounds"] = rounds
        self.check_stop()
        return "went on"

    def make(self):
        began = time.monotonic()
        try:
            port = self.start()
            if not port:
                self.result["outcome"] = self.check_end()
            else:
                self.result["outcome"] = (self.soak if self.job["when"] == "soak" else self.visits)(port)
        except Wrong as problem:
            self.result["outcome"] = str(problem)
        except (Damaged, socket.timeout, *CLOSED) as problem:
            self.result["outcome"] = "%s %s" % (type(problem).__name__, problem)
            if self.has_ended([1]):
                try:
                    self.result["outcome"] = self.check_end()
                except Wrong as worse:
                    self.result["outcome"] = str(worse)
        finally:
            if self.child.poll() is None:
                self.child.kill()
                self.child.wait()
            self.child.stdout.close()
        self.result["failed"] = self.counts()[1]
        log = self.stderr()
        self.result["log"] = log if len(log) < 6000 else log[:4000] + "\n…\n" + log[-2000:]
        self.result["seconds"] = round(time.monotonic() - began, 3)
        return self.result


def main():
    job = json.loads(sys.argv[1])
    numbers, lock, counts, rounds = queue.Queue(), threading.Lock(), {}, None
    for number in range(job["first"], job["last"] + 1, job.get("step", 1)):
        numbers.put(number)
    job.setdefault("content", job["command"][-1] + "/content")

    def work():
        nonlocal rounds
        while True:
            try:
                number = numbers.get_nowait()
            except queue.Empty:
                return
            result = Run(job, number).make()
            with lock:
                outcome = result["outcome"]
                counts[outcome] = counts.get(outcome, 0) + 1
                rounds = result.get("rounds", rounds)
                if job.get("verbose") or outcome not in ("went on", "ended", "untouched"):
                    print(json.dumps({"event": "run", **result}), flush=True)

    workers = [threading.Thread(target=work) for _ in range(job.get("at_once", 4))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(json.dumps({"event": "done", "counts": counts, "rounds": rounds}), flush=True)


main()
