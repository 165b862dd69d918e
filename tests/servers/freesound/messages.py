"""Requests and replies: what comes in, what goes out, and the forms in between."""

import json
import re
from dataclasses import dataclass, field
from email.message import Message
from functools import cached_property
from html import unescape
from urllib.parse import parse_qsl, unquote

from tests.servers.freesound import pages

HTML = "text/html; charset=utf-8"
Files = dict[str, tuple[str, bytes]]  # name and content of a form's files by field


@dataclass
class Reply:
    """An answer before it is written to a connection."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=list)


class ErrorReply(Exception):
    """Carries the reply that ends a request early."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def as_json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Return a value as a JSON reply."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status, body, headers=list((headers or {}).items()))


def detail(status: int, message: object, **headers: str) -> Reply:
    """Return the API's usual message; headers are named with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return as_json({"detail": message}, status, named)


def html(text: str, status: int = 200) -> Reply:
    """Return a page."""
    return Reply(status, text.encode(), HTML)


def redirect(location: str, status: int = 302) -> Reply:
    """Return a redirect; a permanent one has a page."""
    body = pages.moved(location).encode() if status == 301 else b""
    return Reply(status, body, HTML, [("Location", location)])


def not_found_page() -> Reply:
    """Return the site's page for an unknown address."""
    return html(pages.error(404, "Page not found"), 404)


def server_error_page() -> Reply:
    """Return the site's page for a failure of its own."""
    return html(pages.error(500, "Server error"), 500)


def parse_multipart(body: bytes, boundary: str) -> tuple[dict[str, str], Files]:
    """Return the fields and files of a multipart body; of parts with one name the last counts."""
    fields: dict[str, str] = {}
    files: Files = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:]:
        if part.startswith(b"--"):
            break
        head_bytes, _, content = part.partition(b"\r\n\r\n")
        head = head_bytes.decode("utf-8", "replace")
        name = re.search(r'[; ]name="([^"]*)"', head)
        if not name:
            continue
        filename = _filename(head)
        if filename is None:
            fields[name[1]] = content.decode("utf-8", "replace")
        elif filename:
            files[name[1]] = (filename.replace("\\", "/").rsplit("/", 1)[-1], content)
    return fields, files


def _filename(head: str) -> str | None:
    """Return the file name in a part's head, None if the part is no file."""
    plain = re.search(r'filename="((?:[^"\\]|\\.)*)"', head)
    extended = re.search(r"filename\*=utf-8'[^']*'([^;\s]+)", head, re.IGNORECASE)
    if extended:
        return unquote(extended[1])
    return unescape(re.sub(r'\\(["\\])', r"\1", plain[1])) if plain else None


@dataclass
class Request:
    """A request as it was read from a connection; the path is decoded, the query is not."""

    method: str
    path: str
    query_string: str
    headers: Message
    body: bytes

    @cached_property
    def query(self) -> dict[str, str]:
        """Return the query's fields; of those with one name the last counts."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    @property
    def content_type(self) -> str:
        """Return the media type of the body, blank if it has none."""
        return self.headers.get_content_type() if self.headers.get("Content-Type") else ""

    @cached_property
    def form(self) -> tuple[dict[str, str], Files]:
        """Return the fields and files of the body."""
        if self.content_type == "multipart/form-data":
            return parse_multipart(self.body, str(self.headers.get_param("boundary", "")))
        if self.content_type == "application/x-www-form-urlencoded":
            text = self.body.decode("utf-8", "replace")
            return dict(parse_qsl(text, keep_blank_values=True)), {}
        return {}, {}

    @property
    def fields(self) -> dict[str, str]:
        """Return the text fields of the body."""
        return self.form[0]

    @property
    def query_suffix(self) -> str:
        """Return the query with its question mark, blank if it is empty."""
        return f"?{self.query_string}" if self.query_string else ""

    @property
    def target(self) -> str:
        """Return the path with the query."""
        return self.path + self.query_suffix

    def cookie(self, name: str) -> str:
        """Return a cookie's value, blank if it was not sent."""
        for part in (self.headers.get("Cookie") or "").split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                return value
        return ""
