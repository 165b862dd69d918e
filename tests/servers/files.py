"""A host of files on loopback, real HTTP with byte ranges, that can be told to misbehave: break off, refuse, send something else.

A Zenodo record may be put on it, described as Zenodo's API does.
"""

import hashlib
import json
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileHost:
    """`with FileHost() as host:`; `files` by path, `asked` for (path, Range) so far."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    break_after: list[int] = field(default_factory=list)
    """The next answers of files break off after so many bytes."""
    statuses: list[int] = field(default_factory=list)
    """The next answers have these statuses and no body."""
    ranges: bool = True

    def __enter__(self) -> "FileHost":
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.answer(self)

            def log_message(self, *_args) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_args) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def put_record(self, record: str, files: dict[str, bytes]) -> None:
        """A Zenodo record with these files and their true checksums."""
        entries = []
        for name, data in files.items():
            path = f"/api/records/{record}/files/{name}/content"
            self.files[path] = data
            entries.append(
                {"key": name, "size": len(data), "checksum": f"md5:{hashlib.md5(data).hexdigest()}", "links": {"self": self.url + path}}
            )
        self.files[f"/api/records/{record}"] = json.dumps({"id": int(record), "files": entries}).encode()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range", "")
        self.asked.append((request.path, wanted))
        if self.statuses:
            return _empty(request, self.statuses.pop(0))
        data = self.files.get(request.path)
        if data is None:
            return _empty(request, 404)
        found = re.fullmatch(r"bytes=(\d+)-", wanted) if self.ranges else None
        start = int(found[1]) if found else 0
        if found and start >= len(data):
            return _empty(request, 416)
        request.send_response(206 if found else 200)
        if found:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.send_header("Content-Length", str(len(data) - start))
        request.end_headers()
        most = self.break_after.pop(0) if self.break_after else len(data)
        request.wfile.write(data[start : start + most])
        if start + most < len(data):
            request.wfile.flush()
            request.connection.shutdown(socket.SHUT_RDWR)
        return None


def _empty(request: BaseHTTPRequestHandler, status: int) -> None:
    request.send_response(status)
    request.send_header("Content-Length", "0")
    request.end_headers()
