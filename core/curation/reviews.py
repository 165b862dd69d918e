"""Who reviewed what and when, looked up without reading the event log.

Two tables repeat a few fields of each *reviewed* and *undone* event. Triggers fill them in the
transaction that adds an event, whoever adds it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sql
from sqlalchemy import Column, Connection, Integer, Table, Text

from core.events.rows import batches, histories
from core.events.types import SoundEvent, iso
from core.sqlite import Database

_meta = sql.MetaData()
_reviews = Table(
    "review_log",
    _meta,
    Column("event_id", Text, primary_key=True),
    Column("sound_id", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("time", Text, nullable=False),
    Column("batch", Text, nullable=False),
    Column("corrections", Integer, nullable=False),
    sql.Index("review_log_by_actor", "actor", "time", "corrections"),
    sql.Index("review_log_by_sound", "sound_id", "actor"),
    sql.Index("review_log_by_time", "time", "sound_id"),
    sql.Index("review_log_by_batch", "batch", sqlite_where=sql.text("batch != ''")),
)
_undos = Table(
    "undo_log",
    _meta,
    Column("event_id", Text, primary_key=True),
    Column("sound_id", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("batch", Text, nullable=False),
    sql.Index("undo_log_by_target", "target"),
    sql.Index("undo_log_by_batch", "batch", sqlite_where=sql.text("batch != ''")),
)
_COPY_REVIEW = """
INSERT OR IGNORE INTO review_log (event_id, sound_id, actor, time, batch, corrections)
SELECT {row}.event_id, {row}.sound_id, json_extract({row}.body, '$.actor'), {row}.time,
    coalesce(json_extract({row}.body, '$.payload.batch'), ''),
    (SELECT count(*) FROM json_each({row}.body, '$.payload.decisions') WHERE value != 'kept')
"""
_COPY_UNDO = """
INSERT OR IGNORE INTO undo_log (event_id, sound_id, target, batch)
SELECT {row}.event_id, {row}.sound_id, json_extract({row}.body, '$.payload.event'),
    coalesce(json_extract({row}.body, '$.payload.batch'), '')
"""


@dataclass(frozen=True)
class Totals:
    """A person's reviews that count, and the tags that they added or removed in them."""

    reviews: int
    corrections: int


class ReviewLog:
    """Queries over reviews by person, time, sound and batch."""

    def __init__(self, database: Database) -> None:
        """Create the tables where there are none, from the events that are there.

        Args:
            database: Of an event log.

        Raises:
            DatabaseError: The database cannot be used.
        """
        self._database = database
        database.migrate("curation_reviews", [_create])

    def totals(
        self, actor: str, since: datetime | None = None, until: datetime | None = None
    ) -> Totals:
        """Return what a person did that nobody has undone.

        Args:
            actor: The person.
            since: The earliest time that counts.
            until: The time from which on it does not.
        """
        query = sql.select(sql.func.count(), sql.func.total(_reviews.c.corrections))
        query = query.where(_reviews.c.actor == actor, ~_is_undone())
        if since is not None:
            query = query.where(_reviews.c.time >= iso(since))
        if until is not None:
            query = query.where(_reviews.c.time < iso(until))
        with self._database.reading() as connection:
            reviews, corrections = connection.execute(query).one()
        return Totals(reviews, int(corrections))

    def sounds_since(self, actor: str, since: datetime, limit: int) -> list[str]:
        """Return the sounds that a person has reviewed since a time, if that was not undone.

        Args:
            actor: The person.
            since: The earliest time that counts.
            limit: Sounds at most.
        """
        query = sql.select(_reviews.c.sound_id).distinct().limit(limit)
        query = query.where(_reviews.c.actor == actor, _reviews.c.time >= iso(since), ~_is_undone())
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def latest_sounds(self, limit: int) -> list[str]:
        """Return the sounds of the latest `limit` reviews, latest first, each once."""
        query = sql.select(_reviews.c.sound_id).order_by(_reviews.c.time.desc()).limit(limit)
        with self._database.reading() as connection:
            return list(dict.fromkeys(connection.execute(query).scalars()))

    def reviewers(self, sound_ids: Sequence[str]) -> dict[str, set[str]]:
        """Return everybody who has ever reviewed some sounds, by sound."""
        columns = _reviews.c
        people: dict[str, set[str]] = {}
        with self._database.reading() as connection:
            for ids in batches(sound_ids):
                query = sql.select(columns.sound_id, columns.actor).distinct()
                for sound_id, actor in connection.execute(query.where(columns.sound_id.in_(ids))):
                    people.setdefault(sound_id, set()).add(actor)
        return people

    def histories(self, sound_ids: Sequence[str]) -> Mapping[str, Sequence[SoundEvent]]:
        """Return everything that happened to some sounds, by sound, read together."""
        with self._database.reading() as connection:
            return histories(connection, sound_ids)

    def events_of_batch(self, batch: str) -> dict[str, set[str]]:
        """Return the ids of all events of one edit of many sounds, by sound."""
        events: dict[str, set[str]] = {}
        if batch:
            with self._database.reading() as connection:
                for table in (_reviews, _undos):
                    for sound_id, event_id in _of_batch(connection, table, batch):
                        events.setdefault(sound_id, set()).add(event_id)
        return events


def _of_batch(connection: Connection, table: Table, batch: str) -> Iterable[tuple[str, str]]:
    """Return (sound id, event id) of a table's events of a batch."""
    query = sql.select(table.c.sound_id, table.c.event_id)
    # The index leaves out events of no batch, so SQLite has to see that none is asked for.
    query = query.where(table.c.batch == batch, sql.text("batch != ''"))
    return [(row.sound_id, row.event_id) for row in connection.execute(query)]


def _is_undone() -> sql.ColumnElement[bool]:
    """Return the condition that a review was undone, and the undo not undone again."""
    undo, second = _undos.alias(), _undos.alias()
    undone_again = sql.exists().where(second.c.target == undo.c.event_id)
    return sql.exists().where(undo.c.target == _reviews.c.event_id, ~undone_again)


def _create(connection: Connection) -> None:
    """Version 1: the tables, the triggers that fill them, and the events so far."""
    _meta.create_all(connection)
    for kind, copy in (("reviewed", _COPY_REVIEW), ("undone", _COPY_UNDO)):
        connection.exec_driver_sql(
            f"CREATE TRIGGER log_{kind} AFTER INSERT ON events WHEN new.kind = '{kind}' "
            f"BEGIN {copy.format(row='new')}; END"
        )
        connection.exec_driver_sql(
            f"{copy.format(row='events')} FROM events WHERE events.kind = '{kind}'"
        )
