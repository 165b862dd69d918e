"""Withdrawing a sound: asked for in its menu, and done only after a second press."""

import logging
from functools import partial

import streamlit as st

from app import auth, services, state
from app.auth import Viewer
from app.callbacks import callback
from app.text import plain
from app.views.errors import log_error, shows_errors
from core.errors import EarmarkError
from core.events.fold import SoundState
from core.people import user_id
from core.pipeline.withdrawals import MAX_REASON_LENGTH, is_uploader, withdraw

logger = logging.getLogger(__name__)

NO_REASON = "no reason given"


def may_be_offered(sound: SoundState, viewer: Viewer) -> bool:
    """Return True where the menu offers it: to maintainers, and to who published the sound here."""
    if viewer.run.allowed:
        return True
    person = viewer.person
    return person is not None and any(
        decision.event.kind == "published" and user_id(decision.event.actor) == person.user_id
        for decision in sound.decisions.values()
    )


@st.dialog("Withdraw this sound?", icon=":material/delete_forever:")
@shows_errors
def withdraw_dialog(sound_id: str) -> None:
    """Ask for a reason and a second press."""
    st.markdown(
        "Removes the sound from Earmark permanently. It stays on Freesound. "
        "**This cannot be undone.**"
    )
    st.text_input("Reason", key=state.withdrawal_reason(sound_id).key, max_chars=MAX_REASON_LENGTH)
    with st.container(horizontal=True):
        if st.button(
            "Withdraw",
            key=f"withdraw-{sound_id}",
            type="primary",
            on_click=withdraw_sound,
            args=(sound_id,),
        ):
            st.rerun()
        if st.button("Cancel", key=f"keep-{sound_id}"):
            st.rerun()


@callback
def withdraw_sound(sound_id: str) -> None:
    """Write a *withdrawn* event and delete the sound's media."""
    viewer = auth.viewer()
    if not may_withdraw(sound_id):
        logger.warning("refusal action=withdraw sound=%s actor=%s", sound_id, viewer.actor)
        return
    if not viewer.actor:
        state.postponed_action(sound_id).set(partial(withdraw_sound, sound_id))
        return
    reason = state.withdrawal_reason(sound_id).get().strip() or NO_REASON
    try:
        withdraw(services.workspace(), sound_id, reason, viewer.actor)
    except EarmarkError as error:
        log_error(error)
        state.sound_note(sound_id).set(f":red[Not withdrawn.] {plain(str(error))}")


def may_withdraw(sound_id: str) -> bool:
    """Return True for maintainers, and for the person who published the sound from here."""
    viewer = auth.viewer()
    if viewer.run.allowed:
        return True
    return is_uploader(viewer.person, services.workspace(), sound_id)
