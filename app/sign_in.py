"""The routes that a browser takes to sign in with Freesound, and back."""

from html import escape

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from app import browser, session
from core.errors import EarmarkError
from core.freesound.oauth import BadCredential
from core.settings import is_loopback

LOGIN, CALLBACK = "/auth/freesound/login", "/auth/freesound/callback"
RETURN_PATHS = ("/", "/try", "/many", "/uploads", "/metrics")
_UNCACHED = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def login_url(return_to: str) -> str:
    """The address that starts a sign-in and comes back to that path of the app."""
    return f"{LOGIN}?to={return_to}"


async def _login(request: Request) -> Response:
    """Send the browser to Freesound."""
    own_id, home = browser.id_in(request.headers), _home(request)
    if own_id is None:
        return _page("Cookies are needed", "To sign in, this site must be allowed to keep one cookie. Please allow it and try again.")
    if home is None:
        return _page("Sign-in is not set up here", "The server must be told its public address (EARMARK_PUBLIC_URL) first.")
    return_to = request.query_params.get("to", "/")
    try:
        sign_ins = session.sign_ins()
        if sign_ins is None:
            return _page("Sign-in is not set up here", "This server has no Freesound client id (EARMARK_FREESOUND_CLIENT_ID).")
        url = await run_in_threadpool(sign_ins.begin, own_id, home + CALLBACK, return_to if return_to in RETURN_PATHS else "/")
    except EarmarkError as error:
        return _page("Signing in is not possible now", str(error))
    return RedirectResponse(url, 303, headers=_UNCACHED)


async def _callback(request: Request) -> Response:
    """Take the code that Freesound sends back, in the browser that asked for it and nowhere else."""
    own_id, sign_ins = browser.id_in(request.headers), session.sign_ins()
    state, code = request.query_params.get("state", ""), request.query_params.get("code", "")
    if sign_ins is None or own_id is None or not state:
        return _page("Nothing to sign in to", "This address is only good at the end of a sign-in that was begun in this browser.")
    try:
        if code and "error" not in request.query_params:
            return_to = await run_in_threadpool(sign_ins.finish, own_id, state, code)
            return RedirectResponse(return_to, 303, headers=_UNCACHED)
        return_to = await run_in_threadpool(sign_ins.abandon, own_id, state)
    except BadCredential as error:
        return _page("Signing in is not possible now", str(error))
    except EarmarkError as error:
        return _page("That did not work", f"{error} Nothing was changed, and a sound you were working on is still there.", again=True)
    return _page(
        "You are not signed in",
        "Freesound says that you did not agree, so nothing was changed. A sound you were working on is still there.",
        back=return_to,
    )


def _home(request: Request) -> str | None:
    """This server's own address: the one that was set, or that of the request where it is this machine."""
    public = session.settings().public_url
    if public:
        return public
    return f"http://{request.url.netloc}" if is_loopback(request.url.hostname or "") else None


def _page(title: str, text: str, back: str = "/try", again: bool = False) -> HTMLResponse:
    """A small page of ours. What it says was escaped: some of it may come from outside."""
    links = f'<a href="{escape(back)}">Back to Earmark</a>'
    if again:
        links = f'<a href="{login_url(back)}">Sign in again</a> ' + links
    body = _PAGE.format(title=escape(title), text=escape(text), links=links)
    return HTMLResponse(body, 400, headers=_UNCACHED | {"Content-Security-Policy": _POLICY})


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title} · Earmark</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 1.05rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto; padding: 0 1.5rem;
    background: light-dark(#fbfaf7, #10141f); color: light-dark(#1b2333, #e9e6dd) }}
  a {{ display: inline-block; margin: .6rem .8rem 0 0; padding: .5rem 1.1rem; border-radius: .6rem; text-decoration: none;
    color: light-dark(#fff, #10141f); background: light-dark(#0f7f80, #37b3b0) }}
  a:not(:first-child) {{ background: none; color: inherit; border: 1px solid light-dark(#ddd8cc, #2e374b) }}
</style>
<h1>{title}</h1>
<p>{text}</p>
<p>{links}</p>
</html>
"""

ROUTES = [Route(LOGIN, _login), Route(CALLBACK, _callback)]
