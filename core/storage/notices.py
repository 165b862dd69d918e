"""Which notifications were sent, so that each occurrence is told of once."""

from typing import Protocol

import sqlalchemy as sql
from sqlalchemy import Column, Table, Text
from sqlalchemy.dialects.sqlite import insert

from core.sqlite import Database

_meta = sql.MetaData()
_notices = Table(
    "notices",
    _meta,
    Column("occasion", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    sqlite_with_rowid=False,
)


class Notices(Protocol):
    """The occurrences that were told of."""

    def claim(self, occasion: str, key: str) -> bool:
        """Return True, once, to whoever may tell of an occurrence.

        Args:
            occasion: What kind of occurrence.
            key: Which one.
        """

    def release(self, occasion: str, key: str) -> None:
        """Give a claim back: nobody could be told."""


class LocalNotices:
    """Occurrences that this workspace's processes have told of."""

    def __init__(self, database: Database) -> None:
        """Create the table where there is none.

        Raises:
            DatabaseError: The database cannot be used.
        """
        self._database = database
        database.migrate("notices", [_meta.create_all])

    def claim(self, occasion: str, key: str) -> bool:
        """Return True, once, to whoever may tell of an occurrence.

        Raises:
            DatabaseError: The claim could not be written.
        """
        row = insert(_notices).values(occasion=occasion, key=key).on_conflict_do_nothing()
        with self._database.writing() as connection:
            return connection.execute(row).rowcount == 1

    def release(self, occasion: str, key: str) -> None:
        """Give a claim back: nobody could be told.

        Raises:
            DatabaseError: It could not be written.
        """
        delete = _notices.delete().where(_notices.c.occasion == occasion, _notices.c.key == key)
        with self._database.writing() as connection:
            connection.execute(delete)
