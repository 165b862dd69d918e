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
from app.browser import RequestedBy
from app.components.assets import asset
from app.own_address import at_registered_host, own_address
from app.twins import TwinsBusy, twins
from app.vocabulary import vocabulary_json
from core.errors import EarmarkError
from core.freesound.errors import BadCredential
from core.freesound.oauth import Account
from core.freesound.sign_ins import SignIns
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
_COOKIES_NEEDED = (
    "To sign in, this site must be allowed to set one cookie. Allow it and try again. "
    "If you see Earmark inside another site's page, open it in a tab of its own."
)
_NO_ADDRESS = "The server does not know its public address (EARMARK_PUBLIC_URL)."
_NO_CLIENT_ID = "This server has no Freesound client id (EARMARK_FREESOUND_CLIENT_ID)."
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


def login_url(return_to: str, account: Account = "any") -> str:
    """Return the address that starts a sign-in.

    Args:
        return_to: Path of the page to come back to; the monitor where it is none of ours.
        account: Which of Freesound's accounts is wanted.
    """
    address = f"{base_path()}{LOGIN}?to={_own_page(return_to)}"
    return address if account == "any" else f"{address}&account={account}"


def _own_page(path: str) -> str:
    return path if path in RETURN_PATHS else "/"


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
    """Send the browser to Freesound, from the host that it comes back to."""
    try:
        return await run_in_threadpool(_begin, request, browser.requested_by(request))
    except EarmarkError as error:
        return _error_message("Sign-in is not available", error)


def _begin(request: Request, requested_by: RequestedBy) -> Response:
    """Return the way to Freesound, or to the registered host first: cookies belong to one host."""
    query, settings, sign_ins = request.query_params, services.settings(), services.sign_ins()
    elsewhere = at_registered_host(request.url.include_query_params(moved=1), settings)
    if "moved" not in query and elsewhere:
        return RedirectResponse(elsewhere, 303, headers=_UNCACHED)
    if "moved" not in query and not requested_by.sent:
        return _message("Cookies are needed", _COOKIES_NEEDED)
    own = own_address(request.url, settings)
    if own is None or sign_ins is None:
        reason = _NO_ADDRESS if own is None else _NO_CLIENT_ID
        return _message("Sign-in is not set up here", reason)
    if requested_by.browser_id is None:
        requested_by.give_id(browser.new_id())
    account, return_to = _account(query.get("account", ""), requested_by), query.get("to", "/")
    browser_id, callback = requested_by.browser_id or "", f"{own}{CALLBACK}"
    url = sign_ins.begin(browser_id, callback, _own_page(return_to), account)
    return RedirectResponse(url, 303, headers=_UNCACHED)


def _account(requested: str, requested_by: RequestedBy) -> Account:
    """Return which account is to be asked for: after a sign-out, none without a question."""
    if requested == "other":
        return "other"
    return "confirmed" if requested_by.ask or requested == "confirmed" else "any"


async def _callback(request: Request) -> Response:
    """Take the code that Freesound sends back, in the browser that asked for it only."""
    query, requested_by = request.query_params, browser.requested_by(request)
    browser_id, state = requested_by.browser_id, query.get("state", "")
    try:
        sign_ins = services.sign_ins()
        if sign_ins is None or browser_id is None or not requested_by.sent or not state:
            return _message(
                "No sign-in in progress",
                "This address only works at the end of a sign-in that began in this browser.",
            )
        if query.get("code") and "error" not in query:
            path = await run_in_threadpool(_finish, sign_ins, requested_by, state, query["code"])
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


def _finish(sign_ins: SignIns, requested_by: RequestedBy, state: str, code: str) -> str:
    """Sign a person in under a new id of the browser, to which their draft follows them.

    Returns:
        The page to show.
    """
    former, following, drafts = requested_by.browser_id or "", browser.new_id(), services.drafts()
    finished = sign_ins.finish(former, state, code, following)
    drafts.move(former, following, finished.person.user_id)
    if finished.former and finished.former.user_id != finished.person.user_id:
        drafts.delete(former, finished.former.user_id)
    requested_by.give_id(following)
    requested_by.set_ask(False)
    return finished.return_to


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
