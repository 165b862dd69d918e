"""The events of id2prediction: one payload class and one event class per kind.

Nothing is overwritten or deleted. Events are ordered by (time, event id), and an event's time is
always later than that of the event it was based on, so the order of arrival never matters.
"""

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, Literal, TypeVar, overload

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    field_serializer,
    field_validator,
    model_serializer,
)

from core.events.errors import InvalidEvent
from core.untrusted import has_controls, load_json, shortened

Verdict = Literal["kept", "removed", "added"]
Outcome = Literal["confirmed", "changed", "not sure", "untaggable"]
FREESOUND_ID = re.compile(r"freesound:[1-9][0-9]{0,18}")
FILE_ID = re.compile(r"file:[0-9a-f]{64}")
MIN_SUGGESTIONS = 5
"""Tags of a prediction that are suggested, also below their thresholds."""
MAX_COUNT = MAX_MODEL_VERSION = 2**31 - 1
MAX_SECONDS = 1e9
MAX_EVENT_BYTES = 1_000_000
"""Of one event from outside. A file of the shared folder, which holds many, is sent in one piece of
up to ten times as much."""
MAX_TAG_LENGTH = 200
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def is_sound_id(text: str) -> bool:
    """Return True for `freesound:<number>` and `file:<sha256>`."""
    return bool(FREESOUND_ID.fullmatch(text) or FILE_ID.fullmatch(text))


def _check_sound_id(value: str) -> str:
    """Return a valid sound id; refuse any other text."""
    if not is_sound_id(value):
        raise ValueError("a sound id is freesound:<number> or file:<sha256>")
    return value


SoundId = Annotated[str, AfterValidator(_check_sound_id)]
MediaName = Annotated[str, Field(pattern=r"^([0-9a-f]{64}\.(ogg|webp))?$")]
OptionalId = Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")]
Probability = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    """Frozen; keeps fields it does not know, so a newer version's events pass through unchanged."""

    model_config = ConfigDict(frozen=True, extra="allow")


def _without_empty(fields: dict[str, object], *later: str) -> dict[str, object]:
    """Return a payload's fields without those of `later` that are empty."""
    return {name: value for name, value in fields.items() if value or name not in later}


class ModelRef(_Frozen):
    """A model version: registry `name` and `version`, and the bundle's fingerprint."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,100}$")]
    version: Annotated[int, Field(ge=1, le=MAX_MODEL_VERSION)]
    fingerprint: str = ""

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Suggestion(_Frozen):
    """A suggested tag, its calibrated probability, and whether that reaches the tag's threshold."""

    tag: str
    probability: Probability
    above_threshold: bool


