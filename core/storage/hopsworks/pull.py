"""Receiving: everybody's event files on their way into this machine's log.

A reader lists the last days again each time, because files may arrive late, and every day once in a
while; it takes over only files whose hash is right.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection

from core.events.errors import ConflictingEvent, InvalidEvent
from core.events.store import EventStore
from core.events.types import Event, iso, parse_event
from core.storage.hopsworks import segments
from core.storage.hopsworks.client import Project
from core.storage.hopsworks.errors import NotFound
from core.storage.hopsworks.runs import pull_runs
from core.storage.hopsworks.shared_folder import SharedFolder
from core.storage.runs import LocalRuns

MAX_CONCURRENT_DOWNLOADS = 8
FILES_PER_TRANSACTION = 200
RELISTED_DAYS = timedelta(days=2)
"""A file goes into the folder of today or yesterday by its writer's clock; so far back a new one
may appear."""
FULL_LISTING_INTERVAL_S = 3600
INCOMPLETE_AFTER_S = 3600
"""A file that is incomplete for longer than this will not be completed; it is reported."""
PULLED_NOTE = "mirrored"
"""Of the last complete pull; the name is what older versions wrote."""


@dataclass(frozen=True)
class LogFile:
    """A complete file of the shared log: its path and lines."""

    path: str
    lines: list[str]


Keep = Callable[[Connection, Sequence[LogFile]], int]
"""Adds files to the local log within a transaction; returns the number of new events."""


class Puller:
    """Takes over one shared folder's events and run records. Any thread may call it."""

    def __init__(self, shared: SharedFolder, events: EventStore, runs: LocalRuns) -> None:
        self._shared, self._events, self._runs = shared, events, runs
        self._listed_fully_at = float("-inf")
        self._first_pull = True

    @property
    def last_pull(self) -> str:
        """Return when the whole shared log was last in the local one, UTC; empty if never."""
        return self._shared.state.read_note(PULLED_NOTE)

    def pull(self, *, everything: bool = False) -> int:
        """Take over what is new; returns the number of new events.

        Args:
            everything: Look through segments, run records and days long past as well.

        Raises:
            HopsworksError: The folder cannot be read; what was read until then is kept.
        """
        with self._shared.exclusive("events"):
            project, began = self._shared.project(), time.monotonic()
            full = everything or began - self._listed_fully_at > FULL_LISTING_INTERVAL_S
            if self._first_pull:
                self._forget_unreadable()
            added = self._pull_segments(project) if full else 0
            added += self._pull_event_files(project, full)
            if full or added:
                pull_runs(self._shared, self._runs, project)
            if full:
                self._listed_fully_at = began
            with self._shared.database.writing() as connection:
                self._shared.state.write_note(connection, PULLED_NOTE, iso(datetime.now(UTC)))
        return added

    def read_file(self, project: Project, path: str) -> LogFile | None:
        """Return a file's lines; None if it is incomplete, which may change."""
        kind: segments.Kind = "segment" if path.startswith("segments/") else "events"
        try:
            data = project.read_file(self._shared.path(path))
            return LogFile(path, segments.decode(kind, data))
        except (segments.IncompleteFile, NotFound):
            with self._shared.database.writing() as connection:
                self._shared.state.mark_incomplete(connection, path, time.time())
            return None

    def read_files(self, project: Project, paths: Sequence[str]) -> list[LogFile]:
        """Return those files that are complete."""
        with ThreadPoolExecutor(MAX_CONCURRENT_DOWNLOADS) as pool:
            files = pool.map(lambda path: self.read_file(project, path), paths)
            return [file for file in files if file is not None]

    def problem(self) -> str:
        """Return what is wrong with the shared files, in one sentence; empty if nothing."""
        unknown = self._shared.state.count_unknown()
        if unknown:
            return (
                f"{unknown} events in the shared log cannot be read by this version of Earmark, "
                "or contradict others; is it up to date?"
            )
        incomplete = self._shared.state.incomplete_since(time.time() - INCOMPLETE_AFTER_S)
        if incomplete:
            return (
                f"{len(incomplete)} files in the shared log have been incomplete for over an hour "
                f"({incomplete[0]}); their writer sends them again."
            )
        return ""

    def _forget_unreadable(self) -> None:
        """Read files again that an older version could not read."""
        with self._shared.database.writing() as connection:
            self._shared.state.forget_unknown(connection)
        self._first_pull = False

    def _pull_segments(self, project: Project) -> int:
        """Take over new segments; returns the number of new events."""
        names = self._shared.list_names(project, "segments")
        paths = [f"segments/{name}" for name in names if segments.FILE_NAME.fullmatch(name)]
        return self._take_over(project, paths, self._keep_segments)

    def _pull_event_files(self, project: Project, full: bool) -> int:
        """Take over new event files, of all days or the last; returns the number of new events."""
        names = self._shared.list_names(project, "events")
        days = sorted(name for name in names if segments.DAY.fullmatch(name))
        if days and not full:
            newest = min(date.fromisoformat(days[-1]), datetime.now(UTC).date())
            days = [day for day in days if day >= (newest - RELISTED_DAYS).isoformat()]
        paths = [
            f"events/{day}/{name}"
            for day in days
            for name in self._shared.list_names(project, f"events/{day}")
            if segments.FILE_NAME.fullmatch(name)
        ]
        return self._take_over(project, paths, self._keep_event_files)

    def _take_over(self, project: Project, paths: Iterable[str], keep: Keep) -> int:
        """Read the files that are new and keep the complete ones, many in one transaction."""
        added = 0
        unseen = self._shared.state.unseen(paths)
        for start in range(0, len(unseen), FILES_PER_TRANSACTION):
            files = self.read_files(project, unseen[start : start + FILES_PER_TRANSACTION])
            try:
                with self._shared.database.writing() as connection:
                    added += keep(connection, files)
            except ConflictingEvent:
                added += sum(self._keep_alone(file, keep) for file in files)
        return added

    def _keep_alone(self, file: LogFile, keep: Keep) -> int:
        """Keep one file by itself.

        A forged one, which holds another event under a known id, is left out for good.
        """
        try:
            with self._shared.database.writing() as connection:
                return keep(connection, [file])
        except ConflictingEvent:
            with self._shared.database.writing() as connection:
                self._shared.state.mark_seen(connection, [file.path], unknown=len(file.lines))
            return 0

    def _keep_event_files(self, connection: Connection, files: Sequence[LogFile]) -> int:
        """Add the events of event files to the local log; returns how many were new."""
        return self._keep(connection, [(file.path, file.lines) for file in files])

    def _keep_segments(self, connection: Connection, files: Sequence[LogFile]) -> int:
        """Add the events of segments, and note the files that they repeat."""
        for file in files:
            paths = segments.compacted_paths(file.lines)
            self._shared.state.mark_seen(connection, paths, in_segment=True)
        return self._keep(connection, [(file.path, file.lines[1:]) for file in files])

    def _keep(self, connection: Connection, files: Sequence[tuple[str, list[str]]]) -> int:
        """Add the events in the lines of files, given by path, and mark the files as seen."""
        events: list[Event] = []
        readable: list[str] = []
        for path, lines in files:
            parsed, unknown = _parse(lines)
            events += parsed
            if unknown:
                self._shared.state.mark_seen(connection, [path], unknown=unknown)
            else:
                readable.append(path)
        self._shared.state.mark_seen(connection, readable)
        return len(self._events.add(connection, events))


def _parse(lines: Sequence[str]) -> tuple[list[Event], int]:
    """Return the events of some lines, and how many lines this version cannot read."""
    events: list[Event] = []
    unknown = 0
    for line in lines:
        try:
            events.append(parse_event(line))
        except InvalidEvent:
            unknown += 1
    return events, unknown
