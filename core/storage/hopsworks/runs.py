"""Run records of a shared workspace."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from core.storage.hopsworks.clock import server_clock
from core.storage.hopsworks.errors import NotFound, Unreadable
from core.storage.hopsworks.listing import FolderListings
from core.storage.hopsworks.media import KEPT_FOLDER, SharedFiles
from core.storage.hopsworks.passed_by import PassedByFiles
from core.storage.hopsworks.shared_folder import SharedFolder
from core.storage.runs import (
    TAGGING_KINDS,
    LocalRuns,
    Run,
    RunKind,
    RunPage,
    RunProgress,
    RunState,
    run_from_json,
    run_to_json,
    running_runs,
)

MAX_CONCURRENT_DOWNLOADS = 8
BATCH_SIZE = 64
"""Records that are read before they are written down together."""
MAX_BYTES = 16 << 20
"""Of a record; one that names very many skipped sounds is large."""
FOLDER = "runs"
BEGINNING = "_running.json"
FINISHED = "_finished.json"


class SharedRuns:
    """Run records here, and their files in the shared folder."""

    def __init__(self, local: LocalRuns, shared: SharedFolder, files: SharedFiles) -> None:
        self._local, self._shared, self._files = local, shared, files
        self._own_run = ""

    def now(self) -> datetime:
        """Return the shared folder's time; this machine's until it was asked for something."""
        return server_clock.now()

    def refresh(self, source: str) -> None:
        """Learn of the last finished run from a source, from as few files as possible.

        Raises:
            HopsworksError: The shared folder cannot be read.
        """
        project, passed = self._shared.project(), PassedByFiles(self._shared)
        names = self._shared.list_names(project, "runs")  # in the order in which they were stored
        paths = [f"runs/{name}" for name in reversed(names) if name.endswith(FINISHED)]
        unseen, known = set(self._shared.state.unseen(paths)), self._local.finished_ids(source)
        unseen.intersection_update(passed.due(paths))
        newer = itertools.takewhile(
            lambda path: path in unseen or _run_id(path) not in known, paths
        )
        for batch in _growing(path for path in newer if path in unseen):
            read = _take_over(self._shared, self._local, passed, batch)
            if any(run.source == source for run in read):
                return

    def record(self, run: Run) -> None:
        """Write a run's record here and put it into the outbox.

        While a run that tags goes on, this process's media go to the run's folder.

        Raises:
            DatabaseError: The record could not be written.
        """
        name = f"{re.sub('[^0-9TZ]', '', run.started)}_{run.run_id}"
        if run.state == "running" and run.kind in TAGGING_KINDS:
            self._own_run = run.run_id
        if run.run_id == self._own_run:
            self._files.upload_folder = f"media/{name}" if run.state == "running" else KEPT_FOLDER
        path, body = f"runs/{name}_{run.state}.json", run_to_json(run).encode()
        with self._shared.database.writing() as connection:
            self._local.write(connection, run)
            self._shared.outbox.add(connection, path, body=body)
        self._shared.outbox_event.set()

    def report(self, progress: RunProgress) -> str:
        """Note how far a run is, on this machine only; returns who has asked it to stop."""
        return self._local.report(progress)

    def progress(self, run_id: str) -> RunProgress | None:
        """Return how far a run of this machine is; None for one of another machine."""
        return self._local.progress(run_id)

    def cancel(self, run_id: str, actor: str) -> bool:
        """Ask a run of this machine to stop; returns False if it is none of this machine."""
        return self._local.cancel(run_id, actor)

    def latest(self, limit: int = 10) -> list[Run]:
        """Return the latest runs that tagged sounds, newest first."""
        return self._local.latest(limit)

    def page(
        self,
        number: int,
        size: int,
        kind: RunKind | None = None,
        states: Sequence[RunState] = (),
    ) -> RunPage:
        """Return page `number`, from 0, of all runs, newest first, of a kind or in a state."""
        return self._local.page(number, size, kind, states)

    def running(self) -> list[Run]:
        """Return the runs that are going on, newest first."""
        return running_runs(self)

    def unfinished(self) -> list[Run]:
        """Return the runs whose end is not recorded, newest first."""
        return self._local.unfinished()

    def last_start(
        self, kinds: Sequence[RunKind], source: str = "", *, own: bool = False
    ) -> datetime | None:
        """Return when the last finished run began, by the shared folder's clock."""
        return self._local.last_start(kinds, source, own=own, now=self.now())


@dataclass(frozen=True)
class _StoredRun:
    """A record as it was read, and when the shared folder took it."""

    path: str
    run: Run
    stored: datetime | None


def pull_runs(
    shared: SharedFolder,
    local: LocalRuns,
    passed: PassedByFiles,
    listings: FolderListings,
    *,
    full: bool,
) -> None:
    """Take over run records: a file when a run starts and one when it ends, which says more.

    Args:
        shared: The shared folder.
        local: Where they are kept.
        passed: What cannot be read.
        listings: List the folder.
        full: List all of it, not what is new alone.

    Raises:
        HopsworksError: The shared folder cannot be read.
    """
    project = shared.project()
    try:
        list_names = listings.all_names if full else listings.latest_names
        names = list_names(project, FOLDER)
    except Unreadable as error:
        passed.note(FOLDER, str(error).rstrip("."))
        return
    own = {name for name in names if name.endswith(".json")}
    passed.forget(FOLDER)
    passed.note_names(FOLDER, set(names).difference(own))
    if full:
        passed.forget_missing(FOLDER, names)
    paths = [f"{FOLDER}/{name}" for name in names if name in own]
    paths.sort(key=lambda path: not path.endswith(BEGINNING))
    unseen = passed.due(shared.state.unseen(paths))
    for start in range(0, len(unseen), BATCH_SIZE):
        _take_over(shared, local, passed, unseen[start : start + BATCH_SIZE])


def _take_over(
    shared: SharedFolder, local: LocalRuns, passed: PassedByFiles, paths: Sequence[str]
) -> list[Run]:
    """Keep the records in these files, and return them."""
    with ThreadPoolExecutor(MAX_CONCURRENT_DOWNLOADS) as pool:
        read = pool.map(lambda path: _read(shared, passed, path), paths)
        stored = [record for record in read if record is not None]
    with shared.database.writing() as connection:
        for record in stored:
            local.write(connection, record.run, record.stored)
        shared.state.mark_seen(connection, [record.path for record in stored])
    return [record.run for record in stored]


def _read(shared: SharedFolder, passed: PassedByFiles, path: str) -> _StoredRun | None:
    """Return a file's record; None for one that is none."""
    project = shared.project()
    try:
        run = run_from_json(shared.read_file(project, path, MAX_BYTES))
        _check_time(run.started)
        return _StoredRun(path, run, project.stored_at(shared.path(path)))
    except NotFound:
        passed.note(path, "it is listed, but not there")
    except Unreadable as error:
        passed.note(path, str(error).rstrip("."))
    except ValueError:
        passed.note(path, "it is no record of a run")
    return None


def _check_time(text: str) -> None:
    """Raise `ValueError` for a text that is no time with a zone, with which pages could compute."""
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"{text} names no time zone")


def _run_id(path: str) -> str:
    """Return the run that a file's name names."""
    return path.removesuffix(FINISHED).rpartition("_")[2]


def _growing(paths: Iterable[str]) -> Iterator[list[str]]:
    """Yield batches, a small one first: mostly the first file says all."""
    size, batch = 1, []
    for path in paths:
        batch.append(path)
        if len(batch) >= size:
            yield batch
            size, batch = min(BATCH_SIZE, 4 * size), []
    if batch:
        yield batch
