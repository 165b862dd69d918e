"""Finding the endpoint of a request, and what holds for all endpoints."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.servers.freesound import login, media, oauth, pages, search, sounds, upload
from tests.servers.freesound.credentials import Access, Call, authenticate
from tests.servers.freesound.messages import (
    ErrorReply,
    Reply,
    Request,
    detail,
    html,
    not_found_page,
    redirect,
)
from tests.servers.freesound.site import SITE, Site
from tests.servers.freesound.throttle import throttle

API = "/apiv2/"


@dataclass(frozen=True)
class Endpoint:
    """An address of the API that needs credentials."""

    pattern: str
    function: Callable[[Call], Reply]
    method: str
    access: Access


@dataclass(frozen=True)
class Page:
    """An address of the API that needs none; a pattern with `*` takes any number of slashes."""

    pattern: str
    function: Callable[[Site, Request], Reply]
    methods: tuple[str, ...]


ROUTES: tuple[Endpoint | Page, ...] = (
    Endpoint(r"search/(?:text/)?", search.search, "GET", "any"),
    Endpoint(r"sounds/pending_uploads/", sounds.pending_uploads, "GET", "oauth"),
    Endpoint(r"sounds/upload/", upload.upload, "POST", "write"),
    Endpoint(r"sounds/describe/", upload.describe, "POST", "write"),
    Endpoint(r"sounds/(\d+)/", sounds.sound, "GET", "any"),
    Endpoint(r"sounds/(\d+)/edit/", upload.edit, "POST", "write"),
    Endpoint(r"sounds/(\d+)/download/", media.download, "GET", "oauth"),
    Endpoint(r"me/", sounds.me, "GET", "oauth"),
    Page(r"login/", login.login, ("GET", "POST")),
    Page(r"oauth2/authorize/*", oauth.authorize, ("GET", "POST")),
    Page(r"oauth2/logout_and_authorize/*", oauth.logout_and_authorize, ("GET",)),
    Page(
        r"oauth2/access_token/*",
        oauth.access_token,
        ("GET", "POST", "PUT", "DELETE", "PATCH"),
    ),
)


def answer(site: Site, request: Request) -> Reply:
    """Return the reply to a request; errors of a request are replies, too."""
    try:
        return _dispatch(site, request)
    except ErrorReply as error:
        return error.reply


def _dispatch(site: Site, request: Request) -> Reply:
    """Return the reply of the endpoint that the path leads to."""
    path = request.path
    if path.startswith("/data/"):
        return media.serve_media(site, path)
    if path.startswith("/home/"):
        return login.serve_site_page(site, request)
    if path == f"{API}/":
        return detail(400, "Invalid url")
    for route in ROUTES:
        match = re.fullmatch(API + route.pattern, path)
        if match and isinstance(route, Page):
            return _serve_page(site, request, route)
        if match and isinstance(route, Endpoint):
            return _serve_endpoint(site, request, route, int(next(iter(match.groups()), 0)))
        if re.fullmatch(API + route.pattern, path + "/"):
            return redirect(f"{path}/{request.query_suffix}", 301)
    return not_found_page()


def _serve_page(site: Site, request: Request, route: Page) -> Reply:
    """Return a page for people or for OAuth2."""
    if request.method not in route.methods:
        return Reply(405, headers=[("Allow", ", ".join(route.methods))])
    return route.function(site, request)


def _serve_endpoint(site: Site, request: Request, route: Endpoint, number: int) -> Reply:
    """Return an endpoint's reply to a caller who may call it and has not called too often."""
    as_page = _wants_page(site, request)
    caller = authenticate(site, request, route.access)
    throttle(site, caller.client, route.access)
    if route.access == "write" and "write" not in caller.scope:
        raise ErrorReply(detail(401, "Not authorized"))
    if request.method != route.method:
        message = f'Method "{request.method}" not allowed.'
        raise ErrorReply(detail(405, message, Allow=route.method))
    reply = route.function(Call(site, request, caller, number))
    if as_page and reply.content_type == "application/json":
        return html(pages.browsable(reply.body.decode()), reply.status)
    return reply


def _wants_page(site: Site, request: Request) -> bool:
    """Tell if the caller prefers an HTML page to JSON; no other formats are served here."""
    requested_format = request.query.get("format")
    if requested_format is not None:
        if requested_format != "json":
            raise ErrorReply(detail(404, "Not found."))
        return False
    accept = request.headers.get("Accept") or "*/*"
    if "application/json" in accept:
        return False
    if "text/html" in accept:
        if site.https_enforced:
            raise ErrorReply(redirect(SITE + request.target))
        return True
    if "*/*" in accept or "application/*" in accept:
        return False
    raise ErrorReply(detail(406, "Could not satisfy the request Accept header."))
