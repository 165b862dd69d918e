"""What every double that speaks HTTP needs: a listener, connections that can be cut, one write."""

import contextlib
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

POLL_INTERVAL_S = 0.02


class Listener(ThreadingHTTPServer):
    """An HTTP server on loopback that knows its open connections."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, port: int, handler: type["Connection"]) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), handler)

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of this machine's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report errors of the double, not of connections that clients gave up."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def start(self, name: str) -> None:
        """Serve in a thread with this name."""
        threading.Thread(
            target=self.serve_forever,
            kwargs={"poll_interval": POLL_INTERVAL_S},
            daemon=True,
            name=name,
        ).start()

    def stop(self) -> None:
        """Stop listening and cut the connections that are open."""
        self.shutdown()
        self.server_close()
        for connection in list(self.open):
            cut(connection)


class Connection(BaseHTTPRequestHandler):
    """A connection that the listener knows of."""

    protocol_version = "HTTP/1.1"
    sys_version = ""
    server: Listener
    _headers_buffer: list[bytes]

    def setup(self) -> None:
        """Note the connection as open."""
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        """Note the connection as closed."""
        self.server.open.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the doubles log requests themselves."""

    def cut(self) -> None:
        """End the connection without an answer, or in the middle of it."""
        self.close_connection = True
        cut(self.connection)

    def take_head(self) -> bytes:
        """Return the status line and headers, to be written together with the body.

        Two small writes would wait for the client's acknowledgement in between.
        """
        self._headers_buffer.append(b"\r\n")
        head = b"".join(self._headers_buffer)
        self._headers_buffer = []
        return head


def cut(connection: socket.socket) -> None:
    """End a connection for good: close() alone leaves the client waiting."""
    with contextlib.suppress(OSError):  # the other side may have been faster
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    connection.close()
