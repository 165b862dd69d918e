"""Bytes in, bytes out, over TLS: everything that concerns the connection itself."""

import ssl
import time
from pathlib import Path
from typing import Any, Protocol

from tests.servers.faults import Fault
from tests.servers.hopsworks.messages import Logged, Reply, Request, parse_request
from tests.servers.loopback import Connection, Listener


class Double(Protocol):
    """The part of the server that a connection uses."""

    def next_fault(self, request: Request) -> Fault:
        """Return what goes wrong with a request."""

    def log(self, request: Request) -> Logged:
        """Note a request."""

    def work_on(self, request: Request, fault: Fault) -> Reply:
        """Return the reply to a request, or what a fault replaces it by."""


class HopsworksListener(Listener):
    """The listener of a double, with a certificate."""

    def __init__(self, port: int, certificate: Path, double: Double) -> None:
        super().__init__(port, Handler)
        self.double = double
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)

    def get_request(self) -> tuple[ssl.SSLSocket, Any]:
        """Accept a connection without the handshake, which is done in the connection's thread.

        A client that does not trust the certificate must not hold up the others.
        """
        connection, address = super().get_request()
        wrapped = self.context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        return wrapped, address


class Handler(Connection):
    """A client's connection to the Hopsworks double."""

    server_version = "Payara"
    disable_nagle_algorithm = True
    request: ssl.SSLSocket
    server: HopsworksListener

    def setup(self) -> None:
        """Make the handshake."""
        self.request.do_handshake()
        super().setup()

    def serve(self) -> None:
        """Read a request, have it worked on, and write the reply or the fault."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # the client died in the middle
            self.close_connection = True
            return
        request = parse_request(self.command, self.path, self.headers, body)
        double = self.server.double
        entry, fault = double.log(request), double.next_fault(request)
        time.sleep(fault.delay)
        reply = double.work_on(request, fault)
        if fault.drop:
            self.cut()
        else:
            self._send(reply, entry, fault.truncate)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve  # noqa: N815 - http.server's names

    def _send(self, reply: Reply, entry: Logged, truncate: int | None) -> None:
        """Write a reply; one that is cut does not say how long it should be."""
        entry.status = reply.status
        self.send_response(reply.status)
        if reply.body:
            self.send_header("Content-Type", reply.content_type)
        if truncate is not None:
            self.send_header("Connection", "close")
        elif reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self.wfile.write(self.take_head() + reply.body[:truncate])
        if truncate is not None:
            self.close_connection = True
