"""The site's own pages: logging in with a session cookie and a CSRF token, terms, codes."""

from collections.abc import Callable
from urllib.parse import urlencode

from tests.servers.freesound import pages
from tests.servers.freesound.messages import (
    ErrorReply,
    Reply,
    Request,
    html,
    not_found_page,
    redirect,
)
from tests.servers.freesound.site import Site
from tests.servers.freesound.state import User, random_text

GRANTED_PATH = "/home/app_permissions/permission_granted/"
TERMS_PATH = "/home/tosacceptance/"


def login(site: Site, request: Request) -> Reply:
    """Show the login page, or log in and go on to `next`, which stays on the site."""
    if request.method == "GET":
        next_address = request.query.get("next", "/")
        return page_with_csrf(request, lambda csrf: pages.login(csrf, next_address, failed=False))
    check_csrf(request)
    next_address = request.fields.get("next") or "/"
    user = site.state.users.get(request.fields.get("username", ""))
    if user is None or not user.active or user.password != request.fields.get("password"):
        return page_with_csrf(request, lambda csrf: pages.login(csrf, next_address, failed=True))
    session = random_text(32)
    site.state.sessions[session] = user.username
    reply = redirect(next_address if _is_on_site(site, next_address) else "/")
    cookie = f"sessionid={session}; Path=/; HttpOnly; SameSite=Lax"
    reply.headers.append(("Set-Cookie", cookie))
    return reply


def serve_site_page(site: Site, request: Request) -> Reply:
    """Return a page below /home/: the terms, or the code of an app without a callback."""
    if request.path == TERMS_PATH:
        return html(pages.terms())
    if request.path != GRANTED_PATH:
        return not_found_page()
    if session_user(site, request) is None:
        return ask_to_log_in(request.target)
    code = site.state.codes.get(request.query.get("code", ""))
    if code is None or code.expires <= site.state.now():
        return html(pages.access_denied())
    return html(pages.permission_granted(site.state.clients[code.client_id].name, code.code))


def session_user(site: Site, request: Request) -> User | None:
    """Return who is logged in in the browser."""
    return site.state.users.get(site.state.sessions.get(request.cookie("sessionid"), ""))


def ask_to_log_in(next_address: str) -> Reply:
    """Return the redirect to the login page."""
    return redirect("/apiv2/login/?" + urlencode({"next": next_address}))


def page_with_csrf(request: Request, page: Callable[[str], str]) -> Reply:
    """Return a page with a form and set the cookie that its CSRF token must agree with."""
    csrf = request.cookie("csrftoken") or random_text(32)
    reply = html(page(csrf))
    reply.headers.append(("Set-Cookie", f"csrftoken={csrf}; Path=/; SameSite=Lax"))
    return reply


def check_csrf(request: Request) -> None:
    """Check that the form comes from a page of the site.

    Raises:
        ErrorReply: Token and cookie differ, or one of them is missing.
    """
    cookie = request.cookie("csrftoken")
    if not cookie or request.fields.get("csrfmiddlewaretoken") != cookie:
        page = pages.error(403, "CSRF verification failed. Request aborted.")
        raise ErrorReply(html(page, 403))


def _is_on_site(site: Site, address: str) -> bool:
    """Tell if an address leads to the site itself."""
    relative = address.startswith("/") and not address.startswith("//")
    return relative or address.startswith(site.url + "/")
