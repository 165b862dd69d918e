"""SQLite files that several threads and processes write to, with numbered migrations."""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sql
import tenacity
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text
from sqlalchemy.dialects.sqlite import insert

from core.errors import EarmarkError

logger = logging.getLogger(__name__)

LOCK_TIMEOUT_S = 60

Migration = Callable[[Connection], None]
"""Brings a component's tables from one schema version to the next, inside one transaction."""

_meta = MetaData()
_schema_versions = Table(
    "schema_versions",
    _meta,
    Column("component", Text, primary_key=True),
    Column("version", Integer, nullable=False),
)


class DatabaseError(EarmarkError):
    """A SQLite file that cannot be read or written, or that a newer Earmark wrote."""


class Database:
    """One SQLite file in WAL mode. Safe for threads and processes; readers never wait for writers.

    Several components may keep tables in one file; each has its own schema version.
    """

    def __init__(self, path: Path) -> None:
        """Prepare to open the file; the first connection creates it where there is none.

        Raises:
            DatabaseError: Its folder cannot be created.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(f"{path.parent} cannot be created: {error.strerror}.") from error
        url = sql.URL.create("sqlite", database=str(path))
        self.engine = sql.create_engine(url, connect_args={"timeout": LOCK_TIMEOUT_S})
        sql.event.listen(self.engine, "connect", _configure_connection)
        sql.event.listen(self.engine, "begin", _begin)
        self.reads = self.engine.execution_options(read_only=True)

    def migrate(self, component: str, migrations: Sequence[Migration]) -> None:
        """Bring a component's tables to the newest schema version.

        Migration number n (from 1) leads from version n - 1 to n. A file without a recorded version
        starts at 0, so the first migration must accept tables that are there already.

        Args:
            component: Whose tables.
            migrations: All of them, the first one first; they run in one transaction.

        Raises:
            DatabaseError: The file is damaged, or a newer Earmark wrote it.
        """
        try:
            with self.engine.begin() as connection:
                _meta.create_all(connection)
                version = _schema_version(connection, component)
                if version > len(migrations):
                    raise newer_version(self.path)
                for migration in migrations[version:]:
                    migration(connection)
                if version < len(migrations):
                    _record_version(connection, component, len(migrations))
                    _log_migration(self.path, component, version, len(migrations))
        except sql.exc.DatabaseError as error:
            raise unreadable(self.path, error) from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that is committed whole or not at all.

        Raises:
            DatabaseError: It could not be committed; nothing was changed.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except sql.exc.DatabaseError as error:
            reason = f"{self.path.parent} cannot be written ({error.orig})"
            raise DatabaseError(f"The workspace {reason}; nothing was saved.") from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection for queries.

        Raises:
            DatabaseError: The file cannot be read.
        """
        try:
            with self.reads.connect() as connection:
                yield connection
        except sql.exc.DatabaseError as error:
            raise DatabaseError(f"{self.path} cannot be read ({error.orig}).") from error

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _schema_version(connection: Connection, component: str) -> int:
    """Return a component's recorded schema version, 0 if there is none."""
    query = sql.select(_schema_versions.c.version)
    query = query.where(_schema_versions.c.component == component)
    return connection.execute(query).scalar_one_or_none() or 0


def _record_version(connection: Connection, component: str, version: int) -> None:
    """Record a component's schema version."""
    row = {"component": component, "version": version}
    upsert = insert(_schema_versions).values(row)
    connection.execute(upsert.on_conflict_do_update(index_elements=["component"], set_=row))


def _log_migration(path: Path, component: str, before: int, after: int) -> None:
    """Write a line to the log; new tables are no news."""
    level = logging.INFO if before else logging.DEBUG
    logger.log(
        level, "migrate database=%s component=%s from=%d to=%d", path, component, before, after
    )


def unreadable(path: Path, error: sql.exc.DatabaseError) -> DatabaseError:
    """Return the error for a file that SQLite cannot read."""
    if error.orig and _is_busy(error.orig):
        return DatabaseError(f"{path} is in use by another program; please try again.")
    reason = f"{path} is not a readable Earmark database ({error.orig})"
    return DatabaseError(f"{reason}; move it away or restore it.")


def _is_busy(error: BaseException) -> bool:
    """Return True for the error of a file that another connection has locked."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def newer_version(path: Path) -> DatabaseError:
    """Return the error for a file that a newer Earmark wrote."""
    return DatabaseError(f"{path} was written by a newer Earmark; please update this one.")


def open_database(path: Path, component: str, tables: MetaData) -> Database:
    """Open a file whose only schema version so far is `tables`.

    Raises:
        DatabaseError: The file cannot be opened.
    """
    database = Database(path)
    database.migrate(component, [tables.create_all])
    return database


def _configure_connection(connection: Any, _record: Any) -> None:
    """Set up one connection. The driver's own BEGIN is switched off; `_begin` replaces it."""
    connection.isolation_level = None
    _use_wal(connection)
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


@tenacity.retry(
    retry=tenacity.retry_if_exception(_is_busy),
    wait=tenacity.wait_random(0, 0.05),
    stop=tenacity.stop_after_delay(LOCK_TIMEOUT_S),
    reraise=True,
)
def _use_wal(connection: Any) -> None:
    """Put the file in WAL mode, which it keeps.

    SQLite's own timeout does not cover this step: where several processes open a new file at once,
    all but one of them may be refused.
    """
    connection.execute("PRAGMA journal_mode = WAL")


def _begin(connection: Connection) -> None:
    """Take the write lock at once where the transaction may write.

    A transaction that reads first and writes later could not wait for its turn.
    """
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
