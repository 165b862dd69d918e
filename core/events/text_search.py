"""Full text search over the words of sounds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sql
from numpy.typing import NDArray
from sqlalchemy import Connection

from core.events import schema
from core.untrusted import clean_text

MAX_HITS = 50_000
"""Sounds that a text finds at most, the newest ones: a word of every title finds no more."""
MAX_WORDS, MAX_TEXT_LENGTH = 16, 200
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class TextRow:
    """The words of one sound; `tags` are the current ones and the uploader's."""

    title: str
    tags: str
    description: str


def write_texts(connection: Connection, rows: Mapping[int, TextRow | None]) -> None:
    """Bring the words of sounds in step; None takes a sound out.

    Args:
        connection: In a transaction that writes.
        rows: By position.
    """
    table = schema.sound_text
    query = sql.select(table).where(table.c.rowid.in_(list(rows)))
    stored = {
        row.rowid: TextRow(row.title, row.tags, row.description)
        for row in connection.execute(query)
    }
    changed = {position: row for position, row in rows.items() if stored.get(position) != row}
    outdated = [position for position in changed if position in stored]
    if outdated:
        connection.execute(sql.delete(table).where(table.c.rowid.in_(outdated)))
    new = [
        {"rowid": position, "title": row.title, "tags": row.tags, "description": row.description}
        for position, row in changed.items()
        if row is not None
    ]
    if new:
        connection.execute(sql.insert(table), new)


def match_expression(text: str) -> str:
    """Return what FTS5 is asked for: all words, the last one also as a beginning.

    Every word is quoted, so nothing that a person types is an operator. Empty where the text has
    no word.
    """
    words = _WORD.findall(clean_text(text)[:MAX_TEXT_LENGTH])[:MAX_WORDS]
    return " ".join(f'"{word}"' for word in words) + ("*" if words else "")


def find(connection: Connection, text: str) -> tuple[NDArray[np.int64], bool]:
    """Return the positions of sounds that have all words of a text, and True if these are all."""
    expression = match_expression(text)
    if not expression:
        return np.zeros(0, np.int64), True
    # In one text: a row for each position would cost most of the time.
    joined = connection.exec_driver_sql(
        "SELECT group_concat(rowid, ' ') FROM (SELECT rowid FROM sound_text "
        "WHERE sound_text MATCH ? ORDER BY rowid DESC LIMIT ?)",
        (expression, MAX_HITS + 1),
    ).scalar_one()
    positions = np.array((joined or "").split(), np.int64)
    return positions[:MAX_HITS], len(positions) <= MAX_HITS
