"""A random id per browser, in a cookie: a sign-in and a draft belong to one browser.

The id is a secret: whoever knows it is that browser. So it is exchanged for another one when
somebody signs in, when their roles change, and after a sign-out (`core.freesound.sign_ins`).
"""

import logging
import re
import secrets
import threading
from dataclasses import dataclass

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import services
from app.base_path import base_path
from core.errors import EarmarkError
from core.settings import Settings, is_loopback, settings

logger = logging.getLogger(__name__)

MAX_AGE_S = 24 * 3600
MAX_ASK_AGE_S = 400 * 24 * 3600
"""As long as browsers keep any cookie."""
GRACE_S = 60.0
"""After an exchange of ids, requests that were on their way with the old one get no new one: it
would take the place of the one that the browser was given."""
UPLOAD_COOKIE = "_streamlit_xsrf"
"""Streamlit's own, which goes with every upload."""
_FRAME_RULES = re.compile(r"; *(SameSite=[a-z]+|Secure|Partitioned)(?=;|$)", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z0-9_-]{43}")
_SCOPE_KEY = "earmark.browser"


@dataclass
class RequestedBy:
    """The browser that a request comes from; a route may change its cookies.

    Attributes:
        browser_id: Its id from now on; None where it sends none and is given none.
        sent: True if it sent an id: it keeps cookies.
        ask: True if it is to be asked which of Freesound's accounts is to sign in: somebody has
            signed out.
        is_new: True if the id has to be sent to it.
        is_ask_new: The same of `ask`.
    """

    browser_id: str | None = None
    sent: bool = False
    ask: bool = False
    is_new: bool = False
    is_ask_new: bool = False

    def give_id(self, browser_id: str) -> None:
        """Let the answer bring the browser another id."""
        self.browser_id, self.is_new = browser_id, True

    def set_ask(self, ask: bool) -> None:
        """Let the answer say if somebody has signed out at the browser."""
        self.ask, self.is_ask_new = ask, True


def browser_id() -> str | None:
    """Return the id that this session's browser sent; None where it keeps no cookies."""
    return _checked(st.context.cookies.get(cookie_name()))


def keeps_cookies() -> bool:
    """Return False where the browser keeps no cookies here, as in the frame of another site.

    Streamlit sets a cookie before it opens the session, and takes no uploads without it.
    """
    is_browser = "Sec-Websocket-Key" in st.context.headers
    return not is_browser or bool({UPLOAD_COOKIE, cookie_name()} & set(st.context.cookies))


def is_asked() -> bool:
    """Return True if somebody has signed out at this session's browser."""
    return ask_cookie_name() in st.context.cookies


def cookie_name() -> str:
    """Return the name of the cookie with the browser's id.

    It holds the path below which the server works: another one may run on the same host.
    """
    return f"{_prefix()}{'earmark' if _prefix() else 'earmark-browser'}{_path_part()}"


def ask_cookie_name() -> str:
    """Return the name of the cookie that says that somebody has signed out."""
    return f"{_prefix()}earmark-signed-out{_path_part()}"


def _path_part() -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", base_path())


def new_id() -> str:
    """Return a new id."""
    return secrets.token_urlsafe(32)


def requested_by(request: Request) -> RequestedBy:
    """Return the browser that a request comes from."""
    browser = request.scope.get(_SCOPE_KEY)
    return browser if isinstance(browser, RequestedBy) else _read(request.headers)


@st.cache_resource(show_spinner=False)
def exposed() -> threading.Event:
    """Return the event that is set once a request came to an address that others can reach.

    It counts whatever the configuration says.
    """
    return threading.Event()


class BrowserIds:
    """Middleware that sets, renews and exchanges the cookie with each page.

    A 304 has no content type, so the request decides what a page is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] in ("http", "websocket"):
            _note_address(scope)
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        browser = _read(Headers(scope=scope))
        if asks_for_a_page(Headers(scope=scope)):
            await run_in_threadpool(_exchange, browser)
        scope[_SCOPE_KEY] = browser

        async def send_with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for cookie in [*_upload_cookies(headers), *_cookies(browser)]:
                    headers.append("set-cookie", cookie)
            await send(message)

        await self.app(scope, receive, send_with_cookies)


def asks_for_a_page(headers: Headers) -> bool:
    """Return True if a browser asks for something to show, by itself or in a frame."""
    is_document = headers.get("sec-fetch-dest") in ("document", "iframe")
    return is_document or "text/html" in headers.get("accept", "")


def _read(headers: Headers) -> RequestedBy:
    """Return what a request's cookies say."""
    cookies = cookie_parser(headers.get("cookie", ""))
    browser_id = _checked(cookies.get(cookie_name()))
    return RequestedBy(browser_id, browser_id is not None, ask_cookie_name() in cookies)


