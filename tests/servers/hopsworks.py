"""A local double of Hopsworks' REST API, real HTTPS on loopback, as the 5.2.1 client was measured to speak with it.

In tests: `with HopsworksServer() as server:`. Alone: `python -m tests.servers.hopsworks` shows what to set, and
`python -m tests.servers.hopsworks make run` starts the whole app on it. Strict where the real server is
known to be: destinations are not overwritten, uploads are not atomic, lists stop at their limit, a missing path is an error 400.
What it keeps is in hopsworks_store.
"""

import argparse
import contextlib
import datetime
import ipaddress
import json
import os
import random
import re
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.servers.hopsworks_store import Refusal, Store

PROJECT_ID = "119"
API = "/hopsworks-api/api/"
CREDENTIALS = {"kStore": "AA==", "tStore": "AA==", "password": "p", "caChain": "ca", "clientCert": "cert", "clientKey": "key"}


@dataclass
class Request:
    """One request: decoded path segments after the API's base, query and body."""

    method: str
    segments: list[str]
    query: dict[str, list[str]]
    headers: Any
    body: bytes

    @property
    def path(self) -> str:
        return "/".join(self.segments)

    def one(self, name: str) -> str | None:
        return self.query[name][0] if name in self.query else None

    def number(self, name: str, default: int) -> int:
        return int(self.one(name) or default)


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"


@dataclass
class Logged:
    """One line of the request log; no key in it."""

    method: str
    path: str
    status: int = 0


@dataclass
class Fault:
    """What goes wrong with the next `times` requests to a path; see HopsworksServer.fail."""

    path: str
    times: int | None
    method: str | None
    status: int | None = None
    body: bytes = b""
    content_type: str = "application/json"
    delay: float = 0.0
    truncate: int | None = None
    drop: str | None = None


@dataclass
class Chaos:
    """Random faults with these probabilities per request."""

    random: random.Random
    unavailable: float
    drop_before: float
    drop_after: float
    delayed: float
    seconds: float
    done: dict[str, int] = field(default_factory=dict)

    def next(self) -> Fault | None:
        dice = self.random.random()
        for name, chance, fault in (
            ("503", self.unavailable, {"status": 503}),
            ("dropped before", self.drop_before, {"drop": "before"}),
            ("dropped after", self.drop_after, {"drop": "after"}),
            ("delayed", self.delayed, {"delay": self.seconds}),
        ):
            if dice < chance:
                self.done[name] = self.done.get(name, 0) + 1
                return Fault("", 1, None, **fault)
            dice -= chance
        return None


class Routes:
    """What each route answers."""

    store: Store
    keys: set[str]

    def answer(self, request: Request) -> Reply:
        try:
            self.check_key(request)
            return self.route(request)
        except Refusal as refusal:
            return refused(refusal)

    def check_key(self, request: Request) -> None:
        kind, _, key = (request.headers.get("Authorization") or "").partition(" ")
        if kind != "ApiKey" or key not in self.keys:
            raise Refusal(401, 320002, "Could not authenticate with the API key.")

    def route(self, request: Request) -> Reply:
        match request.method, *request.segments:
            case "GET", "variables", "versions":
                return as_json([{"software": "hopsworks", "version": "5.2.0"}])
            case "GET", "variables", "upload_policy":
                return as_json({"successMessage": "enabled"})
            case "GET", "project":
                return as_json([{"user": {"username": "meb10000"}, "project": {"name": self.store.project}}])
            case "GET", "project", "getProjectInfo", name:
                if name != self.store.project:
                    raise Refusal(400, 150004, "Project not found.")
                return as_json({"projectId": int(PROJECT_ID), "projectName": name})
            case "GET", "project", "119", "credentials":
                return as_json(CREDENTIALS)
            case _, "project", "119", "dataset", *rest:
                return self.dataset(request, rest)
            case _, "project", "119", "modelregistries", "119", "models", *rest:
                return self.models(request, rest)
        raise LookupError(f"the double has no route for {request.method} {request.path}")

    def dataset(self, request: Request, rest: list[str]) -> Reply:
        store = self.store
        match request.method, rest, request.one("action"):
            case "GET", ["download", "with_auth", path], None:
                return Reply(body=store.content(path), content_type="application/octet-stream")
            case "GET", [path], None:
                return as_json(store.stat(path))
            case "GET", [path], "listing":
                return as_json(
                    store.listing(path, request.number("offset", 0), request.number("limit", 1000), request.one("sort_by") or "")
                )
            case "POST", ["upload", folder], None:
                fields, data = multipart(request)
                store.chunk(folder, fields, data)
                return Reply()
            case "POST", [path], "create":
                return as_json(store.mkdir(path), 201)
            case "POST", [path], ("copy" | "move") as action:
                store.transfer(path, request.one("destination_path") or "", move=action == "move")
                return Reply(204)
            case "DELETE", [path], None:
                store.remove(path)
                return Reply(204)
        raise LookupError(f"the double has no route for {request.method} {request.path}?{request.query}")

    def models(self, request: Request, rest: list[str]) -> Reply:
        match request.method, rest:
            case "GET", []:
                (chosen,) = request.query["filter_by"]
                limit = request.one("limit")
                found = self.store.models_named(chosen.removeprefix("name_eq:"), request.one("sort_by"), int(limit) if limit else None)
                return as_json(found)
            case "GET", [key]:
                return as_json(self.store.model(key))
            case "PUT", [key]:
                return as_json(self.store.register(key, json.loads(request.body, parse_constant=_no_number)))
            case "DELETE", [key]:
                self.store.unregister(key)
                return Reply(204)
        raise LookupError(f"the double has no route for {request.method} {request.path}")


