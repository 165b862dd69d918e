"""Tables of the event log, and their numbered migrations.

The `events` table is the truth. The others are derived from it in the transaction that adds an
event, so a process killed anywhere leaves them in step; `python -m core rebuild` makes them anew.
"""

import logging

import sqlalchemy as sql
from sqlalchemy import Column, Connection, Integer, Table, Text

from core.sqlite import Database, newer_version, unreadable

logger = logging.getLogger(__name__)

USER_VERSION = 2
"""SQLite's `user_version`, which programs before numbered migrations look at: they stop at 2."""

_meta = sql.MetaData()
events = Table(
    "events",
    _meta,
    Column("sequence", Integer, primary_key=True),
    Column("event_id", Text, nullable=False, unique=True),
    Column("time", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("sound_id", Text),
    Column("body", Text, nullable=False),
    sql.Index("events_by_sound", "sound_id"),
    sql.Index("rollouts", "time", "event_id", sqlite_where=sql.text("kind = 'rolled_out'")),
)
sounds = Table(
    "sounds",
    _meta,
    Column("sound_id", Text, primary_key=True),
    Column("arrived", Text, nullable=False),
    Column("reviewed", Integer, nullable=False),
    Column("withdrawn", Integer, nullable=False),
    sql.Index("sounds_newest", "withdrawn", "arrived", "sound_id"),
    sql.Index("sounds_newest_by_review", "withdrawn", "reviewed", "arrived", "sound_id"),
    sqlite_with_rowid=False,
)
sound_tags = Table(
    "sound_tags",
    _meta,
    Column("tag", Text, primary_key=True),
    Column("sound_id", Text, primary_key=True),
    sql.Index("sound_tags_by_sound", "sound_id"),
    sqlite_with_rowid=False,
)
decisions = Table(
    "decisions",
    _meta,
    Column("tag", Text, primary_key=True),
    Column("verdict", Text, primary_key=True),
    Column("sound_id", Text, primary_key=True),
    sql.Index("decisions_by_sound", "sound_id"),
    sqlite_with_rowid=False,
)
predictions = Table(
    "predictions",
    _meta,
    Column("sound_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    sqlite_with_rowid=False,
)
_version_1 = (events, sounds, sound_tags, decisions, predictions)

sound_media = Table(
    "sound_media",
    _meta,
    Column("media_name", Text, primary_key=True),
    Column("sound_id", Text, primary_key=True),
    sql.Index("sound_media_by_sound", "sound_id"),
    sqlite_with_rowid=False,
)
"""Media that any prediction of a sound names, also of a withdrawn one."""

DERIVED = (sounds, sound_tags, decisions, predictions, sound_media)


def _create_version_1(connection: Connection) -> None:
    """Version 1: the log, and the tables that pages are answered from."""
    _meta.create_all(connection, tables=_version_1)


def _index_media_names(connection: Connection) -> None:
    """Version 2: look media up by name without reading every event."""
    _meta.create_all(connection, tables=[sound_media])
    for part in ("audio", "spectrogram"):
        name = sql.func.json_extract(events.c.body, f"$.payload.media.{part}")
        named = sql.select(name, events.c.sound_id).distinct()
        named = named.where(events.c.kind == "predicted", sql.func.coalesce(name, "") != "")
        statement = sound_media.insert().prefix_with("OR IGNORE")
        connection.execute(statement.from_select(["media_name", "sound_id"], named))


MIGRATIONS = (_create_version_1, _index_media_names)


def prepare(database: Database) -> None:
    """Create or migrate the tables.

    Raises:
        DatabaseError: The file is damaged, or a newer Earmark wrote it.
    """
    user_version = _read_user_version(database)
    if user_version > USER_VERSION:
        raise newer_version(database.path)
    database.migrate("events", MIGRATIONS)
    if user_version < USER_VERSION:
        with database.writing() as connection:
            connection.exec_driver_sql(f"PRAGMA user_version = {USER_VERSION}")
        if user_version:
            logger.info("migrate database=%s user_version=%d", database.path, user_version)


def _read_user_version(database: Database) -> int:
    """Return SQLite's `user_version`, 0 in a new file."""
    try:
        with database.reads.connect() as connection:
            return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    except sql.exc.DatabaseError as error:
        raise unreadable(database.path, error) from error
