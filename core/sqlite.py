"""SQLite files that several threads and processes write to."""

from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy import Connection, Engine, MetaData

WAIT_FOR_OTHER_WRITERS_S = 60


def open_database(path: Path) -> tuple[Engine, Engine]:
    """Engines on the file, which is made where there is none: one for writing, one for questions. No waiting for questions (WAL)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sql.create_engine(sql.URL.create("sqlite", database=str(path)), connect_args={"timeout": WAIT_FOR_OTHER_WRITERS_S})
    sql.event.listen(engine, "connect", _on_connect)
    sql.event.listen(engine, "begin", _begin)
    return engine, engine.execution_options(read_only=True)


def with_tables(path: Path, tables: MetaData) -> tuple[Engine, Engine]:
    """The same, with tables made where there are none."""
    engine, reads = open_database(path)
    with engine.begin() as connection:
        tables.create_all(connection)
    return engine, reads


def _on_connect(connection: Any, _record: Any) -> None:
    """Settings of one SQLite connection. The driver's own BEGIN is switched off; `_begin` takes its place."""
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """Writers take the write lock at once: a transaction that reads first and writes later could not wait for its turn."""
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
