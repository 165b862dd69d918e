"""A sound's current tags, computed from its events."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.events.types import (
    MIN_SUGGESTIONS,
    BasisEvent,
    DecisionEvent,
    Event,
    ImportedEvent,
    Media,
    ModelRef,
    PredictedEvent,
    PublishedEvent,
    Reviewed,
    ReviewedEvent,
    Sound,
    SoundEvent,
    Suggestion,
    Undone,
    UndoneEvent,
    Verdict,
    WithdrawnEvent,
    new_event,
)


@dataclass(frozen=True)
class Decision:
    """A person's last decision about one tag of a sound."""

    tag: str
    verdict: Verdict
    event: DecisionEvent

    @property
    def is_positive(self) -> bool:
        """Return True where the person says that the sound has the tag."""
        return self.verdict != "removed"


@dataclass(frozen=True)
class SoundState:
    """A sound today.

    Attributes:
        sound_id: `freesound:<id>` or `file:<sha256>`.
        tags: Current tags.
        suggestions: The latest prediction's top tags, and others above their threshold.
        decisions: By tag, the last decision that counts.
        basis: The prediction or import that the tags rest on.
        prediction: The latest prediction.
        arrived: When Earmark first knew the sound.
        last_event: Its newest event.
        last_review: The latest review or publication that counts; None for an untouched sound.
        withdrawn: True for a sound that is in no view any more.
    """

    sound_id: str
    tags: tuple[str, ...]
    suggestions: tuple[Suggestion, ...]
    decisions: Mapping[str, Decision]
    basis: BasisEvent | None
    prediction: PredictedEvent | None
    arrived: datetime
    last_event: SoundEvent
    last_review: DecisionEvent | None
    withdrawn: bool

    @property
    def reviewed(self) -> bool:
        """Return True where a person's review or publication counts."""
        return self.last_review is not None

    @property
    def sound(self) -> Sound:
        """Return the metadata that the latest prediction carried."""
        if self.prediction:
            return self.prediction.payload.sound
        return Sound(title=self.sound_id, source="import")

    @property
    def media(self) -> Media:
        """Return the names of the sound's media; empty for an import."""
        return self.prediction.payload.media if self.prediction else Media()

    @property
    def model(self) -> ModelRef | None:
        """Return the model of the latest prediction."""
        return self.prediction.payload.model if self.prediction else None


def fold(events: Iterable[Event]) -> SoundState:
    """Compute a sound's current state from all its events, in whatever order they came.

    Raises:
        ValueError: There are no events.
    """
    log = sorted(
        (event for event in events if event.kind != "rolled_out"), key=lambda event: event.order
    )
    if not log:
        raise ValueError("a sound without events has no state")
    effective = _effective(log)
    decided = [event for event in effective if isinstance(event, ReviewedEvent | PublishedEvent)]
    prediction = _latest_prediction(effective)
    decisions = {
        tag: Decision(tag, verdict, event)
        for event in decided
        for tag, verdict in event.payload.decisions.items()
    }
    basis = _reviewed_basis(log, decided[0]) if decided else _unreviewed_basis(effective)
    return SoundState(
        sound_id=log[0].sound_id,
        tags=_current_tags(basis, decisions),
        suggestions=_suggestions(prediction) if prediction else (),
        decisions=decisions,
        basis=basis,
        prediction=prediction,
        arrived=log[0].time,
        last_event=log[-1],
        last_review=decided[-1] if decided else None,
        withdrawn=any(isinstance(event, WithdrawnEvent) for event in log),
    )


def _effective(log: Sequence[SoundEvent]) -> list[SoundEvent]:
    """Return the events that were not undone, oldest first.

    An undo counts only for what came before it, and may itself be undone.
    """
    undone: set[str] = set()
    effective: list[SoundEvent] = []
    for event in reversed(log):
        undoable = isinstance(event, ReviewedEvent | ImportedEvent | UndoneEvent)
        if undoable and event.event_id in undone:
            continue
        effective.append(event)
        if isinstance(event, UndoneEvent):
            undone.add(event.payload.event)
    return effective[::-1]


