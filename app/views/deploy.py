"""Deploying another model version, for maintainers."""

import logging

import streamlit as st

from app import auth, services, state
from app.text import plain
from app.views.errors import log_error
from core.errors import EarmarkError
from core.events.types import ModelRef
from core.storage.active_model import deploy_model
from core.storage.errors import ModelNotFound
from core.storage.models import VersionChoice

logger = logging.getLogger(__name__)

MAX_REASON_LENGTH = 300
VERSION_HELP = "A number, `latest`, or `best` by PR-AUC macro"
NO_NAME = "Please correct a tag first: that asks for your name, which is recorded."


def deploy_section(active: ModelRef) -> None:
    """Draw the form; only maintainers see it.

    Args:
        active: The version that predicts now.
    """
    if not auth.viewer().run.allowed:
        return
    with st.expander("Deploy another version", icon=":material/published_with_changes:"):
        st.text_input("Model", value=active.name, key=state.deploy_name.key, max_chars=100)
        st.text_input(
            "Version",
            value="latest",
            key=state.deploy_version.key,
            help=VERSION_HELP,
            max_chars=20,
        )
        st.text_input("Reason", key=state.deploy_reason.key, max_chars=MAX_REASON_LENGTH)
        st.button("Deploy", key="deploy", on_click=_deploy, icon=":material/rocket_launch:")
        note = state.deploy_note.pop()
        if note:
            st.caption(note)


def _deploy() -> None:
    """Deploy the version, if the viewer may."""
    viewer = auth.viewer()
    if not viewer.run.allowed or not viewer.actor:
        logger.warning("refusal action=deploy actor=%s", viewer.actor)
        state.deploy_note.set(plain(viewer.run.reason or NO_NAME))
        return
    reason = state.deploy_reason.get().strip() or "no reason given"
    try:
        version = _version(state.deploy_version.get())
        name = state.deploy_name.get().strip()
        model = deploy_model(services.workspace(), name, version, viewer.actor, reason)
    except EarmarkError as error:
        log_error(error)
        state.deploy_note.set(f":red[Not deployed.] {plain(str(error))}")
        return
    state.deploy_note.set(f":green[Deployed:] {plain(str(model))}")


def _version(text: str) -> VersionChoice:
    choice = text.strip().lower()
    if choice == "best":
        return "best"
    if choice == "latest":
        return "latest"
    if choice.isascii() and choice.isdecimal() and 0 < len(choice) < 10:
        return int(choice)
    raise ModelNotFound(f"“{text}” is not a version. Give a number, latest or best.")
