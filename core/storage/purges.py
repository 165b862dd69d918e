"""A record of withdrawn sounds whose media were deleted, so that it is done once."""

from typing import Literal

import sqlalchemy as sql
from sqlalchemy import Column, Integer, Table, Text
from sqlalchemy.dialects.sqlite import insert

from core.events import schema
from core.sqlite import Database

Scope = Literal["local", "shared"]
"""Reach of a purge: this machine's files only, or the shared folder's as well."""

_meta = sql.MetaData()
_purges = Table(
    "purges",
    _meta,
    Column("sound_id", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("sequence", Integer, nullable=False),
    sqlite_with_rowid=False,
)


class Purges:
    """Withdrawn sounds whose media were deleted, and up to which event of theirs."""

    def __init__(self, database: Database) -> None:
        """Create the table where there is none.

        Raises:
            DatabaseError: The database cannot be used.
        """
        self._database = database
        database.migrate("purges", [_meta.create_all])

    def pending(self, scope: Scope) -> list[str]:
        """Return the withdrawn sounds that were not purged that far since their last event."""
        sounds, events = schema.sounds.c, schema.events.c
        last = sql.select(sql.func.max(events.sequence)).where(events.sound_id == sounds.sound_id)
        purged = sql.select(sql.func.max(_purges.c.sequence)).where(
            _purges.c.sound_id == sounds.sound_id, _purges.c.scope.in_((scope, "shared"))
        )
        purged_up_to = sql.func.coalesce(purged.scalar_subquery(), 0)
        query = sql.select(sounds.sound_id).where(
            sounds.withdrawn == 1, purged_up_to < last.scalar_subquery()
        )
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def last_event(self, sound_id: str) -> int:
        """Return the number of a sound's last event; what `note` needs, read before the purge."""
        events = schema.events.c
        query = sql.select(sql.func.max(events.sequence)).where(events.sound_id == sound_id)
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none() or 0

    def note(self, sound_id: str, scope: Scope, sequence: int) -> None:
        """Record that a sound was purged of what its events up to number `sequence` brought.

        Raises:
            DatabaseError: It could not be written.
        """
        row = {"sound_id": sound_id, "scope": scope, "sequence": sequence}
        upsert = insert(_purges).values(row)
        keys = ["sound_id", "scope"]
        with self._database.writing() as connection:
            connection.execute(upsert.on_conflict_do_update(index_elements=keys, set_=row))
