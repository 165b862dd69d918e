"""Apply the decisions that come from the desk, each exactly once, and answer them.

An action's event has an id that follows from the action's. So it does not matter how often an
action comes, after a lost connection or a restart: its event is there already.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app import services, state
from app.auth import Viewer
from app.components.desk.request import Action
from app.views.desk_sounds import review_data, sound_data
from app.views.errors import log_error
from core.curation.second_opinion import blind_state, is_waiting_for
from core.errors import EarmarkError
from core.events.errors import ConflictingEvent
from core.events.fold import SoundState, confirm, effective_events, fold, mark, save_changes, undo
from core.events.types import PublishedEvent, ReviewedEvent, SoundEvent, UndoneEvent
from core.people import shown_name
from core.tags import clean

logger = logging.getLogger(__name__)

WITHDRAWN = "This sound has been withdrawn."
MAX_ANSWERS = 1000
Answer = dict[str, object]


@dataclass(frozen=True)
class _NotSaved(Exception):
    """An action was not applied; `answer` says why."""

    answer: Answer


def apply_actions(actions: Sequence[Action], viewer: Viewer) -> dict[str, Answer]:
    """Apply those actions that were not applied yet.

    Args:
        actions: From the browser, oldest first.
        viewer: Who they are; asked anew for each request.

    Returns:
        An answer by action id. `state` is `saved`, `conflict` or `failed`; with the latter two
        there is a `sentence`, and `sound` where it has changed meanwhile.
    """
    known = state.desk_answers.get()
    answers: dict[str, Answer] = {}
    for action in actions:
        answers[action.id] = known.get(action.id) or _answer(action, viewer)
        # Kept at once: a refused action must not be applied by a later run after all.
        known = {**known, action.id: answers[action.id]}
        state.desk_answers.set(dict(list(known.items())[-MAX_ANSWERS:]))
    return answers


def event_id_of(action_id: str) -> str:
    """Return the id of the event that an action makes."""
    return hashlib.sha256(f"desk:{action_id}".encode()).hexdigest()[:32]


def _answer(action: Action, viewer: Viewer) -> Answer:
    """Apply one action."""
    try:
        _apply(action, viewer)
    except _NotSaved as refusal:
        return refusal.answer
    except EarmarkError as error:
        log_error(str(error))
        return _failed(f"Not saved. {error}")
    sound = services.workspace().sounds.get(action.sound)
    return {"state": "saved"} | (review_data(sound) if sound else {})


def _apply(action: Action, viewer: Viewer) -> None:
    """Write the action's event, unless it is there.

    Raises:
        _NotSaved: It cannot be applied.
        EarmarkError: The workspace cannot be written.
    """
    events = services.workspace().events
    log = events.of_sound(action.sound)
    if _is_applied(action, log):
        return
    if not viewer.edit.allowed:
        logger.warning("refusal action=%s sound=%s", action.kind, action.sound)
        raise _NotSaved(_failed(f"Not saved. {viewer.edit.reason}"))
    event = _event(action, log, viewer.actor)
    if event is None:
        return
    try:
        events.append([event])
    except ConflictingEvent:  # another run of this session was quicker
        if not _is_applied(action, events.of_sound(action.sound)):
            raise
    logger.info(
        "%s sound=%s event=%s actor=%s", action.kind, action.sound, event.event_id, event.actor
    )


def _is_applied(action: Action, log: Sequence[SoundEvent]) -> bool:
    return any(event.event_id == event_id_of(action.id) for event in log)


def _event(action: Action, log: Sequence[SoundEvent], actor: str) -> SoundEvent | None:
    """Return the action's event; None where it changes nothing."""
    if not log or fold(log).withdrawn:
        raise _NotSaved(_failed(f"Not saved. {WITHDRAWN}"))
    event: SoundEvent | None
    if action.kind == "undo":
        event = _undo(action, log, actor)
    elif action.kind == "opinion":
        event = _opinion(action, log, actor)
    else:
        event = _review(action, log, actor)
    return event and event.model_copy(update={"event_id": event_id_of(action.id)})


