"""Records of job runs: what a run did, and how far one is that still runs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Protocol

import sqlalchemy as sql
from pydantic import Field, TypeAdapter
from sqlalchemy import Column, Connection, Integer, Table, Text
from sqlalchemy.dialects.sqlite import insert

from core.events.types import ModelRef, iso
from core.sqlite import Database

RunKind = Literal["tagging", "backfill", "training", "compaction"]
RunState = Literal["running", "finished", "interrupted", "failed"]

BACKFILL_SOURCE = "Freesound, backfill"
"""Beginning of the source of runs that work on a range of the past."""
TAGGING_KINDS: tuple[RunKind, ...] = ("tagging", "backfill")
MAX_SILENCE = timedelta(seconds=90)
"""A run of this machine that has not reported for so long has ended without a word."""
MAX_DURATIONS: dict[RunKind, timedelta] = {
    "tagging": timedelta(hours=3),
    "backfill": timedelta(hours=25),
    "training": timedelta(hours=13),
    "compaction": timedelta(hours=1),
}
"""Other machines' runs do not report; one that has not ended after so long never will."""
CLOCK_TOLERANCE = timedelta(minutes=5)
MAX_RUNNING = 20
"""Runs without an end that are looked at."""
MAX_SECONDS = timedelta(days=365).total_seconds()
ENDED_SILENTLY = "Its process ended without a word."

