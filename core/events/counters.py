"""Kept numbers of sounds, and the codes that stand for texts in columns."""

from collections import Counter
from collections.abc import Iterable, Mapping, Set

import sqlalchemy as sql
from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert

from core.events import schema
from core.events.rows import batches

CounterKey = tuple[str, str]
"""(kind, value) of a counter."""


def change_counters(
    connection: Connection, before: Iterable[CounterKey], after: Iterable[CounterKey]
) -> None:
    """Count sounds that were counted as `before` as `after` instead."""
    changes = Counter(after)
    changes.subtract(before)
    rows = [
        {"kind": kind, "value": value, "number": number}
        for (kind, value), number in changes.items()
        if number
    ]
    if not rows:
        return
    table = schema.counters
    upsert = insert(table)
    upsert = upsert.on_conflict_do_update(
        index_elements=["kind", "value"],
        set_={"number": table.c.number + upsert.excluded.number},
    )
    connection.execute(upsert, rows)


def read_counters(connection: Connection, kind: str) -> dict[str, int]:
    """Return the counters of one kind by value."""
    table = schema.counters.c
    query = sql.select(table.value, table.number).where(table.kind == kind, table.number != 0)
    return {row.value: row.number for row in connection.execute(query)}


def codes_of(connection: Connection, kind: str, texts: Set[str]) -> Mapping[str, int]:
    """Return the codes of some texts; new ones get the next codes, the empty one is 0."""
    codes = {"": 0}
    table, named = schema.codes.c, sorted(texts - {""})
    for batch in batches(named):
        query = sql.select(table.text, table.code)
        query = query.where(table.kind == kind, table.text.in_(batch))
        codes.update((text, code) for text, code in connection.execute(query))
    new = [text for text in named if text not in codes]
    if new:
        query_last = sql.select(sql.func.max(table.code)).where(table.kind == kind)
        first = (connection.execute(query_last).scalar_one_or_none() or 0) + 1
        numbered = {text: code for code, text in enumerate(new, start=first)}
        rows = [{"kind": kind, "code": code, "text": text} for text, code in numbered.items()]
        connection.execute(schema.codes.insert(), rows)
        codes |= numbered
    return codes


def code_of(connection: Connection, kind: str, text: str) -> int | None:
    """Return a text's code, or None where no sound has it."""
    if not text:
        return 0
    table = schema.codes.c
    query = sql.select(table.code).where(table.kind == kind, table.text == text)
    return connection.execute(query).scalar_one_or_none()


def texts_of(connection: Connection, kind: str, codes: Iterable[int]) -> dict[int, str]:
    """Return the texts of some codes."""
    table = schema.codes.c
    texts: dict[int, str] = {}
    for batch in batches(list(map(str, codes))):
        query = sql.select(table.code, table.text)
        query = query.where(table.kind == kind, table.code.in_(list(map(int, batch))))
        texts.update((code, text) for code, text in connection.execute(query))
    return texts
