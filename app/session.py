"""Who is looking, and the things that all sessions of the server share."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import streamlit as st
from pydantic import SecretStr

from app import browser
from app.text import plain
from core.errors import EarmarkError
from core.files import write_atomic
from core.freesound.client import FreesoundClient, client_from
from core.freesound.oauth import OAuthClient
from core.freesound.publishing import Publisher, Result, WithToken
from core.freesound.sign_ins import NotSignedIn, SignIns
from core.id2prediction import ModelRef
from core.in_force import usable_model
from core.model import bundle as bundles
from core.people import Person, local_actor
from core.settings import Settings, is_loopback
from core.settings import settings as read_once
from core.tagging import model_in_force
from core.workspace import Workspace, WorkspaceError, open_workspace

if TYPE_CHECKING:
    from core.model.tagger import Tagger

FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip")
"""Headers that a proxy leaves behind."""


@dataclass(frozen=True)
class Viewer:
    """Who is looking, and why they may not do things, where they may not: each reason is a sentence for them.

    `actor` is what their edits are recorded under; it is empty for somebody on this machine who has not been asked for a name yet.
    """

    name: str
    actor: str
    person: Person | None
    may_not_edit: str = ""
    may_not_run: str = ""
    is_visitor: bool = False


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    """The settings. Raises `SettingsError`."""
    return read_once()


@st.cache_resource(show_spinner=False)
def workspace() -> Workspace:
    """The workspace. Raises `WorkspaceError`."""
    return open_workspace(settings())


@lru_cache(maxsize=2)
def _tagger(model: ModelRef) -> "Tagger":
    """The model of that fingerprint: whichever workspace it came from, it is the same. Raises `WorkspaceError`."""
    return _load(workspace().pull(model))


@lru_cache(maxsize=1)
def _fallback(folder: Path) -> "Tagger":
    return _load(folder)


def _load(folder: Path) -> "Tagger":
    import torch

    from core.model.tagger import Tagger

    torch.set_num_threads(1)
    tagger = Tagger.from_folder(folder)
    gc.collect()
    gc.freeze()  # torch brings a million objects; without this every collection walks them all
    return tagger


def tagger() -> tuple["Tagger", ModelRef]:
    """The model in force, loaded once; another one as soon as it is rolled out. While it cannot be fetched, `model_notice` says what is
    used in its place."""
    try:
        model = model_in_force(workspace())
        found = _tagger(model), model
        _notices().pop("model", None)
    except WorkspaceError:
        usable = usable_model(workspace())
        model = usable.model
        found = _fallback(usable.folder), model
        _notices()["model"] = usable.notice
    return found


def model_notice() -> str:
    """Why the model that was used last is not the one in force; empty if it is."""
    return _notices().get("model", "")


@st.cache_resource(show_spinner=False)
def _notices() -> dict[str, str]:
    return {}


def vocabulary(model: ModelRef) -> tuple[str, ...]:
    """The tags of a model version in order of their index; empty if it is not in the workspace (any more)."""
    return _vocabulary(model.name, model.version, model.fingerprint)


@st.cache_resource(show_spinner=False, max_entries=20)
def _vocabulary(name: str, version: int, fingerprint: str) -> tuple[str, ...]:
    try:
        return bundles.load(workspace().pull(ModelRef(name=name, version=version, fingerprint=fingerprint))).vocabulary
    except EarmarkError:
        return ()


@st.cache_resource(show_spinner=False)
def freesound() -> FreesoundClient | None:
    """The Freesound client, if there is a key."""
    return client_from(settings()) if settings().freesound_api_key else None


@st.cache_resource(show_spinner=False)
def sign_ins() -> SignIns | None:
    """Who is signed in where, if signing in is set up."""
    chosen, client = settings(), freesound()
    if client is None or not chosen.can_sign_in:
        return None
    oauth = OAuthClient(chosen.freesound_client_id, client.api_key, chosen.freesound_api)
    return SignIns(chosen.workspace_folder / "people.sqlite", oauth, client)


def can_publish_here() -> bool:
    """Whether signing in and publishing are set up; False also where the settings cannot be read, which the page will say."""
    try:
        return sign_ins() is not None
    except EarmarkError:
        return False


@st.cache_resource(show_spinner=False)
def publisher() -> Publisher:
    """What publishes for signed-in people. Only to be asked for where `sign_ins` is set up."""
    client = freesound()
    if client is None:
        raise NotSignedIn("Publishing is not set up on this server.")
    return Publisher(settings().workspace_folder / "publications", client, workspace())


def with_token(person: Person) -> WithToken:
    """Calls in the name of `person`, as long as it is they who are signed in at this browser: another one may be next. Raises
    `NotSignedIn` otherwise."""
    people, own_id = sign_ins(), browser.browser_id()

    def call_for_them(call: Callable[[SecretStr], Result]) -> Result:
        now = people.person(own_id) if people else None
        if people is None or own_id is None or now is None or now.user_id != person.user_id:
            raise NotSignedIn("Please sign in with Freesound first.")
        return people.with_token(own_id, call)

    return call_for_them


def viewer() -> Viewer:
    """Who is looking. Asked anew by every handler: what a page hides, a message to the server could still ask for."""
    people, own_id = sign_ins(), browser.browser_id()
    person = people.person(own_id) if people else None
    here = on_this_machine()
    name = person.name if person else own_name() if here else "visitor"
    return Viewer(
        name=name,
        actor=person.actor if person else local_actor(name),
        person=person,
        may_not_edit="" if here else _missing_role(person, (*settings().curators, *settings().maintainers), "curator", "correct tags"),
        may_not_run="" if here else _missing_role(person, settings().maintainers, "maintainer", "do that"),
        is_visitor=not here and person is None,
    )


def _missing_role(person: Person | None, holders: tuple[int, ...], role: str, deed: str) -> str:
    if person is None:
        return _sign_in_first(deed)
    if person.user_id in holders:
        return ""
    return f"Only {role}s can {deed} here. Your Freesound user id, to be added to them, is {person.user_id}."


def _sign_in_first(deed: str) -> str:
    if sign_ins() is None:
        return f"Signing in with Freesound is not set up on this server, so nobody can {deed} here."
    return f"Sign in with Freesound to {deed}."


def on_this_machine() -> bool:
    """Whether only somebody at this very machine can be looking: then everybody may edit the local workspace.

    The workspace must be this machine's own, the server must listen on loopback and be told of no public address, and the request must
    show no trace of a proxy or of a foreign name that was pointed at this machine.
    """
    if settings().hopsworks_host:
        return False
    public = urlsplit(settings().public_url or "http://localhost").hostname or ""
    if browser.exposed().is_set() or not is_loopback(st.get_option("server.address") or "") or not is_loopback(public):
        return False
    headers = st.context.headers
    host = urlsplit(f"//{headers.get('Host') or 'localhost'}").hostname or ""
    return is_loopback(host) and not any(headers.get(name) for name in FORWARDED)


def own_name() -> str:
    """The name of whoever works on this machine; empty until they have been asked."""
    if settings().curator:
        return settings().curator
    try:
        return local_actor(_name_file().read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""


def keep_name(name: str) -> bool:
    """Remember the name of whoever works on this machine; False if there is nothing in it."""
    if not local_actor(name) or not on_this_machine():
        return False
    write_atomic(_name_file(), local_actor(name).encode())
    return True


def _name_file() -> Path:
    return settings().workspace_folder / "name.txt"


def sign_in_box() -> None:
    """The sidebar's note on who is looking and what they may do."""
    who = viewer()
    with st.sidebar:
        if who.person:
            st.markdown(f":material/account_circle: **{plain(who.name)}** on Freesound")
            st.button("Sign out", key="sign-out", type="tertiary", icon=":material/logout:", on_click=sign_out)
        elif sign_ins() is not None:
            st.button("Sign in with Freesound", key="sign-in", icon=":material/login:", on_click=go_to_sign_in)
        if who.may_not_edit:
            st.caption(who.may_not_edit)
        elif not who.person and not settings().curator:
            _own_name_box(who.name)


