"""Interchange files: events as JSON lines, and the prototype's `id2prediction.json`."""

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from core.events.errors import InvalidEvent
from core.events.fold import SoundState
from core.events.types import (
    Event,
    Imported,
    ImportedEvent,
    event_from_fields,
    load_json,
    parse_event,
)

_IMPORT_NAMESPACE = uuid.UUID("6f1c2b1e-4f0b-4a9b-9a67-0d5a0e1f7c11")


@dataclass(frozen=True)
class ParsedLines:
    """The events of a JSON-lines file, and (line number, reason) for each line that is none."""

    events: list[Event]
    refused: list[tuple[int, str]]


def parse_lines(data: bytes) -> ParsedLines:
    """Read events from JSON lines, one event a line."""
    events: list[Event] = []
    refused: list[tuple[int, str]] = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            events.append(parse_event(line))
        except InvalidEvent as error:
            refused.append((number, str(error)))
    return ParsedLines(events, refused)


def to_prototype_format(states: Iterable[SoundState]) -> dict[str, list[str]]:
    """Return the content of an `id2prediction.json`: tags by sound.

    An untouched sound gets the model's top tags, as in the prototype; a reviewed or imported one
    its current tags. Freesound sounds are listed by their bare number, files by their sound id.
    """
    return {
        state.sound_id.removeprefix("freesound:"): (
            [suggestion.tag for suggestion in state.suggestions]
            if state.basis is state.prediction and not state.reviewed
            else list(state.tags)
        )
        for state in states
        if not state.withdrawn
    }


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
        entries = load_json(data)
        if not isinstance(entries, dict):
            raise TypeError
        time = now or datetime.now(UTC)
        return [_imported(str(key), tags, file, time) for key, tags in entries.items()]
    except (InvalidEvent, ValueError, TypeError, RecursionError) as error:
        example = '{"123": ["dog", "bark"]}'
        raise InvalidEvent(
            f"{file} is not an id2prediction.json: an object like {example} is needed."
        ) from error


def _imported(key: str, tags: object, file: str, time: datetime) -> ImportedEvent:
    """Return the event of one entry; its id depends on nothing but sound and tags."""
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise TypeError
    sound_id = key if ":" in key else f"freesound:{key}"
    fields = {
        "event_id": uuid.uuid5(_IMPORT_NAMESPACE, json.dumps([sound_id, tags])).hex,
        "time": time,
        "actor": "import",
        "kind": "imported",
        "sound_id": sound_id,
        "payload": Imported(tags=tuple(tags), file=file),
    }
    event = event_from_fields(fields)
    assert isinstance(event, ImportedEvent)
    return event
