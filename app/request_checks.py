"""Checks of every request, before anything else sees it: to whom, from where, and for what.

A page of another site can send requests here, and by DNS rebinding even under a name of its own.
So the `Host` must be a known one for reading, too, and whatever changes something, or opens a
session, must come from a page of this server.
"""

import logging
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import URL, Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from app.base_path import base_path
from app.browser import asks_for_a_page
from app.own_address import local_page_elsewhere
from core.errors import EarmarkError
from core.settings import Settings, is_address, is_loopback, settings

logger = logging.getLogger(__name__)

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HEALTH = "/_stcore/health"
"""Open to whoever watches the server, under any name."""
CLOSED = re.compile(
    r".*/(_stcore/(metrics|agent|script-health-check)|auth/(login|logout)|oauth2callback)(/.*)?"
)
"""Endpoints of Streamlit that Earmark has no use for."""
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_UNKNOWN_HOST = (
    "Earmark is not served under this name. Whoever runs it can name it in EARMARK_PUBLIC_URL or "
    "EARMARK_ALLOWED_HOSTS.\n"
)
_FOREIGN_ORIGIN = "This request does not come from a page of this server.\n"


class RequestChecks:
    """Middleware that answers requests which must not reach the app."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = _answer(scope)
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(1008)(scope, receive, send)
        else:
            await refusal(scope, receive, send)


def _answer(scope: Scope) -> Response | None:
    """Return the answer to a request that goes no further."""
    headers, path = Headers(scope=scope), scope["path"]
    if CLOSED.fullmatch(path):
        return PlainTextResponse("Not found\n", 404)
    if path == f"{base_path()}{HEALTH}":
        return None
    try:
        current = settings()
    except EarmarkError:
        return None  # there is no workspace, either; the page shows what is wrong
    if not _is_known_host(headers, current):
        return _refusal(_UNKNOWN_HOST, 421, headers)
    is_safe = scope["type"] == "http" and scope["method"] in SAFE_METHODS
    if not is_safe and not _is_own_origin(headers, current):
        return _refusal(_FOREIGN_ORIGIN, 403, headers)
    return _redirect(scope, headers, current)


def _redirect(scope: Scope, headers: Headers, current: Settings) -> Response | None:
    """Return the way to the registered host, for a page that was asked for under another name."""
    is_page = scope["type"] == "http" and scope["method"] == "GET" and asks_for_a_page(headers)
    if not is_page or scope["path"].startswith(f"{base_path()}/auth/"):
        return None
    address = local_page_elsewhere(URL(scope=scope), current)
    return RedirectResponse(address, 307) if address else None


def _refusal(text: str, status: int, headers: Headers) -> Response:
    host, origin = headers.get("host"), headers.get("origin")
    logger.warning("request refused status=%d host=%.100r origin=%.100r", status, host, origin)
    return PlainTextResponse(text, status)


def _is_known_host(headers: Headers, current: Settings) -> bool:
    """Return True if the request names one host, which is one of this server's.

    An address in digits cannot be rebound: it is no name.
    """
    hosts = headers.getlist("host")
    match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if match is None:
        return False
    name = match["name"].strip("[]").lower()
    public = urlsplit(current.public_url or "").hostname
    is_own = is_loopback(name) or is_address(name) or name == public
    return is_own or _is_listed(name, current.allowed_hosts)


def _is_listed(name: str, patterns: Iterable[str]) -> bool:
    return any(
        name.endswith(pattern[1:]) if pattern.startswith("*") else name == pattern
        for pattern in patterns
    )


def _is_own_origin(headers: Headers, current: Settings) -> bool:
    """Return True if the request comes from a page of this server, or from no page at all."""
    origin = headers.get("origin")
    if origin is None:
        return True
    parts, public = urlsplit(origin.lower()), urlsplit((current.public_url or "").lower())
    if parts.scheme not in ("http", "https"):
        return False
    own = {headers.get("host", "").lower(), public.netloc}
    return parts.netloc in own or origin in st.get_option("server.corsAllowedOrigins")