_meta = sql.MetaData()
_runs = Table(
    "runs",
    _meta,
    Column("run_id", Text, primary_key=True),
    Column("started", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="tagging"),
    Column("source", Text, nullable=False, server_default=""),
    Column("state", Text, nullable=False, server_default=""),
    Column("began", Text, nullable=False, server_default=""),
    sql.Index("runs_newest", "started"),
)
_by_time = sql.Index("runs_by_time", _runs.c.began)
_by_state = sql.Index("runs_by_state", _runs.c.state, _runs.c.kind, _runs.c.began)
_progress = Table(
    "run_progress",
    _meta,
    Column("run_id", Text, primary_key=True),
    Column("seen", Text, nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("stage", Text, nullable=False),
    Column("cancelled_by", Text, nullable=False, server_default=""),
)


@dataclass(frozen=True)
class Run:
    """One execution of a job.

    Attributes:
        run_id: 32 hexadecimal digits.
        started: UTC, as `core.events.types.iso` writes times; so is `finished`.
        source: Where the sounds came from, or what else was worked on.
        model: The model version that predicted; None for a run that predicts nothing.
        actor: Who started it.
        state: running, finished, interrupted or failed.
        finished: When it ended; empty while it runs.
        seconds: How long it took.
        tagged: Sounds that got a prediction.
        known: Sounds that had one before.
        skipped: (name, reason) of each sound that could not be used.
        note: Why it ended early.
        kind: What it did; left out of records of runs that tag sounds.
        done: What it did of anything else: files compacted, epochs trained.
        result: What it made, such as a model version.
    """

    run_id: str
    started: str
    source: str
    model: ModelRef | None
    actor: str
    state: RunState = "running"
    finished: str = ""
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    tagged: int = 0
    known: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    note: str = ""
    kind: RunKind = "tagging"
    done: int = 0
    result: str = ""


@dataclass(frozen=True)
class RunProgress:
    """The progress of a run of this machine.

    Attributes:
        run_id: Its id.
        seen: When its process last reported, UTC.
        done: What it has done.
        total: What there is to do; 0 where that is not known.
        stage: What it is doing, in words.
        cancelled_by: Who has asked it to stop; empty if nobody has.
    """

    run_id: str
    seen: str
    done: int = 0
    total: int = 0
    stage: str = ""
    cancelled_by: str = ""


@dataclass(frozen=True)
class RunPage:
    """A part of the records, newest first.

    Attributes:
        runs: The records.
        total: How many there are in all.
    """

    runs: tuple[Run, ...]
    total: int


_RUN = TypeAdapter(Run)


class RunLog(Protocol):
    """A store of run records."""

    def now(self) -> datetime:
        """Return the time by the clock that all who write records share, as far as is known."""

    def refresh(self, source: str) -> None:
        """Learn of the last finished run from a source, without reading anything else.

        Raises:
            StorageError: The shared folder cannot be read.
        """

    def record(self, run: Run) -> None:
        """Write or update a run's record."""

    def report(self, progress: RunProgress) -> str:
        """Note how far a run of this machine is; returns who has asked it to stop."""

    def progress(self, run_id: str) -> RunProgress | None:
        """Return how far a run of this machine is; None for one of another machine."""

    def cancel(self, run_id: str, actor: str) -> bool:
        """Ask a run of this machine to stop; returns False if it is none of this machine."""

    def latest(self, limit: int = 10) -> list[Run]:
        """Return the latest runs that tagged sounds, newest first."""

    def page(
        self,
        number: int,
        size: int,
        kind: RunKind | None = None,
        states: Sequence[RunState] = (),
    ) -> RunPage:
        """Return page `number`, from 0, of all runs, newest first, of a kind or in a state."""

    def running(self) -> list[Run]:
        """Return the runs that are going on, newest first.

        Runs of this machine whose process has ended are recorded as interrupted.
        """

    def unfinished(self) -> list[Run]:
        """Return the runs whose end is not recorded, newest first."""

    def last_start(
        self, kinds: Sequence[RunKind], source: str = "", *, own: bool = False
    ) -> datetime | None:
        """Return when the last finished run began; None if there is none.

        Args:
            kinds: Kinds that count.
            source: Source that counts; any without it.
            own: Count only runs of this machine.
        """


class LocalRuns:
    """Run records in the workspace's database."""

    def __init__(self, database: Database) -> None:
        """Create the table where there is none.

        Raises:
            DatabaseError: The database cannot be used.
        """
        self._database = database
        database.migrate("runs", MIGRATIONS)

    def now(self) -> datetime:
        """Return this machine's time."""
        return datetime.now(UTC)

    def refresh(self, source: str) -> None:
        """Do nothing: all records are here."""

    def record(self, run: Run) -> None:
        """Write or update a run's record.

        Raises:
            DatabaseError: The record could not be written.
        """
        with self._database.writing() as connection:
            self.write(connection, run)

    def write(self, connection: Connection, run: Run, stored: datetime | None = None) -> None:
        """Do the work of `record` within a transaction.

        Args:
            connection: The transaction.
            run: The record.
            stored: When the shared folder took the record, by its own clock: its writer's clock
                may be wrong.
        """
        row = {
            "run_id": run.run_id,
            "started": run.started,
            "body": run_to_json(run),
            "kind": run.kind,
            "source": run.source,
            "state": run.state,
            "began": _began(run, stored),
        }
        upsert = insert(_runs).values(row)
        is_newer = sql.or_(_runs.c.state.in_(("running", "")), upsert.excluded.state != "running")
        connection.execute(
            upsert.on_conflict_do_update(index_elements=["run_id"], set_=row, where=is_newer)
        )

    def report(self, progress: RunProgress) -> str:
        """Note how far a run of this machine is; returns who has asked it to stop.

        Raises:
            DatabaseError: It could not be written.
        """
        row = asdict(progress)
        changes = {name: row[name] for name in ("seen", "done", "total", "stage")}
        upsert = insert(_progress).values(row)
        upsert = upsert.on_conflict_do_update(index_elements=["run_id"], set_=changes)
        with self._database.writing() as connection:
            written = connection.execute(upsert.returning(_progress.c.cancelled_by))
            return str(written.scalar_one())

    def progress(self, run_id: str) -> RunProgress | None:
        """Return how far a run of this machine is; None for one of another machine."""
        query = sql.select(_progress).where(_progress.c.run_id == run_id)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return RunProgress(**row) if row else None

    def cancel(self, run_id: str, actor: str) -> bool:
        """Ask a run of this machine to stop; returns False if it is none of this machine.

        Raises:
            DatabaseError: It could not be written.
        """
        update = _progress.update().where(_progress.c.run_id == run_id)
        with self._database.writing() as connection:
            return connection.execute(update.values(cancelled_by=actor)).rowcount == 1

    def latest(self, limit: int = 10) -> list[Run]:
        """Return the latest runs that tagged sounds, newest first."""
        query = sql.select(_runs.c.body).where(_runs.c.kind.in_(TAGGING_KINDS))
        return self._runs(query.order_by(_runs.c.began.desc()).limit(limit))

    def page(
        self,
        number: int,
        size: int,
        kind: RunKind | None = None,
        states: Sequence[RunState] = (),
    ) -> RunPage:
        """Return page `number`, from 0, of all runs, newest first, of a kind or in a state."""
        query = sql.select(_runs.c.body)
        if kind is not None:
            query = query.where(_runs.c.kind == kind)
        if states:
            query = query.where(_runs.c.state.in_(states))
        count = sql.select(sql.func.count()).select_from(query.subquery())
        newest = query.order_by(_runs.c.began.desc(), _runs.c.run_id)
        with self._database.reading() as connection:
            total = connection.execute(count).scalar_one()
        return RunPage(tuple(self._runs(newest.limit(size).offset(number * size))), total)

    def running(self) -> list[Run]:
        """Return the runs that are going on, newest first.

        Runs of this machine whose process has ended are recorded as interrupted.
        """
        return running_runs(self)

    def unfinished(self) -> list[Run]:
        """Return the runs whose end is not recorded, newest first."""
        query = sql.select(_runs.c.body).where(_runs.c.state == "running")
        return self._runs(query.order_by(_runs.c.began.desc()).limit(MAX_RUNNING))

    def finished_ids(self, source: str) -> set[str]:
        """Return the ids of the runs from a source that are known to have finished."""
        query = sql.select(_runs.c.run_id)
        query = query.where(_runs.c.state == "finished", _runs.c.source == source)
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def last_start(
        self,
        kinds: Sequence[RunKind],
        source: str = "",
        *,
        own: bool = False,
        now: datetime | None = None,
    ) -> datetime | None:
        """Return when the last finished run began; None if there is none.

        A time in the future, which a wrong clock has written, does not count.

        Args:
            kinds: Kinds that count.
            source: Source that counts; any without it.
            own: Count only runs of this machine.
            now: The time; this machine's without it.
        """
        latest = iso((now or self.now()) + CLOCK_TOLERANCE)
        query = sql.select(sql.func.max(_runs.c.began))
        query = query.where(_runs.c.state == "finished", _runs.c.kind.in_(kinds))
        query = query.where(_runs.c.began <= latest)
        if source:
            query = query.where(_runs.c.source == source)
        if own:
            query = query.where(_runs.c.run_id.in_(sql.select(_progress.c.run_id)))
        with self._database.reading() as connection:
            began = connection.execute(query).scalar_one()
        return datetime.fromisoformat(began) if began else None

    def _runs(self, query: "sql.Select[tuple[str]]") -> list[Run]:
        """Return the records that a query selects."""
        with self._database.reading() as connection:
            return [run_from_json(body) for body in connection.execute(query).scalars()]


def running_runs(runs: RunLog) -> list[Run]:
    """Return the runs that are going on, and record the end of those that ended silently."""
    running, now = [], runs.now()
    for run in runs.unfinished():
        progress = runs.progress(run.run_id)
        if shown_state(run, progress, now) == "running":
            running.append(run)
        elif progress is not None:
            ended = replace(run, state="interrupted", finished=progress.seen, note=ENDED_SILENTLY)
            runs.record(replace(ended, done=0 if run.kind in TAGGING_KINDS else progress.done))
    return running


def shown_state(run: Run, progress: RunProgress | None, now: datetime) -> RunState:
    """Return a run's state: interrupted for one whose process ended without a word.

    Args:
        run: The record.
        progress: What a run of this machine reported last; None for one of another machine.
        now: The time.
    """
    if run.state != "running":
        return run.state
    if progress is not None:
        silence = datetime.now(UTC) - datetime.fromisoformat(progress.seen)
        return "interrupted" if silence > MAX_SILENCE else "running"
    started = _time(run.started)
    if started is None or now - started > MAX_DURATIONS[run.kind]:
        return "interrupted"
    return "running"


def run_to_json(run: Run) -> str:
    """Return a run's record as JSON: without what version 0.1 did not write, where it is empty."""
    fields = asdict(run)
    fields["model"] = run.model.model_dump(mode="json") if run.model else None
    for name, default in (("done", 0), ("result", "")):
        if fields[name] == default:
            del fields[name]
    if run.kind == _kind_of(run.source):
        del fields["kind"]
    return json.dumps(fields)


def run_from_json(text: str | bytes) -> Run:
    """Read a run's record.

    Fields that a newer version added are left out.

    Raises:
        ValueError: The text is no such record.
    """
    run = _RUN.validate_json(text)
    if run.kind == "tagging":
        return replace(run, kind=_kind_of(run.source))
    return run


def _kind_of(source: str) -> RunKind:
    """Return the kind of a run that does not name it."""
    return "backfill" if source.startswith(BACKFILL_SOURCE) else "tagging"


def _began(run: Run, stored: datetime | None) -> str:
    """Return when a run began: no later than the shared folder's clock allows."""
    started = _time(run.started)
    if stored is None or started is None:
        return run.started
    return iso(min(started, stored - timedelta(seconds=min(run.seconds, MAX_SECONDS))))


def _time(text: str) -> datetime | None:
    """Return the time that a record names; None for a text that is none."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else None


def _create_version_1(connection: Connection) -> None:
    """Version 1: records by the time that they name. New tables have the columns of version 2."""
    _meta.create_all(connection)


def _add_columns(connection: Connection) -> None:
    """Version 2: what is asked for in columns, and the progress of runs of this machine."""
    _meta.create_all(connection)
    existing = {column["name"] for column in sql.inspect(connection).get_columns("runs")}
    for name in ("kind", "source", "state", "began"):
        if name not in existing:
            connection.exec_driver_sql(f"ALTER TABLE runs ADD {name} TEXT NOT NULL DEFAULT ''")
    connection.exec_driver_sql(
        "UPDATE runs SET source = coalesce(json_extract(body, '$.source'), ''),"
        " state = coalesce(json_extract(body, '$.state'), ''), began = started"
        " WHERE began = ''"
    )
    connection.exec_driver_sql(
        "UPDATE runs SET kind = CASE WHEN substr(source, 1, ?) = ? THEN 'backfill'"
        " ELSE 'tagging' END WHERE kind = ''",
        (len(BACKFILL_SOURCE), BACKFILL_SOURCE),
    )
    for index in (_by_time, _by_state):
        index.create(connection, checkfirst=True)


MIGRATIONS = (_create_version_1, _add_columns)
