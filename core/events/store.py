"""The event log in SQLite: adding events, and reading them back."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sql
from sqlalchemy import Connection, Table

from core.events import schema
from core.events.errors import ConflictingEvent
from core.events.fold import fold
from core.events.types import (
    Event,
    ImportedEvent,
    PredictedEvent,
    RolledOutEvent,
    SoundEvent,
    iso,
    parse_stored_event,
)
from core.sqlite import Database

BATCH_SIZE = 500
"""Ids in one statement: SQLite takes a limited number of parameters."""


class EventStore:
    """The event log of one database file. Safe for threads and processes."""

    def __init__(self, database: Database) -> None:
        """Create or migrate the tables.

        Raises:
            DatabaseError: The file is damaged, or a newer Earmark wrote it.
        """
        self.database = database
        schema.prepare(database)

    def append(self, events: Iterable[Event], *, once_per_model: bool = False) -> int:
        """Add the events that are not there yet, all or none.

        Args:
            events: Events in any order; one that is there already is left out.
            once_per_model: Leave out a prediction of a sound by a model version that has predicted
                it before.

        Returns:
            The number of events that were new.

        Raises:
            ConflictingEvent: An event id is there already with another content.
            DatabaseError: The events could not be written; none was.
        """
        with self.database.writing() as connection:
            return len(self.add(connection, events, once_per_model))

    def add(
        self, connection: Connection, events: Iterable[Event], once_per_model: bool = False
    ) -> list[Event]:
        """Do the work of `append` within a transaction; returns the events that were new."""
        new = _without_known(connection, events)
        if once_per_model:
            new = _once_per_model(connection, new)
        if new:
            connection.execute(schema.events.insert(), [_row(event) for event in new])
        _derive(connection, list(dict.fromkeys(event.sound_id for event in new if event.sound_id)))
        return new

    def rebuild(self) -> int:
        """Make the derived tables anew from the events; returns the number of sounds."""
        with self.database.writing() as connection:
            for table in schema.DERIVED:
                connection.execute(table.delete())
            query = sql.select(schema.events.c.sound_id).distinct()
            query = query.where(schema.events.c.sound_id.is_not(None))
            sound_ids = connection.execute(query).scalars().all()
            _derive(connection, [sound_id for sound_id in sound_ids if sound_id])
        return len(sound_ids)

    def of_sound(self, sound_id: str) -> list[SoundEvent]:
        """Return a sound's whole history, oldest first; empty if it is unknown."""
        with self.database.reading() as connection:
            return histories(connection, [sound_id]).get(sound_id, [])

    def all(self, after: int = 0) -> Iterator[Event]:
        """Iterate over every event in order of arrival, in batches that hold up no writer."""
        columns = schema.events.c
        while True:
            query = sql.select(columns.sequence, columns.body).where(columns.sequence > after)
            with self.database.reading() as connection:
                rows = connection.execute(query.order_by(columns.sequence).limit(BATCH_SIZE)).all()
            if not rows:
                return
            after = rows[-1].sequence
            yield from (parse_stored_event(row.body) for row in rows)

    def rollouts(self, limit: int | None = None) -> list[RolledOutEvent]:
        """Return the *rolled_out* events, newest first."""
        columns = schema.events.c
        query = sql.select(columns.body).where(columns.kind == "rolled_out")
        query = query.order_by(columns.time.desc(), columns.event_id.desc()).limit(limit)
        with self.database.reading() as connection:
            parsed = [parse_stored_event(body) for body in connection.execute(query).scalars()]
        return [event for event in parsed if isinstance(event, RolledOutEvent)]


def histories(connection: Connection, sound_ids: Sequence[str]) -> dict[str, list[SoundEvent]]:
    """Return the events of some sounds by sound id, oldest first."""
    columns = schema.events.c
    events: dict[str, list[SoundEvent]] = {}
    for batch in batches(sound_ids):
        query = sql.select(columns.body).where(columns.sound_id.in_(batch))
        query = query.order_by(columns.time, columns.event_id)
        for body in connection.execute(query).scalars():
            event = parse_stored_event(body)
            if not isinstance(event, RolledOutEvent):
                events.setdefault(event.sound_id, []).append(event)
    return events


def batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split ids into batches that fit into one statement."""
    for start in range(0, len(ids), BATCH_SIZE):
        yield ids[start : start + BATCH_SIZE]


def _without_known(connection: Connection, events: Iterable[Event]) -> list[Event]:
    """Return the events whose ids are new.

    Raises:
        ConflictingEvent: An id stands for two different events.
    """
    new: dict[str, Event] = {}
    for event in events:
        _check_same(new.setdefault(event.event_id, event), event)
    columns = schema.events.c
    for batch in batches(list(new)):
        query = sql.select(columns.body).where(columns.event_id.in_(batch))
        for body in connection.execute(query).scalars():
            stored = parse_stored_event(body)
            _check_same(stored, new.pop(stored.event_id))
    return list(new.values())


def _check_same(stored: Event, event: Event) -> None:
    """Raise where two events share an id and differ.

    An import of the same tags may come again from another file or at another time.
    """
    if stored == event:
        return
    same_import = (
        isinstance(stored, ImportedEvent)
        and isinstance(event, ImportedEvent)
        and (stored.sound_id, stored.payload.tags) == (event.sound_id, event.payload.tags)
    )
    if same_import:
        return
    raise ConflictingEvent(f"Two different events have the id {event.event_id}; nothing was added.")


def _once_per_model(connection: Connection, events: list[Event]) -> list[Event]:
    """Return the events without predictions that repeat one of the same model version."""
    predicted = [event.sound_id for event in events if isinstance(event, PredictedEvent)]
    known: set[tuple[str, str, int]] = set()
    for batch in batches(predicted):
        query = sql.select(schema.predictions).where(schema.predictions.c.sound_id.in_(batch))
        rows = connection.execute(query)
        known.update((row.sound_id, row.name, row.version) for row in rows)
    kept: list[Event] = []
    for event in events:
        if isinstance(event, PredictedEvent):
            model = event.payload.model
            key = (event.sound_id, model.name, model.version)
            if key in known:
                continue
            known.add(key)
        kept.append(event)
    return kept


def _row(event: Event) -> dict[str, str | None]:
    """Return an event's row of the `events` table."""
    return {
        "event_id": event.event_id,
        "time": iso(event.time),
        "kind": event.kind,
        "sound_id": event.sound_id,
        "body": event.to_json(),
    }


def _derive(connection: Connection, sound_ids: Sequence[str]) -> None:
    """Bring the derived rows of some sounds in step with their events."""
    for batch in batches(sound_ids):
        for table in schema.DERIVED:
            connection.execute(table.delete().where(table.c.sound_id.in_(batch)))
        rows: dict[Table, list[dict[str, Any]]] = {table: [] for table in schema.DERIVED}
        for history in histories(connection, batch).values():
            for table, row in _derived_rows(history):
                rows[table].append(row)
        for table, new in rows.items():
            if new:
                connection.execute(table.insert(), new)


def _derived_rows(history: list[SoundEvent]) -> Iterator[tuple[Table, dict[str, Any]]]:
    """Yield (table, row) for everything the derived tables hold about one sound."""
    state = fold(history)
    own = {"sound_id": state.sound_id}
    flags = {"reviewed": int(state.reviewed), "withdrawn": int(state.withdrawn)}
    yield schema.sounds, own | {"arrived": iso(state.arrived)} | flags
    if not state.withdrawn:
        for tag in state.tags:
            yield schema.sound_tags, own | {"tag": tag}
        for decision in state.decisions.values():
            yield schema.decisions, own | {"tag": decision.tag, "verdict": decision.verdict}
    predicted = [event.payload for event in history if isinstance(event, PredictedEvent)]
    for name, version in {(payload.model.name, payload.model.version) for payload in predicted}:
        yield schema.predictions, own | {"name": name, "version": version}
    for media_name in {name for payload in predicted for name in payload.media.names}:
        yield schema.sound_media, own | {"media_name": media_name}
