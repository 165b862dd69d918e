"""Copies of a workspace's sounds under other ids, at the speed of bulk inserts."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from core.events.columns import CHUNK_SIZE, DTYPES
from core.events.types import iso

DAYS_BETWEEN_COPIES = 10


def copy_sounds(path: Path, sounds: int, copies: int) -> None:
    """Add copies of all sounds of a workspace, each set some days later than the one before.

    Args:
        path: The workspace's file. Its sounds are `freesound:1` to `freesound:<sounds>`, their
            event ids begin with eight zeros, and they fill whole chunks.
        sounds: How many there are.
        copies: How many copies of each to add.
    """
    assert sounds % CHUNK_SIZE == 0
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000")
        events = connection.execute(
            "SELECT event_id, time, kind, sound_id, body FROM events ORDER BY sequence"
        ).fetchall()
        last = connection.execute("SELECT max(sequence) FROM events").fetchone()[0]
        feedback = connection.execute("SELECT * FROM feedback_counts").fetchall()
        for copy in range(1, copies + 1):
            with connection:
                connection.executemany(
                    "INSERT INTO events (event_id, time, kind, sound_id, body)"
                    " VALUES (?, ?, ?, ?, ?)",
                    _events(events, copy, sounds),
                )
                _copy_rows(connection, copy, sounds, last)
                _copy_chunks(connection, copy, sounds)
                _add_feedback(connection, feedback, copy)
        with connection:
            connection.execute("UPDATE counters SET number = number * ?", (copies + 1,))
            connection.execute("UPDATE rarities SET sounds = sounds * ?", (copies + 1,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _events(
    events: list[tuple[str, str, str, str, str]], copy: int, sounds: int
) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield the rows of the events of a copy."""
    prefix = f"{copy:08x}"
    for event_id, time, kind, sound_id, body in events:
        later = iso(datetime.fromisoformat(time) + timedelta(days=DAYS_BETWEEN_COPIES * copy))
        copied = f"freesound:{int(sound_id.removeprefix('freesound:')) + copy * sounds}"
        text = body.replace('"00000000', f'"{prefix}').replace(f'"{sound_id}"', f'"{copied}"')
        yield prefix + event_id[8:], later, kind, copied, text.replace(time, later)


def _copy_rows(connection: sqlite3.Connection, copy: int, sounds: int, last: int) -> None:
    """Copy the rows that sounds have in the derived tables."""
    number = f"'freesound:' || (substr(sound_id, 11) + {copy * sounds})"
    prefix = f"'{copy:08x}' || substr(media_name, 9)"
    original = f"sound_id IN (SELECT sound_id FROM positions WHERE position < {sounds})"
    days = DAYS_BETWEEN_COPIES * copy
    arrived = f"strftime('%Y-%m-%dT%H:%M:%S.000000Z', arrived, '+{days} days')"
    for statement in (
        f"INSERT INTO sounds SELECT {number}, {arrived}, reviewed, withdrawn"
        f" FROM sounds WHERE {original}",
        f"INSERT INTO sound_tags SELECT tag, {number} FROM sound_tags WHERE {original}",
        f"INSERT INTO decisions SELECT tag, verdict, {number} FROM decisions WHERE {original}",
        f"INSERT INTO predictions SELECT {number}, name, version FROM predictions WHERE {original}",
        f"INSERT INTO sound_media SELECT {prefix}, {number} FROM sound_media WHERE {original}",
        f"INSERT INTO sound_text (rowid, title, tags, description)"
        f" SELECT rowid + {copy * sounds}, title, tags, description FROM sound_text"
        f" WHERE rowid < {sounds}",
        f"INSERT INTO positions SELECT position + {copy * sounds}, {number}, suggestions"
        f" FROM positions WHERE position < {sounds}",
    ):
        connection.execute(statement)


def _copy_chunks(connection: sqlite3.Connection, copy: int, sounds: int) -> None:
    """Copy the arrays of the original chunks; only the times of arrival differ."""
    chunks = sounds // CHUNK_SIZE
    shift = f"chunk + {copy * chunks}"
    connection.execute(
        f"INSERT INTO columns SELECT name, {shift}, data FROM columns"
        f" WHERE chunk < {chunks} AND name != 'arrived'"
    )
    connection.execute(
        f"INSERT INTO tag_lists SELECT kind, tag, {shift}, offsets, probabilities"
        f" FROM tag_lists WHERE chunk < {chunks}"
    )
    microseconds = timedelta(days=DAYS_BETWEEN_COPIES * copy) // timedelta(microseconds=1)
    query = f"SELECT chunk, data FROM columns WHERE name = 'arrived' AND chunk < {chunks}"
    for chunk, data in connection.execute(query).fetchall():
        later = np.frombuffer(data, DTYPES["arrived"]) + microseconds
        row = ("arrived", chunk + copy * chunks, later.tobytes())
        connection.execute("INSERT INTO columns VALUES (?, ?, ?)", row)


def _add_feedback(
    connection: sqlite3.Connection, rows: list[tuple[str, str, str, str, str, str, int]], copy: int
) -> None:
    """Count a copy's verdicts and predictions; those of a month all move as its fifteenth day."""
    days = timedelta(days=DAYS_BETWEEN_COPIES * copy)
    connection.executemany(
        "INSERT INTO feedback_counts VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET number = number + excluded.number",
        ((*row[:3], _later(row[3], days), *row[4:]) for row in rows),
    )


def _later(period: str, days: timedelta) -> str:
    """Return a day or month, so many days later; no period stays none."""
    if not period:
        return period
    whole = period if len(period) == 10 else f"{period}-15"
    return f"{datetime.fromisoformat(whole) + days:%Y-%m-%d}"[: len(period)]
