"""Counting what a page asks the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sql


@contextmanager
def selects() -> Iterator[list[str]]:
    """The SELECT statements to SQLite while it is open, of all databases."""
    executed: list[str] = []

    def note(*arguments: Any) -> None:
        if arguments[2].lstrip().upper().startswith("SELECT"):
            executed.append(arguments[2])

    sql.event.listen(sql.Engine, "before_cursor_execute", note)
    try:
        yield executed
    finally:
        sql.event.remove(sql.Engine, "before_cursor_execute", note)
