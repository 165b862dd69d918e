"""A random id per browser, in a cookie: a sign-in and a draft belong to one browser."""

import re
import secrets
import threading

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import EarmarkError
from core.settings import is_loopback, settings

MAX_AGE_S = 24 * 3600
_ID = re.compile(r"[A-Za-z0-9_-]{43}")


def browser_id() -> str | None:
    """Return the id of this session's browser; None where it keeps no cookies."""
    return _checked(st.context.cookies.get(cookie_name()))


def cookie_name() -> str:
    """Return the cookie's name.

    Over https the browser itself guarantees that the cookie is this host's own (`__Host-`).
    """
    return "__Host-earmark" if _uses_https() else "earmark-browser"


def id_in(headers: Headers) -> str | None:
    """Return the browser id in a request's headers."""
    return _checked(cookie_parser(headers.get("cookie", "")).get(cookie_name()))


@st.cache_resource(show_spinner=False)
def exposed() -> threading.Event:
    """Return the event that is set once a request came to an address that others can reach.

    It counts whatever the configuration says.
    """
    return threading.Event()


class BrowserIds:
    """Middleware that sets and renews the cookie with each page.

    A 304 has no content type, so the request decides what a page is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] in ("http", "websocket"):
            _note_address(scope)
        if scope["type"] != "http" or not asks_for_a_page(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        browser = id_in(Headers(scope=scope)) or secrets.token_urlsafe(32)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", _cookie(browser))
            await send(message)

        await self.app(scope, receive, send_with_cookie)


def asks_for_a_page(headers: Headers) -> bool:
    """Return True for a request that a browser shows the answer of as a page."""
    is_document = headers.get("sec-fetch-dest") == "document"
    return is_document or "text/html" in headers.get("accept", "")


def _cookie(value: str) -> str:
    """Return the header; `Lax`, as the way back from Freesound comes from another site."""
    secure = "; Secure" if _uses_https() else ""
    rules = f"Path=/; Max-Age={MAX_AGE_S}; HttpOnly; SameSite=Lax{secure}"
    return f"{cookie_name()}={value}; {rules}"


def _uses_https() -> bool:
    try:
        return (settings().public_url or "").startswith("https:")
    except EarmarkError:
        return False  # the page shows what is wrong with the settings


def _checked(value: object) -> str | None:
    """Return a value from outside if it is an id."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def _note_address(scope: Scope) -> None:
    host = (scope.get("server") or ("", 0))[0]
    if host and not is_loopback(host.removeprefix("::ffff:")):
        exposed().set()
