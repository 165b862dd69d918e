"""SQLite files that several threads and processes write to, with numbered migrations."""

import logging
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sql
import tenacity
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text
from sqlalchemy.dialects.sqlite import insert

from core.errors import EarmarkError
from core.untrusted import clean_text

logger = logging.getLogger(__name__)

LOCK_TIMEOUT_S = 60
MAX_REASON_LENGTH = 200

Migration = Callable[[Connection], None]
"""Brings a component's tables from one schema version to the next, inside one transaction."""

FileId = tuple[int, int] | None
"""Device and number of a file; None where there is none."""
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
FAILURES = (
    sql.exc.DBAPIError,
    sql.exc.TimeoutError,
    sql.exc.NoResultFound,
    sql.exc.MultipleResultsFound,
    UnicodeDecodeError,
)
"""What is raised for a file that cannot be used, is damaged, or lacks a row that must be there."""

CONTRADICTIONS = (TypeError, ValueError, LookupError)
"""What code meets in rows that are not what was written, as where a page of the file is another."""

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

    SQLite goes on writing into a file that was deleted. So the file under the path is compared with
    the one that is open before and after each transaction: where another one has taken its place,
    that one is opened, and what went into the lost one is an error.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Prepare to open the file.

        Args:
            path: The file.
            create: The first connection creates it where there is none.

        Raises:
            DatabaseError: Its folder cannot be created, or it is not there and must be.
        """
        self.path = path
        self._file: FileId = None if create else file_id(path)
        self._preparations: list[Callable[[], object]] = []
        self._is_preparing = self._is_lost = False
        self._lock = threading.RLock()
        if create:
            _make_folder(path.parent)
        url = sql.URL.create("sqlite", database=str(path))
        self.engine = sql.create_engine(url, connect_args={"timeout": LOCK_TIMEOUT_S})
        sql.event.listen(self.engine, "connect", self._opened)
        sql.event.listen(self.engine, "begin", _begin)
        self.reads = self.engine.execution_options(read_only=True)
        if not create and self._file is None:
            raise self._replaced("nothing can be shown")

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
        self.prepare(lambda: self._migrate(component, migrations))

    def prepare(self, work: Callable[[], object]) -> None:
        """Do something now that the file needs before it is used, and with each that replaces it.

        Args:
            work: Uses this database.
        """
        with self._lock:
            is_part_of_another, self._is_preparing = self._is_preparing, True
            try:
                work()
            finally:
                self._is_preparing = is_part_of_another
            if not is_part_of_another:
                self._preparations.append(work)

    def _migrate(self, component: str, migrations: Sequence[Migration]) -> None:
        """Do the work of `migrate` with the file that is open."""
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
        except FAILURES as error:
            raise unusable(self.path, error) from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that is committed whole or not at all.

        Raises:
            DatabaseError: It could not be committed; nothing was changed.
        """
        self._open_current("nothing was saved")
        try:
            with self.engine.begin() as connection:
                files = _files_of(connection, self.path)
                yield connection
        except FAILURES as error:
            raise unwritable(self.path, error) from error
        except CONTRADICTIONS as error:
            raise inconsistent(self.path) from error
        if files != (file_id(self.path), file_id(_wal(self.path))):
            raise self._replaced("nothing was saved")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection for queries.

        Raises:
            DatabaseError: The file cannot be read.
        """
        self._open_current("nothing can be shown")
        try:
            with self.reads.connect() as connection:
                yield connection
        except FAILURES as error:
            raise unreadable(self.path, error) from error
        except CONTRADICTIONS as error:
            raise inconsistent(self.path) from error

    def _opened(self, connection: Any, record: Any) -> None:
        """Set up a new connection, and note which file it has opened."""
        _configure_connection(connection)
        record.info["file"] = file_id(self.path)
        if self._file is None:
            self._file = record.info["file"]

    def _open_current(self, consequence: str) -> None:
        """Open the file that has taken the place of the one that was open, if one has.

        Args:
            consequence: What follows where there is none.
        """
        current = file_id(self.path)
        if self._file in (None, current):
            self._is_lost = False
            return
        with self._lock:
            if self._is_preparing or current == self._file:
                return
            if current is None:
                raise self._replaced(consequence)
            logger.warning("database replaced path=%s", self.path)
            self.engine.dispose()  # SQLite sees itself that theirs is another file
            try:
                for work in tuple(self._preparations):
                    self._prepare_again(work)
            except EarmarkError:
                self.engine.dispose()
                raise
            self._file = current

    def _prepare_again(self, work: Callable[[], object]) -> None:
        """Do something that the file needs, with one that has replaced it."""
        self._is_preparing = True
        try:
            work()
        finally:
            self._is_preparing = False

    def _replaced(self, consequence: str) -> DatabaseError:
        """Return the error for a file that is not the one that was opened."""
        if not self._is_lost:
            logger.error("database removed or replaced path=%s", self.path)
        self._is_lost = True
        self.engine.dispose()
        return DatabaseError(
            f"The workspace {self.path.parent} was removed or replaced while Earmark was running; "
            f"{consequence}. Put it back, or restart Earmark."
        )

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _make_folder(folder: Path) -> None:
    """Make a folder where there is none.

    Raises:
        DatabaseError: It cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"{folder} cannot be created: {error.strerror}.") from error


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