def _own_name_box(name: str) -> None:
    if not name:
        return
    with st.popover(f"Corrections by {plain(name)}", type="tertiary", icon=":material/edit:"), st.form("own-name", border=False):
        st.text_input("Keep them under another name", key="new_name", max_chars=60)
        st.form_submit_button("Change", on_click=_rename)


def _rename() -> None:
    keep_name(st.session_state.get("new_name", ""))


def go_to_sign_in() -> None:
    """Leave for Freesound at the end of this run, when everything typed so far has been kept."""
    st.session_state.leaving = True


def sign_out() -> None:
    """End the sign-in of this browser, and forget its draft: the next person may sit there."""
    from app import drafts

    people, own_id = sign_ins(), browser.browser_id()
    if people and own_id:
        people.sign_out(own_id)
        drafts.forget()
        _end()


def whose() -> int | None:
    """The Freesound user id of the last person whom this session has seen: what is in it is theirs, even when their sign-in has ended."""
    return st.session_state.get("whose")


def belongs_to(user_id: int) -> None:
    """What is in this session is that person's."""
    st.session_state.whose = user_id


def has_ended() -> bool:
    """Whether this session is over: its person has signed out, or another one has signed in at this browser since."""
    person = viewer().person
    if person and whose() not in (None, person.user_id):
        _end()
    elif person:
        belongs_to(person.user_id)
    return "ended" in st.session_state


def _end() -> None:
    """Forget everything that is in this session: the next page load begins another one."""
    st.session_state.clear()
    st.session_state.ended = True


def show_error(error: EarmarkError) -> None:
    """An error of ours on the page: its sentence, as text."""
    st.error(plain(str(error)), icon=":material/error:")
