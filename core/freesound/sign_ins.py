"""The browsers at which somebody is signed in with Freesound.

Tokens never leave this file and the server's memory. A browser is known by a random id in a cookie;
only the id's hash is kept. Tokens are encrypted with a key derived from the client secret, so the
file alone gives nobody access.

Somebody else may know a browser's id from before. So a browser gets a new one with each sign-in,
when the person's roles change, and after a sign-out; the old one is *retired*: nobody is signed in
under it ever again. A sign-in has an id of its own that stays and is told to nobody, so that work
that was begun under it goes on.
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
from typing import Any, TypeVar

import sqlalchemy as sql
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from filelock import FileLock
from pydantic import SecretStr
from sqlalchemy.dialects.sqlite import insert

from core.freesound.client import FreesoundClient
from core.freesound.errors import ForeignCallback, NotSignedIn, SignInExpired, SignInRefused
from core.freesound.oauth import Account, OAuthClient, Tokens
from core.people import Person
from core.sqlite import Database

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

STATE_LIFETIME_S = 600
"""As long as Freesound's codes live."""
SIGN_IN_LIFETIME_S = 30 * 86_400
MAX_STATES = 20
"""Sign-ins that may be begun at a time in one browser."""
RETIRED_LIFETIME_S = 400 * 86_400
"""As long as a browser may keep a cookie."""

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
    sql.Column("sign_in", sql.Text),
    sql.Column("roles", sql.Text),
)
_retired = sql.Table(
    "retired",
    _meta,
    sql.Column("browser", sql.Text, primary_key=True),
    sql.Column("signed_out", sql.Boolean, nullable=False),
    sql.Column("time", sql.Float, nullable=False),
)


@dataclass(frozen=True)
class Retired:
    """A browser's id that is used no more.

    Attributes:
        signed_out: True where the person signed out under it.
        age_s: Seconds since then.
    """

    signed_out: bool
    age_s: float


@dataclass(frozen=True)
class SignedIn:
    """A person at a browser.

    Attributes:
        person: The person.
        sign_in: Id of the sign-in, which outlives the browser's; it must not leave the server.
        roles: What the person's roles were when the browser got its id; None where that was not
            recorded.
    """

    person: Person
    sign_in: str
    roles: str | None


@dataclass(frozen=True)
class Finished:
    """The end of a sign-in.

    Attributes:
        return_to: The page to show.
        person: Who has signed in.
        former: Who was signed in at that browser until then, if anybody.
    """

    return_to: str
    person: Person
    former: Person | None


@dataclass(frozen=True)
class _Begun:
    """A sign-in that a browser was sent to Freesound for."""

    browser: str
    verifier: str
    redirect_uri: str
    return_to: str
    time: float


