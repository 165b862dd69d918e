"""OAuth2: the authorization pages and the token endpoint."""

import base64
import hashlib
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tests.servers.freesound import pages
from tests.servers.freesound.credentials import require_https
from tests.servers.freesound.login import (
    GRANTED_PATH,
    TERMS_PATH,
    ask_to_log_in,
    check_csrf,
    page_with_csrf,
    session_user,
)
from tests.servers.freesound.messages import (
    HTML,
    ErrorReply,
    Reply,
    Request,
    as_json,
    html,
    redirect,
)
from tests.servers.freesound.site import Site
from tests.servers.freesound.state import (
    DAY_S,
    MINUTE_S,
    AuthorizationCode,
    Client,
    Token,
    User,
    random_text,
)

CODE_LIFETIME_S = 10 * MINUTE_S
NOT_CACHED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
SCOPES = {"read", "write"}


@dataclass(frozen=True)
class Authorization:
    """An app's request to act for a person, with an address that is the app's own."""

    user: User
    client: Client
    redirect_uri: str
    fields: dict[str, str]

    @property
    def scope(self) -> list[str]:
        """Return the scopes that the app asks for."""
        return self.fields.get("scope", "read write").split()


def callback_of(site: Site, client: Client) -> str:
    """Return the registered address of an app; without one its code is shown on a page."""
    return client.redirect_uri or f"{site.url}{GRANTED_PATH}"


def logout_and_authorize(site: Site, request: Request) -> Reply:
    """End the session and begin an authorization."""
    require_https(site, page=True)
    site.state.sessions.pop(request.cookie("sessionid"), None)
    reply = ask_to_log_in(f"{site.url}/apiv2/oauth2/authorize/{request.query_suffix}")
    reply.headers.append(("Set-Cookie", "sessionid=; Path=/; Max-Age=0"))
    return reply


def authorize(site: Site, request: Request) -> Reply:
    """Ask the person if an app may act for them, and send the answer to the app."""
    require_https(site, page=True)
    user = session_user(site, request)
    if user is None:
        return ask_to_log_in(request.target)
    if not user.tos_accepted:
        return redirect(TERMS_PATH)
    is_post = request.method == "POST"
    if is_post:
        check_csrf(request)
    fields = request.fields if is_post else request.query
    client = site.state.clients.get(fields.get("client_id", ""))
    if client is None:
        return _broken_request("Invalid client_id parameter value.")
    target = fields.get("redirect_uri") or callback_of(site, client)
    if not redirect_allowed(target, callback_of(site, client)):
        return _broken_request("Mismatching redirect URI.")
    return _decide(site, request, Authorization(user, client, target, fields))


def _decide(site: Site, request: Request, asked: Authorization) -> Reply:
    """Return the redirect with a code or an error, or the page that asks the person."""
    fields, is_post = asked.fields, request.method == "POST"
    state = {"state": fields["state"]} if fields.get("state") else {}
    problem = authorization_problem(fields, asked.scope)
    if problem is None and is_post and "allow" not in fields:
        problem = {"error": "access_denied"}
    if problem:
        return redirect(with_query(asked.redirect_uri, problem | state))
    unasked = fields.get("approval_prompt") != "force" and _already_allowed(site, asked)
    if is_post or unasked:
        code = {"code": _new_code(site, asked)}
        return redirect(with_query(asked.redirect_uri, code | state))
    return _consent_page(request, asked)


def _consent_page(request: Request, asked: Authorization) -> Reply:
    """Return the page that asks the person, with the request's fields in its form."""
    hidden = {
        "redirect_uri": asked.redirect_uri,
        "scope": " ".join(asked.scope),
        "nonce": "",
        "client_id": asked.client.client_id,
        "state": asked.fields.get("state", ""),
        "response_type": "code",
        "code_challenge": asked.fields.get("code_challenge", ""),
        "code_challenge_method": asked.fields.get("code_challenge_method", ""),
        "claims": "",
    }

    def page(csrf: str) -> str:
        fields = {"csrfmiddlewaretoken": csrf} | hidden
        return pages.consent(asked.client.name, asked.user.username, fields)

    return page_with_csrf(request, page)


def _broken_request(reason: str) -> Reply:
    """Return the page for a request whose answer must not be sent to the address it names."""
    return html(pages.authorization_error(f"invalid_request: {reason}"), 400)


def _already_allowed(site: Site, asked: Authorization) -> bool:
    """Tell if the person has a live token of the app with these scopes."""
    return any(
        token.username == asked.user.username
        and token.client_id == asked.client.client_id
        and token.expires > site.state.now()
        and token.scope >= set(asked.scope)
        for token in site.state.tokens
    )


def _new_code(site: Site, asked: Authorization) -> str:
    """Return a new code for an app."""
    challenge = asked.fields.get("code_challenge", "")
    method = (asked.fields.get("code_challenge_method") or "plain") if challenge else ""
    code = AuthorizationCode(
        code=random_text(30),
        username=asked.user.username,
        client_id=asked.client.client_id,
        scope=frozenset(asked.scope),
        redirect_uri=asked.redirect_uri,
        expires=site.state.now() + CODE_LIFETIME_S,
        challenge=challenge,
        method=method,
    )
    site.state.codes[code.code] = code
    return code.code


