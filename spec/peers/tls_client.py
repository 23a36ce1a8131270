# tls_client.py - TLS by Python's ssl (OpenSSL), for specs of our server: one handshake, one GET, one report.
#
# Commands: {"get": {port, path, servername, ca, cert, key, version: "1.2"|"1.3", ciphers, alpn: [name, …], resume: name}}
#   A session is kept under the name `resume`, and offered the next time that name is used; `port` may be another one.
#   {"connect": {…}}    the same without the GET; then {"ask": path}
# Reports: connected, sent, got (version, cipher, alpn, names, serial, reused, status, body), refused (message)
# SPDX-License-Identifier: MIT

import asyncio
import json
import socket
import ssl

from lines import commands, report

VERSIONS = {"1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
SECONDS = 20

kept = {}  # name -> context (a session belongs to one) and session


def make_context(settings):
    context = ssl.create_default_context(cafile=settings["ca"])
    context.check_hostname = False
    if "version" in settings:
        if settings["version"] == "1.1":  # OpenSSL refuses it by itself at its usual level
            context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = VERSIONS[settings["version"]]
    if "ciphers" in settings:
        context.set_ciphers(settings["ciphers"])
    if "alpn" in settings:
        context.set_alpn_protocols(settings["alpn"])
    if "cert" in settings:
        context.load_cert_chain(settings["cert"], settings["key"])
    return context


def read_answer(stream):
    head = b""
    while b"\r\n\r\n" not in head:
        piece = stream.recv(65536)
        if not piece:
            raise ConnectionError("the server closed the connection")
        head += piece
    head, body = head.split(b"\r\n\r\n", 1)
    while piece := stream.recv(65536):
        body += piece
    return int(head.split()[1]), body.decode()


def connect(settings):
    context, session = kept.get(settings.get("resume")) or (make_context(settings), None)
    plain = socket.create_connection(("127.0.0.1", settings["port"]), SECONDS)
    return context.wrap_socket(plain, server_hostname=settings.get("servername"), session=session)


def ask(stream, path):
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    report("sent")
    status, body = read_answer(stream)
    shown = stream.getpeercert()
    return dict(version=stream.version(), cipher=stream.cipher()[0], alpn=stream.selected_alpn_protocol(),
                names=[value for _, value in shown.get("subjectAltName", ())], serial=shown.get("serialNumber"),
                compression=stream.compression(), reused=bool(stream.session_reused), status=status, body=body)


def get(settings):
    with connect(settings) as stream:
        answer = ask(stream, settings.get("path", "/"))
        if "resume" in settings:
            kept[settings["resume"]] = stream.context, stream.session
        report("got", **answer)


opened = []


async def run(command):
    try:
        if "connect" in command:
            opened.append(connect(command["connect"]))
            report("connected")
        elif "ask" in command:
            with opened.pop() as stream:
                report("got", **ask(stream, command["ask"]))
        else:
            get(command["get"])
    except (ssl.SSLError, OSError) as error:
        report("refused", message=getattr(error, "reason", None) or str(error))


asyncio.run(commands(run))