class SignIns:
    """Sign-ins in a SQLite file. Safe for threads and processes."""

    def __init__(
        self,
        path: Path,
        oauth: OAuthClient,
        client: FreesoundClient,
        clock: Callable[[], float] = time.time,
        roles_of: Callable[[int], str] = lambda user_id: "",
    ) -> None:
        """Open the file.

        Args:
            path: The SQLite file; only its owner may read it.
            oauth: Exchanges codes and refreshes tokens.
            client: Asks whose token it is.
            clock: Gives seconds since the epoch.
            roles_of: Gives today's roles of a Freesound user id, as a text to compare.

        Raises:
            DatabaseError: The file cannot be opened.
        """
        self._oauth, self._client, self._clock, self._roles_of = oauth, client, clock, roles_of
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._refresh_lock = FileLock(f"{path}.lock", mode=0o600)
        self._database = Database(path)
        self._database.migrate("sign_ins", [_meta.create_all, _add_sign_in_ids])
        self._cipher = Fernet(_encryption_key(oauth.client_secret))

    def begin(
        self, browser: str, redirect_uri: str, return_to: str, account: Account = "any"
    ) -> str:
        """Remember that somebody at this browser signs in.

        Args:
            browser: The browser's id.
            redirect_uri: Address of the callback.
            return_to: Page to show afterwards.
            account: Which of Freesound's accounts is wanted.

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
        return self._oauth.authorization_url(state, verifier, redirect_uri, account)

    def finish(self, browser: str, state: str, code: str, new_browser: str) -> Finished:
        """Sign in the person who was given the code, under a new id of the browser.

        The old one is retired, with all other sign-ins that were begun under it.

        Args:
            browser: The browser's id so far.
            state: As Freesound sent it back.
            code: What Freesound gave.
            new_browser: The browser's id from now on.

        Raises:
            ForeignCallback: This browser did not begin that sign-in.
            FreesoundError: Freesound does not take the code, or cannot be asked.
        """
        begun = self._take(browser, state)
        tokens = self._oauth.exchange(code, begun.verifier, begun.redirect_uri)
        user = self._client.me(tokens.access)
        person = Person(user.unique_id, user.username)
        former = self.signed_in(browser)
        is_same = former is not None and former.person.user_id == person.user_id
        sign_in = former.sign_in if former and is_same else secrets.token_hex(16)
        self._store(browser, new_browser, SignedIn(person, sign_in, None), tokens)
        logger.info("sign-in user=%d", person.user_id)
        return Finished(begun.return_to, person, former.person if former else None)

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
        signed_in = self.signed_in(browser) if browser else None
        return signed_in.person if signed_in else None

    def signed_in(self, browser: str) -> SignedIn | None:
        """Return who is signed in at this browser, with the sign-in's own id."""
        row = self._row(_people.c.browser == _hash(browser))
        return _signed_in(row) if row else None

    def has_other_roles(self, signed_in: SignedIn) -> bool:
        """Return True if the person's roles are others than when the browser got its id."""
        return signed_in.roles != self._roles_of(signed_in.person.user_id)

    def retired(self, browser: str) -> Retired | None:
        """Return what has become of a browser's id; None if it is in use."""
        query = sql.select(_retired).where(_retired.c.browser == _hash(browser))
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return Retired(row.signed_out, self._clock() - row.time) if row else None

    def renew(self, browser: str, new_browser: str) -> Person | None:
        """Give a browser a new id where the roles of the person at it have changed.

        Returns:
            The person; None where nothing was to be done.
        """
        signed_in = self.signed_in(browser)
        if signed_in is None or not self.has_other_roles(signed_in):
            return None
        roles = self._roles_of(signed_in.person.user_id)
        changing = _people.update().where(_people.c.browser == _hash(browser))
        with self._database.writing() as connection:
            connection.execute(changing.values(browser=_hash(new_browser), roles=roles))
            self._retire(connection, browser, signed_out=False)
        logger.info("sign-in renewed user=%d roles=%s", signed_in.person.user_id, roles or "none")
        return signed_in.person

    def with_token(self, browser: str, call: Callable[[SecretStr], Result]) -> Result:
        """Call a function with the access token of the person at this browser.

        Raises:
            NotSignedIn: Nobody is signed in at this browser.
            SignInExpired: Only signing in again helps.
            Exception: Whatever `call` raises.
        """
        signed_in = self.signed_in(browser)
        return self.with_token_of(signed_in.sign_in if signed_in else "", call)

    def with_token_of(self, sign_in: str, call: Callable[[SecretStr], Result]) -> Result:
        """Call a function with the access token of a sign-in, whatever its browser's id is now.

        It is called once more after a refresh where Freesound says that the token has run out.

        Raises:
            NotSignedIn: The sign-in has ended.
            SignInExpired: Only signing in again helps.
            Exception: Whatever `call` raises.
        """
        tokens = self._tokens(sign_in)
        try:
            return call(tokens.access)
        except SignInExpired:
            return call(self._refreshed(sign_in, tokens).access)

    def sign_out(self, browser: str) -> None:
        """Forget who is signed in at this browser, whose id stays."""
        with self._database.writing() as connection:
            connection.execute(_people.delete().where(_people.c.browser == _hash(browser)))

    def retire(self, browser: str) -> None:
        """Forget who is signed in at this browser, and retire its id."""
        with self._database.writing() as connection:
            connection.execute(_people.delete().where(_people.c.browser == _hash(browser)))
            self._retire(connection, browser, signed_out=True)

    def _retire(self, connection: sql.Connection, browser: str, *, signed_out: bool) -> None:
        too_old = _retired.c.time < self._clock() - RETIRED_LIFETIME_S
        connection.execute(_retired.delete().where(too_old))
        connection.execute(_begun.delete().where(_begun.c.browser == _hash(browser)))
        row = {"browser": _hash(browser), "signed_out": signed_out, "time": self._clock()}
        connection.execute(insert(_retired).values(row).on_conflict_do_nothing())

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

    def _row(self, condition: sql.ColumnElement[bool]) -> Any:
        """Return the row of a sign-in that has not run out; None if there is none."""
        with self._database.reading() as connection:
            row = connection.execute(sql.select(_people).where(condition)).one_or_none()
        is_current = row is not None and row.time > self._clock() - SIGN_IN_LIFETIME_S
        return row if is_current else None

    def _tokens(self, sign_in: str) -> Tokens:
        row = self._row(_people.c.sign_in == sign_in)
        if row is None:
            raise NotSignedIn("Please sign in with Freesound first.")
        try:
            access, refresh = json.loads(self._cipher.decrypt(row.tokens))
        except (InvalidToken, ValueError):
            self._forget(sign_in)
            logger.warning("sign-in unreadable user=%d", row.user_id)
            raise SignInExpired(
                "Please sign in with Freesound again: this server's credential has changed since."
            ) from None
        return Tokens(SecretStr(access), SecretStr(refresh))

    def _store(self, browser: str, new_browser: str, signed_in: SignedIn, tokens: Tokens) -> None:
        person = signed_in.person
        row = {
            "browser": _hash(new_browser),
            "user_id": person.user_id,
            "name": person.name,
            "tokens": self._encrypted(tokens),
            "time": self._clock(),
            "sign_in": signed_in.sign_in,
            "roles": self._roles_of(person.user_id),
        }
        too_old = _people.c.time < self._clock() - SIGN_IN_LIFETIME_S
        with self._database.writing() as connection:
            connection.execute(_people.delete().where(too_old))
            connection.execute(_people.delete().where(_people.c.browser == _hash(browser)))
            connection.execute(_people.insert().values(row))
            self._retire(connection, browser, signed_out=False)

    def _encrypted(self, tokens: Tokens) -> bytes:
        pair = json.dumps([tokens.access.get_secret_value(), tokens.refresh.get_secret_value()])
        return self._cipher.encrypt(pair.encode())

    def _forget(self, sign_in: str) -> None:
        with self._database.writing() as connection:
            connection.execute(_people.delete().where(_people.c.sign_in == sign_in))

    def _refreshed(self, sign_in: str, stale: Tokens) -> Tokens:
        """Return the next pair of tokens.

        A refresh kills the old pair, so there is one at a time: who comes second uses the first
        one's result.
        """
        with self._refresh_lock:
            current, row = self._tokens(sign_in), self._row(_people.c.sign_in == sign_in)
            if current.access != stale.access or row is None:
                return current
            try:
                fresh = self._oauth.refresh(current)
            except SignInRefused:
                self._forget(sign_in)
                logger.warning("sign-in refresh refused user=%d", row.user_id)
                raise SignInExpired(
                    "The sign-in with Freesound has run out or was taken back; "
                    "please sign in again."
                ) from None
            changing = _people.update().where(_people.c.sign_in == sign_in)
            values = {"tokens": self._encrypted(fresh), "time": self._clock()}
            with self._database.writing() as connection:
                connection.execute(changing.values(values))
            logger.info("sign-in refreshed user=%d", row.user_id)
            return fresh


def _signed_in(row: Any) -> SignedIn:
    return SignedIn(Person(row.user_id, row.name), row.sign_in, row.roles)


def _add_sign_in_ids(connection: sql.Connection) -> None:
    """Give the sign-ins of a file of version 1 ids of their own; a new file has them."""
    columns = {column["name"] for column in sql.inspect(connection).get_columns("people")}
    for name in sorted({"sign_in", "roles"} - columns):
        connection.exec_driver_sql(f"ALTER TABLE people ADD COLUMN {name} TEXT")
    random_id = sql.func.lower(sql.func.hex(sql.func.randomblob(16)))
    connection.execute(
        _people.update().where(_people.c.sign_in.is_(None)).values(sign_in=random_id)
    )
    _meta.create_all(connection)


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _encryption_key(secret: SecretStr) -> bytes:
    """Return a key for the tokens, derived from the client secret.

    The secret has far more than 128 bits of chance in it, so no slow derivation is needed.
    """
    derivation = HKDF(SHA256(), 32, salt=None, info=b"earmark sign-ins")
    return base64.urlsafe_b64encode(derivation.derive(secret.get_secret_value().encode()))