class Sound(_Frozen):
    """A sound's metadata as its source gave it; everything here is text from outside.

    Attributes:
        title: What the uploader calls it.
        source: Where it comes from.
        seconds: Its length, as decoding found it; so are the next three and `note`.
        container: Name of the file's format.
        rate: In Hz.
        channels: How many it has.
        author: Who made it.
        license: Name or address of its license.
        created: When it was recorded or uploaded.
        description: The uploader's text.
        url: Its page on Freesound.
        tags: The uploader's own.
        category: Freesound's, such as `Soundscapes: Nature`.
        gen_ai_preference: The uploader's wish about generative models, as the API spells it.
        note: A sentence where not all of the file was analysed.
        is_explicit: Marked as explicit on Freesound.
        pack: Name of the uploader's pack that it is in.
        geotag: Latitude and longitude of the recording, with a space between.
        avg_rating: Mean of the ratings on Freesound, 0 to 5.
        num_ratings: How many ratings there are.
    """

    title: str
    source: str
    seconds: Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)] = 0.0
    container: str = ""
    rate: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 0
    channels: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 0
    author: str = ""
    license: str = ""
    created: str = ""
    description: str = ""
    url: str = ""
    tags: tuple[str, ...] = ()
    category: str = ""
    gen_ai_preference: str = ""
    note: str = ""
    is_explicit: bool = False
    pack: str = ""
    geotag: str = ""
    avg_rating: Annotated[float, Field(ge=0, le=5)] = 0.0
    num_ratings: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 0

    @model_serializer(mode="wrap")
    def _leave_out_empty(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out the fields that version 0.1 did not write, where they are empty."""
        return _without_empty(serialize(self), *_LATER_FIELDS)


_LATER_FIELDS = ("note", "is_explicit", "pack", "geotag", "avg_rating", "num_ratings")


class Media(_Frozen):
    """Names of a sound's media files: each is the content's SHA-256 and a file name suffix."""

    audio: MediaName = ""
    spectrogram: MediaName = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that are set."""
        return tuple(name for name in (self.audio, self.spectrogram) if name)


class Predicted(_Frozen):
    """A model's prediction, best tag first; `run` is the id of the run that made it, or empty."""

    model: ModelRef
    top: tuple[Suggestion, ...]
    sound: Sound
    media: Media = Media()
    run: OptionalId = ""

    @model_serializer(mode="wrap")
    def _leave_out_empty(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out what version 0.1 did not write, where it is empty."""
        return _without_empty(serialize(self), "run")


class _Decisions(_Frozen):
    """A person's decisions by tag; `basis` is the prediction or import that they were shown."""

    decisions: dict[str, Verdict]
    basis: str | None = None


class Reviewed(_Decisions):
    """A person's decisions about a sound.

    Attributes:
        outcome: What they say about the sound as a whole. *confirmed* judges every tag that it had,
            *changed* only the tags named; *not sure* and *untaggable* judge none.
        batch: The same 32 hexadecimal digits for all events of one edit of many sounds, else empty.
    """

    outcome: Outcome = "confirmed"
    batch: OptionalId = ""

    @model_serializer(mode="wrap")
    def _leave_out_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out what version 0.1 did not write, where it means the same."""
        fields: dict[str, object] = serialize(self)
        if self.outcome == "confirmed":
            del fields["outcome"]
        return _without_empty(fields, "batch")


class Published(_Decisions):
    """Publication on Freesound: the uploader's decisions, and the `tags` Freesound stored."""

    tags: tuple[str, ...] = ()


class Undone(_Frozen):
    """Cancels the event of that id.

    Attributes:
        event: The id.
        batch: That of an edit of many sounds.
        mistake: Why the event never happened as it was recorded. Nobody can take a publication
            back, so only an undo that says this cancels one.
    """

    event: str
    batch: OptionalId = ""
    mistake: str = ""

    @model_serializer(mode="wrap")
    def _leave_out_empty(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out what version 0.1 did not write, where it is empty."""
        return _without_empty(serialize(self), "batch", "mistake")


class Imported(_Frozen):
    """Tags from a file: neither a model's nor a person's."""

    tags: tuple[str, ...]
    file: str = ""


class Withdrawn(_Frozen):
    """The sound leaves every view."""

    reason: str


class RolledOut(_Frozen):
    """The model version that is active from now on, and why."""

    model: ModelRef
    reason: str


class ThresholdsSet(_Frozen):
    """Thresholds of tags that a model version uses from now on instead of its own.

    Attributes:
        model: The version.
        thresholds: By tag; None returns to the model's own. Tags that are not named keep theirs.
        precision: The share of right suggestions that they were learned for; 0 for others.
        verdicts: By tag, the number of verdicts that a threshold was learned from.
        reason: Why.
    """

    model: ModelRef
    thresholds: dict[str, Probability | None]
    precision: Probability = 0.0
    verdicts: dict[str, Annotated[int, Field(ge=0, le=MAX_COUNT)]] = {}
    reason: str = ""


Payload = (
    Predicted | Reviewed | Published | Undone | Imported | Withdrawn | RolledOut | ThresholdsSet
)
PayloadT = TypeVar("PayloadT", bound=_Frozen)


class _EventBase(BaseModel, Generic[PayloadT]):
    """The fields of every event. `base` is the id of the event that it was based on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    time: AwareDatetime
    actor: Annotated[str, Field(min_length=1, max_length=200)]
    payload: PayloadT
    base: str | None = None

    @field_validator("time")
    @classmethod
    def _check_time(cls, time: datetime) -> datetime:
        """Return a plausible time; refuse any other."""
        if not EARLIEST <= time <= LATEST:
            raise ValueError("no event happened before 2000 or after 2200")
        return time

    @field_serializer("time")
    def _serialize_time(self, time: datetime) -> str:
        """Return the time as `iso` writes it."""
        return iso(time)

    @property
    def order(self) -> tuple[datetime, str]:
        """Return the sort key of events."""
        return self.time, self.event_id

    def to_json(self) -> str:
        """Return one line of JSON with sorted keys: the same event always gives the same text."""
        fields = self.model_dump(mode="json")
        return json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class _SoundEventBase(_EventBase[PayloadT]):
    sound_id: SoundId


class PredictedEvent(_SoundEventBase[Predicted]):
    """A model predicted a sound's tags."""

    kind: Literal["predicted"] = "predicted"


class ReviewedEvent(_SoundEventBase[Reviewed]):
    """A person decided about a sound's tags."""

    kind: Literal["reviewed"] = "reviewed"


class PublishedEvent(_SoundEventBase[Published]):
    """A person published a sound on Freesound."""

    kind: Literal["published"] = "published"


class UndoneEvent(_SoundEventBase[Undone]):
    """A person cancelled an earlier event of the sound."""

    kind: Literal["undone"] = "undone"


class ImportedEvent(_SoundEventBase[Imported]):
    """Tags were read from a file."""

    kind: Literal["imported"] = "imported"


class WithdrawnEvent(_SoundEventBase[Withdrawn]):
    """A sound was withdrawn."""

    kind: Literal["withdrawn"] = "withdrawn"


class RolledOutEvent(_EventBase[RolledOut]):
    """A model version was made the active one."""

    kind: Literal["rolled_out"] = "rolled_out"
    sound_id: None


class ThresholdsSetEvent(_EventBase[ThresholdsSet]):
    """Thresholds of a model version were changed."""

    kind: Literal["thresholds_set"] = "thresholds_set"
    sound_id: None


DecisionEvent = ReviewedEvent | PublishedEvent
BasisEvent = PredictedEvent | ImportedEvent
SoundEvent = (
    PredictedEvent | ReviewedEvent | PublishedEvent | UndoneEvent | ImportedEvent | WithdrawnEvent
)
Event = SoundEvent | RolledOutEvent | ThresholdsSetEvent


_CLASS_OF_KIND: dict[str, type[Event]] = {
    "predicted": PredictedEvent,
    "reviewed": ReviewedEvent,
    "published": PublishedEvent,
    "undone": UndoneEvent,
    "imported": ImportedEvent,
    "withdrawn": WithdrawnEvent,
    "rolled_out": RolledOutEvent,
    "thresholds_set": ThresholdsSetEvent,
}
_CLASS_OF_PAYLOAD: dict[type[_Frozen], type[Event]] = {
    Predicted: PredictedEvent,
    Reviewed: ReviewedEvent,
    Published: PublishedEvent,
    Undone: UndoneEvent,
    Imported: ImportedEvent,
    Withdrawn: WithdrawnEvent,
    RolledOut: RolledOutEvent,
    ThresholdsSet: ThresholdsSetEvent,
}
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def parse_event(line: str | bytes) -> Event:
    """Read one event that comes from outside.

    Args:
        line: JSON as `to_json` writes it; text or UTF-8.

    Raises:
        InvalidEvent: The text is not a valid event; the error says why in one sentence.
    """
    try:
        if len(line) > MAX_EVENT_BYTES:
            raise ValueError(f"it is longer than {MAX_EVENT_BYTES:,} bytes")
        event = event_from_fields(load_json(line))
        check_tags(_tags(event))
    except ValueError as error:
        raise InvalidEvent(f"Not a valid event: {error}.") from error
    return event


def parse_stored_event(body: str) -> Event:
    """Read one event from the log: `parse_event` without what only others' files need.

    Raises:
        InvalidEvent: The text is not a valid event.
    """
    try:
        return event_from_fields(json.loads(body))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEvent(f"Not a valid event: {error}.") from error


def event_from_fields(fields: object) -> Event:
    """Build one event from parsed JSON.

    Raises:
        InvalidEvent: The value is not a valid event; the error says why in one sentence.
    """
    kind = fields.get("kind") if isinstance(fields, Mapping) else None
    if not isinstance(kind, str) or kind not in _CLASS_OF_KIND:
        name = shortened(repr(kind))
        raise InvalidEvent(
            f"Not a valid event: {name} is no kind of event that this version knows."
        )
    try:
        return _ADAPTER.validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"][1:])) or "event"
        raise InvalidEvent(f"Not a valid event: {shortened(place)}: {first['msg']}.") from error


def _tags(event: Event) -> Iterable[str]:
    """Return the tags that an event gives or takes."""
    match event.payload:
        case Predicted(top=top):
            return [suggestion.tag for suggestion in top]
        case Reviewed(decisions=decisions):
            return decisions
        case Published(decisions=decisions, tags=tags):
            return [*decisions, *tags]
        case Imported(tags=tags):
            return tags
        case ThresholdsSet(thresholds=thresholds, verdicts=verdicts):
            return [*thresholds, *verdicts]
    return ()


def check_tags(tags: Iterable[str]) -> None:
    """Check that tags can be shown.

    Raises:
        ValueError: One is empty, very long, or has control characters in it.
    """
    for tag in tags:
        if not tag.strip():
            raise ValueError("it has an empty tag")
        if len(tag) > MAX_TAG_LENGTH:
            raise ValueError(f"a tag is longer than {MAX_TAG_LENGTH} characters")
        if has_controls(tag):
            raise ValueError(f"the tag {shortened(ascii(tag))} has control characters in it")


def iso(time: datetime) -> str:
    """Format a time as UTC with microseconds, `2026-11-22T13:00:00.000000Z`: it sorts as text."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_Base = Event | None
_Now = datetime | None


@overload
def new_event(
    payload: Predicted, sound_id: str, actor: str, base: _Base = None, now: _Now = None
) -> PredictedEvent: ...
@overload
def new_event(
    payload: Published, sound_id: str, actor: str, base: _Base = None, now: _Now = None
) -> PublishedEvent: ...
@overload
def new_event(
    payload: Reviewed, sound_id: str, actor: str, base: _Base = None, now: _Now = None
) -> ReviewedEvent: ...
@overload
def new_event(
    payload: Undone, sound_id: str, actor: str, base: _Base = None, now: _Now = None
) -> UndoneEvent: ...
@overload
def new_event(
    payload: Imported, sound_id: str, actor: str, base: _Base = None, now: _Now = None
) -> ImportedEvent: ...
@overload
def new_event(
    payload: Withdrawn, sound_id: str, actor: str, base: _Base = None, now: _Now = None
) -> WithdrawnEvent: ...
@overload
def new_event(
    payload: RolledOut, sound_id: None, actor: str, base: _Base = None, now: _Now = None
) -> RolledOutEvent: ...
@overload
def new_event(
    payload: ThresholdsSet, sound_id: None, actor: str, base: _Base = None, now: _Now = None
) -> ThresholdsSetEvent: ...


def new_event(
    payload: Payload,
    sound_id: str | None,
    actor: str,
    base: _Base = None,
    now: _Now = None,
) -> Event:
    """Make an event of now, or of just after `base` where that lies in this clock's future.

    Args:
        payload: What happened; its class decides the event's kind.
        sound_id: The sound, or None for `RolledOut` and `ThresholdsSet`.
        actor: Who did it, as `core.people` writes people.
        base: The event that this one was based on.
        now: The time, instead of the clock's.
    """
    time = now or datetime.now(UTC)
    if base is not None:
        time = max(time, base.time + timedelta(microseconds=1))
    fields: dict[str, Any] = {
        "event_id": uuid.uuid4().hex,
        "time": time,
        "actor": actor,
        "sound_id": sound_id,
        "payload": payload,
        "base": base.event_id if base else None,
    }
    return _CLASS_OF_PAYLOAD[type(payload)](**fields)
