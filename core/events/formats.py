"""Interchange files: events as JSON lines, and the prototype's `id2prediction.json`."""

import codecs
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.events.errors import InvalidEvent
from core.events.fold import SoundState
from core.events.types import (
    Event,
    Imported,
    ImportedEvent,
    check_tags,
    event_from_fields,
    is_sound_id,
    parse_event,
)
from core.untrusted import load_json, shortened

MAX_TAGS = 1000
"""Of one sound in an `id2prediction.json`."""
_IMPORT_NAMESPACE = uuid.UUID("6f1c2b1e-4f0b-4a9b-9a67-0d5a0e1f7c11")
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class ParsedLines:
    """The events of a JSON-lines file, and (line number, reason) for each line that is none."""

    events: list[Event]
    refused: list[tuple[int, str]]


def parse_lines(data: bytes) -> ParsedLines:
    """Read events from JSON lines, one event a line.

    Args:
        data: The file's bytes: UTF-8, or UTF-16 that begins with a byte order mark.

    Raises:
        InvalidEvent: It is a compressed file.
    """
    events: list[Event] = []
    refused: list[tuple[int, str]] = []
    for number, line in enumerate(_utf_8(data).splitlines(), start=1):
        try:
            events.append(parse_event(line))
        except InvalidEvent as error:
            refused.append((number, str(error)))
    return ParsedLines(events, refused)


def _utf_8(data: bytes) -> bytes:
    """Return a file's text in UTF-8.

    Raises:
        InvalidEvent: It is a compressed file.
    """
    if data.startswith(_COMPRESSED):
        raise InvalidEvent("The file is compressed; please unpack it first.")
    if data.startswith(_UTF_16):
        return data.decode("utf-16", "replace").encode("utf-8", "replace")
    return data.removeprefix(codecs.BOM_UTF8)


def to_prototype_format(states: Iterable[SoundState]) -> dict[str, list[str]]:
    """Return the content of an `id2prediction.json`: tags by sound.

    An untouched sound gets the model's top tags, as in the prototype, and so does one that people
    are not sure about. One that cannot be tagged gets none, any other its current tags. Freesound
    sounds are listed by their bare number, files by their sound id.
    """
    return {
        state.sound_id.removeprefix("freesound:"): (
            [suggestion.tag for suggestion in state.suggestions]
            if _is_untouched(state)
            else list(state.tags if state.review_state != "untaggable" else ())
        )
        for state in states
        if not state.withdrawn
    }


def _is_untouched(state: SoundState) -> bool:
    """Return True where no file and no person has said anything about the sound's tags."""
    if state.basis is not state.prediction or state.decisions:
        return False
    return state.review_state in ("to review", "not sure")


def from_prototype_format(
    data: str | bytes, file: str, now: datetime | None = None
) -> list[ImportedEvent]:
    """Make *imported* events from the content of an `id2prediction.json`.

    The same file gives the same event ids, so a second import adds nothing.

    Args:
        data: JSON: an object of sound ids with lists of tags.
        file: The file's name, kept in the events.
        now: The events' time, instead of the clock's.

    Raises:
        InvalidEvent: The text is no such object.
    """
    try:
        entries = load_json(data if isinstance(data, str) else _utf_8(data))
        if not isinstance(entries, dict):
            raise ValueError("it is no object")
        time, name = now or datetime.now(UTC), file.encode("utf-8", "replace").decode()
        events = [_imported(key, tags, name, time) for key, tags in entries.items()]
        _check_named_once(events)
    except (InvalidEvent, ValueError) as error:
        example = '{"123": ["dog", "bark"]}'
        reason = str(error).rstrip(".")
        raise InvalidEvent(
            f"{file} is not an id2prediction.json: {reason}; an object like {example} is needed."
        ) from error
    return events


def _imported(key: str, tags: object, file: str, time: datetime) -> ImportedEvent:
    """Return the event of one entry; its id depends on nothing but sound and tags."""
    texts = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    if not isinstance(tags, list) or len(texts) < len(tags) or len(texts) > MAX_TAGS:
        name = shortened(ascii(key))
        raise ValueError(f"{name} has no list of at most {MAX_TAGS:,} tags")
    check_tags(texts)
    sound_id = key if ":" in key else f"freesound:{key}"
    if not is_sound_id(sound_id):
        raise ValueError(f"{shortened(ascii(key))} is no id of a sound")
    fields = {
        "event_id": uuid.uuid5(_IMPORT_NAMESPACE, json.dumps([sound_id, texts])).hex,
        "time": time,
        "actor": "import",
        "kind": "imported",
        "sound_id": sound_id,
        "payload": Imported(tags=tuple(texts), file=file),
    }
    event = event_from_fields(fields)
    assert isinstance(event, ImportedEvent)
    return event


def _check_named_once(events: Sequence[ImportedEvent]) -> None:
    """Raise where two keys, such as `1` and `freesound:1`, name one sound."""
    sound_ids: set[str] = set()
    for event in events:
        if event.sound_id in sound_ids:
            raise ValueError(f"{event.sound_id} is in it twice")
        sound_ids.add(event.sound_id)
