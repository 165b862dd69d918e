"""The viewer: who they are, what they may do, and their sign-in."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
from pydantic import SecretStr

from app import browser, services, state
from core.files import write_atomic
from core.freesound.errors import NotSignedIn
from core.freesound.oauth import Account
from core.freesound.sign_ins import SignedIn
from core.people import Person, local_actor
from core.publishing.upload import Result, WithToken
from core.settings import is_loopback

logger = logging.getLogger(__name__)

PROXY_HEADERS = re.compile(
    r"(via|forwarded|x-forwarded|x-original|x-real-ip|x-client-ip|x-cluster-client-ip|"
    r"true-client-ip|cf-|cdn-).*",
    re.IGNORECASE,
)
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
        may_choose: True if somebody has signed out at this browser: Freesound may know them still.
        restriction: Why the viewer may not edit; empty if they may.
        local_name: The name that edits on this machine are recorded under, if it may be changed.
    """

    person: Person | None
    can_sign_in: bool
    may_choose: bool
    restriction: str
    local_name: str


def viewer() -> Viewer:
    """Return the viewer.

    Every handler asks anew: a message to the server can ask for what a page hides.
    """
    signed_in, is_local = _signed_in(), is_local_access()
    person = signed_in.person if signed_in else None
    name = person.name if person else local_name() if is_local else "visitor"
    return Viewer(
        name=name,
        actor=person.actor if person else local_actor(name),
        person=person,
        edit=_permission(signed_in, ("curator", "maintainer"), "correct tags"),
        run=_permission(signed_in, ("maintainer",), "do that"),
        is_visitor=not is_local and person is None,
    )


def _signed_in() -> SignedIn | None:
    sign_ins, browser_id = services.sign_ins(), browser.browser_id()
    return sign_ins.signed_in(browser_id) if sign_ins and browser_id else None


def _permission(signed_in: SignedIn | None, roles: tuple[str, ...], action: str) -> Permission:
    """Return if one of the roles is held: today, and since the browser got its id.

    Somebody else may know an older id, from when there was nothing to gain with it.
    """
    if is_local_access():
        return Permission(True)
    if services.sign_ins() is None:
        setup = "Signing in with Freesound is not set up on this server"
        return Permission(False, f"{setup}, so nobody can {action} here.")
    if signed_in is None:
        return Permission(False, f"Sign in with Freesound to {action}.")
    user_id = signed_in.person.user_id
    held = services.settings().roles_of(user_id).split()
    if not set(roles) & set(held):
        request = f"To become one, give a maintainer your Freesound user id, {user_id}."
        return Permission(False, f"Only {roles[0]}s can {action} here. {request}")
    if signed_in.roles is not None and not set(roles) & set(signed_in.roles.split()):
        return Permission(False, f"You have become a {roles[0]}. Reload the page to {action}.")
    return Permission(True)


def is_local_access() -> bool:
    """Return True if only somebody at this machine can be looking: they may do everything.

    The workspace must be this machine's own, and the server must listen on loopback and know of no
    public address. The request must come from a page of this server under a name of this machine,
    and show no trace of a proxy.
    """
    settings = services.settings()
    if settings.hopsworks_host or browser.exposed().is_set():
        return False
    public = urlsplit(settings.public_url or "http://localhost").hostname or ""
    if not is_loopback(st.get_option("server.address") or "") or not is_loopback(public):
        return False
    headers = st.context.headers
    host = (headers.get("Host") or "").lower()
    is_own = headers.get("Origin", "").lower() in (f"http://{host}", f"https://{host}")
    is_proxied = any(PROXY_HEADERS.fullmatch(name) for name in headers)
    return is_own and is_loopback(urlsplit(f"//{host}").hostname or "") and not is_proxied


def browser_id() -> str | None:
    """Return the browser's id where something may be kept under it; None where it is retired."""
    sign_ins, browser_id = services.sign_ins(), browser.browser_id()
    is_retired = sign_ins and browser_id and sign_ins.retired(browser_id)
    return None if is_retired else browser_id


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

    It raises `NotSignedIn` where somebody else is signed in at this browser, or nobody, and once
    the sign-in has ended. The browser's id may change meanwhile.
    """
    sign_ins, signed_in = services.sign_ins(), _signed_in()

    def call_with_token(call: Callable[[SecretStr], Result]) -> Result:
        if sign_ins is None or signed_in is None or signed_in.person.user_id != person.user_id:
            raise NotSignedIn("Please sign in with Freesound first.")
        return sign_ins.with_token_of(signed_in.sign_in, call)

    return call_with_token


def sign_in_box() -> SignInBox:
    """Return what the pages say about the viewer."""
    current = viewer()
    can_rename = current.person is None and current.edit.allowed
    can_rename = can_rename and not services.settings().curator
    return SignInBox(
        person=current.person,
        can_sign_in=services.sign_ins() is not None,
        may_choose=browser.is_asked(),
        restriction=current.edit.reason,
        local_name=current.name if can_rename else "",
    )


def request_sign_in(account: Account = "any") -> None:
    """Leave for Freesound at the end of this run, when everything typed has been saved."""
    state.sign_in_requested.set(account)


def sign_out() -> None:
    """End the sign-in of this browser and delete its draft: the next person may sit there."""
    sign_ins, browser_id, person = services.sign_ins(), browser.browser_id(), viewer().person
    if sign_ins is None or browser_id is None or person is None:
        return
    logger.info("sign-out actor=%s", person.actor)
    sign_ins.retire(browser_id)
    services.drafts().delete(browser_id, person.user_id)
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
    """Return True if the page has to be loaded anew, with the browser's next id.

    That is so once this session's person has signed out, another one has signed in since, or
    their roles are others.
    """
    sign_ins, signed_in, browser_id = services.sign_ins(), _signed_in(), browser.browser_id()
    if sign_ins is None:
        return state.session_ended.get()
    if signed_in is None:
        retired = sign_ins.retired(browser_id) if browser_id else None
        if retired and (retired.signed_out or session_owner() is not None):
            _end_session()
    elif session_owner() not in (None, signed_in.person.user_id):
        _end_session()
    else:
        claim_session(signed_in.person.user_id)
        return sign_ins.has_other_roles(signed_in) or state.session_ended.get()
    return state.session_ended.get()


def signed_in_elsewhere() -> bool:
    """Return True if somebody has signed in at this browser, in another tab or window."""
    sign_ins, browser_id = services.sign_ins(), browser.browser_id()
    retired = sign_ins.retired(browser_id) if sign_ins and browser_id else None
    return retired is not None and not retired.signed_out


def _end_session() -> None:
    """Forget everything in this session: the next page load begins another one."""
    state.clear()
    state.session_ended.set(True)
