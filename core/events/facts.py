"""What a query can ask about a sound, computed from its state."""

import re
import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from core.events.fold import ReviewState, SoundState
from core.events.query import Agreement

SCALE = 10_000
"""Probabilities are compared and ordered as whole numbers of 1 / SCALE."""
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_DAY = re.compile(r"\s*(\d{4})-(\d\d)-(\d\d)(?!\d)", re.ASCII)
_SUFFIX = re.compile(r"\.[a-z0-9]{2,4}$")
_NUMBERING = re.compile(r"[\W_\d]+$")


@dataclass(frozen=True)
class SoundFacts:
    """The facts about one sound that a query can ask for.

    Attributes:
        review_state: How far people are with it.
        agreement: How its suggestions agree with the uploader's own tags.
        explicit: Marked as explicit on Freesound.
        license: As its source names it.
        uploader: As its source names them.
        run: Id of the run that made its latest prediction, or empty.
        day: On which it was recorded or uploaded, else arrived: days since 1970 in UTC.
        arrived: When it came: microseconds since 1970.
        suggestions: (tag, probability in 1 / SCALE), best first; a tag is in it once.
        disputes: Number of tags on which people contradict each other.
        recording: The same number for sounds that seem to be parts of one recording.
    """

    review_state: ReviewState
    agreement: Agreement
    explicit: bool
    license: str
    uploader: str
    run: str
    day: int
    arrived: int
    suggestions: tuple[tuple[str, int], ...]
    disputes: int
    recording: int

    @property
    def best(self) -> int | None:
        """Return the best suggestion's probability."""
        return max((probability for _, probability in self.suggestions), default=None)

    @property
    def uncertainty(self) -> int:
        """Return how near its most uncertain suggestion is to 1/2: 0 to SCALE."""
        return max((_uncertainty(probability) for _, probability in self.suggestions), default=0)

    @property
    def uncertain_tag(self) -> str:
        """Return the suggestion that is nearest to 1/2; empty if there is none."""
        if not self.suggestions:
            return ""
        return max(self.suggestions, key=lambda each: _uncertainty(each[1]))[0]


def facts_of(state: SoundState) -> SoundFacts:
    """Return what a query can ask about a sound."""
    sound, arrived = state.sound, state.arrived.astimezone(UTC)
    suggestions: dict[str, int] = {}
    for suggestion in state.suggestions:
        suggestions.setdefault(suggestion.tag, scaled(suggestion.probability))
    return SoundFacts(
        review_state=state.review_state,
        agreement=_agreement(state),
        explicit=sound.is_explicit,
        license=sound.license,
        uploader=sound.author,
        run=state.prediction.payload.run if state.prediction else "",
        day=_day(sound.created, arrived),
        arrived=time_number(arrived),
        suggestions=tuple(suggestions.items()),
        disputes=len(state.disputed),
        recording=_recording(state),
    )


def scaled(probability: float) -> int:
    """Return a probability in 1 / SCALE."""
    return round(probability * SCALE)


def time_number(time: datetime) -> int:
    """Return the microseconds from 1970 to a time."""
    return (time - _EPOCH) // _MICROSECOND


def day_number(day: date) -> int:
    """Return the days from 1970 to a day."""
    return day.toordinal() - _EPOCH.toordinal()


def _uncertainty(probability: int) -> int:
    """Return how near a probability is to 1/2: 0 at 0 and at SCALE, SCALE at half of it."""
    return SCALE - abs(2 * probability - SCALE)


def _agreement(state: SoundState) -> Agreement:
    """Compare the suggestions that reach their threshold with the uploader's own tags."""
    own = {tag.casefold() for tag in state.sound.tags}
    if not own:
        return "no uploader tags"
    confident = {each.tag.casefold() for each in state.suggestions if each.above_threshold}
    if not confident & own:
        return "none"
    return "same" if confident <= own else "some"


def _day(created: str, arrived: datetime) -> int:
    """Return the day of a text such as `2026-11-22T13:00:00`; that of arrival for any other."""
    match = _DAY.match(created)
    try:
        day = date(*map(int, match.groups())) if match else arrived.date()
    except ValueError:
        day = arrived.date()
    return day_number(day)


def _recording(state: SoundState) -> int:
    """Return a number for the uploader's pack, else for the title up to its numbering.

    `Rain 1.wav` and `Rain 2.wav` are probably parts of one recording.
    """
    sound = state.sound
    title = _SUFFIX.sub("", sound.title.casefold())
    name = f"pack {sound.pack}" if sound.pack else _NUMBERING.sub("", title) or title
    return zlib.crc32(f"{sound.author}\n{name}".encode("utf-8", "replace"))
