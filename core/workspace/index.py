"""The event log and every question that a page asks, in one SQLite file.

The `events` table is the truth. `sounds`, `sound_tags`, `decisions` and `predictions` are derived from it in the same
transaction that adds an event, so a process killed anywhere leaves them in step; `rebuild` makes them anew.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy import Column, Connection, Integer, Table, Text
from sqlalchemy.dialects.sqlite import insert

from core.id2prediction import Event, ModelRef, SoundState, fold, iso
from core.sqlite import open_database
from core.workspace import Counts, Page, Query, Run, WorkspaceError

SCHEMA_VERSION = 1
IDS_AT_ONCE = 500

_tables = sql.MetaData()
_events = Table(
    "events",
    _tables,
    Column("sequence", Integer, primary_key=True),
    Column("event_id", Text, nullable=False, unique=True),
    Column("time", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("sound_id", Text),
    Column("body", Text, nullable=False),
    sql.Index("events_by_sound", "sound_id"),
    sql.Index("rollouts", "time", "event_id", sqlite_where=sql.text("kind = 'rolled_out'")),
)
_sounds = Table(
    "sounds",
    _tables,
    Column("sound_id", Text, primary_key=True),
    Column("arrived", Text, nullable=False),
    Column("reviewed", Integer, nullable=False),
    Column("withdrawn", Integer, nullable=False),
    sql.Index("sounds_newest", "withdrawn", "arrived", "sound_id"),
    sql.Index("sounds_newest_by_review", "withdrawn", "reviewed", "arrived", "sound_id"),
    sqlite_with_rowid=False,
)
_sound_tags = Table(
    "sound_tags",
    _tables,
    Column("tag", Text, primary_key=True),
    Column("sound_id", Text, primary_key=True),
    sql.Index("sound_tags_by_sound", "sound_id"),
    sqlite_with_rowid=False,
)
_decisions = Table(
    "decisions",
    _tables,
    Column("tag", Text, primary_key=True),
    Column("verdict", Text, primary_key=True),
    Column("sound_id", Text, primary_key=True),
    sql.Index("decisions_by_sound", "sound_id"),
    sqlite_with_rowid=False,
)
_predictions = Table(
    "predictions",
    _tables,
    Column("sound_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    sqlite_with_rowid=False,
)
_files = Table(
    "files",
    _tables,
    Column("path", Text, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("modified_ns", Integer, nullable=False),
    Column("sound_id", Text, nullable=False),
    sqlite_with_rowid=False,
)
_runs = Table(
    "runs",
    _tables,
    Column("run_id", Text, primary_key=True),
    Column("started", Text, nullable=False),
    Column("body", Text, nullable=False),
    sql.Index("runs_newest", "started"),
)
_DERIVED = (_sounds, _sound_tags, _decisions, _predictions)


class Contradiction(WorkspaceError):
    """One event id for two different events."""


class Index:
    """The index in the SQLite file `path`; it is made where there is none. Safe for threads and processes."""

    def __init__(self, path: Path) -> None:
        """Raises `WorkspaceError` if the file is no index, or one of a newer Earmark."""
        self.path = path
        self.engine, self.reads = open_database(path)
        try:
            self._prepare()
        except sql.exc.DatabaseError as error:
            raise WorkspaceError(f"{path} is not a readable Earmark index ({error.orig}); move it away or restore it.") from error

    def _prepare(self) -> None:
        with self.engine.begin() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version > SCHEMA_VERSION:
                raise WorkspaceError(f"{self.path} was written by a newer Earmark; please update this one.")
            _tables.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def withdrawn_ids(self) -> set[str]:
        """Sounds that are in no view any more."""
        with self.reads.connect() as connection:
            return set(connection.execute(sql.select(_sounds.c.sound_id).where(_sounds.c.withdrawn == 1)).scalars())

    def shown_elsewhere(self, media_name: str, sound_id: str) -> bool:
        """Whether another sound that is in view has that medium: two sounds may have the same bytes."""
        others = sql.select(_events.c.sequence).join(_sounds, _sounds.c.sound_id == _events.c.sound_id)
        others = others.where(_events.c.body.contains(media_name), _events.c.sound_id != sound_id, _sounds.c.withdrawn == 0)
        with self.reads.connect() as connection:
            return connection.execute(others.limit(1)).first() is not None

    def close(self) -> None:
        self.engine.dispose()

    # Writing

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is kept whole or not at all. Raises `WorkspaceError` if it cannot be kept."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except sql.exc.DatabaseError as error:
            raise WorkspaceError(f"The workspace {self.path.parent} cannot be written ({error.orig}); nothing was saved.") from error

    def append(self, events: Iterable[Event], *, once_per_model: bool = False) -> int:
        """Add the events that are not there yet, all or none; returns how many were new.

        With `once_per_model`, a predicted event is left out if the sound has one of the same model version already.
        Raises `WorkspaceError` if an event id is there already with another content.
        """
        with self.writing() as connection:
            return len(self.add(connection, events, once_per_model))

    def add(self, connection: Connection, events: Iterable[Event], once_per_model: bool = False) -> list[Event]:
        """The events of `append` that were new, added within a transaction."""
        fresh = _not_there_yet(connection, events)
        if once_per_model:
            fresh = _once_per_model(connection, fresh)
        if fresh:
            connection.execute(_events.insert(), [_row(event) for event in fresh])
        _derive(connection, list(dict.fromkeys(event.sound_id for event in fresh if event.sound_id)))
        return fresh

    def rebuild(self) -> None:
        """Make the derived tables anew from the events."""
        with self.engine.begin() as connection:
            for table in _DERIVED:
                connection.execute(table.delete())
            ids = connection.execute(sql.select(_events.c.sound_id).where(_events.c.sound_id.is_not(None)).distinct())
            _derive(connection, ids.scalars().all())

    def record_run(self, run: Run) -> None:
        with self.writing() as connection:
            self.keep_run(connection, run)

    def keep_run(self, connection: Connection, run: Run) -> None:
        row = {"run_id": run.run_id, "started": run.started, "body": run_to_json(run)}
        connection.execute(insert(_runs).values(row).on_conflict_do_update(index_elements=["run_id"], set_=row))

    def remember_file(self, path: str, size: int, modified_ns: int, sound_id: str) -> None:
        row = {"path": path, "size": size, "modified_ns": modified_ns, "sound_id": sound_id}
        with self.writing() as connection:
            connection.execute(insert(_files).values(row).on_conflict_do_update(index_elements=["path"], set_=row))

    # Questions

    def events(self, sound_id: str) -> list[Event]:
        with self.reads.connect() as connection:
            return _history(connection, [sound_id]).get(sound_id, [])

    def log(self, after: int = 0) -> Iterator[Event]:
        """Every event in the order of arrival, read in portions so that writers are not held up."""
        while True:
            query = sql.select(_events.c.sequence, _events.c.body).where(_events.c.sequence > after)
            with self.reads.connect() as connection:
                rows = connection.execute(query.order_by(_events.c.sequence).limit(IDS_AT_ONCE)).all()
            if not rows:
                return
            after = rows[-1].sequence
            yield from (Event.from_json(row.body) for row in rows)

    def sound(self, sound_id: str) -> SoundState | None:
        history = self.events(sound_id)
        return fold(history) if history else None

    def states(self) -> Iterator[SoundState]:
        """Every sound today, by sound id."""
        after = ""
        while True:
            query = sql.select(_sounds.c.sound_id).where(_sounds.c.sound_id > after).order_by(_sounds.c.sound_id)
            with self.reads.connect() as connection:
                ids = connection.execute(query.limit(IDS_AT_ONCE)).scalars().all()
                history = _history(connection, ids)
            if not ids:
                return
            after = ids[-1]
            yield from (fold(history[sound_id]) for sound_id in ids)

    def page(self, query: Query, number: int, size: int) -> Page:
        chosen = _matching(query)
        with self.reads.connect() as connection:
            total = connection.execute(sql.select(sql.func.count()).select_from(chosen.subquery())).scalar_one()
            newest = chosen.order_by(_sounds.c.arrived.desc(), _sounds.c.sound_id.desc())
            ids = connection.execute(newest.limit(size).offset((max(1, number) - 1) * size)).scalars().all()
            history = _history(connection, ids)
        return Page(tuple(fold(history[sound_id]) for sound_id in ids), total)

    def decided(self) -> Iterator[list[Event]]:
        """The histories of the sounds that somebody has reviewed or published, also where it was taken back."""
        chosen = sql.select(_events.c.sound_id).where(_events.c.kind.in_(("reviewed", "published"))).distinct()
        with self.reads.connect() as connection:
            ids = [sound_id for sound_id in connection.execute(chosen).scalars() if sound_id]
        for some in _portions(ids):
            with self.reads.connect() as connection:
                history = _history(connection, some)
            yield from history.values()

    def counts(self) -> Counts:
        query = sql.select(sql.func.count(), sql.func.sum(_sounds.c.reviewed)).where(_sounds.c.withdrawn == 0)
        with self.reads.connect() as connection:
            sounds, reviewed = connection.execute(query).one()
        return Counts(sounds, reviewed or 0)

    def peoples_tags(self) -> list[str]:
        query = sql.select(_decisions.c.tag).where(_decisions.c.verdict == "added").distinct().order_by(_decisions.c.tag)
        with self.reads.connect() as connection:
            return list(connection.execute(query).scalars())

    def tags_in_use(self) -> list[tuple[str, int]]:
        count = sql.func.count()
        query = sql.select(_sound_tags.c.tag, count).group_by(_sound_tags.c.tag).order_by(count.desc(), _sound_tags.c.tag)
        with self.reads.connect() as connection:
            return [(tag, number) for tag, number in connection.execute(query)]

    def verdicts(self) -> dict[str, dict[str, int]]:
        query = sql.select(_decisions.c.tag, _decisions.c.verdict, sql.func.count()).group_by(_decisions.c.tag, _decisions.c.verdict)
        found: dict[str, dict[str, int]] = {}
        with self.reads.connect() as connection:
            for tag, verdict, number in connection.execute(query):
                found.setdefault(tag, {"kept": 0, "removed": 0, "added": 0})[verdict] = number
        return found

    def known(self, sound_ids: Sequence[str], model: ModelRef | None = None) -> set[str]:
        predicted = sql.select(_predictions.c.sound_id)
        if model is not None:
            predicted = predicted.where(_predictions.c.name == model.name, _predictions.c.version == model.version)
        withdrawn = sql.select(_sounds.c.sound_id).where(_sounds.c.withdrawn == 1)
        found: set[str] = set()
        with self.reads.connect() as connection:
            for some in _portions(sound_ids):
                found.update(connection.execute(predicted.where(_predictions.c.sound_id.in_(some))).scalars())
                found.update(connection.execute(withdrawn.where(_sounds.c.sound_id.in_(some))).scalars())
        return found

    def file_id(self, path: str, size: int, modified_ns: int) -> str | None:
        query = sql.select(_files.c.sound_id).where(_files.c.path == path, _files.c.size == size, _files.c.modified_ns == modified_ns)
        with self.reads.connect() as connection:
            return connection.execute(query).scalar_one_or_none()

    def rolled_out(self) -> Event | None:
        return next(iter(self._rollouts(1)), None)

    def rollouts(self) -> list[Event]:
        return self._rollouts(None)

    def _rollouts(self, most: int | None) -> list[Event]:
        query = sql.select(_events.c.body).where(_events.c.kind == "rolled_out")
        with self.reads.connect() as connection:
            newest = query.order_by(_events.c.time.desc(), _events.c.event_id.desc()).limit(most)
            return [Event.from_json(body) for body in connection.execute(newest).scalars()]

    def runs(self, most: int = 10) -> list[Run]:
        query = sql.select(_runs.c.body).order_by(_runs.c.started.desc()).limit(most)
        with self.reads.connect() as connection:
            return [run_from_json(body) for body in connection.execute(query).scalars()]


def _not_there_yet(connection: Connection, events: Iterable[Event]) -> list[Event]:
    """The events whose ids are new. Raises `Contradiction` if an id stands for two different events."""
    wanted: dict[str, Event] = {}
    for event in events:
        _same_or_error(wanted.setdefault(event.event_id, event), event)
    for some in _portions(list(wanted)):
        for body in connection.execute(sql.select(_events.c.body).where(_events.c.event_id.in_(some))).scalars():
            stored = Event.from_json(body)
            _same_or_error(stored, wanted.pop(stored.event_id))
    return list(wanted.values())


def _same_or_error(stored: Event, event: Event) -> None:
    """An event may come again, to the letter; an import of the same tags also from another file or at another time."""
    same_import = event.kind == stored.kind == "imported" and event.payload.tags == stored.payload.tags
    if stored != event and not (same_import and stored.sound_id == event.sound_id):
        raise Contradiction(f"Two different events have the id {event.event_id}; nothing was added.")


def _once_per_model(connection: Connection, events: list[Event]) -> list[Event]:
    """The events without predictions that would repeat one of the same model version."""
    predicted = [event.sound_id for event in events if event.kind == "predicted" and event.sound_id]
    there: set[tuple[str | None, str, int]] = set()
    for some in _portions(predicted):
        rows = connection.execute(sql.select(_predictions).where(_predictions.c.sound_id.in_(some)))
        there.update((row.sound_id, row.name, row.version) for row in rows)
    kept = []
    for event in events:
        if event.kind == "predicted":
            key = (event.sound_id, event.payload.model.name, event.payload.model.version)
            if key in there:
                continue
            there.add(key)
        kept.append(event)
    return kept


def _row(event: Event) -> dict[str, str | None]:
    return {
        "event_id": event.event_id,
        "time": iso(event.time),
        "kind": event.kind,
        "sound_id": event.sound_id,
        "body": event.to_json(),
    }


def _derive(connection: Connection, sound_ids: Sequence[str]) -> None:
    """Bring the derived rows of some sounds in step with their events."""
    for some in _portions(sound_ids):
        for table in _DERIVED:
            connection.execute(table.delete().where(table.c.sound_id.in_(some)))
        rows: dict[Table, list[dict[str, Any]]] = {table: [] for table in _DERIVED}
        for history in _history(connection, some).values():
            for table, row in _derived_rows(history):
                rows[table].append(row)
        for table, new in rows.items():
            if new:
                connection.execute(table.insert(), new)


def _derived_rows(history: list[Event]) -> Iterator[tuple[Table, dict[str, Any]]]:
    """What the derived tables say of one sound."""
    state = fold(history)
    flags = {"reviewed": int(state.reviewed), "withdrawn": int(state.withdrawn)}
    yield _sounds, {"sound_id": state.sound_id, "arrived": iso(state.arrived), **flags}
    if not state.withdrawn:
        yield from ((_sound_tags, {"tag": tag, "sound_id": state.sound_id}) for tag in state.tags)
        decided = state.decisions.values()
        yield from ((_decisions, {"tag": one.tag, "verdict": one.verdict, "sound_id": state.sound_id}) for one in decided)
    models = [event.payload.model for event in history if event.kind == "predicted"]
    for name, version in {(model.name, model.version) for model in models}:
        yield _predictions, {"sound_id": state.sound_id, "name": name, "version": version}


def _history(connection: Connection, sound_ids: Sequence[str]) -> dict[str, list[Event]]:
    """The events of some sounds, oldest first."""
    history: dict[str, list[Event]] = {}
    for some in _portions(sound_ids):
        query = sql.select(_events.c.sound_id, _events.c.body).where(_events.c.sound_id.in_(some))
        for sound_id, body in connection.execute(query.order_by(_events.c.time, _events.c.event_id)):
            history.setdefault(sound_id, []).append(Event.from_json(body))
    return history


def _matching(query: Query) -> sql.Select[tuple[str]]:
    chosen = sql.select(_sounds.c.sound_id).where(_sounds.c.withdrawn == 0)
    if query.show != "all":
        chosen = chosen.where(_sounds.c.reviewed == int(query.show == "reviewed"))
    if query.tag:
        carrying = sql.select(_sound_tags.c.sound_id).where(_sound_tags.c.tag == query.tag)
        chosen = chosen.where(_sounds.c.sound_id.in_(carrying))
    return chosen


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """SQLite takes a limited number of parameters in one statement."""
    for start in range(0, len(ids), IDS_AT_ONCE):
        yield ids[start : start + IDS_AT_ONCE]


def run_to_json(run: Run) -> str:
    """A run's record as text."""
    return json.dumps(asdict(run) | {"model": run.model.model_dump(mode="json")})


def run_from_json(text: str | bytes) -> Run:
    """The record again. Raises `ValueError`, `KeyError` or `TypeError` if the text is none."""
    body = json.loads(text)
    skipped = tuple((name, reason) for name, reason in body["skipped"])
    return Run(**body | {"model": ModelRef.model_validate(body["model"]), "skipped": skipped})