def _exchange(browser: RequestedBy) -> None:
    """Give a browser an id where it has none, or has to have another one."""
    if browser.browser_id is None:
        browser.give_id(new_id())
        return
    try:
        if not _replace_retired(browser):
            _renew(browser)
    except EarmarkError as error:
        logger.warning("browser id not checked reason=%s", error)  # the page shows it, too


def _replace_retired(browser: RequestedBy) -> bool:
    """Give a browser another id for one that is retired; returns False where it is none."""
    sign_ins = services.sign_ins()
    retired = sign_ins.retired(browser.browser_id or "") if sign_ins else None
    if retired is None:
        return False
    if retired.signed_out:
        browser.set_ask(True)
    browser.browser_id = None
    if retired.signed_out or retired.age_s > GRACE_S:
        browser.give_id(new_id())
    return True


def _renew(browser: RequestedBy) -> None:
    """Keep a browser's id for another day, or exchange it where somebody's roles have changed."""
    former, following, sign_ins = browser.browser_id, new_id(), services.sign_ins()
    person = sign_ins.renew(former, following) if sign_ins and former else None
    if former and person:
        services.drafts().move(former, following, person.user_id)
        browser.give_id(following)
    browser.is_new = True


def _cookies(browser: RequestedBy) -> list[str]:
    """Return the headers that set a browser's cookies."""
    cookies = []
    if browser.is_new and browser.browser_id:
        cookies.append(_cookie(cookie_name(), browser.browser_id, MAX_AGE_S))
    if browser.is_ask_new:
        max_age_s = MAX_ASK_AGE_S if browser.ask else 0
        cookies.append(_cookie(ask_cookie_name(), "1", max_age_s))
    return cookies


def _upload_cookies(headers: MutableHeaders) -> list[str]:
    """Take the cookies out of an answer that Streamlit sets; return them as frames keep them."""
    if not _is_framed_over_https():
        return []
    cookies = headers.getlist("set-cookie")
    del headers["set-cookie"]
    return [f"{_FRAME_RULES.sub('', cookie)}; {_cookie_scope()}" for cookie in cookies]


def _cookie(name: str, value: str, max_age_s: int) -> str:
    """Return the header; `Lax`, as the way back from Freesound comes from another site."""
    rules = f"Path={base_path() or '/'}; Max-Age={max_age_s}; HttpOnly"
    return f"{name}={value}; {rules}; {_cookie_scope()}"


def _cookie_scope() -> str:
    """Return which requests a cookie goes with.

    Another site's frame gets a cookie of its own (`Partitioned`), which needs https.
    """
    if _is_framed_over_https():
        return "SameSite=None; Secure; Partitioned"
    return "SameSite=Lax; Secure" if _uses_https() else "SameSite=Lax"


def _is_framed_over_https() -> bool:
    return _uses_https() and bool(_settings().frame_ancestors)


def _prefix() -> str:
    """Return what the cookies' names begin with.

    Over https the browser itself guarantees that such a cookie is this host's own; below a path,
    at least that it came over https.
    """
    if not _uses_https():
        return ""
    return "__Secure-" if base_path() else "__Host-"


def _uses_https() -> bool:
    return (_settings().public_url or "").startswith("https:")


def _settings() -> Settings:
    try:
        return settings()
    except EarmarkError:
        return Settings.model_construct()  # the page shows what is wrong with the settings


def _checked(value: object) -> str | None:
    """Return a value from outside if it is an id."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def _note_address(scope: Scope) -> None:
    host = (scope.get("server") or ("", 0))[0]
    if host and not is_loopback(host.removeprefix("::ffff:")):
        exposed().set()
