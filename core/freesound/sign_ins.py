"""The browsers at which somebody is signed in with Freesound.

Tokens never leave this file and the server's memory. A browser is known by a random id in a cookie;
only the id's hash is kept. Tokens are encrypted with a key derived from the client secret, so the
file alone gives nobody access.
"""

import base64
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sql
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from filelock import FileLock
from pydantic import SecretStr

from core.freesound.client import FreesoundClient
from core.freesound.errors import ForeignCallback, NotSignedIn, SignInExpired, SignInRefused
from core.freesound.oauth import OAuthClient, Tokens
from core.people import Person
from core.sqlite import open_database

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

STATE_LIFETIME_S = 600
"""As long as Freesound's codes live."""
SIGN_IN_LIFETIME_S = 30 * 86_400
MAX_STATES = 20
"""Sign-ins that may be begun at a time in one browser."""

_meta = sql.MetaData()
_begun = sql.Table(
    "begun",
    _meta,
    sql.Column("state", sql.Text, primary_key=True),
    sql.Column("browser", sql.Text, nullable=False),
    sql.Column("verifier", sql.Text, nullable=False),
    sql.Column("redirect_uri", sql.Text, nullable=False),
    sql.Column("return_to", sql.Text, nullable=False),
    sql.Column("time", sql.Float, nullable=False),
)
_people = sql.Table(
    "people",
    _meta,
    sql.Column("browser", sql.Text, primary_key=True),
    sql.Column("user_id", sql.Integer, nullable=False),
    sql.Column("name", sql.Text, nullable=False),
    sql.Column("tokens", sql.LargeBinary, nullable=False),
    sql.Column("time", sql.Float, nullable=False),
)


@dataclass(frozen=True)
class _Begun:
    """A sign-in that a browser was sent to Freesound for."""

    browser: str
    verifier: str
    redirect_uri: str
    return_to: str
    time: float


@dataclass(frozen=True)
class _SignedIn:
    """A person at a browser, with encrypted tokens."""

    person: Person
    tokens: bytes
    time: float


