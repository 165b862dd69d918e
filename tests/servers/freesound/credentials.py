"""Who calls: API keys, OAuth2 tokens, and the messages for those that do not open a door."""

import secrets
from dataclasses import dataclass
from typing import Literal

from tests.servers.freesound.messages import ErrorReply, Request, detail
from tests.servers.freesound.site import Site
from tests.servers.freesound.state import Client, User

Access = Literal["any", "oauth", "write"]
"""What an endpoint asks for: any credential, a person's token, or one with the write scope."""
NO_CREDENTIALS = "Authentication credentials were not provided."


@dataclass(frozen=True)
class Caller:
    """The app that calls, and the person for whom it does."""

    client: Client
    user: User | None = None
    scope: frozenset[str] = frozenset()

    @property
    def person(self) -> User:
        """Return the person, where the endpoint cannot be reached without one."""
        assert self.user is not None
        return self.user


@dataclass(frozen=True)
class Call:
    """An authenticated request to an endpoint; `number` is the sound's id in the address."""

    site: Site
    request: Request
    caller: Caller
    number: int = 0


def authenticate(site: Site, request: Request, access: Access) -> Caller:
    """Return who calls.

    Args:
        site: The site with its clients and tokens.
        request: The request with its credentials.
        access: What the endpoint asks for.

    Raises:
        ErrorReply: The credentials are not good enough.
    """
    header = (request.headers.get("Authorization") or "").split()
    scheme = header[0].lower() if header else ""
    in_query = not header and request.method == "GET" and "access_token" in request.query
    if scheme == "bearer" or in_query:
        token = " ".join(header[1:]) if header else request.query["access_token"]
        caller = _from_token(site, token)
    elif access == "any":
        words = header[1:] if header else [request.query.get("token", "")]
        caller = _from_key(site, words, scheme)
    else:
        raise not_authenticated()
    if access != "any":
        require_https(site)
    return caller


def not_authenticated(message: str = NO_CREDENTIALS, reason: str = "") -> ErrorReply:
    """Return the 401; the reason of an invalid token stands in the header only."""
    problem = f',error="invalid_token",error_description="{reason}"' if reason else ""
    return ErrorReply(detail(401, message, WWW_Authenticate=f'Bearer realm="api"{problem}'))


def require_https(site: Site, page: bool = False) -> None:
    """Refuse the request where HTTPS is enforced: the double speaks HTTP only."""
    if site.https_enforced:
        reply = detail(403, "This resource requires a secure connection (https)")
        reply.content_type = "text/html" if page else reply.content_type
        raise ErrorReply(reply)


def _from_token(site: Site, access: str) -> Caller:
    """Return the caller whom an access token belongs to."""
    if not access:
        raise not_authenticated()
    for token in site.state.tokens:
        if secrets.compare_digest(token.access.encode(), access.encode()):
            break
    else:
        raise not_authenticated(reason="The access token is invalid.")
    if token.expires <= site.state.now():
        raise not_authenticated(reason="The access token has expired.")
    client, user = site.state.clients[token.client_id], site.state.users[token.username]
    return Caller(client, user, token.scope)


def _from_key(site: Site, words: list[str], scheme: str) -> Caller:
    """Return the caller whom an API key belongs to."""
    if scheme not in ("", "token") or (not scheme and not words[0]):
        raise not_authenticated()
    if not words:
        raise not_authenticated("Invalid token header. No credentials provided.")
    if len(words) > 1:
        raise not_authenticated("Invalid token header. Token string should not contain spaces.")
    clients = site.state.clients.values()
    client = next((client for client in clients if client.client_secret == words[0]), None)
    if client is None:
        raise not_authenticated("Invalid token")
    if not client.approved:
        raise not_authenticated("Suspended token or token pending for approval")
    owner = site.state.users.get(client.owner)
    if owner and not owner.active:
        raise not_authenticated("User inactive or deleted")
    return Caller(client)
