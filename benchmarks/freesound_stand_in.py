"""As much of Freesound as signing in needs: a code is a name, a token is a name."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

SECRET = "stand-in-for-a-client-secret-of-freesound"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Give a token for a code."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        name = parse_qs(body).get("code", [""])[0]
        self._answer(
            {
                "access_token": name,
                "refresh_token": name,
                "token_type": "Bearer",
                "expires_in": 86_400,
                "scope": "read write",
            }
        )

    def do_GET(self) -> None:
        """Say whose token it is."""
        name = self.headers.get("Authorization", "").removeprefix("Bearer ")
        number = int(name.removeprefix("person-") or 0)
        self._answer({"unique_id": number, "username": name, "url": "", "num_sounds": 0})

    def _answer(self, value: dict[str, object]) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def stand_in() -> Iterator[str]:
    """Serve it on this machine; gives the address of its API. People are person-1, person-2 ..."""
    server = ThreadingHTTPServer(("localhost", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}/apiv2"
    finally:
        server.shutdown()
        server.server_close()
