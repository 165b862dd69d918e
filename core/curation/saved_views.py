"""Choices of sounds with their order, kept by name: a person's own, or shared with everybody here.

They are kept in the workspace's database on this machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import sqlalchemy as sql
from sqlalchemy import Column, Connection, Integer, Table, Text
from sqlalchemy.dialects.sqlite import insert

from core.curation.errors import InvalidView
from core.curation.query_params import (
    ParsedParams,
    params_text,
    query_from_params,
    query_to_params,
)
from core.events.query import Order, Query
from core.events.types import iso
from core.sqlite import Database
from core.untrusted import has_controls

MAX_NAME_LENGTH = 60
MAX_VIEWS = 100
"""That one person may keep."""

_meta = sql.MetaData()
_views = Table(
    "saved_views",
    _meta,
    Column("author", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("shared", Integer, nullable=False),
    Column("params", Text, nullable=False),
    Column("saved", Text, nullable=False),
    sqlite_with_rowid=False,
)


@dataclass(frozen=True)
class SavedView:
    """A choice of sounds under a name.

    Attributes:
        name: Unique among its author's views.
        author: Who saved it, as `core.people` writes people.
        shared: True where everybody sees it.
        params: As `query_to_params` gives them.
    """

    name: str
    author: str
    shared: bool
    params: Mapping[str, str]

    @property
    def choice(self) -> ParsedParams:
        """Return the choice of sounds and its order."""
        return query_from_params(self.params)


class SavedViews:
    """The saved views of one workspace."""

    def __init__(self, database: Database) -> None:
        """Create the table where there is none.

        Raises:
            DatabaseError: The database cannot be used.
        """
        self._database = database
        database.migrate("saved_views", [_meta.create_all])

    def save(
        self, name: str, author: str, query: Query, order: Order, *, shared: bool = False
    ) -> SavedView:
        """Keep a choice of sounds; the author's view of that name is replaced.

        Raises:
            InvalidView: The name cannot be used, or the author has `MAX_VIEWS` already.
            DatabaseError: The view could not be written.
        """
        name = _checked(name)
        params = query_to_params(query, order)
        row = {
            "author": author,
            "name": name,
            "shared": int(shared),
            "params": params_text(params),
            "saved": iso(datetime.now(UTC)),
        }
        with self._database.writing() as connection:
            _check_number(connection, author, name)
            upsert = insert(_views).values(row)
            keys = ["author", "name"]
            connection.execute(upsert.on_conflict_do_update(index_elements=keys, set_=row))
        return SavedView(name, author, shared, params)

    def delete(self, name: str, author: str) -> bool:
        """Delete a view of its author's; returns False where there is none."""
        statement = _views.delete().where(_views.c.author == author, _views.c.name == name)
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount > 0

    def visible_to(self, actor: str) -> list[SavedView]:
        """Return a person's own views by name, then those that others share."""
        own = _views.c.author == actor
        query = sql.select(_views).where(own | (_views.c.shared == 1))
        query = query.order_by(own.desc(), sql.func.lower(_views.c.name), _views.c.author)
        with self._database.reading() as connection:
            return [
                SavedView(row.name, row.author, bool(row.shared), dict(parse_qsl(row.params)))
                for row in connection.execute(query)
            ]


def _checked(name: str) -> str:
    """Return a view's name with single spaces.

    Raises:
        InvalidView: It is empty, too long, or has control characters in it.
    """
    name = " ".join(name.split())
    if not name or len(name) > MAX_NAME_LENGTH or has_controls(name):
        raise InvalidView(f"Please give the view a name of at most {MAX_NAME_LENGTH} characters.")
    return name


def _check_number(connection: Connection, author: str, name: str) -> None:
    """Raise where a further view would be one too many."""
    others = sql.select(sql.func.count()).select_from(_views)
    others = others.where(_views.c.author == author, _views.c.name != name)
    if connection.execute(others).scalar_one() >= MAX_VIEWS:
        raise InvalidView(f"You have {MAX_VIEWS} views; please delete one first.")