class SignIns:
    """Sign-ins in a SQLite file. Safe for threads and processes."""

    def __init__(
        self,
        path: Path,
        oauth: OAuthClient,
        client: FreesoundClient,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the file.

        Args:
            path: The SQLite file; only its owner may read it.
            oauth: Exchanges codes and refreshes tokens.
            client: Asks whose token it is.
            clock: Gives seconds since the epoch.

        Raises:
            DatabaseError: The file cannot be opened.
        """
        self._oauth, self._client, self._clock = oauth, client, clock
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._refresh_lock = FileLock(f"{path}.lock", mode=0o600)
        self._database = open_database(path, "sign_ins", _meta)
        self._cipher = Fernet(_encryption_key(oauth.client_secret))

    def begin(self, browser: str, redirect_uri: str, return_to: str) -> str:
        """Remember that somebody at this browser signs in.

        Args:
            browser: The browser's id.
            redirect_uri: Address of the callback.
            return_to: Page to show afterwards.

        Returns:
            The address to send the browser to.
        """
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        row = {
            "state": _hash(state),
            "browser": _hash(browser),
            "verifier": verifier,
            "redirect_uri": redirect_uri,
            "return_to": return_to,
            "time": self._clock(),
        }
        with self._database.writing() as connection:
            too_old = _begun.c.time < self._clock() - STATE_LIFETIME_S
            connection.execute(_begun.delete().where(too_old))
            states = sql.select(_begun.c.state).where(_begun.c.browser == row["browser"])
            newest_first = states.order_by(_begun.c.time.desc())
            surplus = connection.execute(newest_first.offset(MAX_STATES - 1)).scalars().all()
            connection.execute(_begun.delete().where(_begun.c.state.in_(surplus)))
            connection.execute(_begun.insert().values(row))
        return self._oauth.authorization_url(state, verifier, redirect_uri)

    def finish(self, browser: str, state: str, code: str) -> str:
        """Sign in the person who was given the code.

        Returns:
            The page to show.

        Raises:
            ForeignCallback: This browser did not begin that sign-in.
            FreesoundError: Freesound does not take the code, or cannot be asked.
        """
        begun = self._take(browser, state)
        tokens = self._oauth.exchange(code, begun.verifier, begun.redirect_uri)
        user = self._client.me(tokens.access)
        person = Person(user.unique_id, user.username)
        self._store(browser, person, tokens)
        logger.info("sign-in user=%d", person.user_id)
        return begun.return_to

    def abandon(self, browser: str, state: str) -> str:
        """End a sign-in that the person declined.

        Returns:
            The page to show.

        Raises:
            ForeignCallback: This browser did not begin that sign-in.
        """
        return self._take(browser, state).return_to

    def person(self, browser: str | None) -> Person | None:
        """Return the person who is signed in at this browser."""
        signed_in = self._signed_in(browser) if browser else None
        return signed_in.person if signed_in else None

    def with_token(self, browser: str, call: Callable[[SecretStr], Result]) -> Result:
        """Call a function with this browser's access token.

        It is called once more after a refresh where Freesound says that the token has run out.

        Raises:
            NotSignedIn: Nobody is signed in at this browser.
            SignInExpired: Only signing in again helps.
            Exception: Whatever `call` raises.
        """
        tokens = self._tokens(browser)
        try:
            return call(tokens.access)
        except SignInExpired:
            return call(self._refreshed(browser, tokens).access)

    def sign_out(self, browser: str) -> None:
        """Forget who is signed in at this browser."""
        with self._database.writing() as connection:
            connection.execute(_people.delete().where(_people.c.browser == _hash(browser)))

    def _take(self, browser: str, state: str) -> _Begun:
        """Return what was begun under a state, which is used up thereby, whoever asks."""
        taking = _begun.delete().where(_begun.c.state == _hash(state))
        columns = [_begun.c[name] for name in _Begun.__dataclass_fields__]
        with self._database.writing() as connection:
            row = connection.execute(taking.returning(*columns)).one_or_none()
        begun = _Begun(*row) if row else None
        if begun is None or not self._is_begun_by(begun, browser):
            logger.warning("sign-in callback refused known_state=%s", begun is not None)
            raise ForeignCallback(
                "This sign-in was not begun in this browser, took longer than ten minutes, "
                "or was used already."
            )
        return begun

    def _is_begun_by(self, begun: _Begun, browser: str) -> bool:
        is_recent = begun.time >= self._clock() - STATE_LIFETIME_S
        return is_recent and secrets.compare_digest(begun.browser, _hash(browser))

    def _signed_in(self, browser: str) -> _SignedIn | None:
        query = sql.select(_people).where(_people.c.browser == _hash(browser))
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or row.time <= self._clock() - SIGN_IN_LIFETIME_S:
            return None
        return _SignedIn(Person(row.user_id, row.name), row.tokens, row.time)

    def _tokens(self, browser: str) -> Tokens:
        signed_in = self._signed_in(browser)
        if signed_in is None:
            raise NotSignedIn("Please sign in with Freesound first.")
        try:
            access, refresh = json.loads(self._cipher.decrypt(signed_in.tokens))
        except (InvalidToken, ValueError):
            self.sign_out(browser)
            logger.warning("sign-in unreadable user=%d", signed_in.person.user_id)
            raise SignInExpired(
                "Please sign in with Freesound again: this server's credential has changed since."
            ) from None
        return Tokens(SecretStr(access), SecretStr(refresh))

    def _store(self, browser: str, person: Person, tokens: Tokens) -> None:
        pair = json.dumps([tokens.access.get_secret_value(), tokens.refresh.get_secret_value()])
        row = {
            "browser": _hash(browser),
            "user_id": person.user_id,
            "name": person.name,
            "tokens": self._cipher.encrypt(pair.encode()),
            "time": self._clock(),
        }
        too_old = _people.c.time < self._clock() - SIGN_IN_LIFETIME_S
        with self._database.writing() as connection:
            connection.execute(_people.delete().where(too_old))
            connection.execute(_people.delete().where(_people.c.browser == row["browser"]))
            connection.execute(_people.insert().values(row))

    def _refreshed(self, browser: str, stale: Tokens) -> Tokens:
        """Return the next pair of tokens.

        A refresh kills the old pair, so there is one at a time: who comes second uses the first
        one's result.
        """
        with self._refresh_lock:
            current, person = self._tokens(browser), self.person(browser)
            if current.access != stale.access or person is None:
                return current
            try:
                fresh = self._oauth.refresh(current)
            except SignInRefused:
                self.sign_out(browser)
                logger.warning("sign-in refresh refused user=%d", person.user_id)
                raise SignInExpired(
                    "The sign-in with Freesound has run out or was taken back; "
                    "please sign in again."
                ) from None
            self._store(browser, person, fresh)
            logger.info("sign-in refreshed user=%d", person.user_id)
            return fresh


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _encryption_key(secret: SecretStr) -> bytes:
    """Return a key for the tokens, derived from the client secret.

    The secret has far more than 128 bits of chance in it, so no slow derivation is needed.
    """
    derivation = HKDF(SHA256(), 32, salt=None, info=b"earmark sign-ins")
    return base64.urlsafe_b64encode(derivation.derive(secret.get_secret_value().encode()))
