"""Each browser gets a random id in a cookie, so that a sign-in and a draft belong to it alone."""

import re
import secrets
import threading

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import EarmarkError
from core.settings import is_loopback, settings

LIVES_S = 24 * 3600
_ID = re.compile(r"[A-Za-z0-9_-]{43}")


def browser_id() -> str | None:
    """The id of the browser that this script runs for; None where it keeps no cookies."""
    return _checked(st.context.cookies.get(cookie_name()))


def cookie_name() -> str:
    """Over https the browser itself guarantees that the cookie is this host's own (`__Host-`)."""
    return "__Host-earmark" if _over_https() else "earmark-browser"


def id_in(headers: Headers) -> str | None:
    """The browser id in a request's headers."""
    return _checked(cookie_parser(headers.get("cookie", "")).get(cookie_name()))


@st.cache_resource(show_spinner=False)
def exposed() -> threading.Event:
    """Set as soon as a request arrived at an address of this machine that others can reach, whatever the configuration says."""
    return threading.Event()


class BrowserIds:
    """Middleware that sets and renews the cookie with each page. A 304 has no content type, so the request says what a page is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            _note_address(scope)
        if scope["type"] != "http" or not _asks_for_a_page(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        known = id_in(Headers(scope=scope)) or secrets.token_urlsafe(32)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", _cookie(known))
            await send(message)

        await self.app(scope, receive, send_with_cookie)


def _asks_for_a_page(headers: Headers) -> bool:
    return headers.get("sec-fetch-dest") == "document" or "text/html" in headers.get("accept", "")


def _cookie(value: str) -> str:
    """SameSite=Lax: the callback from Freesound is a navigation from another site and must carry it."""
    secure = "; Secure" if _over_https() else ""
    return f"{cookie_name()}={value}; Path=/; Max-Age={LIVES_S}; HttpOnly; SameSite=Lax{secure}"


def _over_https() -> bool:
    try:
        return (settings().public_url or "").startswith("https:")
    except EarmarkError:
        return False  # the page will say what is wrong with the settings


def _checked(value: object) -> str | None:
    """A value from outside, if it is an id."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def _note_address(scope: Scope) -> None:
    host = (scope.get("server") or ("", 0))[0]
    if host and not is_loopback(host.removeprefix("::ffff:")):
        exposed().set()
