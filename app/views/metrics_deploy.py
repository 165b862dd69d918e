"""Deploying, rejecting and rolling back a model version, for maintainers."""

import logging
from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import auth, services, state
from app.auth import Viewer
from app.text import bullets, plain, plural
from app.views.errors import log_error, shows_errors
from core.errors import EarmarkError
from core.events.types import ModelRef
from core.storage.active_model import active_version, deploy_model
from core.storage.model_versions import (
    Version,
    list_versions,
    previous_model,
    reject_version,
)

logger = logging.getLogger(__name__)

MAX_REASON_LENGTH = 300
MAX_LISTED = 8
NO_REASON = "no reason given"
CACHE_S = 15
"""What another server's maintainer decides is seen after so long at most."""
NO_NAME = "Please correct a tag first: that asks for your name, which is recorded."


@st.cache_resource(ttl=CACHE_S, show_spinner=False, max_entries=2)
def registered_versions(active: str) -> list[Version]:
    """Return the registered versions; asked anew after each decision here.

    Args:
        active: The active version; another one makes another list.
    """
    return list_versions(services.workspace())


def actions(version: Version) -> None:
    """Draw the buttons that decide about a version; only maintainers see them."""
    if version.is_active or not auth.viewer().run.allowed:
        return
    with st.container(horizontal=True):
        if st.button("Deploy ...", key="deploy", type="primary", icon=":material/rocket_launch:"):
            _deploy_dialog(version)
        if not version.decision and st.button("Reject ...", key="reject", icon=":material/block:"):
            _reject_dialog(version.model)


def roll_back_button() -> None:
    """Draw the button that brings the previous version back, for maintainers."""
    if not auth.viewer().run.allowed:
        return
    previous = previous_model(services.workspace())
    if previous is not None:
        st.button(
            f"Roll back to {previous}",
            key="roll-back",
            icon=":material/undo:",
            on_click=_roll_back,
            args=(previous, active_version(services.workspace())),
        )


@st.dialog("Deploy this version?", icon=":material/rocket_launch:")
@shows_errors
def _deploy_dialog(version: Version) -> None:
    """Say what changes, and ask for a reason and a second press."""
    st.markdown(f"**{plain(str(version.model))}** will predict in every running app and job.")
    st.markdown(bullets(_changes(version.comparison)))
    st.text_input("Reason", key=state.deploy_reason.key, max_chars=MAX_REASON_LENGTH)
    _two_buttons("Deploy", "deploy-confirmed", _deploy, version.model)


@st.dialog("Reject this version?", icon=":material/block:")
@shows_errors
def _reject_dialog(model: ModelRef) -> None:
    """Ask for a reason and a second press."""
    st.markdown(f"**{plain(str(model))}** stays in the registry, marked as rejected.")
    st.text_input("Reason", key=state.deploy_reason.key, max_chars=MAX_REASON_LENGTH)
    _two_buttons("Reject", "reject-confirmed", _reject, model)


def _two_buttons(label: str, key: str, action: Any, model: ModelRef) -> None:
    with st.container(horizontal=True):
        if st.button(label, key=key, type="primary", on_click=action, args=(model,)):
            st.rerun()
        if st.button("Cancel", key=f"{key}-cancel"):
            st.rerun()


def _changes(comparison: Mapping[str, Any] | None) -> list[str]:
    """Return what a deployment changes, as lines of Markdown."""
    if comparison is None:
        return ["It was not compared with the active model: what changes is not known."]
    changes = comparison["changes"]
    suggestions, thresholds = changes["suggestions"], changes["thresholds"]
    lines = [
        plain(comparison["verdict"]["text"]),
        f"Suggestions change on {suggestions['changed']:.0%} of {suggestions['clips']:,} test "
        f"clips; {suggestions['champion']:.1f} per clip become {suggestions['challenger']:.1f}.",
        _tags("New tags", changes["tags_gained"]),
        _tags("Tags that it does not know", changes["tags_lost"]),
    ]
    if thresholds:
        rows = [f"{r['tag']} {r['champion']:.2f} → {r['challenger']:.2f}" for r in thresholds]
        lines.append(_tags(plural(len(thresholds), "changed threshold"), rows))
    if active_version(services.workspace()) != ModelRef.model_validate(comparison["champion"]):
        lines.append("The active model has changed since the comparison.")
    return [line for line in lines if line]


def _tags(what: str, tags: list[str]) -> str:
    if not tags:
        return ""
    more = f" and {len(tags) - MAX_LISTED} more" if len(tags) > MAX_LISTED else ""
    return f"{what}: {plain(', '.join(tags[:MAX_LISTED]))}{more}."


def _deploy(model: ModelRef) -> None:
    """Deploy a version, if the viewer may."""
    _with_permission("deploy", model, lambda viewer: _deploy_now(model, viewer.actor, _reason()))


def _reject(model: ModelRef) -> None:
    """Reject a version, if the viewer may."""

    def reject(viewer: Viewer) -> str:
        reject_version(services.workspace(), model, viewer.actor, _reason())
        return f":green[Rejected:] {plain(str(model))}"

    _with_permission("reject", model, reject)


def _roll_back(model: ModelRef, shown: ModelRef | None) -> None:
    """Deploy the previous version, unless somebody else changed the active one meanwhile."""

    def roll_back(viewer: Viewer) -> str:
        if active_version(services.workspace()) != shown:
            return "Not rolled back: another version is active by now."
        return _deploy_now(model, viewer.actor, f"roll back from {shown}")

    _with_permission("roll back", model, roll_back)


def _deploy_now(model: ModelRef, actor: str, reason: str) -> str:
    deployed = deploy_model(services.workspace(), model.name, model.version, actor, reason)
    return f":green[Deployed:] {plain(str(deployed))}"


def _with_permission(name: str, model: ModelRef, action: Any) -> None:
    """Do something if the viewer may; note what became of it."""
    viewer = auth.viewer()
    if not viewer.run.allowed or not viewer.actor:
        logger.warning("refusal action=%s actor=%s", name, viewer.actor)
        state.deploy_note.set(plain(viewer.run.reason or NO_NAME))
        return
    try:
        state.deploy_note.set(action(viewer))
    except EarmarkError as error:
        log_error(error)
        state.deploy_note.set(f":red[Nothing was changed.] {plain(str(error))}")
    finally:
        registered_versions.clear()


def _reason() -> str:
    return state.deploy_reason.get().strip() or NO_REASON
