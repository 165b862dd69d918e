"""Signing in with Freesound: OAuth2's authorization code flow with PKCE (RFC 6749, RFC 7636).

Authlib does the protocol's parts.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from pydantic import SecretStr

from core.freesound.errors import (
    BadCredential,
    FreesoundError,
    ServerTrouble,
    SignInRefused,
    Unreachable,
)

logger = logging.getLogger(__name__)

Account = Literal["any", "confirmed", "other"]
"""Which of Freesound's accounts is wanted: the one that is logged in there without a question, that
one once the person has agreed, or one that they log in with anew."""
TIMEOUT_S = (10, 30)
_REQUEST_OPTIONS: dict[str, Any] = {"timeout": TIMEOUT_S, "allow_redirects": False}


@dataclass(frozen=True)
class Tokens:
    """A person's access to Freesound. A refresh replaces both; the old ones die at once."""

    access: SecretStr
    refresh: SecretStr


@dataclass(frozen=True)
class OAuthClient:
    """A Freesound API credential as an OAuth2 client.

    Attributes:
        client_id: Public id of the credential.
        client_secret: Its key.
        api: Address of the API, without a final slash.
    """

    client_id: str
    client_secret: SecretStr
    api: str

    def authorization_url(
        self, state: str, verifier: str, redirect_uri: str, account: Account = "any"
    ) -> str:
        """Return the address to send the browser to.

        Args:
            state: Comes back with the callback.
            verifier: Stays here; only its hash travels.
            redirect_uri: Address of the callback.
            account: Which account is wanted.
        """
        endpoint = "logout_and_authorize" if account == "other" else "authorize"
        address = f"{self.api}/oauth2/{endpoint}/"
        question = {} if account == "any" else {"approval_prompt": "force"}
        session = self._session(redirect_uri)
        url, _ = session.create_authorization_url(
            address, state=state, code_verifier=verifier, **question
        )
        return str(url)

    def exchange(self, code: str, verifier: str, redirect_uri: str) -> Tokens:
        """Return tokens for a code.

        Raises:
            SignInRefused: The code is not good (any more).
            BadCredential: Freesound does not know this client.
            Unreachable: There was no answer.
            ServerTrouble: The answer makes no sense.
        """

        def fetch(session: OAuth2Session, url: str) -> Any:
            return session.fetch_token(url, code=code, code_verifier=verifier, **_REQUEST_OPTIONS)

        return self._tokens(fetch, redirect_uri)

    def refresh(self, tokens: Tokens) -> Tokens:
        """Return the next pair of tokens, after which the given pair is dead.

        Raises:
            FreesoundError: As `exchange` does.
        """

        def fetch(session: OAuth2Session, url: str) -> Any:
            refresh_token = tokens.refresh.get_secret_value()
            return session.refresh_token(url, refresh_token=refresh_token, **_REQUEST_OPTIONS)

        return self._tokens(fetch)

    def _session(self, redirect_uri: str | None = None) -> OAuth2Session:
        return OAuth2Session(
            self.client_id,
            self.client_secret.get_secret_value(),
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_post",
        )

    def _tokens(
        self, fetch: Callable[[OAuth2Session, str], Any], redirect_uri: str | None = None
    ) -> Tokens:
        """Ask the token endpoint and read its answer; no error quotes what was sent."""
        with self._session(redirect_uri) as session:
            try:
                answer = fetch(session, f"{self.api}/oauth2/access_token/")
            except OAuthError as error:
                raise _refusal(error) from None
            except (requests.HTTPError, ValueError, KeyError, TypeError, RecursionError):
                raise _trouble(
                    "Freesound has trouble with signing in just now; please try again in a moment."
                ) from None
            except requests.RequestException:
                logger.warning("freesound sign-in unreachable")
                raise Unreachable(
                    "Freesound cannot be reached for signing in; please try again in a moment."
                ) from None
        try:
            access, refresh = str(answer["access_token"]), str(answer["refresh_token"])
            f"{access}{refresh}".encode("ascii")  # they go into headers
        except (KeyError, TypeError, UnicodeError):
            raise _trouble(
                "Freesound's answer to the sign-in is not what its documentation says."
            ) from None
        return Tokens(SecretStr(access), SecretStr(refresh))


def _trouble(message: str) -> ServerTrouble:
    logger.warning("freesound sign-in trouble")
    return ServerTrouble(message)


def _refusal(error: Any) -> FreesoundError:
    """Return the token endpoint's error codes as sentences."""
    logger.warning("freesound sign-in refused code=%s", error.error)
    if error.error == "invalid_client":
        return BadCredential(
            "Freesound does not accept this server's client id and secret; "
            "whoever runs Earmark here must check them."
        )
    if error.error == "invalid_grant":
        return SignInRefused("The sign-in took too long or was used already; please sign in again.")
    return SignInRefused(f"Freesound refuses the sign-in ({error.error}); please sign in again.")
