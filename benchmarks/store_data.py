"""A large workspace for the benchmark of the store: the same numbers make the same events.

The store derives its tables from the events of the first sounds. The others are copies of them
with other ids and later times, in the events and in the tables, as the store would derive them.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import print_text
from benchmarks.store_copies import copy_sounds
from core.events.columns import CHUNK_SIZE
from core.events.store import EventStore
from core.events.types import iso
from core.sqlite import Database

TAGS, UPLOADERS, RUNS, WORDS = 600, 20_000, 400, 3_000
LICENSES = ("CC0", "Attribution", "Attribution NonCommercial", "Sampling+", "")
EVENTS_PER_SOUND = 3
ORIGINALS = 2 * CHUNK_SIZE
"""Sounds whose tables the store derives: whole chunks, so that the copies' arrays are the same."""
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)
_SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]

Row = tuple[str, str, str, str, str]
"""Event id, time, kind, sound id, JSON."""


def fill(path: Path, sounds: int) -> float:
    """Write a new workspace file with at least so many sounds.

    Returns:
        The seconds that the store took to derive the tables of the first ones.
    """
    first = min(sounds, ORIGINALS)
    Database(path).close()
    EventStore(Database(path))
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000")
        with connection:
            insert = "INSERT INTO events (event_id, time, kind, sound_id, body)"
            connection.executemany(f"{insert} VALUES (?, ?, ?, ?, ?)", rows(0, first))
            # As the migration leaves a workspace of an earlier version.
            connection.execute("INSERT INTO fill VALUES (0)")
    started = time.perf_counter()
    EventStore(Database(path))
    seconds = time.perf_counter() - started
    copies = -(-sounds // first) - 1
    if copies:
        print_text(f"{first:,} sounds derived in {seconds:.0f} s; copying them {copies} times ...")
        copy_sounds(path, first, copies)
    return seconds


def rows(start: int, count: int) -> Iterator[Row]:
    """Make the events of some sounds: two predictions each, and reviews of two sounds in five."""
    chance = np.random.default_rng(start)
    shape = (count, 2, 5)
    tags = _frequent_first(chance, TAGS, shape)
    probabilities = np.sort(chance.beta(0.8, 1.2, shape), axis=2)[:, :, ::-1]
    uploaders = _frequent_first(chance, UPLOADERS, (count,))
    words = _frequent_first(chance, WORDS, (count, 14))
    numbers = chance.integers(0, 1000, (count, 4))
    for row in range(count):
        number = start + row
        metadata = _sound(number, int(uploaders[row]), words[row], numbers[row], tags[row, 1])
        for version in (1, 2):
            top = _top(tags[row, version - 1], probabilities[row, version - 1])
            run = f"{'f' * 24}{number // 100 % RUNS:08x}"
            yield _predicted(number, version, top, metadata, run)
        yield from _reviews(number, int(tags[row, 0, 0]), int(tags[row, 1, 1]))


def word(number: int) -> str:
    """Return a made-up word: a different one for each number."""
    syllables = []
    for _ in range(3):
        number, rest = divmod(number, len(_SYLLABLES))
        syllables.append(_SYLLABLES[rest])
    return "".join(syllables)


def tag(number: int) -> str:
    """Return a tag by number; 0 is the most frequent one."""
    return f"tag-{word(number)}"


def uploader(number: int) -> str:
    """Return an uploader by number; 0 is the most frequent one."""
    return f"uploader{number}"


def _frequent_first(
    chance: np.random.Generator, values: int, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Draw numbers below `values`; the smaller ones are more frequent."""
    return (values * chance.random(shape) ** 3).astype(np.int64)


def _sound(
    number: int,
    uploader_number: int,
    words: NDArray[np.int64],
    numbers: NDArray[np.int64],
    own_tags: NDArray[np.int64],
) -> dict[str, object]:
    """Return a sound's metadata."""
    text = [word(int(each)) for each in words]
    day = _FIRST - timedelta(days=int(numbers[0]))
    own = [tag(int(each)) for each in own_tags[: numbers[1] % 4]]
    metadata: dict[str, object] = {
        "title": " ".join(text[:4]),
        "source": "Freesound",
        "author": uploader(uploader_number),
        "license": LICENSES[int(numbers[2]) % len(LICENSES)],
        "created": day.isoformat(),
        "description": " ".join(text[4:]),
        "tags": own,
    }
    if numbers[3] < 20:
        metadata["is_explicit"] = True
    return metadata


def _top(tags: NDArray[np.int64], values: NDArray[np.float64]) -> list[dict[str, object]]:
    """Return a prediction's suggestions; a tag is in it once."""
    top: dict[int, float] = {}
    for number, probability in zip(tags.tolist(), values.tolist(), strict=True):
        top.setdefault(number, probability)
    return [
        {"tag": tag(number), "probability": round(value, 4), "above_threshold": value > 0.5}
        for number, value in top.items()
    ]


def _predicted(
    number: int, version: int, top: object, metadata: dict[str, object], run: str
) -> Row:
    payload = {
        "model": {"name": "cnn", "version": version, "fingerprint": ""},
        "top": top,
        "sound": metadata,
        "media": {"audio": f"{number:064x}.ogg", "spectrogram": ""},
        "run": run,
    }
    return _row(number, version, "predicted", "job", payload)


def _reviews(number: int, first_tag: int, second_tag: int) -> Iterator[Row]:
    """Yield five reviews of every fifth sound and of none of the others."""
    if number % 5:
        return
    kind = number // 5 % 10
    outcomes = ("confirmed", "changed", "not sure", "untaggable")
    last = outcomes[(0, 0, 0, 0, 0, 0, 1, 1, 2, 3)[kind]]
    for place in range(5):
        outcome = last if place == 4 else "changed"
        verdict = "added" if place % 2 else "removed"
        decisions = {tag(first_tag): verdict, tag(second_tag): "added"}
        payload: dict[str, object] = {
            "decisions": decisions if outcome in ("confirmed", "changed") else {},
            "basis": f"{number * 8 + 1:032x}",
        }
        if outcome != "confirmed":
            payload["outcome"] = outcome
        if last in ("not sure", "untaggable") and place < 4:
            payload = {"decisions": {}, "basis": None, "outcome": "not sure"}
        actor = ("ada", "bob")[(place + number // 50) % 2 if kind % 3 else 0]
        yield _row(number, 3 + place, "reviewed", actor, payload)


def _row(number: int, place: int, kind: str, actor: str, payload: object) -> Row:
    time_text = iso(_FIRST + timedelta(seconds=30 * number + place))
    event_id, sound_id = f"{number * 8 + place:032x}", f"freesound:{number + 1}"
    fields = {
        "actor": actor,
        "base": None,
        "event_id": event_id,
        "kind": kind,
        "payload": payload,
        "sound_id": sound_id,
        "time": time_text,
    }
    body = json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return event_id, time_text, kind, sound_id, body
