"""Tables of the event log, and their numbered migrations.

The `events` table is the truth. The others are derived from it in the transaction that adds an
event, so a process killed anywhere leaves them in step; `python -m core rebuild` makes them anew.
"""

import logging

import sqlalchemy as sql
from sqlalchemy import Column, Connection, Integer, LargeBinary, Table, Text

from core.sqlite import FAILURES, Database, newer_version, unusable

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

positions = Table(
    "positions",
    _meta,
    Column("position", Integer, primary_key=True),
    Column("sound_id", Text, nullable=False, unique=True),
    Column("suggestions", Text, nullable=False),
)
"""A number for each sound, from 0 without gaps: its place in `columns`. A sound is counted in the
tables below exactly if it has one. `suggestions` is JSON: [[tag, probability], ...]."""

columns = Table(
    "columns",
    _meta,
    Column("name", Text, primary_key=True),
    Column("chunk", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
"""What queries ask about sounds: an array a chunk, see `core.events.columns`."""

tag_lists = Table(
    "tag_lists",
    _meta,
    Column("kind", Text, primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("chunk", Integer, primary_key=True),
    Column("offsets", LargeBinary, nullable=False),
    Column("probabilities", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""The sounds that carry a tag (kind `tag`) and that it is suggested for (kind `suggested`)."""

counters = Table(
    "counters",
    _meta,
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("number", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""Numbers of sounds in view: by state of review, tag, suggestion, and decision on a tag."""

codes = Table(
    "codes",
    _meta,
    Column("kind", Text, primary_key=True),
    Column("code", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    sql.Index("codes_by_text", "kind", "text", unique=True),
    sqlite_with_rowid=False,
)
"""Numbers that stand for licenses, uploaders, runs and tags in `columns`; 0 is the empty text."""

rarities = Table(
    "rarities",
    _meta,
    Column("epoch", Integer, primary_key=True),
    Column("sounds", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
"""How rare each tag was among suggestions when there were so many sounds: float32 by code."""

feedback_counts = Table(
    "feedback_counts",
    _meta,
    Column("kind", Text, primary_key=True),
    Column("actor", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("number", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""Numbers of predictions and verdicts, see `core.events.feedback_facts.CountKey`."""

feedback_fill = Table(
    "feedback_fill",
    _meta,
    Column("next", Integer, nullable=False),
    Column("last", Integer, nullable=False),
)
"""While older sounds are counted: the positions that are not counted yet."""

fill = Table("fill", _meta, Column("after", Integer, nullable=False))
"""While older sounds get their positions: the last event that was looked at."""

sound_text = sql.table("sound_text", *map(sql.column, ("rowid", "title", "tags", "description")))
"""Full text by position; FTS5 keeps it."""

DERIVED = (sounds, sound_tags, decisions, predictions, sound_media)
"""Rows by sound."""
_QUERY_TABLES = (positions, columns, tag_lists, counters, codes, rarities)
_FEEDBACK_TABLES = (feedback_counts, feedback_fill)
_CREATE_SOUND_TEXT = (
    "CREATE VIRTUAL TABLE sound_text USING fts5(title, tags, description, "
    "tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3')"
)


def delete_derived(connection: Connection) -> None:
    """Empty all tables that are derived from the events."""
    for table in (*DERIVED, *_QUERY_TABLES, *_FEEDBACK_TABLES):
        connection.execute(table.delete())
    connection.exec_driver_sql("DROP TABLE sound_text")
    connection.exec_driver_sql(_CREATE_SOUND_TEXT)


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


def _create_query_tables(connection: Connection) -> None:
    """Version 3: filters, orders and counts. The sounds that are there follow in batches."""
    _meta.create_all(connection, tables=[*_QUERY_TABLES, fill])
    connection.exec_driver_sql(_CREATE_SOUND_TEXT)
    if connection.execute(sql.select(sounds.c.sound_id).limit(1)).first():
        connection.execute(fill.insert().values(after=0))


def _create_feedback_counts(connection: Connection) -> None:
    """Version 4: numbers of verdicts and predictions. Sounds that are there follow in batches."""
    _meta.create_all(connection, tables=_FEEDBACK_TABLES)
    connection.exec_driver_sql(
        "CREATE INDEX threshold_changes ON events (time, event_id) WHERE kind = 'thresholds_set'"
    )
    last = connection.execute(sql.select(sql.func.max(positions.c.position))).scalar_one()
    if last is not None:
        connection.execute(feedback_fill.insert().values(next=0, last=last))


MIGRATIONS = (
    _create_version_1,
    _index_media_names,
    _create_query_tables,
    _create_feedback_counts,
)


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
    except FAILURES as error:
        raise unusable(database.path, error) from error