def _undo(action: Action, log: Sequence[SoundEvent], actor: str) -> UndoneEvent:
    """Return the event that undoes an earlier action of the desk."""
    target = event_id_of(action.target or "")
    if all(event.event_id != target for event in effective_events(log)):
        raise _NotSaved(
            _failed("Not undone: that review was not saved, or is undone already.", log)
        )
    return undo(fold(log), target, actor)


def _opinion(action: Action, log: Sequence[SoundEvent], actor: str) -> ReviewedEvent:
    """Return the event of a second opinion, based on what the person was shown."""
    if not is_waiting_for(actor, log, services.settings().second_opinion_share):
        raise _NotSaved(_failed("Not saved. This sound needs no second opinion any more.", log))
    shown = blind_state(log)
    return confirm(shown, stored_tags(action.tags, shown.tags), actor)


def _review(action: Action, log: Sequence[SoundEvent], actor: str) -> ReviewedEvent | None:
    """Return the event of a decision about what the person was shown."""
    shown, newer = _split(action, log)
    if newer:
        raise _NotSaved(_conflict(log, newer))
    if action.kind == "not sure" or action.kind == "untaggable":
        return mark(shown, action.kind, actor)
    tags = stored_tags(action.tags, shown.tags)
    if action.kind == "confirm":
        return confirm(shown, tags, actor)
    return save_changes(shown, tags, actor)


def stored_tags(typed: Sequence[str], present: Sequence[str]) -> tuple[str, ...]:
    """Return tags as they are stored: what was there stays as it is, the others are cleaned."""
    kept = [tag for tag in typed if tag in present]
    added = clean(tag for tag in typed if tag not in present)
    return tuple(dict.fromkeys([*kept, *added.tags]))


def _split(action: Action, log: Sequence[SoundEvent]) -> tuple[SoundState, list[SoundEvent]]:
    """Return the sound as the person was shown it, and what others have decided since."""
    own = event_id_of(action.after) if action.after else ""
    by_id = {event.event_id: event for event in log}
    base = by_id.get(own) or by_id.get(action.base)
    if base is None:
        return fold(log), [event for event in log if _is_decision(event)]
    shown = fold(event for event in log if event.order <= base.order)
    newer = [event for event in log if event.order > base.order and _is_decision(event)]
    return shown, newer


def _is_decision(event: SoundEvent) -> bool:
    return isinstance(event, ReviewedEvent | PublishedEvent | UndoneEvent)


def _conflict(log: Sequence[SoundEvent], newer: Sequence[SoundEvent]) -> Answer:
    """Return the answer that shows what others have decided meanwhile."""
    changes = "; ".join(f"{shown_name(event.actor)} {_change(event)}" for event in newer)
    return {
        "state": "conflict",
        "sentence": f"Not saved yet. This sound was changed meanwhile: {changes}.",
        "sound": sound_data(fold(log)),
    }


def _change(event: SoundEvent) -> str:
    """Return what somebody decided, as text."""
    if isinstance(event, UndoneEvent):
        return "undid a change"
    if isinstance(event, ReviewedEvent) and event.payload.outcome in ("not sure", "untaggable"):
        return f"marked it as {event.payload.outcome}"
    if isinstance(event, ReviewedEvent | PublishedEvent):
        return _decisions(event.payload.decisions)
    return "changed it"


def _decisions(decisions: Mapping[str, str]) -> str:
    """Return `confirmed dog, added howl`; text for the browser, so nothing is escaped here."""
    phrases = []
    for verdict, verb in (("kept", "confirmed"), ("removed", "removed"), ("added", "added")):
        tags = [tag for tag, decided in decisions.items() if decided == verdict]
        if tags:
            phrases.append(f"{verb} {', '.join(tags)}")
    return ", ".join(phrases) or "confirmed that no tag fits"


def _failed(sentence: str, log: Sequence[SoundEvent] = ()) -> Answer:
    """Return the answer that says why; with a `log`, also how the sound is now."""
    answer: Answer = {"state": "failed", "sentence": sentence}
    return answer | ({"sound": sound_data(fold(log))} if log else {})
