"""Which model version is in force, for those who may decide it."""

import streamlit as st

from app import session
from app.text import plain
from core.errors import EarmarkError
from core.id2prediction import ModelRef, RolledOut, new_event
from core.model import bundle as bundles
from core.workspace import BEST_BY, NoSuchModel

LONGEST_REASON = 300
VERSION_HELP = "A number, `latest`, or `best` by PR-AUC macro"
NAMELESS = "Please correct a tag first: that asks for your name, which is recorded."


def roll_out_section(current: ModelRef) -> None:
    """Maintainers choose another version; others do not see this."""
    if session.viewer().may_not_run:
        return
    with st.expander("Roll out another version", icon=":material/published_with_changes:"):
        name = st.text_input("Model", value=current.name, key="rollout-name", max_chars=100)
        which = st.text_input("Version", value="latest", key="rollout-version", help=VERSION_HELP, max_chars=20)
        st.text_input("Reason", key="rollout-reason", max_chars=LONGEST_REASON)
        st.button("Roll out", key="rollout", on_click=_roll_out, args=(name, which), icon=":material/rocket_launch:")
        note = st.session_state.pop("rollout-note", "")
        if note:
            st.caption(note)


def _roll_out(name: str, which: str) -> None:
    """Write the rolled_out event, if the viewer may and the version is whole."""
    viewer, workspace = session.viewer(), session.workspace()
    if viewer.may_not_run or not viewer.actor:
        st.session_state["rollout-note"] = plain(viewer.may_not_run or NAMELESS)
        return
    try:
        model = workspace.find_model(name.strip(), _version(which), BEST_BY)
        bundles.load(workspace.pull(model))
        reason = st.session_state.get("rollout-reason", "").strip() or "no reason given"
        workspace.append([new_event(RolledOut(model=model, reason=reason), None, viewer.actor, base=workspace.rolled_out())])
    except EarmarkError as error:
        st.session_state["rollout-note"] = f":red[Not rolled out.] {plain(str(error))}"
        return
    st.session_state["rollout-note"] = f":green[In force:] {plain(str(model))}"


def _version(which: str):
    which = which.strip().lower()
    if which in ("best", "latest"):
        return which
    if which.isascii() and which.isdecimal() and 0 < len(which) < 10:
        return int(which)
    raise NoSuchModel(f"“{which}” is not a version. Give a number, latest or best.")
