"""Who is signed in with Freesound at which browser. Tokens never leave this file and the server's memory.

A browser is known by a random id in a cookie; only the id's hash is kept. Tokens are encrypted with a key derived from the client
secret, so the file alone gives nobody access.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sql
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from filelock import FileLock
from pydantic import SecretStr

from core.freesound.client import FreesoundClient, FreesoundError, SignInExpired
from core.freesound.oauth import OAuthClient, SignInRefused, Tokens
from core.people import Person
from core.sqlite import with_tables

Result = TypeVar("Result")

STATE_LIVES_S = 600
"""As long as Freesound's codes live."""
SIGN_IN_LIVES_S = 30 * 86_400
MOST_STATES = 20
"""Sign-ins that one browser may have begun at a time."""

_tables = sql.MetaData()
_begun = sql.Table(
    "begun",
    _tables,
    sql.Column("state", sql.Text, primary_key=True),
    sql.Column("browser", sql.Text, nullable=False),
    sql.Column("verifier", sql.Text, nullable=False),
    sql.Column("redirect_uri", sql.Text, nullable=False),
    sql.Column("return_to", sql.Text, nullable=False),
    sql.Column("time", sql.Float, nullable=False),
)
_people = sql.Table(
    "people",
    _tables,
    sql.Column("browser", sql.Text, primary_key=True),
    sql.Column("user_id", sql.Integer, nullable=False),
    sql.Column("name", sql.Text, nullable=False),
    sql.Column("tokens", sql.LargeBinary, nullable=False),
    sql.Column("time", sql.Float, nullable=False),
)


class ForeignCallback(FreesoundError):
    """A callback that this browser did not ask for, or asked for too long ago, or that was used already."""


class NotSignedIn(FreesoundError):
    """Nobody is signed in at this browser."""


class SignIns:
    """Sign-ins in the SQLite file `path`, safe for threads and processes. `clock` gives seconds since the epoch."""

    def __init__(self, path: Path, oauth: OAuthClient, client: FreesoundClient, clock: Callable[[], float] = time.time) -> None:
        self._oauth, self._client, self._clock = oauth, client, clock
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._refreshing = FileLock(f"{path}.lock", mode=0o600)
        self._engine, self._reads = with_tables(path, _tables)
        self._box = Fernet(_key(oauth.client_secret))

    def begin(self, browser: str, redirect_uri: str, return_to: str) -> str:
        """Remember that this browser wants to sign in; returns the address to send it to."""
        state, verifier, now = secrets.token_urlsafe(32), secrets.token_urlsafe(48), self._clock()
        with self._engine.begin() as connection:
            connection.execute(_begun.delete().where(_begun.c.time < now - STATE_LIVES_S))
            mine = sql.select(_begun.c.state).where(_begun.c.browser == _hash(browser)).order_by(_begun.c.time.desc())
            crowd = connection.execute(mine.offset(MOST_STATES - 1)).scalars().all()
            connection.execute(_begun.delete().where(_begun.c.state.in_(crowd)))
            connection.execute(
                _begun.insert().values(
                    state=_hash(state), browser=_hash(browser), verifier=verifier, redirect_uri=redirect_uri, return_to=return_to, time=now
                )
            )
        return self._oauth.authorization_url(state, verifier, redirect_uri)

    def finish(self, browser: str, state: str, code: str) -> str:
        """Sign the person in whose code that is; returns where the browser wanted to go.

        Raises `ForeignCallback`, and the errors of `OAuthClient.exchange` and `FreesoundClient.me`.
        """
        begun = self._take(browser, state)
        tokens = self._oauth.exchange(code, begun.verifier, begun.redirect_uri)
        user = self._client.me(tokens.access)
        self._keep(browser, Person(user.unique_id, user.username), tokens)
        return begun.return_to

    def abandon(self, browser: str, state: str) -> str:
        """The person declined; returns where the browser wanted to go. Raises `ForeignCallback`."""
        return self._take(browser, state).return_to

    def person(self, browser: str | None) -> Person | None:
        """Who is signed in at this browser."""
        row = self._row(browser) if browser else None
        return Person(row.user_id, row.name) if row else None

    def with_token(self, browser: str, call: Callable[[SecretStr], Result]) -> Result:
        """`call` with this browser's access token; once more after a refresh where Freesound says that the token has run out.

        Raises `NotSignedIn`, `SignInExpired` where only signing in again helps, and whatever `call` raises.
        """
        tokens = self._tokens(browser)
        try:
            return call(tokens.access)
        except SignInExpired:
            return call(self._refreshed(browser, tokens).access)

    def sign_out(self, browser: str) -> None:
        """Forget who is signed in there."""
        with self._engine.begin() as connection:
            connection.execute(_people.delete().where(_people.c.browser == _hash(browser)))

    def _take(self, browser: str, state: str):
        """What was begun under that state, which is thereby used up, whoever asks."""
        with self._engine.begin() as connection:
            row = connection.execute(_begun.delete().where(_begun.c.state == _hash(state)).returning(*_begun.c)).one_or_none()
        if row is None or row.time < self._clock() - STATE_LIVES_S or not secrets.compare_digest(row.browser, _hash(browser)):
            raise ForeignCallback("This sign-in was not begun in this browser, took longer than ten minutes, or was used already.")
        return row

    def _row(self, browser: str):
        with self._reads.connect() as connection:
            row = connection.execute(sql.select(_people).where(_people.c.browser == _hash(browser))).one_or_none()
        return row if row and row.time > self._clock() - SIGN_IN_LIVES_S else None

    def _tokens(self, browser: str) -> Tokens:
        row = self._row(browser)
        if row is None:
            raise NotSignedIn("Please sign in with Freesound first.")
        try:
            access, refresh = json.loads(self._box.decrypt(row.tokens))
        except (InvalidToken, ValueError):
            self.sign_out(browser)
            raise SignInExpired("Please sign in with Freesound again: this server's credential has changed since.") from None
        return Tokens(SecretStr(access), SecretStr(refresh))

    def _keep(self, browser: str, person: Person, tokens: Tokens) -> None:
        pair = json.dumps([tokens.access.get_secret_value(), tokens.refresh.get_secret_value()])
        row = {"browser": _hash(browser), "user_id": person.user_id, "name": person.name, "time": self._clock()}
        with self._engine.begin() as connection:
            connection.execute(_people.delete().where(_people.c.time < self._clock() - SIGN_IN_LIVES_S))
            connection.execute(_people.delete().where(_people.c.browser == row["browser"]))
            connection.execute(_people.insert().values(tokens=self._box.encrypt(pair.encode()), **row))

    def _refreshed(self, browser: str, stale: Tokens) -> Tokens:
        """The next pair. One refresh at a time, as it kills the old pair: who comes second finds the work done."""
        with self._refreshing:
            current, person = self._tokens(browser), self.person(browser)
            if current.access != stale.access or person is None:
                return current
            try:
                fresh = self._oauth.refresh(current)
            except SignInRefused:
                self.sign_out(browser)
                raise SignInExpired("The sign-in with Freesound has run out or was taken back; please sign in again.") from None
            self._keep(browser, person, fresh)
            return fresh


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _key(secret: SecretStr) -> bytes:
    """A key for the tokens, from the client secret (which has far more than 128 bits of chance in it)."""
    derived = HKDF(SHA256(), 32, salt=None, info=b"earmark sign-ins").derive(secret.get_secret_value().encode())
    return base64.urlsafe_b64encode(derived)