def _no_number(constant: str) -> None:
    raise Refusal(400, 360002, f"{constant} is no JSON.")


def as_json(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode())


def refused(refusal: Refusal) -> Reply:
    return as_json({"errorCode": refusal.code, "errorMsg": refusal.message, "usrMsg": ""}, refusal.status)


def multipart(request: Request) -> tuple[dict[str, str], bytes]:
    """The text fields and the one file of a form."""
    boundary = re.search("boundary=([^;]+)", request.headers["Content-Type"])[1].encode()
    fields, data = {}, b""
    for part in (b"\r\n" + request.body).split(b"\r\n--" + boundary)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]+)"', head)[1].decode()
        if b"filename=" in head:
            data = value
        else:
            fields[name] = value.decode()
    return fields, data


class HopsworksServer(Routes):
    """The double as a context manager: `host`, `port`, `certificate`, `key`, `store`, `requests`, `fail`, `chaos`, `away`, `back`."""

    def __init__(self, port: int = 0, project: str = "demo", key: str = "a-key-for-tests") -> None:
        self.host, self.port, self.project, self.key = "localhost", port, project, key
        self.keys = {key}
        self.store = Store(project)
        self.requests: list[Logged] = []
        self.errors: list[str] = []  # unknown routes and tracebacks: a test insists that there are none
        self.faults: list[Fault] = []
        self.trouble: Chaos | None = None
        self.before: Callable[[Request], None] = lambda request: None  # called before and after each request is worked on
        self.after: Callable[[Request], None] = lambda request: None
        self.lock = threading.RLock()
        self.open: set[socket.socket] = set()
        self.listener: Listener | None = None

    def __enter__(self) -> "HopsworksServer":
        self.folder = tempfile.TemporaryDirectory(prefix="hopsworks-double-")
        self.certificate = make_certificate(Path(self.folder.name))
        self.back()
        return self

    def __exit__(self, *_) -> None:
        self.away()
        self.folder.cleanup()

    def back(self) -> None:
        """Listen (again), on the same port as before."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        self.listener = Listener(("127.0.0.1", self.port), type("Handler", (Handler,), {"double": self}))
        self.listener.context = context
        self.port = self.listener.server_port
        threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True, name="hopsworks").start()

    def away(self) -> None:
        """Refuse every connection and cut those that are open."""
        if self.listener is not None:
            self.listener.shutdown()
            self.listener.server_close()
            self.listener = None
        for connection in list(self.open):
            close(connection)

    def fail(
        self,
        path: str = "",
        times: int | None = 1,
        *,
        method: str | None = None,
        status: int | None = None,
        code: int | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        delay: float = 0.0,
        truncate: int | None = None,
        drop: str | None = None,
    ) -> Fault:
        """The next `times` requests (None: all until `heal`) whose path contains `path` go wrong.

        `status`, `code` and `body` replace the answer without the work being done; `delay` waits before it; `truncate` ends a body after
        so many bytes without saying how many there should be; `drop` closes the connection "before" the work is done or "after" it.
        """
        if drop not in (None, "before", "after"):
            raise ValueError(f'drop is "before" or "after", not {drop!r}')
        if body is None:
            body = refused(Refusal(status or 500, code or 120000, "An error.")).body if code else b"<html>Service Unavailable</html>"
        fault = Fault(path, times, method, status, body, content_type, delay, truncate, drop)
        with self.lock:
            self.faults.append(fault)
        return fault

    def chaos(self, seed: int, **chances: float) -> Chaos:
        """Random faults until `heal`: `unavailable`, `drop_before`, `drop_after`, `delayed` (by `seconds`), each a probability."""
        usual = {"unavailable": 0.0, "drop_before": 0.0, "drop_after": 0.0, "delayed": 0.0, "seconds": 0.02}
        self.trouble = Chaos(random.Random(seed), **(usual | chances))
        return self.trouble

    def heal(self) -> None:
        with self.lock:
            self.faults.clear()
            self.trouble = None

    def fault_for(self, request: Request) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.path in request.path and fault.method in (None, request.method):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self.faults.remove(fault)
                    return fault
            return self.trouble.next() if self.trouble else None

    def safely(self, request: Request) -> Reply:
        try:
            return self.answer(request)
        except Exception as error:
            self.errors.append("".join(traceback.format_exception(error)))
            print(self.errors[-1], file=sys.stderr)
            return as_json({"errorCode": 120000, "errorMsg": "the double failed"}, 500)


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    context: ssl.SSLContext

    def server_bind(self):  # without HTTPServer's look-up of this machine's name
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def get_request(self):
        """The handshake happens in the connection's own thread: a client that refuses the certificate must not hold up the others."""
        connection, address = super().get_request()
        return self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def close(connection: socket.socket) -> None:
    """Really end a connection: close() alone leaves the client waiting for ever."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    connection.close()


class Handler(BaseHTTPRequestHandler):
    """Bytes in, bytes out: everything that concerns the connection itself."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Payara", ""
    disable_nagle_algorithm = True
    double: HopsworksServer

    def setup(self):
        self.request.do_handshake()
        super().setup()
        self.double.open.add(self.connection)

    def finish(self):
        self.double.open.discard(self.connection)
        super().finish()

    def log_message(self, format, *args):
        pass

    def serve(self):
        raw, _, query = self.path.partition("?")
        segments = [unquote(part) for part in raw.removeprefix(API).split("/")]
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # the client died in the middle
            self.close_connection = True
            return
        request = Request(self.command, segments, parse_qs(query, keep_blank_values=True), self.headers, body)
        double, entry = self.double, Logged(self.command, request.path)
        double.requests.append(entry)
        fault = double.fault_for(request) or Fault("", 1, None)
        if fault.delay:
            time.sleep(fault.delay)
        double.before(request)
        works = fault.drop != "before" and fault.status is None
        reply = double.safely(request) if works else Reply(fault.status or 0, fault.body, fault.content_type)
        double.after(request)
        if fault.drop:
            self.close_connection = True
            close(self.connection)
        else:
            self.send(reply, entry, fault.truncate)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve  # noqa: N815 - the names that http.server looks for

    def send(self, reply: Reply, entry: Logged, truncate: int | None):
        entry.status = reply.status
        self.send_response(reply.status)
        if reply.body:
            self.send_header("Content-Type", reply.content_type)
        if truncate is not None:
            self.send_header("Connection", "close")
        elif reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self._headers_buffer.append(b"\r\n")  # head and body leave together: two small writes would wait for an acknowledgement
        head, self._headers_buffer = b"".join(self._headers_buffer), []
        self.wfile.write(head + reply.body[:truncate])
        if truncate is not None:
            self.close_connection = True


def make_certificate(folder: Path) -> Path:
    """A self-signed certificate for localhost with its key, in one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    alternatives = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(alternatives, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "certificate.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="A local double of Hopsworks' REST API, kept in memory only.")
    parser.add_argument("--port", type=int, default=8181)
    parser.add_argument("--project", default="demo")
    parser.add_argument("--key", default="a-key-for-tests")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, help="a command to run on it, such as: make run; without one, what to set is shown"
    )
    given = parser.parse_args()
    with HopsworksServer(given.port, given.project, given.key) as server, contextlib.suppress(KeyboardInterrupt):
        values = {
            "HOST": server.host,
            "PORT": server.port,
            "PROJECT": server.project,
            "API_KEY": server.key,
            "CERTIFICATE": server.certificate,
        }
        settings = {f"EARMARK_HOPSWORKS_{name}": str(value) for name, value in values.items()}
        if given.command:
            sys.exit(subprocess.run(given.command, env=os.environ | settings).returncode)
        print("\n".join(f"export {name}={value}" for name, value in settings.items()), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
