"""HTTP routes beside the pages: media, and signing in with Freesound.

All of them lie below Streamlit's `server.baseUrlPath`.
"""

import logging
from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from app import browser, services
from app.base_path import base_path
from app.components.assets import asset
from app.twins import TwinsBusy, twins
from app.vocabulary import vocabulary_json
from core.errors import EarmarkError
from core.freesound.errors import BadCredential
from core.settings import is_loopback
from core.storage.media import TWIN_SUFFIX

logger = logging.getLogger(__name__)

LOGIN, CALLBACK = "/auth/freesound/login", "/auth/freesound/callback"
RETURN_PATHS = ("/", "/try", "/many", "/uploads", "/metrics")
"""Pages to which a sign-in may come back."""
MEDIA_TYPES = {".ogg": "audio/ogg", TWIN_SUFFIX: "audio/mp4", ".webp": "image/webp"}
CACHE_FOREVER = "public, max-age=31536000, immutable"
"""For an address that holds the content's hash: the answer can never change."""
CACHE_TEMPORARY = "private, max-age=3600"
_NO_SNIFF = {"X-Content-Type-Options": "nosniff"}
_UNCACHED = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"} | _NO_SNIFF
_CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_MESSAGE = Template((Path(__file__).parent / "assets" / "message.html").read_text("utf-8"))


def page_url(path: str) -> str:
    """Return the address of a page, such as `/try`."""
    return f"{base_path()}{path}"


def media_url(name: str) -> str:
    """Return the address of a medium of the workspace."""
    return f"{base_path()}/sounds/{name}"


def temporary_media_url(name: str) -> str:
    """Return the address of a medium of somebody's own clip, which is not in the workspace."""
    return f"{base_path()}/clips/{name}"


def login_url(return_to: str) -> str:
    """Return the address that starts a sign-in.

    Args:
        return_to: Path of the page to come back to; the monitor where it is none of ours.
    """
    return f"{base_path()}{LOGIN}?to={return_to if return_to in RETURN_PATHS else '/'}"


def _media(request: Request) -> Response:
    media = services.workspace().media
    return _medium(request.path_params["name"], media.path, CACHE_FOREVER)


def _temporary_media(request: Request) -> Response:
    media = services.temporary_media()
    return _medium(request.path_params["name"], media.path, CACHE_TEMPORARY)


def _medium(name: str, find: Callable[[str], Path | None], cache: str) -> Response:
    """Return a medium; a name that ends in .m4a is that of a preview's twin."""
    is_twin = name.endswith(TWIN_SUFFIX)
    path = find(f"{name.removesuffix(TWIN_SUFFIX)}.ogg" if is_twin else name)
    try:
        path = twins().twin(path) if is_twin and path else path
    except TwinsBusy as error:
        raise HTTPException(503, str(error), headers={"Retry-After": "1"}) from error
    except EarmarkError as error:
        logger.warning("twin failed name=%s reason=%s", name, error)
        path = None
    if path is None:
        raise HTTPException(404)
    media_type = MEDIA_TYPES[path.suffix]
    return FileResponse(path, media_type=media_type, headers={"Cache-Control": cache} | _NO_SNIFF)


def _asset(request: Request) -> Response:
    content = asset(request.path_params["version"], request.path_params["path"])
    if content is None:
        raise HTTPException(404)
    return _content(*content)


def _vocabulary(request: Request) -> Response:
    content = vocabulary_json(request.path_params["name"])
    if content is None:
        raise HTTPException(404)
    return _content(content, "application/json")


def _content(content: bytes, media_type: str) -> Response:
    """Return what lies at an address with its hash."""
    headers = {"Cache-Control": CACHE_FOREVER, "Content-Type": media_type} | _NO_SNIFF
    return Response(content, headers=headers)


async def _login(request: Request) -> Response:
    """Send the browser to Freesound."""
    browser_id, address = browser.id_in(request.headers), _own_address(request)
    if browser_id is None:
        return _message(
            "Cookies are needed",
            "To sign in, this site must be allowed to set one cookie. Allow it and try again.",
        )
    if address is None:
        return _message(
            "Sign-in is not set up here",
            "The server does not know its public address (EARMARK_PUBLIC_URL).",
        )
    return_to = request.query_params.get("to", "/")
    return_to = return_to if return_to in RETURN_PATHS else "/"
    try:
        sign_ins = services.sign_ins()
        if sign_ins is None:
            return _message(
                "Sign-in is not set up here",
                "This server has no Freesound client id (EARMARK_FREESOUND_CLIENT_ID).",
            )
        url = await run_in_threadpool(sign_ins.begin, browser_id, address + CALLBACK, return_to)
    except EarmarkError as error:
        return _error_message("Sign-in is not available", error)
    return RedirectResponse(url, 303, headers=_UNCACHED)


async def _callback(request: Request) -> Response:
    """Take the code that Freesound sends back, in the browser that asked for it only."""
    query = request.query_params
    browser_id, state = browser.id_in(request.headers), query.get("state", "")
    try:
        sign_ins = services.sign_ins()
        if sign_ins is None or browser_id is None or not state:
            return _message(
                "No sign-in in progress",
                "This address only works at the end of a sign-in that began in this browser.",
            )
        if query.get("code") and "error" not in query:
            path = await run_in_threadpool(sign_ins.finish, browser_id, state, query["code"])
            return RedirectResponse(page_url(path), 303, headers=_UNCACHED)
        path = await run_in_threadpool(sign_ins.abandon, browser_id, state)
    except BadCredential as error:
        return _error_message("Sign-in is not available", error)
    except EarmarkError as error:
        note = "Your draft is kept."
        return _error_message("Sign-in failed", error, note, again=True)
    return _message(
        "You are not signed in",
        "Earmark was not given access on Freesound. Your draft is kept.",
        back=path,
    )


def _own_address(request: Request) -> str | None:
    """Return this server's public address, or the request's where that is this machine."""
    public = services.settings().public_url
    if public:
        return public
    if not is_loopback(request.url.hostname or ""):
        return None
    return f"http://{request.url.netloc}{base_path()}"


def _error_message(
    title: str, error: EarmarkError, note: str = "", *, again: bool = False
) -> HTMLResponse:
    logger.warning("page error page=sign-in message=%s", error)
    return _message(title, f"{error} {note}".strip(), again=again)


def _message(title: str, text: str, back: str = "/try", *, again: bool = False) -> HTMLResponse:
    """Return a small page; its text is escaped, as some of it may come from outside."""
    links = f'<a href="{escape(page_url(back))}">Back to Earmark</a>'
    if again:
        links = f'<a href="{escape(login_url(back))}">Sign in again</a> {links}'
    body = _MESSAGE.substitute(title=escape(title), text=escape(text), links=links)
    headers = _UNCACHED | {"Content-Security-Policy": _CONTENT_POLICY}
    return HTMLResponse(body, 400, headers=headers)


ROUTES = [
    Route(prefix + path, endpoint)
    for prefix in ("", "/{base:path}")  # Streamlit's options cannot be read yet: any base will do
    for path, endpoint in (
        ("/sounds/{name}", _media),
        ("/clips/{name}", _temporary_media),
        ("/assets/{version}/{path:path}", _asset),
        ("/vocabulary/{name}", _vocabulary),
        (LOGIN, _login),
        (CALLBACK, _callback),
    )
]
