"""Arrays of facts about sounds in SQLite: a value for each position, kept in chunks.

A column of a million sounds is read in milliseconds, and a save rewrites only one chunk of what it
changed. Lists of positions by tag are kept in the same chunks.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import sqlalchemy as sql
from numpy.typing import NDArray
from sqlalchemy import Connection

from core.events import schema
from core.events.rows import batches

CHUNK_SIZE = 8192
"""Positions in a chunk."""
NO_PROBABILITY = 65_535
"""The `best` of a sound without suggestions."""

Values = NDArray[np.integer[Any]]
Positions = NDArray[np.int64]
Changes = dict[int, dict[str, int]]
"""New values by position and name of the column."""

DTYPES: Final[Mapping[str, np.dtype[np.integer[Any]]]] = {
    name: np.dtype(code)
    for name, code in {
        "state": "<u1",  # 0: in no view
        "agreement": "<u1",
        "explicit": "<u1",
        "license": "<u4",
        "uploader": "<u4",
        "run": "<u4",
        "day": "<i4",
        "arrived": "<i8",
        "best": "<u2",
        "uncertainty": "<u2",
        "uncertain_tag": "<u4",
        "disputes": "<u2",
        "recording": "<u4",
    }.items()
}


def read_column(connection: Connection, name: str, size: int) -> Values:
    """Return a column's values by position; 0 where there is none.

    Args:
        connection: To the database.
        name: One of `DTYPES`.
        size: Number of positions.
    """
    values = np.zeros(size, DTYPES[name])
    columns = schema.columns.c
    query = sql.select(columns.chunk, columns.data).where(columns.name == name)
    for chunk, data in connection.execute(query):
        part = np.frombuffer(data, DTYPES[name])[: max(0, size - chunk * CHUNK_SIZE)]
        values[chunk * CHUNK_SIZE :][: len(part)] = part
    return values


def read_values(connection: Connection, name: str, positions: Sequence[int]) -> dict[int, int]:
    """Return a column's values at some positions."""
    chunks = sorted({position // CHUNK_SIZE for position in positions})
    columns = schema.columns.c
    query = sql.select(columns.chunk, columns.data)
    query = query.where(columns.name == name, columns.chunk.in_(chunks))
    parts = {row.chunk: np.frombuffer(row.data, DTYPES[name]) for row in connection.execute(query)}
    values: dict[int, int] = {}
    for position in positions:
        chunk, offset = divmod(position, CHUNK_SIZE)
        part = parts.get(chunk)
        values[position] = int(part[offset]) if part is not None and offset < len(part) else 0
    return values


def write_values(connection: Connection, changes: Changes) -> None:
    """Set values; a chunk in which nothing changes is not written."""
    by_chunk: dict[int, list[int]] = {}
    for position in changes:
        by_chunk.setdefault(position // CHUNK_SIZE, []).append(position)
    table = schema.columns
    for chunk, positions in by_chunk.items():
        query = sql.select(table.c.name, table.c.data).where(
            table.c.name.in_(list(DTYPES)), table.c.chunk == chunk
        )
        stored = {row.name: row.data for row in connection.execute(query)}
        offsets = np.array(positions) - chunk * CHUNK_SIZE
        rows = []
        for name, dtype in DTYPES.items():
            new = np.array([changes[position][name] for position in positions], dtype)
            data = _with_values(stored.get(name, b""), offsets, new)
            if data != stored.get(name):
                rows.append({"name": name, "chunk": chunk, "data": data})
        if rows:
            connection.execute(table.insert().prefix_with("OR REPLACE"), rows)


def _with_values(data: bytes, offsets: Positions, new: Values) -> bytes:
    """Return a chunk's bytes with some values replaced; it grows as needed."""
    old = np.frombuffer(data, new.dtype)
    values = np.zeros(max(len(old), int(offsets.max()) + 1), new.dtype)
    values[: len(old)] = old
    values[offsets] = new
    return values.tobytes()


def read_tag(connection: Connection, kind: str, tag: str) -> tuple[Positions, NDArray[np.int64]]:
    """Return the positions in a tag's list, and their probabilities where the list has them."""
    lists = schema.tag_lists.c
    query = sql.select(lists.chunk, lists.offsets, lists.probabilities)
    query = query.where(lists.kind == kind, lists.tag == tag).order_by(lists.chunk)
    parts, probabilities = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for chunk, offsets, data in connection.execute(query):
        parts.append(np.frombuffer(offsets, "<u2").astype(np.int64) + chunk * CHUNK_SIZE)
        probabilities.append(np.frombuffer(data, "<u2").astype(np.int64))
    return np.concatenate(parts), np.concatenate(probabilities)


TagEntries = dict[str, dict[int, int]]
"""By tag, the probability (0 in lists without) at each position."""


def write_tags(connection: Connection, kind: str, gone: TagEntries, new: TagEntries) -> None:
    """Take positions out of tags' lists and put others in.

    Args:
        connection: To the database.
        kind: `tag` or `suggested`.
        gone: What the lists have and shall not have any more.
        new: What they shall have.
    """
    changes: dict[int, dict[str, tuple[dict[int, int], dict[int, int]]]] = {}
    for number, entries in enumerate((gone, new)):
        for tag, positions in entries.items():
            for position, probability in positions.items():
                chunk, offset = divmod(position, CHUNK_SIZE)
                lists = changes.setdefault(chunk, {}).setdefault(tag, ({}, {}))
                lists[number][offset] = probability
    for chunk, of_tags in changes.items():
        for tags in batches(list(of_tags)):
            _write_lists(connection, kind, chunk, {tag: of_tags[tag] for tag in tags})


def _write_lists(
    connection: Connection,
    kind: str,
    chunk: int,
    changes: Mapping[str, tuple[dict[int, int], dict[int, int]]],
) -> None:
    """Change the lists of some tags in one chunk."""
    table = schema.tag_lists
    query = sql.select(table.c.tag, table.c.offsets, table.c.probabilities)
    query = query.where(
        table.c.kind == kind, table.c.tag.in_(list(changes)), table.c.chunk == chunk
    )
    stored = {row.tag: (row.offsets, row.probabilities) for row in connection.execute(query)}
    rows, empty = [], []
    for tag, (gone, new) in changes.items():
        entries = dict(_entries(*stored.get(tag, (b"", b""))))
        entries = {offset: entries[offset] for offset in entries if offset not in gone} | new
        if entries:
            offsets, probabilities = _packed(entries, with_probabilities=kind == "suggested")
            row = {"kind": kind, "tag": tag, "chunk": chunk}
            rows.append(row | {"offsets": offsets, "probabilities": probabilities})
        else:
            empty.append(tag)
    if rows:
        connection.execute(table.insert().prefix_with("OR REPLACE"), rows)
    if empty:
        delete = table.delete().where(table.c.kind == kind, table.c.chunk == chunk)
        connection.execute(delete.where(table.c.tag.in_(empty)))


def _entries(offsets: bytes, probabilities: bytes) -> Iterator[tuple[int, int]]:
    """Iterate over a stored list."""
    numbers = np.frombuffer(offsets, "<u2").tolist()
    values = np.frombuffer(probabilities, "<u2").tolist() or [0] * len(numbers)
    return zip(numbers, values, strict=True)


def _packed(entries: Mapping[int, int], *, with_probabilities: bool) -> tuple[bytes, bytes]:
    """Return a list as it is stored."""
    offsets = sorted(entries)
    packed = np.array(offsets, "<u2").tobytes()
    if not with_probabilities:
        return packed, b""
    return packed, np.array([entries[offset] for offset in offsets], "<u2").tobytes()
