"""The viewer: who they are, what they may do, and their sign-in."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
from pydantic import SecretStr

from app import browser, services, state
from core.files import write_atomic
from core.freesound.errors import NotSignedIn
from core.people import Person, local_actor
from core.publishing.upload import Result, WithToken
from core.settings import is_loopback

logger = logging.getLogger(__name__)

FORWARDED_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip")
"""Headers that a proxy leaves behind."""


@dataclass(frozen=True)
class Permission:
    """An answer to "may they?".

    Attributes:
        allowed: The answer.
        reason: Why not, as a sentence for them; empty where they may.
    """

    allowed: bool
    reason: str = ""


@dataclass(frozen=True)
class Viewer:
    """The person in front of the page.

    Attributes:
        name: What to call them.
        actor: What their edits are recorded under; empty for somebody on this machine who has
            not been asked for a name yet.
        person: Their Freesound account; None where nobody is signed in.
        edit: Whether they may correct tags.
        run: Whether they may fetch sounds, deploy models and withdraw sounds.
        is_visitor: True for somebody elsewhere who is not signed in.
    """

    name: str
    actor: str
    person: Person | None
    edit: Permission
    run: Permission
    is_visitor: bool = False


@dataclass(frozen=True)
class SignInBox:
    """Contents of the box at the top of every page.

    Attributes:
        person: Who is signed in.
        can_sign_in: True if signing in is set up.
        restriction: Why the viewer may not edit; empty if they may.
        local_name: The name that edits on this machine are recorded under, if it may be changed.
    """

    person: Person | None
    can_sign_in: bool
    restriction: str
    local_name: str


def viewer() -> Viewer:
    """Return the viewer.

    Every handler asks anew: a message to the server can ask for what a page hides.
    """
    sign_ins, is_local = services.sign_ins(), is_local_access()
    person = sign_ins.person(browser.browser_id()) if sign_ins else None
    name = person.name if person else local_name() if is_local else "visitor"
    settings = services.settings()
    editors = (*settings.curators, *settings.maintainers)
    return Viewer(
        name=name,
        actor=person.actor if person else local_actor(name),
        person=person,
        edit=_permission(person, editors, "curator", "correct tags"),
        run=_permission(person, settings.maintainers, "maintainer", "do that"),
        is_visitor=not is_local and person is None,
    )


def _permission(
    person: Person | None, holders: tuple[int, ...], role: str, action: str
) -> Permission:
    if is_local_access():
        return Permission(True)
    if services.sign_ins() is None:
        setup = "Signing in with Freesound is not set up on this server"
        return Permission(False, f"{setup}, so nobody can {action} here.")
    if person is None:
        return Permission(False, f"Sign in with Freesound to {action}.")
    if person.user_id in holders:
        return Permission(True)
    request = f"To become one, give a maintainer your Freesound user id, {person.user_id}."
    return Permission(False, f"Only {role}s can {action} here. {request}")


def is_local_access() -> bool:
    """Return True if only somebody at this machine can be looking: they may do everything.

    The workspace must be this machine's own, the server must listen on loopback and know of no
    public address, and the request must show no trace of a proxy or of a foreign host name.
    """
    settings = services.settings()
    if settings.hopsworks_host or browser.exposed().is_set():
        return False
    public = urlsplit(settings.public_url or "http://localhost").hostname or ""
    if not is_loopback(st.get_option("server.address") or "") or not is_loopback(public):
        return False
    headers = st.context.headers
    host = urlsplit(f"//{headers.get('Host') or 'localhost'}").hostname or ""
    return is_loopback(host) and not any(headers.get(name) for name in FORWARDED_HEADERS)


def local_name() -> str:
    """Return the name of whoever works on this machine; empty until they were asked."""
    if services.settings().curator:
        return services.settings().curator
    try:
        return local_actor(_name_file().read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""


def save_local_name(name: str) -> bool:
    """Remember the name of whoever works on this machine.

    Returns:
        False if there is no name in the text, or it cannot be saved.
    """
    if not local_actor(name) or not is_local_access():
        return False
    try:
        write_atomic(_name_file(), local_actor(name).encode())
    except OSError as error:
        logger.warning("local name not saved reason=%s", error)
        return False
    return True


def _name_file() -> Path:
    return services.settings().workspace_folder / "name.txt"


def with_token(person: Person) -> WithToken:
    """Return a function that calls others with a person's access token.

    It raises `NotSignedIn` once somebody else is signed in at this browser, or nobody.
    """
    sign_ins, browser_id = services.sign_ins(), browser.browser_id()

    def call_with_token(call: Callable[[SecretStr], Result]) -> Result:
        current = sign_ins.person(browser_id) if sign_ins else None
        is_same = current is not None and current.user_id == person.user_id
        if sign_ins is None or browser_id is None or not is_same:
            raise NotSignedIn("Please sign in with Freesound first.")
        return sign_ins.with_token(browser_id, call)

    return call_with_token


def sign_in_box() -> SignInBox:
    """Return what the pages say about the viewer."""
    current = viewer()
    can_rename = current.person is None and current.edit.allowed
    can_rename = can_rename and not services.settings().curator
    return SignInBox(
        person=current.person,
        can_sign_in=services.sign_ins() is not None,
        restriction=current.edit.reason,
        local_name=current.name if can_rename else "",
    )


def request_sign_in() -> None:
    """Leave for Freesound at the end of this run, when everything typed has been saved."""
    state.sign_in_requested.set(True)


def sign_out() -> None:
    """End the sign-in of this browser and delete its draft: the next person may sit there."""
    sign_ins, browser_id = services.sign_ins(), browser.browser_id()
    if sign_ins is None or browser_id is None:
        return
    logger.info("sign-out actor=%s", viewer().actor)
    sign_ins.sign_out(browser_id)
    services.drafts().delete(browser_id)
    _end_session()


def session_owner() -> int | None:
    """Return the Freesound user id of the last person this session has seen.

    What is in the session is theirs, even when their sign-in has ended.
    """
    return state.session_owner.get()


def claim_session(user_id: int) -> None:
    """Note that what is in this session belongs to that person."""
    state.session_owner.set(user_id)


def has_session_ended() -> bool:
    """Return True if this session's person has signed out or another one has signed in since."""
    person = viewer().person
    if person and session_owner() not in (None, person.user_id):
        _end_session()
    elif person:
        claim_session(person.user_id)
    return state.session_ended.get()


def _end_session() -> None:
    """Forget everything in this session: the next page load begins another one."""
    state.clear()
    state.session_ended.set(True)
