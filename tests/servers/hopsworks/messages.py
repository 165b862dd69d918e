"""Requests, replies and the error that carries Hopsworks' codes."""

import json
import re
from dataclasses import dataclass
from email.message import Message
from urllib.parse import parse_qs, unquote

from tests.servers.hopsworks.tree import Refusal

API = "/hopsworks-api/api/"


@dataclass
class Request:
    """A request: decoded path segments after the API's base, query and body."""

    method: str
    segments: list[str]
    query: dict[str, list[str]]
    headers: Message
    body: bytes

    @property
    def path(self) -> str:
        """Return the path after the API's base."""
        return "/".join(self.segments)

    def parameter(self, name: str) -> str | None:
        """Return the first value of a query's parameter."""
        return self.query[name][0] if name in self.query else None

    def number(self, name: str, default: int) -> int:
        """Return a parameter that is a number."""
        return int(self.parameter(name) or default)


@dataclass
class Reply:
    """An answer before it is written to a connection."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"


@dataclass
class Logged:
    """One line of the request log; there is no key in it."""

    method: str
    path: str
    status: int = 0


def parse_request(method: str, target: str, headers: Message, body: bytes) -> Request:
    """Return a request from what was read of a connection."""
    path, _, query = target.partition("?")
    segments = [unquote(part) for part in path.removeprefix(API).split("/")]
    return Request(method, segments, parse_qs(query, keep_blank_values=True), headers, body)


def as_json(value: object, status: int = 200) -> Reply:
    """Return a value as a JSON reply."""
    return Reply(status, json.dumps(value).encode())


def refused(refusal: Refusal) -> Reply:
    """Return the reply to a request that was refused."""
    body = {"errorCode": refusal.code, "errorMsg": refusal.message, "usrMsg": ""}
    return as_json(body, refusal.status)


def parse_multipart(request: Request) -> tuple[dict[str, str], bytes]:
    """Return the text fields and the one file of a form."""
    boundary = str(request.headers.get_param("boundary", "")).encode()
    fields: dict[str, str] = {}
    data = b""
    for part in (b"\r\n" + request.body).split(b"\r\n--" + boundary)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]+)"', head)
        assert name, head
        if b"filename=" in head:
            data = value
        else:
            fields[name[1].decode()] = value.decode()
    return fields, data
