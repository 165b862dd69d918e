"""Signing in with Freesound: the authorization code flow of OAuth2 with PKCE (RFC 6749, RFC 7636), its protocol parts by Authlib."""

from dataclasses import dataclass

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from pydantic import SecretStr

from core.freesound.client import FreesoundError, ServerTrouble, Unreachable

TIMEOUT_S = (10, 30)


class SignInRefused(FreesoundError):
    """The code or the refresh token is not (or no longer) good: the person has to sign in again."""


class BadCredential(FreesoundError):
    """Freesound does not know this client id and secret: a matter for whoever runs the server."""


@dataclass(frozen=True)
class Tokens:
    """What stands for a person at Freesound. Both are replaced by a refresh, and the old ones die at once (measured)."""

    access: SecretStr
    refresh: SecretStr


@dataclass(frozen=True)
class OAuthClient:
    """One Freesound API credential as an OAuth2 client. `api` is the API's address without a final slash."""

    client_id: str
    client_secret: SecretStr
    api: str

    def authorization_url(self, state: str, verifier: str, redirect_uri: str) -> str:
        """Where to send the browser. `verifier` stays here; only its hash travels."""
        session = self._session(redirect_uri)
        return session.create_authorization_url(f"{self.api}/oauth2/authorize/", state=state, code_verifier=verifier)[0]

    def exchange(self, code: str, verifier: str, redirect_uri: str) -> Tokens:
        """Tokens for a code. Raises `SignInRefused`, `BadCredential`, `Unreachable` or `ServerTrouble`."""
        return self._tokens(lambda session, url: session.fetch_token(url, code=code, code_verifier=verifier, **_SAFELY), redirect_uri)

    def refresh(self, tokens: Tokens) -> Tokens:
        """The next pair of tokens; after this the given pair is dead. Raises as `exchange` does."""
        return self._tokens(lambda session, url: session.refresh_token(url, refresh_token=tokens.refresh.get_secret_value(), **_SAFELY))

    def _session(self, redirect_uri: str | None = None) -> OAuth2Session:
        return OAuth2Session(
            self.client_id,
            self.client_secret.get_secret_value(),
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_post",
        )

    def _tokens(self, ask, redirect_uri: str | None = None) -> Tokens:
        """Ask the token endpoint and read its answer; no error quotes what was sent."""
        with self._session(redirect_uri) as session:
            try:
                answer = ask(session, f"{self.api}/oauth2/access_token/")
            except OAuthError as error:
                raise _refusal(error) from None
            except (requests.HTTPError, ValueError, KeyError):
                raise ServerTrouble("Freesound has trouble with signing in just now; please try again in a moment.") from None
            except requests.RequestException:
                raise Unreachable("Freesound cannot be reached for signing in; please try again in a moment.") from None
        try:
            return Tokens(SecretStr(str(answer["access_token"])), SecretStr(str(answer["refresh_token"])))
        except (KeyError, TypeError):
            raise ServerTrouble("Freesound's answer to the sign-in is not what its documentation says.") from None


_SAFELY = {"timeout": TIMEOUT_S, "allow_redirects": False}


def _refusal(error: OAuthError) -> FreesoundError:
    """The token endpoint's error codes as sentences."""
    if error.error == "invalid_client":
        return BadCredential("Freesound does not accept this server's client id and secret; whoever runs Earmark here must check them.")
    if error.error == "invalid_grant":
        return SignInRefused("The sign-in took too long or was used already; please sign in again.")
    return SignInRefused(f"Freesound refuses the sign-in ({error.error}); please sign in again.")
