"""Things that this machine still has to put into the shared folder.

Tables in the workspace's database: `outbox`, oldest first, written in the transaction that keeps
the thing here, and `waiting`, the events that only the outbox holds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sql
from sqlalchemy import Column, Connection, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.sqlite import insert

from core.events.rows import batches
from core.sqlite import Database

_meta = sql.MetaData()
_outbox = Table(
    "outbox",
    _meta,
    Column("sequence", Integer, primary_key=True),
    Column("path", Text, nullable=False, unique=True),
    Column("body", LargeBinary),
    Column("medium", Text),
    sqlite_autoincrement=True,
)
_waiting = Table(
    "waiting",
    _meta,
    Column("event_id", Text, primary_key=True),
    Column("parcel", Integer, nullable=False),  # the item's number, as older versions call it
    sqlite_with_rowid=False,
)


@dataclass(frozen=True)
class OutboxItem:
    """Something to be put under `path`: `body`, or the media file of that name."""

    sequence: int
    path: str
    body: bytes | None
    medium: str | None


class Outbox:
    """The outbox. Methods that write take the connection of the transaction they belong to."""

    def __init__(self, database: Database) -> None:
        """Create the tables where there are none.

        Raises:
            DatabaseError: The database cannot be used.
        """
        self._database = database
        database.migrate("outbox", [_meta.create_all])

    def add(
        self,
        connection: Connection,
        path: str,
        *,
        body: bytes | None = None,
        medium: str | None = None,
    ) -> int | None:
        """Add an item; returns its number, or None if something waits for that path already."""
        row = {"path": path, "body": body, "medium": medium}
        upsert = insert(_outbox).values(row).on_conflict_do_nothing()
        result = connection.execute(upsert.returning(_outbox.c.sequence))
        return result.scalar_one_or_none()

    def add_waiting(self, connection: Connection, sequence: int, event_ids: Sequence[str]) -> None:
        """Record which events an item holds."""
        rows = [{"event_id": event_id, "parcel": sequence} for event_id in event_ids]
        connection.execute(_waiting.insert(), rows)

    def paths(self) -> list[tuple[int, str]]:
        """Return number and path of every item, oldest first."""
        query = sql.select(_outbox.c.sequence, _outbox.c.path).order_by(_outbox.c.sequence)
        with self._database.reading() as connection:
            return [(sequence, path) for sequence, path in connection.execute(query)]

    def get(self, sequence: int) -> OutboxItem | None:
        """Return an item, or None if it is not in the outbox any more."""
        query = sql.select(_outbox).where(_outbox.c.sequence == sequence)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return OutboxItem(row.sequence, row.path, row.body, row.medium) if row else None

    def remove(self, connection: Connection, item: OutboxItem) -> bool:
        """Remove an item that has arrived; returns False if it was cancelled meanwhile."""
        delete = _outbox.delete().where(_outbox.c.sequence == item.sequence)
        removed = connection.execute(delete.returning(_outbox.c.sequence)).first()
        connection.execute(_waiting.delete().where(_waiting.c.parcel == item.sequence))
        return removed is not None

    def move(self, connection: Connection, item: OutboxItem, path: str) -> None:
        """Give an item another path."""
        update = _outbox.update().where(_outbox.c.sequence == item.sequence)
        connection.execute(update.values(path=path))

    def cancel(self, connection: Connection, name_prefix: str) -> None:
        """Remove the media whose names begin so: they are not to be sent any more."""
        prefix = name_prefix.replace("_", r"\_")  # "_" stands for any character otherwise
        pattern = _outbox.c.path.like(f"media/%/{prefix}%", escape="\\")
        connection.execute(_outbox.delete().where(pattern))

    def waiting(self, event_ids: Iterable[str]) -> set[str]:
        """Return those events that an item still holds."""
        waiting: set[str] = set()
        with self._database.reading() as connection:
            for batch in batches(list(event_ids)):
                query = sql.select(_waiting.c.event_id).where(_waiting.c.event_id.in_(batch))
                waiting.update(connection.execute(query).scalars())
        return waiting

    def count(self) -> int:
        """Return the number of items."""
        query = sql.select(sql.func.count()).select_from(_outbox)
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one()
