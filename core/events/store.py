"""The event log in SQLite: adding events, and reading them back."""

import logging
from collections.abc import Iterable, Iterator

import sqlalchemy as sql
from sqlalchemy import Connection

from core.events import schema
from core.events.derive import derive
from core.events.errors import ConflictingEvent
from core.events.feedback_counts import fill_next
from core.events.rows import BATCH_SIZE, batches, histories
from core.events.types import (
    Event,
    ImportedEvent,
    PredictedEvent,
    RolledOutEvent,
    SoundEvent,
    ThresholdsSetEvent,
    iso,
    parse_stored_event,
)
from core.sqlite import Database, inconsistent

logger = logging.getLogger(__name__)

FILL_SIZE = 2000
"""Events in one transaction while older sounds are brought into new tables."""


class EventStore:
    """The event log of one database file. Safe for threads and processes."""

    def __init__(self, database: Database) -> None:
        """Create or migrate the tables.

        Raises:
            DatabaseError: The file is damaged, or a newer Earmark wrote it.
        """
        self.database = database
        database.prepare(self._prepare)

    def _prepare(self) -> None:
        """Bring the tables of the file that is open up to date."""
        schema.prepare(self.database)
        _fill(self.database)
        _fill_feedback(self.database)

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
        sound_ids = dict.fromkeys(event.sound_id for event in new if event.sound_id)
        derive(connection, list(sound_ids), {event.event_id for event in new})
        return new

    def rebuild(self) -> int:
        """Make the derived tables anew from the events; returns the number of sounds."""
        with self.database.writing() as connection:
            schema.delete_derived(connection)
            connection.execute(schema.fill.delete())
            after: int | None = 0
            while after is not None:
                after = _derive_next(connection, after)
            count = sql.select(sql.func.count()).select_from(schema.positions)
            return connection.execute(count).scalar_one()

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
            if rows[-1].sequence <= after:
                raise inconsistent(self.database.path)
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

    def threshold_changes(self) -> list[ThresholdsSetEvent]:
        """Return the *thresholds_set* events, oldest first."""
        columns = schema.events.c
        query = sql.select(columns.body).where(columns.kind == "thresholds_set")
        query = query.order_by(columns.time, columns.event_id)
        with self.database.reading() as connection:
            parsed = [parse_stored_event(body) for body in connection.execute(query).scalars()]
        return [event for event in parsed if isinstance(event, ThresholdsSetEvent)]


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


def _fill(database: Database) -> None:
    """Bring sounds that were there before the newest tables into them.

    Each batch is a transaction of its own. Stopped at any moment, the next call goes on; processes
    that open the file at once share the work.
    """
    with database.reading() as connection:
        if connection.execute(sql.select(schema.fill)).first() is None:
            return
    while True:
        with database.writing() as connection:
            after = connection.execute(sql.select(schema.fill.c.after)).scalar_one_or_none()
            if after is None:
                return
            _log_fill(connection, database, after)
            reached = _derive_next(connection, after)
            if reached is None:
                connection.execute(schema.fill.delete())
            else:
                connection.execute(schema.fill.update().values(after=reached))


def _fill_feedback(database: Database) -> None:
    """Count the sounds that were there before the numbers of feedback, as `_fill` does."""
    with database.reading() as connection:
        if connection.execute(sql.select(schema.feedback_fill)).first() is None:
            return
    left: int | None = 1
    while left:
        with database.writing() as connection:
            left = fill_next(connection)
        if left and left % (10 * FILL_SIZE) < FILL_SIZE:
            logger.info("migrate database=%s sounds_to_count=%d", database.path, left)


def _log_fill(connection: Connection, database: Database, after: int) -> None:
    """Write a line to the log now and then."""
    if after % (10 * FILL_SIZE) < FILL_SIZE:
        last = connection.execute(sql.select(sql.func.max(schema.events.c.sequence))).scalar_one()
        logger.info("migrate database=%s events=%d of=%d", database.path, after, last or 0)


def _derive_next(connection: Connection, after: int) -> int | None:
    """Derive the rows of sounds without a position that the next events name.

    Returns:
        The number of the last event that was looked at; None at the end of the log.
    """
    columns, known = schema.events.c, schema.positions.c
    query = sql.select(columns.sequence, columns.sound_id).where(columns.sequence > after)
    rows = connection.execute(query.order_by(columns.sequence).limit(FILL_SIZE)).all()
    sound_ids = list(dict.fromkeys(row.sound_id for row in rows if row.sound_id))
    done: set[str] = set()
    for batch in batches(sound_ids):
        query = sql.select(known.sound_id).where(known.sound_id.in_(batch))
        done.update(connection.execute(query).scalars())
    derive(connection, [sound_id for sound_id in sound_ids if sound_id not in done])
    return rows[-1].sequence if rows else None
