"""The state of a person's uploads at Freesound, looked up once and then on request."""

import time

import streamlit as st

from app import auth, services, state
from app.views.errors import show_error
from core.errors import EarmarkError
from core.freesound.types import PendingUploads
from core.people import Person
from core.pipeline.withdrawals import GONE, withdraw
from core.publishing.upload import UploadStates
from core.publishing.upload_log import Upload

MIN_GONE_AGE_S = 3600
"""Sounds of trusted uploaders are in no list while they are processed, which takes a minute."""
PROCESSING = {
    "Pending": "waiting to be processed",
    "Queued": "waiting to be processed",
    "Processing": "being processed",
    "Processed": "processed",
    "Failed": "Freesound could not process it: the file may be damaged",
}


def look_up(person: Person) -> UploadStates:
    """Return what Freesound says of the person's uploads: requests are counted, so it is kept.

    Sounds that it does not have any more are withdrawn here, too.
    """
    known = state.upload_states.get()
    if known is not None and known[0] == person.user_id:
        return known[1]
    publisher, with_token = services.publisher(), auth.with_token(person)
    try:
        with st.spinner("Checking Freesound ..."):
            publisher.resolve_uploads(person, with_token)
            states = publisher.states(person, with_token)
        _withdraw_gone(states, person)
    except EarmarkError as error:
        show_error(error)
        return UploadStates(PendingUploads(), {})
    state.upload_states.set((person.user_id, states))
    return states


def refresh() -> None:
    """Ask Freesound again at the next run."""
    state.upload_states.pop()


def standing(upload: Upload, states: UploadStates) -> str:
    """Return where a published sound stands at Freesound, as a sentence."""
    for pending in states.pending.pending_processing:
        if pending.id == upload.sound_id:
            return f"On Freesound: {processing_text(pending.processing_state)}."
    if any(pending.id == upload.sound_id for pending in states.pending.pending_moderation):
        return "On Freesound: waiting for moderation, which can take days."
    if upload.sound_id not in states.sounds:
        return "On Freesound."
    if _is_gone(upload, states):
        return "No longer on Freesound: it was not accepted, or was deleted."
    sound = states.sounds[upload.sound_id]
    is_public = sound is not None and sound.duration > 0
    return "Public on Freesound." if is_public else "On Freesound: being processed."


def processing_text(processing_state: str) -> str:
    """Return a state of Freesound's processing in words."""
    return PROCESSING.get(processing_state, processing_state)


def _withdraw_gone(states: UploadStates, person: Person) -> None:
    for upload in services.publisher().uploads_of(person):
        if _is_gone(upload, states):
            sound_id = f"freesound:{upload.sound_id}"
            withdraw(services.workspace(), sound_id, GONE, person.actor)


def _is_gone(upload: Upload, states: UploadStates) -> bool:
    """Return True if Freesound has deleted the sound, rather than not shown it yet."""
    if upload.sound_id is None or upload.sound_id not in states.sounds:
        return False
    is_old = time.time() - upload.changed > MIN_GONE_AGE_S
    return states.sounds[upload.sound_id] is None and is_old
