"""Reading events of single sounds from the log, many sounds at a time."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sql
from sqlalchemy import Connection

from core.events import schema
from core.events.types import SoundEvent, parse_stored_event

BATCH_SIZE = 500
"""Ids in one statement: SQLite takes a limited number of parameters."""


def histories(connection: Connection, sound_ids: Sequence[str]) -> dict[str, list[SoundEvent]]:
    """Return the events of some sounds by sound id, oldest first."""
    columns = schema.events.c
    events: dict[str, list[SoundEvent]] = {}
    for batch in batches(sound_ids):
        query = sql.select(columns.body).where(columns.sound_id.in_(batch))
        query = query.order_by(columns.time, columns.event_id)
        for body in connection.execute(query).scalars():
            event = parse_stored_event(body)
            if isinstance(event, SoundEvent):
                events.setdefault(event.sound_id, []).append(event)
    return events


def batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split ids into batches that fit into one statement."""
    for start in range(0, len(ids), BATCH_SIZE):
        yield ids[start : start + BATCH_SIZE]
