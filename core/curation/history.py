"""A sound's history as entries to show, and the return to any of its states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from core.curation.errors import UnknownEvent
from core.events.fold import ReviewState, SoundState, effective_events, fold
from core.events.types import (
    ImportedEvent,
    ModelRef,
    Outcome,
    PredictedEvent,
    PublishedEvent,
    Reviewed,
    ReviewedEvent,
    SoundEvent,
    UndoneEvent,
    Verdict,
    new_event,
)

What = Literal["predicted", "imported", "published", "undone", "withdrawn"] | Outcome


@dataclass(frozen=True)
class HistoryEntry:
    """One event of a sound.

    Attributes:
        event: The event.
        what: Its kind; for a review, what the person said.
        model: The model version that predicted, or on whose prediction the decision rests; None
            for an import and what rests on none.
        decisions: By tag, what the person decided.
        target: The id of the event that this one undid, else empty.
        is_undone: True where somebody has undone it, so that it does not count.
        is_current: True for the newest event.
    """

    event: SoundEvent
    what: What
    model: ModelRef | None
    decisions: Mapping[str, Verdict]
    target: str
    is_undone: bool
    is_current: bool

    @property
    def time(self) -> datetime:
        """Return when it happened."""
        return self.event.time

    @property
    def actor(self) -> str:
        """Return who did it, as `core.people` writes people."""
        return self.event.actor


def history_of(events: Sequence[SoundEvent]) -> tuple[HistoryEntry, ...]:
    """Return all events of a sound as entries, newest first.

    Args:
        events: Its whole history, in any order.
    """
    log = sorted(events, key=lambda event: event.order)
    models = {
        event.event_id: event.payload.model for event in log if isinstance(event, PredictedEvent)
    }
    effective = {event.event_id for event in effective_events(log)}
    return tuple(
        HistoryEntry(
            event=event,
            what=event.payload.outcome if isinstance(event, ReviewedEvent) else event.kind,
            model=models.get(_prediction_of(event)),
            decisions=_decisions(event),
            target=event.payload.event if isinstance(event, UndoneEvent) else "",
            is_undone=event.event_id not in effective,
            is_current=event is log[-1],
        )
        for event in reversed(log)
    )


def state_after(events: Sequence[SoundEvent], event_id: str) -> SoundState:
    """Return a sound's state right after an event of its history.

    Raises:
        UnknownEvent: The history does not hold it.
    """
    log = sorted(events, key=lambda event: event.order)
    for number, event in enumerate(log, start=1):
        if event.event_id == event_id:
            return fold(log[:number])
    raise UnknownEvent("The history does not hold this state any more; please refresh.")


def revert_to(events: Sequence[SoundEvent], event_id: str, actor: str) -> ReviewedEvent | None:
    """Make the event that brings a sound's tags back to what they were right after an event.

    It is a review like any other: nothing is deleted, and it can be undone. Where the sound was
    reviewed, not sure or untaggable then, it is so again. A state in which people had judged less
    than now cannot be reached by a review: the tags come back, the judgement stays.

    Args:
        events: The sound's whole history, in any order.
        event_id: The event to go back to.
        actor: Who goes back.

    Returns:
        The event, or None where the sound is in that state already.

    Raises:
        UnknownEvent: The history does not hold the event.
    """
    then, now = state_after(events, event_id), fold(events)
    decisions: dict[str, Verdict] = {tag: "removed" for tag in now.tags if tag not in then.tags}
    decisions |= {tag: "added" for tag in then.tags if tag not in now.tags}
    outcome = _outcome(then.review_state)
    if not decisions and outcome in ("changed", _outcome(now.review_state)):
        return None
    if outcome == "confirmed":
        decisions |= {tag: "kept" for tag in then.tags if tag in now.tags}
    basis = now.basis.event_id if now.basis else None
    payload = Reviewed(decisions=decisions, basis=basis, outcome=outcome)
    return new_event(payload, now.sound_id, actor, base=now.last_event)


def _outcome(state: ReviewState) -> Outcome:
    """Return what a review must say so that a sound gets into a state, as far as it can."""
    match state:
        case "reviewed":
            return "confirmed"
        case "not sure" | "untaggable":
            return state
        case _:
            return "changed"


def _prediction_of(event: SoundEvent) -> str:
    """Return the id of the prediction that an event is or rests on; empty for none."""
    if isinstance(event, ReviewedEvent | PublishedEvent):
        return event.payload.basis or ""
    return "" if isinstance(event, ImportedEvent) else event.event_id


def _decisions(event: SoundEvent) -> Mapping[str, Verdict]:
    """Return the decisions of a review or a publication."""
    if isinstance(event, ReviewedEvent | PublishedEvent):
        return event.payload.decisions
    return {}
