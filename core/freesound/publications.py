"""The record of what people publish from here: an intent before the bytes go out, and what became of it. It outlasts restarts."""

import json
import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any, Literal

import sqlalchemy as sql

from core.files import write_atomic
from core.freesound.client import FreesoundError
from core.people import Person
from core.sqlite import with_tables

State = Literal["sending", "uncertain", "accepted", "published", "refused", "not there"]
OPEN: tuple[State, ...] = ("sending", "uncertain", "accepted")
"""States in which the truth has to be looked up, or kept, before anything else."""
SITE = "https://freesound.org"
_PROCESS = uuid.uuid4().hex

_tables = sql.MetaData()
_publications = sql.Table(
    "publications",
    _tables,
    sql.Column("intent", sql.Text, primary_key=True),
    sql.Column("user_id", sql.Integer, nullable=False),
    sql.Column("username", sql.Text, nullable=False),
    sql.Column("md5", sql.Text, nullable=False),
    sql.Column("title", sql.Text, nullable=False),
    sql.Column("file_name", sql.Text, nullable=False),
    sql.Column("began", sql.Float, nullable=False),
    sql.Column("changed", sql.Float, nullable=False),
    sql.Column("state", sql.Text, nullable=False),
    sql.Column("sound", sql.Integer),
    sql.Column("message", sql.Text, nullable=False),
    sql.Column("body", sql.Text, nullable=False),
    sql.Index("publications_by_user", "user_id", "began"),
)


class BeingPublished(FreesoundError):
    """The same sound is on its way already."""


@dataclass(frozen=True)
class Publication:
    """One attempt to publish, as its uploader sees it. `sound` is Freesound's id where it is known; `message` is a sentence; `began`
    and `changed` are seconds since the epoch."""

    intent: str
    user_id: int
    username: str
    title: str
    file_name: str
    md5: str
    began: float
    changed: float
    state: State
    sound: int | None
    message: str

    @property
    def url(self) -> str:
        """The sound's page on Freesound."""
        return f"{SITE}/s/{self.sound}/" if self.sound else ""

    @property
    def open(self) -> bool:
        return self.state in OPEN


class Publications:
    """Publications in `folder`: rows in a SQLite file, and a folder of files for each one that is not settled yet.

    Safe for threads and processes; `clock` gives seconds since the epoch.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder, self.clock = folder, clock
        self._engine, self._reads = with_tables(folder / "publications.sqlite", _tables)

    def begin(
        self, intent: str, person: Person, title: str, file_name: str, md5: str, body: dict[str, Any], files: Mapping[str, bytes]
    ) -> Publication:
        """Write the intent and everything that settling it needs. Raises `BeingPublished` if the person's same bytes are on their way."""
        for name, content in files.items():
            write_atomic(self._folder / intent / name, content)
        now = self.clock()
        row = {
            "intent": intent, "user_id": person.user_id, "username": person.name, "md5": md5, "title": title, "file_name": file_name,
            "began": now, "changed": now, "state": "sending", "sound": None, "message": "The sound is being sent.",
            "body": json.dumps(body | {"process": [os.getpid(), _PROCESS]}),
        }  # fmt: skip
        table = _publications.c
        same = sql.select(table.intent).where(table.user_id == person.user_id, table.md5 == md5, table.state.in_(OPEN))
        with self._engine.begin() as connection:
            if connection.execute(same).first():
                raise BeingPublished("This sound is being published just now, from another window perhaps.")
            connection.execute(_publications.insert().values(row))
        return self._read(intent)

    def of(self, user_id: int, md5: str | None = None) -> list[Publication]:
        """A person's publications, newest first; only those of the bytes with that MD5, where it is given."""
        query = sql.select(_publications).where(_publications.c.user_id == user_id).order_by(_publications.c.began.desc())
        if md5:
            query = query.where(_publications.c.md5 == md5)
        with self._reads.connect() as connection:
            return [_publication(row) for row in connection.execute(query)]

    def mark(self, publication: Publication, state: State, message: str, *, sound: int | None = None, touch: bool = True) -> Publication:
        """A new state. Without `touch` the time of the last change stays."""
        values = {"state": state, "message": message} | ({"sound": sound} if sound else {}) | ({"changed": self.clock()} if touch else {})
        self._update(publication, values)
        return self._read(publication.intent)

    def close(self, publication: Publication, state: State, message: str) -> Publication:
        """The end of it; what was kept for settling is not needed any more."""
        closed = self.mark(publication, state, message)
        rmtree(self._folder / publication.intent, ignore_errors=True)
        return closed

    def body(self, publication: Publication) -> dict[str, Any]:
        """What `begin` was given, and what `keep_body` has put in its place since."""
        with self._reads.connect() as connection:
            query = sql.select(_publications.c.body).where(_publications.c.intent == publication.intent)
            return json.loads(connection.execute(query).scalar_one())

    def keep_body(self, publication: Publication, body: dict[str, Any]) -> None:
        self._update(publication, {"body": json.dumps(body)})

    def file(self, publication: Publication, name: str) -> bytes:
        """One of the files that `begin` was given."""
        return (self._folder / publication.intent / name).read_bytes()

    def is_alive(self, publication: Publication) -> bool:
        """Whether the process that began to send may still be sending: after a restart nobody is."""
        pid, process = self.body(publication)["process"]
        if process == _PROCESS or pid == os.getpid():
            return process == _PROCESS
        try:
            os.kill(pid, 0)
        except OSError as error:
            return isinstance(error, PermissionError)
        return True

    def _read(self, intent: str) -> Publication:
        with self._reads.connect() as connection:
            return _publication(connection.execute(sql.select(_publications).where(_publications.c.intent == intent)).one())

    def _update(self, publication: Publication, values: dict[str, Any]) -> None:
        with self._engine.begin() as connection:
            connection.execute(_publications.update().where(_publications.c.intent == publication.intent).values(values))


def _publication(row) -> Publication:
    return Publication(
        row.intent, row.user_id, row.username, row.title, row.file_name, row.md5, row.began, row.changed, row.state, row.sound, row.message
    )
