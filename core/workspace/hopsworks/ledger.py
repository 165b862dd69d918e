"""What this machine knows about the shared home beside the events themselves, in the index's own SQLite file.

outbox    what is to be put into the shared home, oldest first; written in the transaction that keeps the thing here
waiting   events that only the outbox holds
seen      files of the shared home whose events are in the index; `segment` if a segment repeats them, `unknown` events it could not read
torn      files that were found incomplete, and since when
places    which media lie in which folder
notes     whose index this is, and when it was last complete
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sql
from sqlalchemy import Column, Connection, Engine, Float, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.sqlite import insert

_tables = sql.MetaData()
_outbox = Table(
    "outbox",
    _tables,
    Column("sequence", Integer, primary_key=True),
    Column("path", Text, nullable=False, unique=True),
    Column("body", LargeBinary),
    Column("medium", Text),
    sqlite_autoincrement=True,
)
_waiting = Table(
    "waiting", _tables, Column("event_id", Text, primary_key=True), Column("parcel", Integer, nullable=False), sqlite_with_rowid=False
)
_seen = Table(
    "seen",
    _tables,
    Column("path", Text, primary_key=True),
    Column("segment", Integer, nullable=False),
    Column("unknown", Integer, nullable=False),
    sql.Index("seen_loose", "segment", "path"),
    sqlite_with_rowid=False,
)
_torn = Table("torn", _tables, Column("path", Text, primary_key=True), Column("since", Float, nullable=False))
_places = Table(
    "places", _tables, Column("name", Text, primary_key=True), Column("folder", Text, primary_key=True), sqlite_with_rowid=False
)
_notes = Table("notes", _tables, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))
AT_ONCE = 500


@dataclass(frozen=True)
class Parcel:
    """Something to be put under `path`: `body`, or the medium of that name in the local folder."""

    sequence: int
    path: str
    body: bytes | None
    medium: str | None


class Ledger:
    """Those tables. Methods that write take the connection of the transaction that they are part of."""

    def __init__(self, engine: Engine, reads: Engine) -> None:
        self._reads = reads
        with engine.begin() as connection:
            _tables.create_all(connection)

    # Outbox

    def post(self, connection: Connection, path: str, *, body: bytes | None = None, medium: str | None = None) -> int | None:
        """Put something into the outbox; what is to go to the same path already stays as it is. Returns its sequence number."""
        row = {"path": path, "body": body, "medium": medium}
        result = connection.execute(insert(_outbox).values(row).on_conflict_do_nothing().returning(_outbox.c.sequence))
        return result.scalar_one_or_none()

    def wait_for(self, connection: Connection, parcel: int, event_ids: Sequence[str]) -> None:
        connection.execute(_waiting.insert(), [{"event_id": event_id, "parcel": parcel} for event_id in event_ids])

    def addresses(self) -> list[tuple[int, str]]:
        """Sequence number and path of everything in the outbox, oldest first."""
        with self._reads.connect() as connection:
            query = sql.select(_outbox.c.sequence, _outbox.c.path).order_by(_outbox.c.sequence)
            return [(sequence, path) for sequence, path in connection.execute(query)]

    def parcel(self, sequence: int) -> Parcel | None:
        with self._reads.connect() as connection:
            row = connection.execute(sql.select(_outbox).where(_outbox.c.sequence == sequence)).one_or_none()
        return Parcel(row.sequence, row.path, row.body, row.medium) if row else None

    def delivered(self, connection: Connection, parcel: Parcel) -> None:
        connection.execute(_outbox.delete().where(_outbox.c.sequence == parcel.sequence))
        connection.execute(_waiting.delete().where(_waiting.c.parcel == parcel.sequence))

    def readdress(self, connection: Connection, parcel: Parcel, path: str) -> None:
        connection.execute(_outbox.update().where(_outbox.c.sequence == parcel.sequence).values(path=path))

    def waiting(self, event_ids: Iterable[str]) -> set[str]:
        found: set[str] = set()
        ids = list(event_ids)
        with self._reads.connect() as connection:
            for start in range(0, len(ids), AT_ONCE):
                query = sql.select(_waiting.c.event_id).where(_waiting.c.event_id.in_(ids[start : start + AT_ONCE]))
                found.update(connection.execute(query).scalars())
        return found

    def count_waiting(self) -> int:
        """Saves in the outbox."""
        return self._number(sql.select(sql.func.count()).select_from(_outbox))

    def _number(self, query: sql.Select) -> int:
        with self._reads.connect() as connection:
            return connection.execute(query).scalar_one()

    def take_back(self, connection: Connection, beginning: str) -> None:
        """Media whose names begin so are not to be sent any more."""
        connection.execute(_outbox.delete().where(_outbox.c.path.like(f"media/%/{beginning}%")))

    # Files of the shared home

    def unseen(self, paths: Iterable[str]) -> list[str]:
        """The paths whose events are not in the index."""
        wanted = list(paths)
        seen: set[str] = set()
        with self._reads.connect() as connection:
            for start in range(0, len(wanted), AT_ONCE):
                seen.update(connection.execute(sql.select(_seen.c.path).where(_seen.c.path.in_(wanted[start : start + AT_ONCE]))).scalars())
        return [path for path in wanted if path not in seen]

    def saw(self, connection: Connection, paths: Iterable[str], *, in_segment: bool = False, unknown: int = 0) -> None:
        """The events of these files are in the index; that a segment repeats them is never forgotten."""
        rows = [{"path": path, "segment": int(in_segment), "unknown": unknown} for path in paths]
        if rows:
            fresh = insert(_seen)
            update = {"segment": sql.func.max(_seen.c.segment, fresh.excluded.segment), "unknown": fresh.excluded.unknown}
            connection.execute(fresh.on_conflict_do_update(index_elements=["path"], set_=update), rows)
            connection.execute(
                _torn.delete().where(_torn.c.path == sql.bindparam("torn_path")), [{"torn_path": row["path"]} for row in rows]
            )

    def loose(self) -> list[str]:
        """Event files that no segment repeats, oldest first."""
        with self._reads.connect() as connection:
            query = sql.select(_seen.c.path).where(_seen.c.segment == 0, _seen.c.path.like("events/%")).order_by(_seen.c.path)
            return list(connection.execute(query).scalars())

    def forget_unknown(self, connection: Connection) -> None:
        """Files with events that an older program could not read are to be read again."""
        connection.execute(_seen.delete().where(_seen.c.unknown > 0))

    def count_unknown(self) -> int:
        return self._number(sql.select(sql.func.coalesce(sql.func.sum(_seen.c.unknown), 0)))

    def found_torn(self, connection: Connection, path: str, now: float) -> None:
        connection.execute(insert(_torn).values(path=path, since=now).on_conflict_do_nothing())

    def torn_before(self, then: float) -> list[str]:
        """Files that have been incomplete since before `then`, seconds since 1970."""
        with self._reads.connect() as connection:
            return list(connection.execute(sql.select(_torn.c.path).where(_torn.c.since < then)).scalars())

    # Media

    def put_places(self, connection: Connection, folder: str, names: Iterable[str]) -> None:
        rows = [{"name": name, "folder": folder} for name in names]
        if rows:
            connection.execute(insert(_places).on_conflict_do_nothing(), rows)

    def drop_places(self, connection: Connection, folder: str) -> None:
        connection.execute(_places.delete().where(_places.c.folder == folder))

    def drop_place(self, connection: Connection, folder: str, name: str) -> None:
        connection.execute(_places.delete().where(_places.c.folder == folder, _places.c.name == name))

    def places(self, beginning: str) -> list[tuple[str, str]]:
        """(folder, name) of the media whose names begin so, newest folder first."""
        end = beginning + "\U0010ffff"
        query = sql.select(_places.c.folder, _places.c.name).where(_places.c.name >= beginning, _places.c.name < end)
        with self._reads.connect() as connection:
            return [(folder, name) for folder, name in connection.execute(query.order_by(_places.c.folder.desc()))]

    def folders(self) -> set[str]:
        with self._reads.connect() as connection:
            return set(connection.execute(sql.select(_places.c.folder).distinct()).scalars())

    # Notes

    def note(self, connection: Connection, name: str, value: str) -> None:
        row = {"name": name, "value": value}
        connection.execute(insert(_notes).values(row).on_conflict_do_update(index_elements=["name"], set_=row))

    def noted(self, name: str) -> str:
        with self._reads.connect() as connection:
            return connection.execute(sql.select(_notes.c.value).where(_notes.c.name == name)).scalar_one_or_none() or ""