def unusable(path: Path, error: Exception) -> DatabaseError:
    """Return the error for a file whose tables cannot be brought up to date."""
    reason = _reason(error)
    if _is_busy(reason):
        return DatabaseError(f"{path} is in use by another program; please try again.")
    return DatabaseError(
        f"{path} is not a readable Earmark database ({_text(reason)}); move it away or restore it."
    )


def unreadable(path: Path, error: Exception) -> DatabaseError:
    """Return the error for a file that a query cannot read."""
    reason = _reason(error)
    if _is_busy(reason) or _code(reason) in DAMAGED:
        return unusable(path, error)
    return DatabaseError(f"{path} cannot be read ({_text(reason)}).")


def inconsistent(path: Path) -> DatabaseError:
    """Return the error for tables that do not fit together, as in a damaged file.

    It may be a mistake in the program, too; so what is being handled goes to the log.
    """
    logger.error("database inconsistent path=%s", path, exc_info=sys.exception() is not None)
    return DatabaseError(
        f"The tables in {path} contradict each other; `python -m core rebuild` makes them anew "
        "from the events, or restore the file."
    )


def unwritable(path: Path, error: Exception) -> DatabaseError:
    """Return the error for a file into which a transaction could not be written."""
    reason = f"{path.parent} cannot be written ({_text(_reason(error))})"
    return DatabaseError(f"The workspace {reason}; nothing was saved.")


def _reason(error: Exception) -> BaseException:
    """Return SQLite's own error where there is one."""
    return getattr(error, "orig", None) or error


def _text(reason: BaseException) -> str:
    """Return the text of an error in one line; SQLite quotes what it found in a damaged file."""
    return clean_text(" ".join(str(reason).split()))[:MAX_REASON_LENGTH]


def _code(error: BaseException) -> int:
    """Return SQLite's code of an error, 0 for one of another kind."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_busy(error: BaseException) -> bool:
    """Return True for the error of a file that another connection has locked."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


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


def file_id(path: Path) -> FileId:
    """Return what tells a file from another one under the same path."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _wal(path: Path) -> Path:
    """Return SQLite's file of changes beside a database; it is there as long as one is open."""
    return path.with_name(f"{path.name}-wal")


def _files_of(connection: Connection, path: Path) -> tuple[FileId, FileId]:
    """Return which files a connection writes to, in the middle of a transaction."""
    info = connection.info
    return info["file"], info.setdefault("wal", file_id(_wal(path)))


def _configure_connection(connection: Any) -> None:
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
