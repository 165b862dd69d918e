"""id2prediction: a log of immutable events per sound, and the fold that turns it into today's tags.

Nothing is overwritten or deleted. Whatever order events arrive in, the same set of events gives the same tags: they are
ordered by (time, event id), and an event's time is always later than that of the event it was based on.
"""

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from core.errors import EarmarkError

Verdict = Literal["kept", "removed", "added"]
FREESOUND_ID = re.compile(r"freesound:[1-9][0-9]{0,18}")
FILE_ID = re.compile(r"file:[0-9a-f]{64}")
SUGGESTED = 5
"""How many of a prediction's tags are suggested."""
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_IMPORT_NAMESPACE = uuid.UUID("6f1c2b1e-4f0b-4a9b-9a67-0d5a0e1f7c11")


class EventError(EarmarkError):
    """An event that is not one, or contradicts the log."""


def _sound_id(value: str) -> str:
    if not (FREESOUND_ID.fullmatch(value) or FILE_ID.fullmatch(value)):
        raise ValueError("a sound id is freesound:<number> or file:<sha256>")
    return value


SoundId = Annotated[str, AfterValidator(_sound_id)]
MediaName = Annotated[str, Field(pattern=r"^([0-9a-f]{64}\.(ogg|webp))?$")]
Probability = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    """Frozen, and keeps fields that it does not know: a newer version's events pass through unharmed."""

    model_config = ConfigDict(frozen=True, extra="allow")


class ModelRef(_Frozen):
    """Which model: registry `name` and `version`, and the bundle's fingerprint."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,100}$")]
    version: Annotated[int, Field(ge=1)]
    fingerprint: str = ""

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Suggestion(_Frozen):
    """A tag that the model suggests, its calibrated probability, and whether that reaches the tag's threshold."""

    tag: str
    probability: Probability
    above_threshold: bool


class Sound(_Frozen):
    """A sound's metadata as its source gave it; everything here is text from outside.

    `tags` are the uploader's own, `category` is Freesound's (`Soundscapes: Nature`), `gen_ai_preference` is the uploader's wish
    about training generative models, as Freesound's API spells it.
    """

    title: str
    source: str
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    container: str = ""
    rate: int = 0
    channels: int = 0
    author: str = ""
    license: str = ""
    created: str = ""
    description: str = ""
    url: str = ""
    tags: tuple[str, ...] = ()
    category: str = ""
    gen_ai_preference: str = ""


class Media(_Frozen):
    """Names of the sound's media in the workspace; each is the content's SHA-256 with an ending."""

    audio: MediaName = ""
    spectrogram: MediaName = ""


class Predicted(_Frozen):
    """What a model heard, best tag first."""

    model: ModelRef
    top: tuple[Suggestion, ...]
    sound: Sound
    media: Media = Media()


class Reviewed(_Frozen):
    """What a person decided, tag by tag; `basis` is the prediction or import that they had in front of them."""

    decisions: dict[str, Verdict]
    basis: str | None = None


class Published(Reviewed):
    """What Freesound really stored; decides like a review by the uploader."""

    tags: tuple[str, ...] = ()


class Undone(_Frozen):
    """Takes back the event of that id."""

    event: str


class Imported(_Frozen):
    """Tags from a file: neither a model's nor a person's."""

    tags: tuple[str, ...]
    file: str = ""


class Withdrawn(_Frozen):
    """The sound is gone or must go."""

    reason: str


class RolledOut(_Frozen):
    """The model version that is in force from now on, and why."""

    model: ModelRef
    reason: str


Payload = Predicted | Reviewed | Published | Undone | Imported | Withdrawn | RolledOut
PAYLOADS: dict[str, type[_Frozen]] = {
    "predicted": Predicted,
    "reviewed": Reviewed,
    "published": Published,
    "undone": Undone,
    "imported": Imported,
    "withdrawn": Withdrawn,
    "rolled_out": RolledOut,
}
_CAN_BE_UNDONE = frozenset({"reviewed", "imported", "undone"})


