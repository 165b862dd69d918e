"""Second opinions: a share of the confirmed sounds goes to another curator, who sees no decisions.

No event says that a review was a second opinion. It follows from the history: a review is based on
the newest event that its author was shown, so two people judged independently where the second
review is based on an event from before the first.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from core.curation.reviews import ReviewLog
from core.events.fold import SoundState, effective_events, fold
from core.events.sounds import SoundIndex
from core.events.types import ImportedEvent, PredictedEvent, ReviewedEvent, SoundEvent

MAX_RECENT = 10_000
"""Latest reviews whose sounds are looked at: what waits longer is not asked for any more."""
_CHUNK_SIZE = 20


@dataclass(frozen=True)
class ReviewPair:
    """Two people's independent judgements of one sound.

    Attributes:
        sound_id: The sound.
        first: The earlier review.
        second: The later one, whose author had not seen the first.
        judgements: By tag, if each of them said that the sound has it. The tags are those that
            both were shown as suggestions, and those that either gave the sound.
    """

    sound_id: str
    first: ReviewedEvent
    second: ReviewedEvent
    judgements: dict[str, tuple[bool, bool]]


def is_selected(sound_id: str, share: float) -> bool:
    """Return True for the sounds that are to get a second opinion, always the same ones.

    Args:
        sound_id: A sound.
        share: Of all sounds, 0 to 1. A greater share selects all that a smaller one does.
    """
    digest = hashlib.sha256(f"second opinion {sound_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def waiting_for(
    actor: str, sounds: SoundIndex, reviews: ReviewLog, share: float, limit: int = 20
) -> list[SoundState]:
    """Return confirmed sounds that wait for a person's second opinion, latest confirmed first.

    They are selected, only one person has ever reviewed them, and that was somebody else.

    Args:
        actor: The person.
        sounds: The workspace's sounds.
        reviews: The workspace's reviews, of which the latest `MAX_RECENT` are looked at.
        share: Of the sounds, see `is_selected`.
        limit: Sounds at most.

    Returns:
        The sounds with everybody's decisions; show `blind_state` of their events instead.
    """
    latest = reviews.latest_sounds(MAX_RECENT) if share > 0 else []
    selected = [sound_id for sound_id in latest if is_selected(sound_id, share)]
    people = reviews.reviewers(selected)
    by_another = [each for each in selected if len(people[each]) == 1 and actor not in people[each]]
    return list(islice(_confirmed(sounds, by_another), limit))


def _confirmed(sounds: SoundIndex, sound_ids: Sequence[str]) -> Iterator[SoundState]:
    """Yield those of some sounds that are in view and confirmed by a review that counts."""
    for start in range(0, len(sound_ids), _CHUNK_SIZE):
        states = sounds.get_many(sound_ids[start : start + _CHUNK_SIZE]).values()
        yield from filter(_is_confirmed, states)


def _is_confirmed(state: SoundState) -> bool:
    """Return True for a sound that is in view and confirmed by a review that counts."""
    by_review = isinstance(state.last_review, ReviewedEvent)
    return by_review and state.reviewed and not state.withdrawn


def is_waiting_for(actor: str, events: Sequence[SoundEvent], share: float) -> bool:
    """Return True if a sound waits for a person's second opinion.

    Args:
        actor: The person.
        events: The sound's whole history.
        share: Of the sounds, see `is_selected`.
    """
    state = fold(events)
    people = {event.actor for event in events if isinstance(event, ReviewedEvent)}
    is_other = len(people) == 1 and actor not in people
    return is_other and _is_confirmed(state) and is_selected(state.sound_id, share)


def blind_state(events: Sequence[SoundEvent]) -> SoundState:
    """Return a sound as the first curator was shown it, without anybody's decisions.

    `core.events.fold.confirm` makes the second opinion of it, a review like any other: per tag, the
    last decision counts, and `superseded_decisions` names where it contradicts the first.

    Args:
        events: The sound's whole history.
    """
    log = sorted(events, key=lambda event: event.order)
    first = next((event for event in log if isinstance(event, ReviewedEvent)), None)
    visible = [
        event
        for event in log
        if isinstance(event, PredictedEvent | ImportedEvent)
        and (first is None or event.order < first.order)
    ]
    return fold(visible or log)


def find_pair(events: Sequence[SoundEvent]) -> ReviewPair | None:
    """Return the earliest two independent reviews of a sound, or None.

    Both confirmed all tags, by different people, and neither was undone.

    Args:
        events: The sound's whole history.
    """
    log = sorted(events, key=lambda event: event.order)
    orders = {event.event_id: event.order for event in log}
    confirmed = [
        event
        for event in effective_events(log)
        if isinstance(event, ReviewedEvent) and event.payload.outcome == "confirmed"
    ]
    for number, second in enumerate(confirmed):
        seen = orders.get(second.base or "")
        for first in confirmed[:number]:
            if first.actor != second.actor and (seen is None or seen < first.order):
                return _pair(log, first, second)
    return None


def _pair(log: Sequence[SoundEvent], first: ReviewedEvent, second: ReviewedEvent) -> ReviewPair:
    """Return two reviews with what each said of every tag."""
    states = [_state_of_review(log, review) for review in (first, second)]
    suggested = {suggestion.tag for state in states for suggestion in state.suggestions}
    given = [set(state.tags) for state in states]
    judgements = {
        tag: (tag in given[0], tag in given[1]) for tag in sorted(suggested | given[0] | given[1])
    }
    return ReviewPair(first.sound_id, first, second, judgements)


def _state_of_review(log: Sequence[SoundEvent], review: ReviewedEvent) -> SoundState:
    """Return the sound as a review's author left it: what they were shown, and the review."""
    base = next((event.order for event in log if event.event_id == review.base), None)
    shown = [event for event in log if base is not None and event.order <= base]
    return fold([*shown, review])
