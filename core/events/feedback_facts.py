"""What one sound adds to the kept numbers of feedback, computed from its events.

Verdicts are told apart by the kind of person: publishing a sound is its uploader's verdict, a
review is a curator's. Per tag and kind of person, the last decision counts, for the model version
whose prediction it was based on.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple, get_args

from core.events.fold import basis_tags, effective_events, shown_suggestions
from core.events.types import (
    MIN_SUGGESTIONS,
    DecisionEvent,
    Predicted,
    PredictedEvent,
    PublishedEvent,
    ReviewedEvent,
    SoundEvent,
    WithdrawnEvent,
)
from core.tags import clean

Kind = Literal[
    "verdict",
    "verdict of a day",
    "score",
    "replaced",
    "best five",
    "probability",
    "suggested",
    "suggestions",
    "own tag",
    "own tags",
]
ActorKind = Literal["curator", "uploader"]
ACTOR_KINDS: tuple[ActorKind, ...] = get_args(ActorKind)
PROBABILITY_BINS = 20
"""Of equal width, for the highest probability of a prediction."""
SCORE_BINS = 200
"""Of equal width, for the probabilities of tags that people judged."""
MAX_REPLACED = 3
"""A review that removes or adds more tags replaces none by another."""


class CountKey(NamedTuple):
    """The key of a kept number.

    Attributes:
        kind: *verdict* (by tag; value: kept, removed, added), *verdict of a day* (all tags),
            *score* (value: the score's bin, right or wrong), *replaced* (tag by value),
            *best five* (value: sounds, shown, right), *probability* (value: bin of the highest),
            *suggested* (by tag), *suggestions* (value: how many a sound got), *own tag* (of the
            uploader; value: both, suggested, given), *own tags* (sounds that were compared).
        actor: Kind of the person who decided; empty where nobody did.
        model: The model version, as `str(ModelRef)` writes it.
        period: Month or day in UTC, `2026-11` or `2026-11-22`; empty where time does not matter.
        tag: The tag; empty for all tags together.
        value: See `kind`.
    """

    kind: Kind
    actor: str = ""
    model: str = ""
    period: str = ""
    tag: str = ""
    value: str = ""


@dataclass(frozen=True)
class _Decided:
    """The decisions on a sound by one kind of person.

    Attributes:
        actor: Kind of the person.
        events: What they decided, oldest first; nothing that was undone.
        predictions: The sound's, by event id.
        last: By tag, the event that decided last about it.
    """

    actor: ActorKind
    events: Sequence[DecisionEvent]
    predictions: Mapping[str, PredictedEvent]
    last: Mapping[str, DecisionEvent]

    def basis(self, event: DecisionEvent) -> Predicted | None:
        """Return the prediction that a person was shown; None for an import's tags."""
        prediction = self.predictions.get(event.payload.basis or "")
        return prediction.payload if prediction else None

    def is_given(self, tag: str) -> bool:
        """Return True where the last decision gives the sound a tag."""
        return tag in self.last and self.last[tag].payload.decisions[tag] != "removed"


def feedback_of(history: Iterable[SoundEvent]) -> Counter[CountKey]:
    """Return what a sound adds to each kept number; nothing if it was withdrawn.

    Args:
        history: All its events, in any order.
    """
    log = sorted(history, key=lambda event: event.order)
    if any(isinstance(event, WithdrawnEvent) for event in log):
        return Counter()
    effective = effective_events(log)
    predicted = [event for event in log if isinstance(event, PredictedEvent)]
    predictions = {event.event_id: event for event in predicted}
    keys = [*_predictions(predicted), *_own_tags(predicted, effective)]
    for actor in ACTOR_KINDS:
        keys.extend(_verdicts(_decided(actor, effective, predictions)))
    return Counter(keys)


def month(time: datetime) -> str:
    """Return the month of a time in UTC: `2026-11`."""
    return f"{time.astimezone(UTC):%Y-%m}"


def day(time: datetime) -> str:
    """Return the day of a time in UTC: `2026-11-22`."""
    return f"{time.astimezone(UTC):%Y-%m-%d}"


def score_bin(probability: float, bins: int = SCORE_BINS) -> int:
    """Return the number of the bin of a probability, from 0."""
    return min(int(probability * bins), bins - 1)


def _predictions(predicted: Sequence[PredictedEvent]) -> Iterator[CountKey]:
    """Yield what is counted of each model version's last prediction."""
    latest = {str(event.payload.model): event for event in predicted}
    for model, event in latest.items():
        top = event.payload.top
        highest = max((each.probability for each in top), default=None)
        value = "none" if highest is None else f"{score_bin(highest, PROBABILITY_BINS):02d}"
        yield CountKey("probability", model=model, period=day(event.time), value=value)
        suggested, period = basis_tags(event), month(event.time)
        yield CountKey("suggestions", model=model, period=period, value=str(len(suggested)))
        for tag in dict.fromkeys(suggested):
            yield CountKey("suggested", model=model, period=period, tag=tag)


def _own_tags(
    predicted: Sequence[PredictedEvent], effective: Sequence[SoundEvent]
) -> Iterator[CountKey]:
    """Yield how the latest suggestions agree with the uploader's own tags.

    A sound that was published from here does not count: its tags were suggested.
    """
    if not predicted or any(isinstance(event, PublishedEvent) for event in effective):
        return
    latest = predicted[-1]
    own = _cleaned(latest.payload.sound.tags)
    if not own:
        return
    model, suggested = str(latest.payload.model), _cleaned(basis_tags(latest))
    yield CountKey("own tags", model=model, value="sounds")
    for value, tags in (
        ("both", suggested & own),
        ("suggested", suggested - own),
        ("given", own - suggested),
    ):
        yield from (CountKey("own tag", model=model, tag=tag, value=value) for tag in tags)


def _cleaned(tags: Iterable[str]) -> set[str]:
    return set(clean(tags).tags)


def _decided(
    actor: ActorKind,
    effective: Sequence[SoundEvent],
    predictions: Mapping[str, PredictedEvent],
) -> _Decided:
    """Collect the decisions of one kind of person."""
    type_of_event = PublishedEvent if actor == "uploader" else ReviewedEvent
    events = [event for event in effective if isinstance(event, type_of_event)]
    last = {tag: event for event in events for tag in event.payload.decisions}
    return _Decided(actor, events, predictions, last)


def _verdicts(decided: _Decided) -> Iterator[CountKey]:
    """Yield what is counted of the verdicts on a sound by one kind of person."""
    for tag, event in decided.last.items():
        basis = decided.basis(event)
        if basis is None:
            continue
        verdict = _verdict(tag in _suggested(basis), decided.is_given(tag))
        if verdict:
            own = {"actor": decided.actor, "model": str(basis.model), "value": verdict}
            yield CountKey("verdict", period=month(event.time), tag=tag, **own)
            yield CountKey("verdict of a day", period=day(event.time), **own)
    yield from _scores(decided)
    yield from _replacements(decided)
    yield from _best_five(decided)


def _verdict(suggested: bool, given: bool) -> str:
    """Return the verdict on a tag, or nothing where a tag that was never suggested is removed."""
    if suggested:
        return "kept" if given else "removed"
    return "added" if given else ""


def _suggested(basis: Predicted) -> set[str]:
    """Return the tags that a prediction suggested, above their thresholds."""
    return {each.tag for each in shown_suggestions(basis) if each.above_threshold}


def _confirming(decided: _Decided) -> DecisionEvent | None:
    """Return the last event that judges every tag that was shown."""
    for event in reversed(decided.events):
        if isinstance(event, PublishedEvent) or event.payload.outcome == "confirmed":
            return event
    return None


def _scores(decided: _Decided) -> Iterator[CountKey]:
    """Yield the scores of judged suggestions, right or wrong.

    A suggestion below its threshold is wrong where somebody confirmed all tags without adding it.
    """
    confirming = _confirming(decided)
    bases = {event.payload.basis: decided.basis(event) for event in decided.last.values()}
    if confirming:
        bases[confirming.payload.basis] = decided.basis(confirming)
    for basis_id, basis in bases.items():
        if basis is None:
            continue
        judged: dict[str, float] = {}
        for each in shown_suggestions(basis):
            event = decided.last.get(each.tag, confirming)
            if event is not None and event.payload.basis == basis_id:
                judged.setdefault(each.tag, each.probability)
        for tag, probability in judged.items():
            verdict = "right" if decided.is_given(tag) else "wrong"
            value = f"{score_bin(probability):03d} {verdict}"
            yield CountKey("score", decided.actor, str(basis.model), tag=tag, value=value)


def _replacements(decided: _Decided) -> Iterator[CountKey]:
    """Yield the pairs of a suggested tag that was removed and one that was added with it."""
    pairs: set[tuple[str, str, str]] = set()
    for event in decided.events:
        basis = decided.basis(event)
        if basis is None:
            continue
        suggested = _suggested(basis)
        own = [tag for tag in event.payload.decisions if decided.last[tag] is event]
        removed = [tag for tag in own if tag in suggested and not decided.is_given(tag)]
        added = [tag for tag in own if tag not in suggested and decided.is_given(tag)]
        if len(removed) <= MAX_REPLACED and len(added) <= MAX_REPLACED:
            pairs |= {(str(basis.model), old, new) for old in removed for new in added}
    for model, old, new in pairs:
        yield CountKey("replaced", decided.actor, model, tag=old, value=new)


def _best_five(decided: _Decided) -> Iterator[CountKey]:
    """Yield how many of the five best tags were right, of a sound whose tags were all judged."""
    event = _confirming(decided)
    basis = decided.basis(event) if event else None
    if event is None or basis is None or not basis.top:
        return
    tags = dict.fromkeys(each.tag for each in basis.top[:MIN_SUGGESTIONS])
    key = CountKey("best five", decided.actor, str(basis.model), month(event.time))
    yield key._replace(value="sounds")
    for tag in tags:
        yield key._replace(value="shown")
        if decided.is_given(tag):
            yield key._replace(value="right")
