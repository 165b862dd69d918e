"""Kept numbers of verdicts and predictions: brought in step with the events, and read."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sql
from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert

from core.events import schema
from core.events.feedback_facts import CountKey, Kind, feedback_of
from core.events.rows import batches, histories
from core.events.types import SoundEvent

FILL_SIZE = 1000
"""Sounds in one transaction while older ones are counted."""


def count_feedback(
    connection: Connection,
    histories_of: Mapping[str, Sequence[SoundEvent]],
    new_events: Collection[str],
) -> None:
    """Bring the numbers in step with some sounds' events, before new sounds get positions.

    What a sound was counted as follows from its events without the new ones. A sound without a
    position was not counted yet, and one that waits for `fill_next` is left to it.

    Args:
        connection: In a transaction that writes.
        histories_of: Whole histories, by sound id.
        new_events: Ids of the events that are new in them.
    """
    known = _positions(connection, list(histories_of))
    waiting = connection.execute(sql.select(schema.feedback_fill)).one_or_none()
    changes: Counter[CountKey] = Counter()
    for sound_id, history in histories_of.items():
        position = known.get(sound_id)
        if position is not None:
            if waiting and waiting.next <= position <= waiting.last:
                continue
            earlier = [event for event in history if event.event_id not in new_events]
            changes.subtract(feedback_of(earlier))
        changes.update(feedback_of(history))
    _add(connection, changes)


def fill_next(connection: Connection) -> int | None:
    """Count some of the sounds that were there before the numbers were kept.

    Returns:
        How many sounds still wait; None where none waited.
    """
    waiting = connection.execute(sql.select(schema.feedback_fill)).one_or_none()
    if waiting is None:
        return None
    end = min(waiting.next + FILL_SIZE, waiting.last + 1)
    positions = schema.positions.c
    query = sql.select(positions.sound_id)
    query = query.where(positions.position >= waiting.next, positions.position < end)
    sound_ids = connection.execute(query).scalars().all()
    changes: Counter[CountKey] = Counter()
    for history in histories(connection, sound_ids).values():
        changes.update(feedback_of(history))
    _add(connection, changes)
    if end > waiting.last:
        connection.execute(schema.feedback_fill.delete())
    else:
        connection.execute(schema.feedback_fill.update().values(next=end))
    return int(waiting.last + 1 - end)


def read_numbers(
    connection: Connection,
    kind: Kind,
    by: Sequence[str],
    *,
    actor: str | None = None,
    model: str | None = None,
    tag: str | None = None,
    since: str = "",
) -> dict[tuple[str, ...], int]:
    """Return the numbers of one kind, added up by some fields of their keys.

    Args:
        connection: To the database.
        kind: What is counted.
        by: Fields of `CountKey`, such as *tag* and *value*.
        actor: Only decisions of that kind of person.
        model: Only of that model version.
        tag: Only of that tag.
        since: Only from that month or day on.
    """
    table = schema.feedback_counts.c
    columns = [table[name] for name in by]
    query = sql.select(*columns, sql.func.sum(table.number).label("total"))
    query = query.where(table.kind == kind)
    if actor is not None:
        query = query.where(table.actor == actor)
    if model is not None:
        query = query.where(table.model == model)
    if tag is not None:
        query = query.where(table.tag == tag)
    if since:
        query = query.where(table.period >= since)
    query = query.group_by(*columns).having(sql.func.sum(table.number) != 0)
    return {tuple(row[:-1]): int(row[-1]) for row in connection.execute(query)}


def _positions(connection: Connection, sound_ids: Sequence[str]) -> dict[str, int]:
    """Return the positions of those sounds that have one."""
    table = schema.positions.c
    positions: dict[str, int] = {}
    for batch in batches(sound_ids):
        query = sql.select(table.sound_id, table.position).where(table.sound_id.in_(batch))
        positions.update((sound_id, position) for sound_id, position in connection.execute(query))
    return positions


def _add(connection: Connection, changes: Mapping[CountKey, int]) -> None:
    """Add to the numbers."""
    rows = [key._asdict() | {"number": number} for key, number in changes.items() if number]
    if not rows:
        return
    table = schema.feedback_counts
    upsert = insert(table)
    upsert = upsert.on_conflict_do_update(
        index_elements=list(CountKey._fields),
        set_={"number": table.c.number + upsert.excluded.number},
    )
    connection.execute(upsert, rows)
