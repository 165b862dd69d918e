"""Records of job runs."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, Protocol

import sqlalchemy as sql
from pydantic import Field, TypeAdapter
from sqlalchemy import Column, Connection, Table, Text
from sqlalchemy.dialects.sqlite import insert

from core.events.types import ModelRef
from core.sqlite import Database

RunState = Literal["running", "finished", "interrupted", "failed"]

_meta = sql.MetaData()
_runs = Table(
    "runs",
    _meta,
    Column("run_id", Text, primary_key=True),
    Column("started", Text, nullable=False),
    Column("body", Text, nullable=False),
    sql.Index("runs_newest", "started"),
)


@dataclass(frozen=True)
class Run:
    """One execution of a job.

    Attributes:
        run_id: 32 hexadecimal digits.
        started: UTC, as `core.events.types.iso` writes times; so is `finished`.
        source: Where the sounds came from.
        model: The model version that predicted.
        actor: Who started it.
        state: running, finished, interrupted or failed.
        finished: When it ended; empty while it runs.
        seconds: How long it took.
        tagged: Sounds that got a prediction.
        known: Sounds that had one before.
        skipped: (name, reason) of each sound that could not be used.
        note: Why it ended early.
    """

    run_id: str
    started: str
    source: str
    model: ModelRef
    actor: str
    state: RunState = "running"
    finished: str = ""
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    tagged: int = 0
    known: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    note: str = ""


_RUN = TypeAdapter(Run)


class RunLog(Protocol):
    """A store of run records."""

    def record(self, run: Run) -> None:
        """Write or update a run's record."""

    def latest(self, limit: int = 10) -> list[Run]:
        """Return the latest runs, newest first."""


class LocalRuns:
    """Run records in the workspace's database."""

    def __init__(self, database: Database) -> None:
        """Create the table where there is none.

        Raises:
            DatabaseError: The database cannot be used.
        """
        self._database = database
        database.migrate("runs", [_meta.create_all])

    def record(self, run: Run) -> None:
        """Write or update a run's record.

        Raises:
            DatabaseError: The record could not be written.
        """
        with self._database.writing() as connection:
            self.write(connection, run)

    def write(self, connection: Connection, run: Run) -> None:
        """Do the work of `record` within a transaction."""
        row = {"run_id": run.run_id, "started": run.started, "body": run_to_json(run)}
        upsert = insert(_runs).values(row)
        connection.execute(upsert.on_conflict_do_update(index_elements=["run_id"], set_=row))

    def latest(self, limit: int = 10) -> list[Run]:
        """Return the latest runs, newest first."""
        query = sql.select(_runs.c.body).order_by(_runs.c.started.desc()).limit(limit)
        with self._database.reading() as connection:
            return [run_from_json(body) for body in connection.execute(query).scalars()]


def run_to_json(run: Run) -> str:
    """Return a run's record as JSON."""
    return json.dumps(asdict(run) | {"model": run.model.model_dump(mode="json")})


def run_from_json(text: str | bytes) -> Run:
    """Read a run's record.

    Fields that a newer version added are left out.

    Raises:
        ValueError: The text is no such record.
    """
    return _RUN.validate_json(text)
