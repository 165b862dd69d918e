"""A sound's current tags, computed from its events."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from core.events.types import (
    MIN_SUGGESTIONS,
    BasisEvent,
    DecisionEvent,
    Event,
    ImportedEvent,
    Media,
    ModelRef,
    Outcome,
    Predicted,
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
from core.untrusted import without_bidirectional_controls

ReviewState = Literal["to review", "partly", "reviewed", "not sure", "untaggable"]


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
        review_state: How far people are with it.
        disputed: Tags on which people who count contradict each other, sorted.
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
    review_state: ReviewState
    disputed: tuple[str, ...]
    withdrawn: bool

    @property
    def reviewed(self) -> bool:
        """Return True where a person has judged every tag that the sound had."""
        return self.review_state == "reviewed"

    @cached_property
    def sound(self) -> Sound:
        """Return the metadata that the latest prediction carried, its texts safe to show."""
        if self.prediction:
            return _cleaned(self.prediction.payload.sound)
        return Sound(title=self.sound_id, source="import")

    @property
    def media(self) -> Media:
        """Return the names of the sound's media; empty for an import."""
        return self.prediction.payload.media if self.prediction else Media()

    @property
    def model(self) -> ModelRef | None:
        """Return the model of the latest prediction."""
        return self.prediction.payload.model if self.prediction else None


def _cleaned(sound: Sound) -> Sound:
    """Return metadata whose texts do not turn around what stands beside them.

    Events keep what they were written with, and older versions let such characters in.
    """
    texts = {name: value for name, value in vars(sound).items() if isinstance(value, str)}
    everything = "\n".join((*texts.values(), *sound.tags))
    if without_bidirectional_controls(everything) == everything:
        return sound
    tags = tuple(map(without_bidirectional_controls, sound.tags))
    cleaned = {name: without_bidirectional_controls(text) for name, text in texts.items()}
    return sound.model_copy(update={**cleaned, "tags": tags})


def fold(events: Iterable[Event]) -> SoundState:
    """Compute a sound's current state from all its events, in whatever order they came.

    Raises:
        ValueError: There are no events.
    """
    log = sorted(
        (event for event in events if isinstance(event, SoundEvent)), key=lambda event: event.order
    )
    if not log:
        raise ValueError("a sound without events has no state")
    effective = effective_events(log)
    decided = [event for event in effective if isinstance(event, ReviewedEvent | PublishedEvent)]
    prediction = _latest_prediction(effective)
    decisions = {
        tag: Decision(tag, verdict, event)
        for event in decided
        for tag, verdict in event.payload.decisions.items()
    }
    first_judged = next((event for event in decided if _judges_tags(event)), None)
    basis = _reviewed_basis(log, first_judged) if first_judged else _unreviewed_basis(effective)
    return SoundState(
        sound_id=log[0].sound_id,
        tags=_current_tags(basis, decisions),
        suggestions=shown_suggestions(prediction.payload) if prediction else (),
        decisions=decisions,
        basis=basis,
        prediction=prediction,
        arrived=log[0].time,
        last_event=log[-1],
        last_review=decided[-1] if decided else None,
        review_state=_review_state(decided),
        disputed=_disputed(decided),
        withdrawn=any(isinstance(event, WithdrawnEvent) for event in log),
    )


def effective_events(log: Sequence[SoundEvent]) -> list[SoundEvent]:
    """Return the events that were not undone.

    An undo counts only for what came before it, and may itself be undone.

    Args:
        log: All events of a sound, oldest first.
    """
    undone: dict[str, bool] = {}  # whether as a mistake, by event id
    effective: list[SoundEvent] = []
    for event in reversed(log):
        if event.event_id in undone and _can_be_undone(event, undone[event.event_id]):
            continue
        effective.append(event)
        if isinstance(event, UndoneEvent):
            target = event.payload.event
            undone[target] = undone.get(target, False) or bool(event.payload.mistake)
    return effective[::-1]


def _can_be_undone(event: SoundEvent, as_mistake: bool) -> bool:
    """Return True for a kind of event that an undo cancels; a publication only as a mistake."""
    if isinstance(event, PublishedEvent):
        return as_mistake
    return isinstance(event, ReviewedEvent | ImportedEvent | UndoneEvent)


def _judges_tags(event: DecisionEvent) -> bool:
    """Return True where the sound's tags are frozen as the person was shown them."""
    if isinstance(event, PublishedEvent) or event.payload.decisions:
        return True
    return event.payload.outcome in ("confirmed", "changed")