class Event(BaseModel):
    """One thing that happened. `base` is the id of the event that it was based on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    time: AwareDatetime
    actor: Annotated[str, Field(min_length=1, max_length=200)]
    kind: str
    sound_id: SoundId | None
    payload: Any
    base: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _typed_payload(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("kind") not in PAYLOADS:
            kind = values.get("kind") if isinstance(values, Mapping) else None
            raise ValueError(f"{kind!r} is no kind of event that this version knows")
        expected = PAYLOADS[values["kind"]]
        payload = values.get("payload")
        if type(payload) is not expected:
            payload = expected.model_validate(payload)
        return {**values, "payload": payload}

    @field_validator("time")
    @classmethod
    def _plausible(cls, time: datetime) -> datetime:
        if not EARLIEST <= time <= LATEST:
            raise ValueError("no event happened before 2000 or after 2200")
        return time

    @model_validator(mode="after")
    def _sound_where_needed(self) -> Self:
        if (self.sound_id is None) != (self.kind == "rolled_out"):
            raise ValueError("every event but rolled_out is about a sound")
        return self

    @field_serializer("time")
    def _iso(self, time: datetime) -> str:
        return iso(time)

    @property
    def order(self) -> tuple[datetime, str]:
        """What events are sorted by."""
        return self.time, self.event_id

    def to_json(self) -> str:
        """One line, with sorted keys: the same event always gives the same text."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str | bytes) -> "Event":
        """Raises `EventError` with one sentence if the line is not a valid event."""
        try:
            return cls.model_validate(_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "event"
            raise EventError(f"Not a valid event: {place}: {first['msg']}.") from error
        except (ValueError, RecursionError) as error:
            raise EventError(f"Not a valid event: {error}.") from error


def _json(line: str | bytes) -> Any:
    """JSON that can be written again: no NaN, no halves of characters. Raises `ValueError`."""
    value = json.loads(line, parse_constant=_refuse)
    if (b"\\u" if isinstance(line, bytes) else "\\u") in line:  # type: ignore[operator]
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def iso(time: datetime) -> str:
    """UTC with microseconds, `2026-11-22T13:00:00.000000Z`: text that sorts like the time."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def new_event(payload: Payload, sound_id: str | None, actor: str, base: Event | None = None, now: datetime | None = None) -> Event:
    """An event of now, or of just after `base` where that lies in this clock's future."""
    time = now or datetime.now(UTC)
    if base is not None:
        time = max(time, base.time + timedelta(microseconds=1))
    kind = next(kind for kind, cls in PAYLOADS.items() if cls is type(payload))
    return Event(
        event_id=uuid.uuid4().hex, time=time, actor=actor, kind=kind, sound_id=sound_id, payload=payload,
        base=base.event_id if base else None,
    )  # fmt: skip


@dataclass(frozen=True)
class Decision:
    """What one person last decided about one tag of a sound."""

    tag: str
    verdict: Verdict
    event: Event

    @property
    def wanted(self) -> bool:
        return self.verdict != "removed"


@dataclass(frozen=True)
class SoundState:
    """A sound today.

    `tags`: today's tags. `suggestions`: the latest prediction's top five. `decisions`: the last one per tag that counts.
    `basis`: the prediction or import that the tags rest on. `arrived`: when Earmark first knew the sound. `last`: its newest event.
    `last_review`: the latest review or publication that counts, None for an untouched sound.
    """

    sound_id: str
    tags: tuple[str, ...]
    suggestions: tuple[Suggestion, ...]
    decisions: Mapping[str, Decision]
    basis: Event | None
    prediction: Event | None
    arrived: datetime
    last: Event
    last_review: Event | None
    withdrawn: bool

    @property
    def reviewed(self) -> bool:
        """Whether a person has said anything about the sound that still counts."""
        return self.last_review is not None

    @property
    def sound(self) -> Sound:
        """The metadata that the latest prediction carried."""
        if self.prediction:
            return self.prediction.payload.sound
        return Sound(title=self.sound_id, source="import")

    @property
    def media(self) -> Media:
        return self.prediction.payload.media if self.prediction else Media()

    @property
    def model(self) -> ModelRef | None:
        return self.prediction.payload.model if self.prediction else None


def fold(events: Iterable[Event]) -> SoundState:
    """Today's state of one sound from all its events, in whatever order they came. Raises `ValueError` for no events."""
    log = sorted(events, key=lambda event: event.order)
    if not log:
        raise ValueError("a sound without events has no state")
    counting = _not_undone(log)
    decided = [event for event in counting if event.kind in ("reviewed", "published")]
    prediction = _last(counting, "predicted")
    basis = _basis(log, decided) if decided else (_last(counting, "imported") or prediction)
    decisions = {tag: Decision(tag, verdict, event) for event in decided for tag, verdict in event.payload.decisions.items()}
    return SoundState(
        sound_id=str(log[0].sound_id),
        tags=_tags(basis, decisions),
        suggestions=prediction.payload.top[:SUGGESTED] if prediction else (),
        decisions=decisions,
        basis=basis,
        prediction=prediction,
        arrived=log[0].time,
        last=log[-1],
        last_review=decided[-1] if decided else None,
        withdrawn=any(event.kind == "withdrawn" for event in log),
    )


def _not_undone(log: Sequence[Event]) -> list[Event]:
    """The events that count, oldest first. An undo counts only for what came before it, and may itself be undone."""
    taken_back: set[str] = set()
    counting = []
    for event in reversed(log):
        if event.event_id in taken_back and event.kind in _CAN_BE_UNDONE:
            continue
        counting.append(event)
        if event.kind == "undone":
            taken_back.add(event.payload.event)
    return counting[::-1]


def _last(log: Sequence[Event], kind: str) -> Event | None:
    return next((event for event in reversed(log) if event.kind == kind), None)


def _basis(log: Sequence[Event], decided: Sequence[Event]) -> Event | None:
    """What the first review was based on: it freezes that prediction, so that a later one never changes what people decided."""
    frozen = decided[0].payload.basis
    return next((event for event in log if event.event_id == frozen and event.kind in ("predicted", "imported")), None)


def _tags(basis: Event | None, decisions: Mapping[str, Decision]) -> tuple[str, ...]:
    """The basis's tags with all decisions laid over it; added tags follow in the order of their decisions."""
    ground = tags_of(basis)
    added = sorted((one for one in decisions.values() if one.wanted and one.tag not in ground), key=lambda one: (one.event.order, one.tag))
    kept = [tag for tag in ground if tag not in decisions or decisions[tag].wanted]
    return (*kept, *(one.tag for one in added))


def tags_of(basis: Event | None) -> tuple[str, ...]:
    """The tags that a prediction (those above their threshold) or an import stands for."""
    if basis is None:
        return ()
    if basis.kind == "imported":
        return tuple(dict.fromkeys(basis.payload.tags))
    return tuple(one.tag for one in basis.payload.top[:SUGGESTED] if one.above_threshold)


def review(state: SoundState, tags: Iterable[str], actor: str, *, accept: bool = False) -> Event | None:
    """The event that turns the sound's tags, as this `state` showed them, into `tags`; None if nothing was decided.

    Only what the person changed is a decision. With `accept`, keeping each remaining tag is one too, and that there is none to keep
    is an answer as well.
    """
    wanted = tuple(dict.fromkeys(tags))
    decisions: dict[str, Verdict] = {tag: "removed" for tag in state.tags if tag not in wanted}
    decisions |= {tag: "added" for tag in wanted if tag not in state.tags}
    if accept:
        decisions |= {tag: "kept" for tag in wanted if tag in state.tags}
    if not decisions and not accept:
        return None
    basis = state.basis.event_id if state.basis else None
    return new_event(Reviewed(decisions=decisions, basis=basis), state.sound_id, actor, base=state.last)


def undo(state: SoundState, event_id: str, actor: str) -> Event:
    """The event that takes another one back."""
    return new_event(Undone(event=event_id), state.sound_id, actor, base=state.last)


def overruled(mine: Event, events: Iterable[Event]) -> list[Decision]:
    """The decisions that `mine` contradicts and that its author had not seen: they are later than its base. Told apart by event, not
    by name, because two people may use one."""
    log = sorted(events, key=lambda event: event.order)
    seen = next((event.order for event in log if event.event_id == mine.base), None)
    unseen = [
        event
        for event in _not_undone(log)
        if event.kind in ("reviewed", "published") and event.event_id != mine.event_id and (seen is None or event.order > seen)
    ]
    return [
        Decision(tag, verdict, event)
        for event in unseen
        for tag, verdict in event.payload.decisions.items()
        if tag in mine.payload.decisions and (verdict == "removed") != (mine.payload.decisions[tag] == "removed")
    ]


def to_seed_format(states: Iterable[SoundState]) -> dict[str, list[str]]:
    """The seed's `id2prediction.json`: the model's five for untouched sounds, today's tags for touched and imported ones.

    Freesound sounds stand under their bare number, as in the seed; files, which the seed did not know, under their sound id.
    """
    return {
        state.sound_id.removeprefix("freesound:"): (
            [one.tag for one in state.suggestions] if state.basis is state.prediction and not state.reviewed else list(state.tags)
        )
        for state in states
        if not state.withdrawn
    }


def from_seed_format(text: str | bytes, file: str, now: datetime | None = None) -> list[Event]:
    """`imported` events for the seed's `id2prediction.json`. The same file gives the same event ids, so a second import adds nothing.

    Raises `EventError` if the text is not an object of sound ids with lists of tags.
    """
    try:
        entries = json.loads(text)
        if not isinstance(entries, dict):
            raise TypeError
        time = now or datetime.now(UTC)
        return [_imported(str(key), tags, file, time) for key, tags in entries.items()]
    except (ValueError, TypeError) as error:
        raise EventError(f'{file} is not an id2prediction.json: an object like {{"123": ["dog", "bark"]}} is wanted.') from error


def _imported(key: str, tags: list[str], file: str, time: datetime) -> Event:
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise TypeError
    sound_id = key if ":" in key else f"freesound:{key}"
    event_id = uuid.uuid5(_IMPORT_NAMESPACE, json.dumps([sound_id, tags])).hex
    return Event(
        event_id=event_id, time=time, actor="import", kind="imported", sound_id=sound_id, payload=Imported(tags=tuple(tags), file=file)
    )
