"""One edit of all sounds that match the filters: stopped at will, undone as a whole."""

import logging
from typing import Literal, cast

import streamlit as st

from app import auth, services, state
from app.callbacks import callback
from app.text import plain, plural
from app.views.errors import log_error, shows_errors
from app.views.view import View
from core.curation.bulk import (
    MAX_SOUNDS,
    BulkAction,
    BulkPlan,
    BulkResult,
    apply_bulk,
    plan_bulk,
    undo_batch,
)
from core.errors import EarmarkError
from core.tags import clean

logger = logging.getLogger(__name__)

Kind = Literal["confirm", "add", "remove", "replace"]
KINDS: dict[Kind, str] = {
    "confirm": "Confirm tags",
    "add": "Add tags",
    "remove": "Remove tags",
    "replace": "Replace a tag",
}
PREPOSITIONS: dict[Kind, str] = {"confirm": "of", "add": "to", "remove": "from", "replace": "in"}
MAX_NAME_LENGTH = 60


def reset() -> None:
    """Forget an earlier edit: what it wrote stays."""
    for entry in (state.bulk_plan, state.bulk_result, state.bulk_undone, state.bulk_problem):
        entry.pop()


@st.dialog("Bulk edit", width="medium", icon=":material/checklist:", on_dismiss="rerun")
@shows_errors
def bulk_dialog(view: View) -> None:
    """Draw the form; while an edit runs its progress; afterwards its outcome and the undo."""
    viewer = auth.viewer()
    if not viewer.edit.allowed:
        st.info(plain(viewer.edit.reason))
    elif not viewer.actor:
        _name_form()
    elif state.bulk_plan.get() is None:
        _form(view)
    else:
        _outcome(cast(BulkPlan, state.bulk_plan.get()))
    if problem := state.bulk_problem.get():
        st.error(plain(problem), icon=":material/error:")


def _name_form() -> None:
    """Ask for the name that edits on this machine are recorded under."""
    with st.form("bulk-name", border=False):
        st.text_input(
            "What name should we record your corrections under?",
            key=state.asked_name("bulk").key,
            max_chars=MAX_NAME_LENGTH,
        )
        st.form_submit_button("Continue", type="primary", on_click=_save_name)


def _save_name() -> None:
    auth.save_local_name(state.asked_name("bulk").get())


def _form(view: View) -> None:
    """Draw what can be done with how many sounds."""
    count = services.workspace().sounds.count(view.query)
    more = "" if count.exact else "more than "
    st.markdown(f"The filters match **{more}{plural(count.number, 'sound')}**.")
    if count.number > MAX_SOUNDS:
        st.warning(f"At most {MAX_SOUNDS} sounds can be edited at once. Narrow the filters.")
        return
    kind: Kind = (
        st.segmented_control(
            "Action",
            list(KINDS),
            default="confirm",
            required=True,
            format_func=KINDS.__getitem__,
            key=state.bulk_field("kind").key,
        )
        or "confirm"
    )
    action = _action(kind)
    label = f"{KINDS[kind]} {PREPOSITIONS[kind]} {plural(count.number, 'sound')}"
    if st.button(label, key="bulk-apply", type="primary", disabled=not count.number):
        _plan(view, action)
        _run()


def _action(kind: Kind) -> BulkAction:
    """Draw the fields of an action, and return it."""
    if kind == "confirm":
        st.caption("Confirms all current tags of these sounds.")
        return BulkAction(kind)
    if kind == "replace":
        with st.container(horizontal=True):
            old = st.text_input("Tag", key=state.bulk_field("old").key)
            new = st.text_input("Replace with", key=state.bulk_field("new").key)
        tags = clean([str(new)]).tags
        return BulkAction(kind, (str(old).strip(),), tags[0] if tags else "")
    typed = st.text_input("Tags", key=state.bulk_field("tags").key, placeholder="rain, thunder")
    tags = clean([str(typed)]).tags
    if tags:
        st.caption(f"Tags: {plain(' · '.join(tags))}")
    return BulkAction(kind, tags)


def _plan(view: View, action: BulkAction) -> None:
    """Choose the sounds; from here on a further sound that matches is not among them."""
    reset()
    try:
        state.bulk_plan.set(plan_bulk(services.workspace(), view.query, action, view.order))
    except EarmarkError as error:
        log_error(error)
        state.bulk_problem.set(str(error))


def _run() -> None:
    """Make the edit. Any press meanwhile stops it between two chunks; what is written stays."""
    plan, actor = state.bulk_plan.get(), auth.viewer().actor
    if plan is None or not auth.viewer().edit.allowed:
        return
    bar = st.progress(0.0, text=f"0 of {plural(len(plan.sound_ids), 'sound')}")
    st.button("Stop", key="bulk-stop", icon=":material/stop:")

    def show(done: int, total: int) -> None:
        state.bulk_done.set((done, total))
        bar.progress(done / max(1, total), text=f"{done:,} of {plural(total, 'sound')}")

    state.bulk_done.set((0, len(plan.sound_ids)))
    try:
        result = apply_bulk(services.workspace(), services.curation().reviews, plan, actor, show)
    except EarmarkError as error:
        log_error(error)
        state.bulk_problem.set(str(error))
    else:
        state.bulk_result.set(result)
    st.rerun(scope="fragment")


def _outcome(plan: BulkPlan) -> None:
    """Draw what an edit has done, and what can be done about it."""
    undone, result = state.bulk_undone.get(), state.bulk_result.get()
    if undone:
        st.success(f"Undone in {plural(undone.changed, 'sound')}.", icon=":material/undo:")
    elif result:
        st.success(_result_text(result), icon=":material/check_circle:")
    else:
        done, total = state.bulk_done.get()
        st.warning(f"Stopped after {done:,} of {plural(total, 'sound')}.")
    with st.container(horizontal=True):
        if not undone and not result and st.button("Continue", key="bulk-continue", type="primary"):
            state.bulk_problem.pop()
            _run()
        if not undone:
            st.button(
                "Undo all",
                key="bulk-undo",
                icon=":material/undo:",
                on_click=_undo,
                args=(plan.batch,),
            )
        if st.button("Close", key="bulk-close", on_click=reset):
            st.rerun()


def _result_text(result: BulkResult) -> str:
    text = f"Saved: {plural(result.changed, 'sound')} changed"
    return f"{text}, {result.unchanged:,} unchanged." if result.unchanged else f"{text}."


@callback
def _undo(batch: str) -> None:
    """Take the whole edit back."""
    viewer = auth.viewer()
    if not viewer.edit.allowed or not viewer.actor:
        logger.warning("refusal action=bulk-undo actor=%s", viewer.actor)
        return
    try:
        result = undo_batch(services.workspace(), services.curation().reviews, batch, viewer.actor)
        state.bulk_undone.set(result)
    except EarmarkError as error:
        log_error(error)
        state.bulk_problem.set(str(error))
