"""Bytes in, bytes out: everything that concerns the connection itself."""

import time
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote

from tests.servers.faults import Fault
from tests.servers.freesound.log import Logged
from tests.servers.freesound.messages import Reply, Request
from tests.servers.loopback import Connection, Listener

DRIP_BYTES = 1024


@dataclass
class Exchange:
    """A request that came in: its entry in the log, the reply, the fault that befalls it."""

    entry: Logged
    reply: Reply
    fault: Fault | None = None


class Double(Protocol):
    """The part of the server that a connection uses."""

    def receive(self, request: Request) -> Exchange:
        """Work on a request."""

    def now(self) -> float:
        """Return the site's time in seconds."""


class FreesoundListener(Listener):
    """The listener of a double."""

    def __init__(self, port: int, double: Double) -> None:
        super().__init__(port, Handler)
        self.double = double


class Handler(Connection):
    """A client's connection to the Freesound double."""

    server_version = "nginx"
    server: FreesoundListener

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return a time for a header; the site's own for `Date`."""
        return super().date_time_string(
            self.server.double.now() if timestamp is None else timestamp
        )

    def serve(self) -> None:
        """Read a request, have it worked on, and write the reply or the fault."""
        path, _, query = self.path.partition("?")
        body = self._read_body()
        request = Request(self.command, unquote(path), query, self.headers, body)
        exchange = self.server.double.receive(request)
        fault = exchange.fault or Fault()
        time.sleep(fault.delay)
        if fault.drop:
            self.cut()
        else:
            self._send(exchange.reply, exchange.entry, fault)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve  # noqa: N815 - http.server's names

    def _read_body(self) -> bytes:
        """Return the body, which may come in chunks."""
        if "chunked" not in (self.headers.get("Transfer-Encoding") or "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, reply: Reply, entry: Logged, fault: Fault) -> None:
        """Write a reply, slowly or not to its end if the fault says so."""
        entry.status = reply.status
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Access-Control-Allow-Origin", "*")
        head, body = self.take_head(), reply.body[: fault.truncate]
        if fault.drip:
            self.wfile.write(head)
            for start in range(0, len(body), DRIP_BYTES):
                time.sleep(fault.drip)
                self.wfile.write(body[start : start + DRIP_BYTES])
        else:
            self.wfile.write(head + body)
        if len(body) < len(reply.body):
            self.cut()
