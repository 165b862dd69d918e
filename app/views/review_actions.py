"""Handlers of a review card's buttons: confirm, save changes, mark, undo.

Each asks anew what the viewer may do, and leaves a note on the card.
"""

import logging
from collections.abc import Callable
from functools import partial, wraps
from typing import Concatenate, ParamSpec

from streamlit.delta_generator import DeltaGenerator

from app import auth, services, state
from app.auth import Viewer
from app.components.tag_editor import edited_tags, forget_edits, unsaved_editors
from app.text import plain
from app.views.errors import log_error
from app.views.event_text import review_text
from core.errors import EarmarkError
from core.events.fold import (
    Decision,
    SoundState,
    confirm,
    mark,
    save_changes,
    superseded_decisions,
    undo,
)
from core.events.types import Outcome, ReviewedEvent, SoundEvent
from core.people import shown_name

logger = logging.getLogger(__name__)

MARKS: dict[str, Outcome] = {
    "Mark as not sure": "not sure",
    "Mark as cannot be tagged": "untaggable",
}
"""What the menu's entries say of a sound."""
Rest = ParamSpec("Rest")


def _noting_failure(
    act: Callable[Concatenate[str, Rest], None],
) -> Callable[Concatenate[str, Rest], None]:
    """Let an error of ours in what a press does to a sound be a note on its card."""

    @wraps(act)
    def act_or_note(sound_id: str, /, *args: Rest.args, **kwargs: Rest.kwargs) -> None:
        try:
            act(sound_id, *args, **kwargs)
        except EarmarkError as error:
            note_failure(sound_id, error)

    return act_or_note


@_noting_failure
def confirm_tags(sound_id: str) -> None:
    """Write that the tags in the editor are all the sound's tags."""
    shown = state.shown_state(sound_id).get()
    actor = actor_for("confirm", sound_id, partial(confirm_tags, sound_id))
    if shown and actor:
        save_review("confirm", confirm(shown, tags_in_editor(shown), actor))


@_noting_failure
def save_tag_changes(sound_id: str) -> None:
    """Write what was changed in the editor; the other tags stay to be reviewed."""
    shown = state.shown_state(sound_id).get()
    actor = actor_for("save", sound_id, partial(save_tag_changes, sound_id))
    if shown is None or actor is None:
        return
    event = save_changes(shown, tags_in_editor(shown), actor)
    if event is None:
        note(sound_id, "Nothing was changed, so nothing was saved.")
    else:
        save_review("save", event)


@_noting_failure
def mark_from_menu(sound_id: str) -> None:
    """Mark a sound where that was chosen in its menu."""
    outcome = MARKS.get(state.card_menu(sound_id).get() or "")
    if outcome is not None:
        mark_sound(sound_id, outcome)


@_noting_failure
def mark_sound(sound_id: str, outcome: Outcome) -> None:
    """Write that the viewer is not sure of a sound, or that it cannot be tagged."""
    sound = services.workspace().sounds.get(sound_id)
    actor = actor_for("mark", sound_id, partial(mark_sound, sound_id, outcome))
    if sound and actor:
        save_review("mark", mark(sound, outcome, actor))


@_noting_failure
def undo_review(sound_id: str, event_id: str) -> None:
    """Write an *undone* event."""
    sound = services.workspace().sounds.get(sound_id)
    actor = actor_for("undo", sound_id, partial(undo_review, sound_id, event_id))
    if sound and actor and _append("undo", undo(sound, event_id, actor)):
        state.shown_state(sound_id).pop()
        note(sound_id, "Review undone.")


def save_all_changes() -> None:
    """Write the unsaved changes of every sound, those of other pages included."""
    for sound_id in unsaved_sounds():
        save_tag_changes(sound_id)


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


def unsaved_sounds() -> list[str]:
    """Return the ids of the sounds whose chips were changed and not saved."""
    prefix = state.tag_editor_key("")
    keys = [key for key in unsaved_editors() if key.startswith(prefix)]
    return [key.removeprefix(prefix) for key in keys]


def show_unsaved(place: DeltaGenerator) -> None:
    """Say in a place of the page how many sounds have unsaved changes."""
    count = len(unsaved_sounds())
    if count:
        place.markdown(f"{count:,} unsaved")
    else:
        place.empty()


def note(sound_id: str, text: str) -> None:
    """Leave a note, in Markdown, on the card of a sound."""
    state.sound_note(sound_id).set(text)


def note_failure(sound_id: str, error: EarmarkError) -> None:
    """Leave a note that nothing was saved, and why."""
    log_error(error)
    note(sound_id, f":red[Not saved.] {plain(str(error))}")


def actor_for(action: str, sound_id: str, again: Callable[[], None]) -> str | None:
    """Return what an edit by the viewer is recorded under; None where they may not edit.

    Where they have no name yet, the card asks for it and then does the same `again`.
    """
    viewer = auth.viewer()
    if _is_refused(action, sound_id, viewer):
        return None
    if not viewer.actor:
        state.postponed_action(sound_id).set(again)
        return None
    return viewer.actor


def _is_refused(action: str, sound_id: str, viewer: Viewer) -> bool:
    """Return True if the viewer may not edit, or the sound is withdrawn; the card says why."""
    reason = viewer.edit.reason
    sound = services.workspace().sounds.get(sound_id)
    if viewer.edit.allowed and sound is not None and sound.withdrawn:
        reason = "This sound has been withdrawn."
    if reason:
        logger.warning("refusal action=%s sound=%s actor=%s", action, sound_id, viewer.actor)
        note(sound_id, f":red[Not saved.] {plain(reason)}")
    return bool(reason)


def save_review(action: str, event: ReviewedEvent) -> None:
    """Write a review; the chips then begin anew from what is stored.

    Args:
        action: What to call it in the log.
        event: The review.
    """
    if _append(action, event):
        state.shown_state(event.sound_id).pop()
        forget_edits(state.tag_editor_key(event.sound_id))
        note(event.sound_id, _saved_note(event))


def _append(action: str, event: SoundEvent) -> bool:
    """Write an event; where that fails, the card says why and the chips stay as they are."""
    sound_id = event.sound_id
    try:
        services.workspace().events.append([event])
    except EarmarkError as error:
        note_failure(sound_id, error)
        return False
    logger.info("%s sound=%s event=%s actor=%s", action, sound_id, event.event_id, event.actor)
    return True


def _saved_note(event: ReviewedEvent) -> str:
    workspace = services.workspace()
    headline = "Saved" if workspace.sync.status() is None else "Saved here, syncing"
    lines = [f":green[{headline}:] {review_text(event.payload)}"]
    superseded = superseded_decisions(event, workspace.events.of_sound(event.sound_id))
    return "  \n".join([*lines, *map(_superseded_note, superseded)])


def _superseded_note(decision: Decision) -> str:
    name, tag = plain(shown_name(decision.event.actor)), plain(decision.tag)
    return f":orange[{name} had {decision.verdict} {tag} meanwhile; yours, the later one, counts.]"