def _review_state(decided: Iterable[DecisionEvent]) -> ReviewState:
    """Return how far people are with a sound after these events, oldest first."""
    state: ReviewState = "to review"
    for event in decided:
        outcome = "confirmed" if isinstance(event, PublishedEvent) else event.payload.outcome
        match outcome:
            case "confirmed":
                state = "reviewed"
            case "changed":
                state = "reviewed" if state == "reviewed" else "partly"
            case _:
                state = outcome
    return state


def _disputed(decided: Iterable[DecisionEvent]) -> tuple[str, ...]:
    """Return the tags that some people's last decision gives the sound and others' takes."""
    last: dict[tuple[str, str], bool] = {}
    for event in decided:
        for tag, verdict in event.payload.decisions.items():
            last[tag, event.actor] = verdict != "removed"
    given = {tag for (tag, _), is_positive in last.items() if is_positive}
    taken = {tag for (tag, _), is_positive in last.items() if not is_positive}
    return tuple(sorted(given & taken))


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
    shown = shown_suggestions(basis.payload)
    return tuple(each.tag for each in shown if each.above_threshold)


def shown_suggestions(prediction: Predicted) -> tuple[Suggestion, ...]:
    """Return the best tags, and all that reach their thresholds: a long sound may have many."""
    top = prediction.top
    further = (suggestion for suggestion in top[MIN_SUGGESTIONS:] if suggestion.above_threshold)
    return (*top[:MIN_SUGGESTIONS], *further)


def confirm(
    shown: SoundState, tags: Iterable[str], actor: str, *, batch: str = ""
) -> ReviewedEvent:
    """Make the event that says: these are all the sound's tags.

    Every tag that the person was shown is judged; no tag at all is an answer, too.

    Args:
        shown: The sound as the person was shown it.
        tags: The tags they want.
        actor: Who they are.
        batch: What the events of one edit of many sounds share.
    """
    decisions = _decided(shown, tags, keep=True)
    return _reviewed(shown, actor, Reviewed(decisions=decisions, batch=batch))


def save_changes(
    shown: SoundState, tags: Iterable[str], actor: str, *, batch: str = ""
) -> ReviewedEvent | None:
    """Make the event that turns a sound's tags into `tags` and judges no other tag.

    Args:
        shown: The sound as the person was shown it.
        tags: The tags they want.
        actor: Who they are.
        batch: What the events of one edit of many sounds share.

    Returns:
        The event, or None if nothing was changed.
    """
    decisions = _decided(shown, tags, keep=False)
    if not decisions:
        return None
    return _reviewed(shown, actor, Reviewed(decisions=decisions, outcome="changed", batch=batch))


def mark(shown: SoundState, outcome: Outcome, actor: str, *, batch: str = "") -> ReviewedEvent:
    """Make the event that says something about a sound and judges no tag, such as *not sure*.

    Args:
        shown: The sound as the person was shown it.
        outcome: What they say.
        actor: Who they are.
        batch: What the events of one edit of many sounds share.
    """
    return _reviewed(shown, actor, Reviewed(decisions={}, outcome=outcome, batch=batch))


def _decided(shown: SoundState, tags: Iterable[str], *, keep: bool) -> dict[str, Verdict]:
    """Return the decisions that turn the shown tags into `tags`."""
    new_tags = tuple(dict.fromkeys(tags))
    decisions: dict[str, Verdict] = {tag: "removed" for tag in shown.tags if tag not in new_tags}
    decisions |= {tag: "added" for tag in new_tags if tag not in shown.tags}
    if keep:
        decisions |= {tag: "kept" for tag in new_tags if tag in shown.tags}
    return decisions


def _reviewed(shown: SoundState, actor: str, payload: Reviewed) -> ReviewedEvent:
    """Return the event of a review of what was shown."""
    basis = shown.basis.event_id if shown.basis else None
    payload = payload.model_copy(update={"basis": basis})
    return new_event(payload, shown.sound_id, actor, base=shown.last_event)


def undo(state: SoundState, event_id: str, actor: str, *, batch: str = "") -> UndoneEvent:
    """Make the event that cancels another one."""
    payload = Undone(event=event_id, batch=batch)
    return new_event(payload, state.sound_id, actor, base=state.last_event)


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
        for event in effective_events(log)
        if isinstance(event, ReviewedEvent | PublishedEvent)
        and event.event_id != review_event.event_id
        and (seen is None or event.order > seen)
        for tag, verdict in event.payload.decisions.items()
        if tag in own and (verdict == "removed") != (own[tag] == "removed")
    ]
