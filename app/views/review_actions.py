"""Handlers of a review card's buttons: save, undo, withdraw.

Each asks anew what the viewer may do, and leaves a note on the card.
"""

import logging
from functools import partial

from app import auth, services, state
from app.auth import Viewer
from app.components.tag_editor import edited_tags
from app.text import plain
from app.views.errors import log_error
from app.views.event_text import decisions_text
from core.errors import EarmarkError
from core.events.fold import Decision, SoundState, review, superseded_decisions, undo
from core.events.types import ReviewedEvent, SoundEvent
from core.people import shown_name
from core.pipeline.withdrawals import is_uploader, withdraw

logger = logging.getLogger(__name__)

NO_REASON = "no reason given"


def save(sound_id: str, accept: bool = False) -> None:
    """Write a *reviewed* event.

    Args:
        sound_id: The sound.
        accept: Confirm every tag that the person did not remove.
    """
    viewer, shown = auth.viewer(), state.shown_state(sound_id).get()
    if shown is None or _is_refused("save", sound_id, viewer):
        return
    if not viewer.actor:
        state.postponed_action(sound_id).set(partial(save, sound_id, accept))
        return
    event = review(shown, tags_in_editor(shown), viewer.actor, accept=accept)
    if event is None:
        state.sound_note(sound_id).set("Nothing was changed, so nothing was saved.")
    elif _append("save", event):
        state.shown_state(sound_id).pop()
        state.sound_note(sound_id).set(_saved_note(event))


def undo_review(sound_id: str, event_id: str) -> None:
    """Write an *undone* event."""
    sound, viewer = services.workspace().sounds.get(sound_id), auth.viewer()
    if sound is None or _is_refused("undo", sound_id, viewer):
        return
    if not viewer.actor:
        state.postponed_action(sound_id).set(partial(undo_review, sound_id, event_id))
    elif _append("undo", undo(sound, event_id, viewer.actor)):
        state.shown_state(sound_id).pop()
        state.sound_note(sound_id).set("Review undone.")


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
        _note_failure(sound_id, "Not withdrawn.", str(error))


def may_withdraw(sound_id: str) -> bool:
    """Return True for maintainers, and for the person who published the sound from here."""
    viewer = auth.viewer()
    if viewer.run.allowed:
        return True
    return is_uploader(viewer.person, services.workspace(), sound_id)


def save_name(sound_id: str) -> None:
    """Remember the name that the card asked for, and do what the person had pressed."""
    if auth.save_local_name(state.asked_name(sound_id).get()):
        action = state.postponed_action(sound_id).pop()
        if action is not None:
            action()


def tags_in_editor(shown: SoundState) -> tuple[str, ...]:
    """Return the tags in the editor of the state that the person was shown."""
    key = state.tag_editor_key(shown.sound_id)
    return edited_tags(key, shown.tags, shown.last_event.event_id)


def _is_refused(action: str, sound_id: str, viewer: Viewer) -> bool:
    """Return True if the viewer may not edit, or the sound is withdrawn; the card says why."""
    reason = viewer.edit.reason
    sound = services.workspace().sounds.get(sound_id)
    if viewer.edit.allowed and sound is not None and sound.withdrawn:
        reason = "This sound has been withdrawn."
    if reason:
        logger.warning("refusal action=%s sound=%s actor=%s", action, sound_id, viewer.actor)
        state.sound_note(sound_id).set(f":red[Not saved.] {plain(reason)}")
    return bool(reason)


def _append(action: str, event: SoundEvent) -> bool:
    """Write an event; where that fails, the card says why and the chips stay as they are."""
    sound_id = event.sound_id
    try:
        services.workspace().events.append([event])
    except EarmarkError as error:
        _note_failure(sound_id, "Not saved.", str(error))
        return False
    logger.info("%s sound=%s event=%s actor=%s", action, sound_id, event.event_id, event.actor)
    return True


def _note_failure(sound_id: str, headline: str, reason: str) -> None:
    log_error(reason)
    state.sound_note(sound_id).set(f":red[{headline}] {plain(reason)}")


def _saved_note(event: ReviewedEvent) -> str:
    workspace = services.workspace()
    headline = "Saved" if workspace.sync.status() is None else "Saved here"
    lines = [f":green[{headline}:] {decisions_text(event.payload.decisions)}"]
    superseded = superseded_decisions(event, workspace.events.of_sound(event.sound_id))
    return "  \n".join([*lines, *map(_superseded_note, superseded)])


def _superseded_note(decision: Decision) -> str:
    name, tag = plain(shown_name(decision.event.actor)), plain(decision.tag)
    return f":orange[{name} had {decision.verdict} {tag} meanwhile; yours, the later one, counts.]"
