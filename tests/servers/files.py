"""A host of files on loopback, real HTTP with byte ranges, that can misbehave.

It breaks off, refuses, or sends something else. A Zenodo record may be put on it, described as
Zenodo's API does.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Self

from tests.servers.loopback import Connection, Listener


@dataclass
class FileHost:
    """A host of files: `with FileHost() as host:`.

    Attributes:
        files: Content by path.
        asked: Path and Range header of each request so far.
        break_after: The next answers of files break off after so many bytes.
        statuses: The next answers have these statuses and no body.
        ranges: Ranges are answered as such.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    break_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True

    def __enter__(self) -> Self:
        self._listener = _Listener(self)
        self._listener.start("files")
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop()

    @property
    def url(self) -> str:
        """Return the host's address."""
        return f"http://127.0.0.1:{self._listener.server_port}"

    def put_record(self, record: str, files: dict[str, bytes]) -> None:
        """Put a Zenodo record with these files and their true checksums on the host."""
        entries = []
        for name, data in files.items():
            path = f"/api/records/{record}/files/{name}/content"
            self.files[path] = data
            entries.append(
                {
                    "key": name,
                    "size": len(data),
                    "checksum": f"md5:{hashlib.md5(data).hexdigest()}",
                    "links": {"self": self.url + path},
                }
            )
        description = {"id": int(record), "files": entries}
        self.files[f"/api/records/{record}"] = json.dumps(description).encode()


class _Listener(Listener):
    """The listener of a host."""

    def __init__(self, host: FileHost) -> None:
        super().__init__(0, _Handler)
        self.host = host


class _Handler(Connection):
    """A client's connection."""

    protocol_version = "HTTP/1.0"
    server: _Listener

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        """Answer with a file, a part of it, or an error."""
        host, range_header = self.server.host, self.headers.get("Range", "")
        host.asked.append((self.path, range_header))
        if host.statuses:
            self._send_empty(host.statuses.pop(0))
        elif self.path not in host.files:
            self._send_empty(404)
        else:
            self._send_file(host.files[self.path], range_header)

    def _send_file(self, data: bytes, range_header: str) -> None:
        """Write a file from where the range begins."""
        match = re.fullmatch(r"bytes=(\d+)-", range_header) if self.server.host.ranges else None
        start = int(match[1]) if match else 0
        if match and start >= len(data):
            self._send_empty(416)
            return
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self._send_body(data[start:])

    def _send_body(self, data: bytes) -> None:
        """Write a body, or a part of it and no more."""
        break_after = self.server.host.break_after
        size = break_after.pop(0) if break_after else len(data)
        self.wfile.write(data[:size])
        if size < len(data):
            self.cut()

    def _send_empty(self, status: int) -> None:
        """Write a status without a body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
