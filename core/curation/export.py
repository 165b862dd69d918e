"""Export of a choice of sounds with their tags: CSV, JSON lines, or the prototype's file."""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from core.curation.errors import InvalidFilter
from core.events.fold import SoundState
from core.events.formats import to_prototype_format
from core.events.query import Order, Query
from core.events.sounds import SoundIndex
from core.events.types import iso
from core.people import shown_name
from core.untrusted import BYTE_ORDER_MARK, CsvWriter

ExportFormat = Literal["csv", "jsonl", "id2prediction"]
FORMAT_OF_SUFFIX: Mapping[str, ExportFormat] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".json": "id2prediction",
}
FILE_NAMES: Mapping[ExportFormat, str] = {
    "csv": "earmark-tags.csv",
    "jsonl": "earmark-tags.jsonl",
    "id2prediction": "id2prediction.json",
}
PAGE_SIZE = 200
"""Sounds that are read at a time."""
COLUMNS = (
    *("sound_id", "title", "uploader", "license", "url", "seconds", "state", "tags"),
    *("suggestions", "uploader_tags", "model", "reviewed_by", "reviewed_at"),
)
SEPARATOR = "; "
"""Between several values in a cell: tags may have spaces and commas in them."""


def export_chunks(
    sounds: SoundIndex,
    query: Query,
    form: ExportFormat,
    *,
    order: Order = "newest",
    verified: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Iterator[bytes]:
    """Yield the parts of a file with all sounds that match, some hundred sounds at a time.

    Args:
        sounds: Of the workspace.
        query: Which sounds.
        form: *csv*: a row for each sound, without formulas. *jsonl*: an object for each, complete.
            *id2prediction*: the prototype's file, newest first; a sound that nobody touched has the
            model's top tags there.
        order: Which come first.
        verified: Only sounds all of whose tags a person has judged.
        progress: Called with the number of sounds of each part.

    Raises:
        InvalidFilter: `verified`, and the filter asks for other sounds.
    """
    if verified:
        query = _verified(query)
    if form == "id2prediction":
        order = "newest"  # never gives a sound twice, as another order may while people review
    states = _counted(matching_sounds(sounds, query, order), progress)
    match form:
        case "csv":
            yield from _csv(states)
        case "jsonl":
            yield from _json_lines(states)
        case "id2prediction":
            yield from _prototype_file(states)


def matching_sounds(
    sounds: SoundIndex, query: Query, order: Order = "newest"
) -> Iterator[Sequence[SoundState]]:
    """Yield all sounds that match, a page at a time."""
    cursor: str | None = ""
    while cursor is not None:
        page = sounds.page(query, order=order, cursor=cursor, size=PAGE_SIZE)
        yield page.sounds
        cursor = page.next


def _counted(
    pages: Iterator[Sequence[SoundState]], progress: Callable[[int], None] | None
) -> Iterator[Sequence[SoundState]]:
    """Yield pages, and tell how many sounds each has."""
    for states in pages:
        if progress is not None:
            progress(len(states))
        yield states


def _verified(query: Query) -> Query:
    """Return the query for those of its sounds that are reviewed.

    Raises:
        InvalidFilter: There can be none.
    """
    if query.show not in ("all", "reviewed"):
        raise InvalidFilter(f"Verified tags are those of reviewed sounds, not of {query.show!r}.")
    return replace(query, show="reviewed")


def _csv(pages: Iterator[Sequence[SoundState]]) -> Iterator[bytes]:
    """Yield CSV in UTF-8, with a byte order mark so that spreadsheets see that it is."""
    text = io.StringIO(newline="")
    text.write(BYTE_ORDER_MARK)
    writer = CsvWriter(text)
    writer.write(COLUMNS)
    for states in pages:
        writer.write_all(map(_row, states))
        yield text.getvalue().encode("utf-8", "replace")
        text.seek(0)
        text.truncate()


def _row(state: SoundState) -> list[str | float]:
    """Return a sound's cells in the order of `COLUMNS`."""
    sound, review = state.sound, state.last_review
    suggestions = (f"{each.tag} {each.probability:.2f}" for each in state.suggestions)
    return [
        state.sound_id,
        sound.title,
        sound.author,
        sound.license,
        sound.url,
        round(sound.seconds, 2),
        state.review_state,
        SEPARATOR.join(state.tags),
        SEPARATOR.join(suggestions),
        SEPARATOR.join(sound.tags),
        str(state.model or ""),
        shown_name(review.actor) if review else "",
        iso(review.time) if review else "",
    ]


def _json_lines(pages: Iterator[Sequence[SoundState]]) -> Iterator[bytes]:
    """Yield a line of JSON for each sound."""
    for states in pages:
        lines = (json.dumps(_fields(state), ensure_ascii=False) for state in states)
        yield "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _fields(state: SoundState) -> dict[str, object]:
    """Return a sound's line of the JSON lines."""
    sound, review = state.sound, state.last_review
    return {
        "sound_id": state.sound_id,
        "title": sound.title,
        "uploader": sound.author,
        "license": sound.license,
        "url": sound.url,
        "seconds": round(sound.seconds, 2),
        "state": state.review_state,
        "tags": state.tags,
        "suggestions": [
            {
                "tag": each.tag,
                "probability": round(each.probability, 4),
                "suggested": each.above_threshold,
            }
            for each in state.suggestions
        ],
        "decisions": {tag: each.verdict for tag, each in sorted(state.decisions.items())},
        "uploader_tags": sound.tags,
        "model": str(state.model) if state.model else None,
        "reviewed_by": shown_name(review.actor) if review else None,
        "reviewed_at": iso(review.time) if review else None,
    }


def _prototype_file(pages: Iterator[Sequence[SoundState]]) -> Iterator[bytes]:
    """Yield one JSON object, with a line for each sound."""
    start = "{"
    for states in pages:
        for key, tags in to_prototype_format(states).items():
            line = f"{json.dumps(key)}: {json.dumps(tags, ensure_ascii=False)}"
            yield f"{start}\n {line}".encode("utf-8", "replace")
            start = ","
    yield b"{}\n" if start == "{" else b"\n}\n"