def _latest_prediction(log: Sequence[SoundEvent]) -> PredictedEvent | None:
    """Return the last prediction of a log in order, or None."""
    return next((event for event in reversed(log) if isinstance(event, PredictedEvent)), None)


def _reviewed_basis(log: Sequence[SoundEvent], first_review: DecisionEvent) -> BasisEvent | None:
    """Return what the first review was based on.

    It freezes that prediction: a later one never changes what people decided.
    """
    frozen = first_review.payload.basis
    for event in log:
        if event.event_id == frozen and isinstance(event, PredictedEvent | ImportedEvent):
            return event
    return None


def _unreviewed_basis(log: Sequence[SoundEvent]) -> BasisEvent | None:
    """Return the latest import, else the latest prediction."""
    imports = (event for event in reversed(log) if isinstance(event, ImportedEvent))
    return next(imports, None) or _latest_prediction(log)


def _current_tags(basis: BasisEvent | None, decisions: Mapping[str, Decision]) -> tuple[str, ...]:
    """Apply all decisions to the basis's tags; added tags follow in the order of the decisions."""
    base_tags = basis_tags(basis)
    added = sorted(
        (
            decision
            for decision in decisions.values()
            if decision.is_positive and decision.tag not in base_tags
        ),
        key=lambda decision: (decision.event.order, decision.tag),
    )
    kept = [tag for tag in base_tags if tag not in decisions or decisions[tag].is_positive]
    return (*kept, *(decision.tag for decision in added))


def basis_tags(basis: BasisEvent | None) -> tuple[str, ...]:
    """Return a prediction's tags above their threshold, or an import's tags."""
    if basis is None:
        return ()
    if isinstance(basis, ImportedEvent):
        return tuple(dict.fromkeys(basis.payload.tags))
    return tuple(each.tag for each in _suggestions(basis) if each.above_threshold)


def _suggestions(prediction: PredictedEvent) -> tuple[Suggestion, ...]:
    """Return the best tags, and all that reach their thresholds: a long sound may have many."""
    top = prediction.payload.top
    further = (suggestion for suggestion in top[MIN_SUGGESTIONS:] if suggestion.above_threshold)
    return (*top[:MIN_SUGGESTIONS], *further)


def review(
    state: SoundState, tags: Iterable[str], actor: str, *, accept: bool = False
) -> ReviewedEvent | None:
    """Make the event that turns a sound's tags into `tags`.

    Args:
        state: The sound as the person was shown it.
        tags: The tags they want.
        actor: Who they are.
        accept: Count each remaining tag as kept, too, and "none" as an answer. Without it only
            what the person changed is a decision.

    Returns:
        The event, or None if nothing was decided.
    """
    new_tags = tuple(dict.fromkeys(tags))
    decisions: dict[str, Verdict] = {tag: "removed" for tag in state.tags if tag not in new_tags}
    decisions |= {tag: "added" for tag in new_tags if tag not in state.tags}
    if accept:
        decisions |= {tag: "kept" for tag in new_tags if tag in state.tags}
    if not decisions and not accept:
        return None
    payload = Reviewed(decisions=decisions, basis=state.basis.event_id if state.basis else None)
    return new_event(payload, state.sound_id, actor, base=state.last_event)


def undo(state: SoundState, event_id: str, actor: str) -> UndoneEvent:
    """Make the event that cancels another one."""
    return new_event(Undone(event=event_id), state.sound_id, actor, base=state.last_event)


def superseded_decisions(
    review_event: DecisionEvent, events: Iterable[SoundEvent]
) -> list[Decision]:
    """Return the decisions that a review contradicts and that its author had not seen.

    They are later than the event it was based on. They are told apart by event, not by name,
    because two people may use one name.
    """
    log = sorted(events, key=lambda event: event.order)
    seen = next((event.order for event in log if event.event_id == review_event.base), None)
    own = review_event.payload.decisions
    return [
        Decision(tag, verdict, event)
        for event in _effective(log)
        if isinstance(event, ReviewedEvent | PublishedEvent)
        and event.event_id != review_event.event_id
        and (seen is None or event.order > seen)
        for tag, verdict in event.payload.decisions.items()
        if tag in own and (verdict == "removed") != (own[tag] == "removed")
    ]
