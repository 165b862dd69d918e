"""Sound ids of files on this machine, so that an unchanged file is not read again."""

import sqlalchemy as sql
from sqlalchemy import Column, Integer, Table, Text
from sqlalchemy.dialects.sqlite import insert

from core.sqlite import Database

_meta = sql.MetaData()
_files = Table(
    "files",
    _meta,
    Column("path", Text, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("modified_ns", Integer, nullable=False),
    Column("sound_id", Text, nullable=False),
    sqlite_with_rowid=False,
)


class FileIds:
    """Sound ids by path, size in bytes and modification time in nanoseconds."""

    def __init__(self, database: Database) -> None:
        """Create the table where there is none.

        Raises:
            DatabaseError: The database cannot be used.
        """
        self._database = database
        database.migrate("files", [_meta.create_all])

    def remember(self, path: str, size: int, modified_ns: int, sound_id: str) -> None:
        """Keep a file's sound id.

        Raises:
            DatabaseError: It could not be written.
        """
        row = {"path": path, "size": size, "modified_ns": modified_ns, "sound_id": sound_id}
        upsert = insert(_files).values(row)
        with self._database.writing() as connection:
            connection.execute(upsert.on_conflict_do_update(index_elements=["path"], set_=row))

    def get(self, path: str, size: int, modified_ns: int) -> str | None:
        """Return the sound id of an unchanged file, or None."""
        columns = _files.c
        query = sql.select(columns.sound_id).where(columns.path == path)
        query = query.where(columns.size == size, columns.modified_ns == modified_ns)
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none()
