"""Who is looking, and the things that all sessions of the server share."""

import gc
import os
import threading
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

import streamlit as st

from app.text import plain
from core.errors import EarmarkError
from core.id2prediction import ModelRef
from core.model import bundle as bundles
from core.settings import Settings
from core.settings import settings as read_once
from core.tagging import model_in_force
from core.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from core.model.tagger import Tagger

NAME_KEY = "curator_name"


@dataclass(frozen=True)
class Viewer:
    """Who is looking: the `name` that edits are recorded under, and why they may not edit, if they may not."""

    name: str
    may_not_edit: str = ""


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    """The settings. Raises `SettingsError`."""
    return read_once()


@st.cache_resource(show_spinner=False)
def workspace() -> Workspace:
    """The workspace. Raises `WorkspaceError`."""
    return open_workspace(settings())


@st.cache_resource(show_spinner=False)
def inference_slots() -> threading.BoundedSemaphore:
    """At most as many clips are listened to at once as there are cores; the rest wait their turn."""
    return threading.BoundedSemaphore(os.cpu_count() or 1)


@st.cache_resource(show_spinner=False, max_entries=2)
def _tagger(name: str, version: int, fingerprint: str) -> "Tagger":
    import torch

    from core.model.tagger import Tagger

    torch.set_num_threads(1)
    model = ModelRef(name=name, version=version, fingerprint=fingerprint)
    tagger = Tagger.from_folder(workspace().pull(model))
    gc.collect()
    gc.freeze()  # torch brings a million objects; without this every collection walks them all
    return tagger


def tagger() -> tuple["Tagger", ModelRef]:
    """The model in force, loaded once; another one as soon as it is rolled out."""
    model = model_in_force(workspace())
    return _tagger(model.name, model.version, model.fingerprint), model


def vocabulary(model: ModelRef) -> tuple[str, ...]:
    """The tags of a model version in order of their index; empty if it is not in the workspace (any more)."""
    return _vocabulary(model.name, model.version, model.fingerprint)


@st.cache_resource(show_spinner=False, max_entries=20)
def _vocabulary(name: str, version: int, fingerprint: str) -> tuple[str, ...]:
    try:
        return bundles.load(workspace().pull(ModelRef(name=name, version=version, fingerprint=fingerprint))).vocabulary
    except EarmarkError:
        return ()


def viewer() -> Viewer:
    """Who is looking. On this machine alone anybody may edit; on any other address nobody may, as nobody can sign in yet."""
    name = st.session_state.get(NAME_KEY) or settings().curator or "curator"
    if listens_only_here():
        return Viewer(name)
    return Viewer(name, "This server can be reached from other machines and has no sign-in, so nothing can be changed here.")


def listens_only_here() -> bool:
    """Whether the server's address is this machine's loopback."""
    address = st.get_option("server.address") or ""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def sign_in_box() -> None:
    """The sidebar's note on who is editing."""
    with st.sidebar:
        if viewer().may_not_edit:
            st.caption(viewer().may_not_edit)
        else:
            st.text_input(
                "Your name",
                value=settings().curator or "curator",
                key=NAME_KEY,
                max_chars=60,
                persist_state="session",
                help="Your corrections are kept under this name.",
            )


def show_error(error: EarmarkError) -> None:
    """An error of ours on the page: its sentence, as text."""
    st.error(plain(str(error)), icon=":material/error:")
