"""A sound's history: who did what, when, on which model version; and the way back to any state."""

from functools import partial

import streamlit as st

from app import auth, services
from app.callbacks import callback
from app.text import ago, plain
from app.views import review_actions
from app.views.errors import shows_errors
from app.views.event_text import event_text
from core.curation.errors import UnknownEvent
from core.curation.history import HistoryEntry, history_of, revert_to


@st.dialog("History", width="large", icon=":material/history:")
@shows_errors
def history_dialog(sound_id: str) -> None:
    """Draw the history, newest first."""
    entries = history_of(services.workspace().events.of_sound(sound_id))
    may_edit = auth.viewer().edit.allowed
    for entry in entries:
        key = f"history-{entry.event.event_id}"
        with st.container(key=key, horizontal=True, vertical_alignment="center"):
            _entry(entry)
            if may_edit and not entry.is_current:
                _revert_button(sound_id, entry)


def _entry(entry: HistoryEntry) -> None:
    """Draw one event."""
    text = event_text(entry.event)
    if entry.is_undone:
        text = f"~~{text}~~ (undone)"
    when = f"{entry.time:%Y-%m-%d %H:%M} UTC"
    model = f", based on {plain(str(entry.model))}" if entry.model and entry.decisions else ""
    st.markdown(f"**{ago(entry.time)}**, {text}  \n:small[{when}{model}]")


def _revert_button(sound_id: str, entry: HistoryEntry) -> None:
    event_id = entry.event.event_id
    if st.button(
        "Revert to this",
        key=f"revert-{event_id}",
        type="tertiary",
        icon=":material/settings_backup_restore:",
        on_click=revert,
        args=(sound_id, event_id),
    ):
        st.rerun()  # closes the dialog; the card shows the outcome


@callback
def revert(sound_id: str, event_id: str) -> None:
    """Write the review that brings the tags back to what they were right after an event."""
    actor = review_actions.actor_for("revert", sound_id, partial(revert, sound_id, event_id))
    if actor is None:
        return
    try:
        event = revert_to(services.workspace().events.of_sound(sound_id), event_id, actor)
    except UnknownEvent as error:
        review_actions.note_failure(sound_id, error)
        return
    if event is None:
        review_actions.note(sound_id, "The tags are already the same: nothing to save.")
    else:
        review_actions.save_review("revert", event)
