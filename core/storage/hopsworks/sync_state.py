"""This machine's knowledge of the shared folder, in tables of the workspace's database.

seen      files whose events are in the local log; `segment` if a segment repeats them,
          `unknown` events that could not be read
torn      files and folders that were passed by: since when, when they were tried last, and why
places    which media are in which folder
notes     which shared folder this is, and when it was last read completely
"""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sql
from sqlalchemy import Column, Connection, Float, Integer, Table, Text
from sqlalchemy.dialects.sqlite import insert

from core.events.rows import batches
from core.sqlite import Database

_meta = sql.MetaData()
_seen = Table(
    "seen",
    _meta,
    Column("path", Text, primary_key=True),
    Column("segment", Integer, nullable=False),
    Column("unknown", Integer, nullable=False),
    sql.Index("seen_loose", "segment", "path"),
    sqlite_with_rowid=False,
)
_torn = Table(
    "torn",
    _meta,
    Column("path", Text, primary_key=True),
    Column("since", Float, nullable=False),
    Column("checked", Float, nullable=False, server_default="0"),
    Column("reason", Text, nullable=False, server_default=""),
)
_places = Table(
    "places",
    _meta,
    Column("name", Text, primary_key=True),
    Column("folder", Text, primary_key=True),
    sqlite_with_rowid=False,
)
_notes = Table(
    "notes",
    _meta,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


_unreadable = sql.Index("seen_unknown", _seen.c.unknown, sqlite_where=_seen.c.unknown > 0)
"""Of a million files, a page asks in every run how many cannot be read: hardly ever any."""


def _create_version_1(connection: Connection) -> None:
    """Version 1: all tables."""
    _meta.create_all(connection)


def _index_unreadable_files(connection: Connection) -> None:
    """Version 2: an index, which new tables have already."""
    _unreadable.create(connection, checkfirst=True)


def _add_reasons(connection: Connection) -> None:
    """Version 3: why files are passed by, which new tables can say already."""
    existing = {column["name"] for column in sql.inspect(connection).get_columns("torn")}
    if "checked" not in existing:
        connection.exec_driver_sql("ALTER TABLE torn ADD checked FLOAT NOT NULL DEFAULT 0")
        connection.exec_driver_sql("ALTER TABLE torn ADD reason TEXT NOT NULL DEFAULT ''")


MIGRATIONS = (_create_version_1, _index_unreadable_files, _add_reasons)


@dataclass(frozen=True)
class PassedBy:
    """A file or folder that could not be read.

    Attributes:
        path: Its path in the shared folder.
        since: When that was found, seconds since 1970.
        checked: When it was tried last, likewise.
        reason: Why, as the end of a sentence; empty for a file that is not complete yet.
    """

    path: str
    since: float
    checked: float
    reason: str


class SyncState:
    """The tables of this module.

    Methods that write take the connection of the transaction they belong to.
    """

    def __init__(self, database: Database) -> None:
        """Create the tables where there are none.

        Raises:
            DatabaseError: The database cannot be used.
        """
        self._database = database
        database.migrate("sync_state", MIGRATIONS)

    # Event files and segments

    def unseen(self, paths: Iterable[str]) -> list[str]:
        """Return those paths whose events are not in the local log."""
        candidates = list(paths)
        seen: set[str] = set()
        with self._database.reading() as connection:
            for batch in batches(candidates):
                query = sql.select(_seen.c.path).where(_seen.c.path.in_(batch))
                seen.update(connection.execute(query).scalars())
        return [path for path in candidates if path not in seen]

    def mark_seen(
        self,
        connection: Connection,
        paths: Iterable[str],
        *,
        in_segment: bool = False,
        unknown: int = 0,
    ) -> None:
        """Record that the events of these files are in the local log.

        Args:
            connection: The transaction.
            paths: The files.
            in_segment: A segment repeats them, which is never forgotten.
            unknown: How many of their events this version cannot read.
        """
        rows = [{"path": path, "segment": int(in_segment), "unknown": unknown} for path in paths]
        if not rows:
            return
        upsert = insert(_seen)
        in_any_segment = sql.func.max(_seen.c.segment, upsert.excluded.segment)
        update = {"segment": in_any_segment, "unknown": upsert.excluded.unknown}
        connection.execute(upsert.on_conflict_do_update(index_elements=["path"], set_=update), rows)
        complete = _torn.delete().where(_torn.c.path == sql.bindparam("torn_path"))
        connection.execute(complete, [{"torn_path": row["path"]} for row in rows])

    def uncompacted(self) -> list[str]:
        """Return the event files that no segment repeats, oldest first."""
        query = sql.select(_seen.c.path).order_by(_seen.c.path)
        query = query.where(_seen.c.segment == 0, _seen.c.path.like("events/%"))
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def forget_unknown(self, connection: Connection) -> None:
        """Forget files with events that an older version could not read: they are read again."""
        connection.execute(_seen.delete().where(_seen.c.unknown > 0))

    def count_unknown(self) -> int:
        """Return the number of events that this version cannot read."""
        query = sql.select(sql.func.coalesce(sql.func.sum(_seen.c.unknown), 0))
        query = query.where(_seen.c.unknown > 0)
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def unknown_paths(self, limit: int) -> list[str]:
        """Return some of the files with events that this version cannot read."""
        query = sql.select(_seen.c.path).where(_seen.c.unknown > 0).order_by(_seen.c.path)
        with self._database.reading() as connection:
            return list(connection.execute(query.limit(limit)).scalars())

    def pass_by(self, connection: Connection, path: str, now: float, reason: str = "") -> bool:
        """Record that a file or folder could not be read; returns True if that is news."""
        known = connection.execute(sql.select(_torn.c.reason).where(_torn.c.path == path)).first()
        upsert = insert(_torn).values(path=path, since=now, checked=now, reason=reason)
        update = {"checked": now, "reason": reason}
        connection.execute(upsert.on_conflict_do_update(index_elements=["path"], set_=update))
        return known is None or known.reason != reason

    def forget_passed_by(self, connection: Connection, paths: Iterable[str]) -> None:
        """Forget files and folders that are gone, or can be read now."""
        for path in paths:
            connection.execute(_torn.delete().where(_torn.c.path == path))

    def try_passed_by_again(self, connection: Connection) -> None:
        """Forget when what is passed by was tried last."""
        connection.execute(_torn.update().values(checked=_torn.c.since))

    def passed_by(self) -> list[PassedBy]:
        """Return the files and folders that could not be read, the first one found first."""
        query = sql.select(_torn).order_by(_torn.c.since, _torn.c.path)
        with self._database.reading() as connection:
            rows = connection.execute(query)
            return [PassedBy(row.path, row.since, row.checked, row.reason) for row in rows]

    # Media

    def add_media(self, connection: Connection, folder: str, names: Iterable[str]) -> None:
        """Record that media are in a folder."""
        rows = [{"name": name, "folder": folder} for name in names]
        if rows:
            connection.execute(insert(_places).on_conflict_do_nothing(), rows)

    def remove_folder(self, connection: Connection, folder: str) -> None:
        """Forget a folder with all its media."""
        connection.execute(_places.delete().where(_places.c.folder == folder))

    def remove_medium(self, connection: Connection, folder: str, name: str) -> None:
        """Forget that a medium is in a folder."""
        delete = _places.delete().where(_places.c.folder == folder, _places.c.name == name)
        connection.execute(delete)

    def media(self, name_prefix: str) -> list[tuple[str, str]]:
        """Return (folder, name) of media whose names begin so, newest folder first."""
        end = name_prefix + "\U0010ffff"
        query = sql.select(_places.c.folder, _places.c.name).order_by(_places.c.folder.desc())
        query = query.where(_places.c.name >= name_prefix, _places.c.name < end)
        with self._database.reading() as connection:
            return [(folder, name) for folder, name in connection.execute(query)]

    def media_folders(self) -> set[str]:
        """Return the folders that are known to hold media."""
        with self._database.reading() as connection:
            return set(connection.execute(sql.select(_places.c.folder).distinct()).scalars())

    # Notes

    def write_note(self, connection: Connection, name: str, value: str) -> None:
        """Keep a text under a name."""
        row = {"name": name, "value": value}
        upsert = insert(_notes).values(row)
        connection.execute(upsert.on_conflict_do_update(index_elements=["name"], set_=row))

    def read_note(self, name: str) -> str:
        """Return the text under a name, empty if there is none."""
        query = sql.select(_notes.c.value).where(_notes.c.name == name)
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none() or ""