def access_token(site: Site, request: Request) -> Reply:
    """Return a token pair for a code or a refresh token."""
    require_https(site, page=True)
    if request.method != "POST":
        return Reply(405, content_type=HTML, headers=[("Allow", "POST, OPTIONS")])
    if request.query_string:
        raise oauth_error(400, "invalid_request", "URL query parameters are not allowed")
    token = _exchange(site, request)
    return as_json(
        {
            "access_token": token.access,
            "expires_in": DAY_S,
            "token_type": "Bearer",
            "scope": " ".join(sorted(token.scope)),
            "refresh_token": token.refresh,
        },
        headers=NOT_CACHED,
    )


def oauth_error(status: int, error: str, description: str | None = None) -> ErrorReply:
    """Return an error of the token endpoint."""
    headers = dict(NOT_CACHED)
    if status == 401:
        headers["WWW-Authenticate"] = f'Bearer error="{error}"'
    body = {"error": error}
    if description:
        body["error_description"] = description
    return ErrorReply(as_json(body, status, headers))


def _exchange(site: Site, request: Request) -> Token:
    """Return a new token pair for what the form offers."""
    grant = request.fields.get("grant_type")
    if grant == "authorization_code":
        return _exchange_code(site, request)
    if grant == "refresh_token":
        return _exchange_refresh_token(site, request)
    if grant in ("password", "client_credentials"):
        _client_of(site, request)
        raise oauth_error(400, "unauthorized_client")
    raise oauth_error(400, "unsupported_grant_type")


def _client_of(site: Site, request: Request) -> Client:
    """Return the app that asks: no secret is fine, since apps are public there, a wrong one not."""
    name = request.fields.get("client_id", "")
    secret = request.fields.get("client_secret", "")
    scheme, _, encoded = (request.headers.get("Authorization") or "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            raise oauth_error(401, "invalid_client") from None
    client = site.state.clients.get(name)
    if client is None or not client.approved or (secret and secret != client.client_secret):
        raise oauth_error(401, "invalid_client")
    return client


def _exchange_code(site: Site, request: Request) -> Token:
    """Return a token pair for a code, which is used up."""
    form = request.fields
    if not form.get("code"):
        raise oauth_error(400, "invalid_request", "Missing code parameter.")
    client = _client_of(site, request)
    code = site.state.codes.get(form["code"])
    if code is None or code.client_id != client.client_id or code.expires <= site.state.now():
        raise oauth_error(400, "invalid_grant")
    if code.challenge:
        _check_verifier(code, form.get("code_verifier"))
    if form.get("redirect_uri") and form["redirect_uri"] != code.redirect_uri:
        raise oauth_error(400, "invalid_request", "Mismatching redirect URI.")
    del site.state.codes[code.code]
    return site.state.grant(code.username, client, " ".join(code.scope))


def _check_verifier(code: AuthorizationCode, verifier: str | None) -> None:
    """Check PKCE's verifier against the challenge that came with the authorization."""
    if not verifier:
        raise oauth_error(400, "invalid_request", "Code verifier required.")
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    hashed = digest.rstrip(b"=").decode()
    if (hashed if code.method == "S256" else verifier) != code.challenge:
        raise oauth_error(400, "invalid_grant")


def _exchange_refresh_token(site: Site, request: Request) -> Token:
    """Return a new token pair for an old one, which ends."""
    refresh = request.fields.get("refresh_token")
    if not refresh:
        raise oauth_error(400, "invalid_request", "Missing refresh token parameter.")
    client = _client_of(site, request)
    old = next((token for token in site.state.tokens if token.refresh == refresh), None)
    if old is None or old.client_id != client.client_id:
        raise oauth_error(400, "invalid_grant")
    site.state.tokens.remove(old)
    return site.state.grant(old.username, client, " ".join(old.scope))


def with_query(address: str, parameters: dict[str, str]) -> str:
    """Return an address with more parameters after those of its own query."""
    parts = urlsplit(address)
    query = "&".join(filter(None, [parts.query, urlencode(parameters)]))
    return urlunsplit(parts._replace(query=query))


def redirect_allowed(asked: str, registered: str) -> bool:
    """Tell if an app may be answered at an address.

    Args:
        asked: The address in the request.
        registered: The address that the app registered.

    Returns:
        True if they agree in scheme, host, port and path. More query is fine, and a loopback IP
        that was registered without a port takes any port.
    """
    address, known = urlsplit(asked), urlsplit(registered)
    is_loopback = known.hostname in ("127.0.0.1", "::1")
    any_port = known.scheme == "http" and is_loopback and known.port is None
    same_name = address.hostname == known.hostname
    same_host = same_name if any_port else address.netloc == known.netloc
    same_query = set(parse_qsl(address.query)) >= set(parse_qsl(known.query))
    same_place = address.scheme == known.scheme and address.path == known.path
    return same_place and same_host and same_query


def authorization_problem(fields: dict[str, str], scope: list[str]) -> dict[str, str] | None:
    """Return the error that is sent to the app, None if its request is good."""
    response_type, method = fields.get("response_type"), fields.get("code_challenge_method")
    if not response_type:
        message = "Missing response_type parameter."
        return {"error": "invalid_request", "error_description": message}
    if response_type == "token":
        return {"error": "unauthorized_client"}
    if response_type != "code":
        return {"error": "unsupported_response_type"}
    if method and method not in ("S256", "plain"):
        message = "Transform algorithm not supported."
        return {"error": "invalid_request", "error_description": message}
    return None if scope and set(scope) <= SCOPES else {"error": "invalid_scope"}
