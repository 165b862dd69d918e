"""Receiving: everybody's event files on their way into this machine's log.

What is new is in the last days' folders, at their ends. They are looked at in each round, all
folders once in a while, because files may arrive late. Only files whose hash is right are taken
over; what cannot be read is passed by, and holds up nothing else.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from sqlalchemy import Connection

from core.events.errors import ConflictingEvent, InvalidEvent
from core.events.store import EventStore
from core.events.types import Event, iso, parse_event
from core.storage.hopsworks import segments
from core.storage.hopsworks.client import Project
from core.storage.hopsworks.clock import server_clock
from core.storage.hopsworks.errors import HopsworksError, NotFound, Unreadable
from core.storage.hopsworks.listing import FolderListings
from core.storage.hopsworks.passed_by import PassedByFiles, report
from core.storage.hopsworks.runs import pull_runs
from core.storage.hopsworks.shared_folder import SharedFolder
from core.storage.runs import LocalRuns

logger = logging.getLogger(__name__)

MAX_CONCURRENT_DOWNLOADS = 8
MAX_CONCURRENT_SEGMENTS = 2
"""Each is some megabytes, of which parsing makes many more."""
FILES_PER_TRANSACTION = 200
LINES_PER_TRANSACTION = 2000
BATCH_SIZE = 500
RELISTED_DAYS = timedelta(days=2)
"""A file goes into the folder of today or yesterday by its writer's clock; so far back a new one
may appear."""
SWEEP_INTERVAL_S = 30
"""Time after which `refresh` looks further than into today's folder."""
FULL_LISTING_INTERVAL_S = 3600
LONG_PAST = timedelta(days=30)
ALL_DAYS_INTERVAL_S = 24 * 3600
"""Time after which folders long past are listed again: hardly ever anything arrives there."""
PULLED_NOTE = "mirrored"
"""Of the last complete pull; the name is what older versions wrote."""
BAD_EVENT_ERRORS = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""What code meets in an event that is valid and impossible all the same."""


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
        self._listings = FolderListings(shared)
        self._pulled_at = self._listed_fully_at = self._listed_all_days_at = float("-inf")
        self._first_pull = True

    @property
    def last_pull(self) -> str:
        """Return when the whole shared log was last in the local one, UTC; empty if never."""
        return self._shared.state.read_note(PULLED_NOTE)

    def refresh(self) -> int:
        """Take over what is new in today's folder, now and then `pull`; returns as `pull`.

        Raises:
            HopsworksError: The folder cannot be read.
        """
        if time.monotonic() - self._pulled_at > SWEEP_INTERVAL_S:
            return self.pull()
        with self._shared.exclusive("events"):
            project, passed = self._shared.project(), PassedByFiles(self._shared)
            today = server_clock.now().date()
            added = self._pull_day(project, passed, today.isoformat(), full=False)
            if added:
                pull_runs(self._shared, self._runs, passed, self._listings, full=False)
        return added

    def pull(self, *, everything: bool = False) -> int:
        """Take over what is new; returns the number of new events.

        Args:
            everything: Look through segments, run records and days long past as well, and try
                again what could not be read.

        Raises:
            HopsworksError: The folder cannot be read; what was read until then is kept.
        """
        with self._shared.exclusive("events"):
            project, began = self._shared.project(), time.monotonic()
            full = everything or began - self._listed_fully_at > FULL_LISTING_INTERVAL_S
            all_days = everything or began - self._listed_all_days_at > ALL_DAYS_INTERVAL_S
            if self._first_pull or everything:
                self._try_again()
            passed = PassedByFiles(self._shared)
            added = self._pull_segments(project, passed) if full else 0
            added += self._pull_event_files(project, passed, full=full, all_days=all_days)
            if full or added:
                pull_runs(self._shared, self._runs, passed, self._listings, full=full)
            self._note_pull(began, full, all_days)
        return added

    def _note_pull(self, began: float, full: bool, all_days: bool) -> None:
        """Remember when what was looked at."""
        with self._shared.database.writing() as connection:
            self._shared.state.write_note(connection, PULLED_NOTE, iso(datetime.now(UTC)))
        self._pulled_at, self._first_pull = began, False
        if full:
            self._listed_fully_at = began
        if all_days:
            self._listed_all_days_at = began

    def problem(self) -> str:
        """Return what is wrong with the shared files, in a sentence or two; empty if nothing."""
        sentences = [self._unknown_events(), report(self._shared.state.passed_by())]
        return " ".join(filter(None, sentences))

    def _unknown_events(self) -> str:
        """Return how many events were left out, in one sentence; empty if none."""
        unknown = self._shared.state.count_unknown()
        if not unknown:
            return ""
        path = next(iter(self._shared.state.unknown_paths(1)), "")
        return (
            f"{unknown} events in the shared log cannot be read by this version of Earmark, "
            f"or contradict others ({path}); is it up to date?"
        )

    def read_files(
        self, project: Project, paths: Sequence[str], passed: PassedByFiles | None = None
    ) -> Iterator[LogFile]:
        """Yield those files that are complete, in order; few of them are in memory at a time.

        Raises:
            HopsworksError: Nothing can be read.
        """
        passed = passed or PassedByFiles(self._shared)
        is_segment = bool(paths) and paths[0].startswith("segments/")
        at_once = MAX_CONCURRENT_SEGMENTS if is_segment else MAX_CONCURRENT_DOWNLOADS
        pending: deque[Future[LogFile | None]] = deque()
        with ThreadPoolExecutor(at_once) as pool:
            try:
                for path in paths:
                    pending.append(pool.submit(self._read_file, project, path, passed))
                    if len(pending) > at_once:
                        yield from _complete(pending.popleft())
                while pending:
                    yield from _complete(pending.popleft())
            finally:
                for future in pending:
                    future.cancel()

    def _read_file(self, project: Project, path: str, passed: PassedByFiles) -> LogFile | None:
        """Return a file's lines; None if it is passed by."""
        kind: segments.Kind = "segment" if path.startswith("segments/") else "events"
        try:
            data = self._shared.read_file(project, path, segments.MAX_READ_BYTES)
            return LogFile(path, segments.decode(kind, data))
        except NotFound:
            passed.note(path, "it is listed, but not there")
        except segments.DamagedFile as error:
            passed.note(path, str(error))
        except segments.IncompleteFile:
            passed.note(path)
        except Unreadable as error:
            passed.note(path, str(error).rstrip("."))
        return None

    def _try_again(self) -> None:
        """Read files again that could not be read, by an older version perhaps."""
        with self._shared.database.writing() as connection:
            self._shared.state.forget_unknown(connection)
            self._shared.state.try_passed_by_again(connection)

    def _pull_segments(self, project: Project, passed: PassedByFiles) -> int:
        """Take over new segments; returns the number of new events."""
        names = self._list(project, passed, "segments", full=True)
        paths = [f"segments/{name}" for name in names]
        return self._take_over(project, passed, paths, self._keep_segments)

    def _pull_event_files(
        self, project: Project, passed: PassedByFiles, *, full: bool, all_days: bool
    ) -> int:
        """Take over new event files, day by day; returns the number of new events."""
        names = self._shared.list_names(project, "events")
        days = sorted(day for day in map(segments.day_of, names) if day is not None)
        passed.forget_missing("events", names)
        foreign = (name for name in names if segments.day_of(name) is None)
        passed.note_names("events", foreign, "it is no day")
        if days and not all_days:
            back = LONG_PAST if full else RELISTED_DAYS
            newest = min(days[-1], server_clock.now().date())
            days = [day for day in days if day >= newest - back]
        return sum(self._pull_day(project, passed, day.isoformat(), full=full) for day in days)

    def _pull_day(self, project: Project, passed: PassedByFiles, day: str, *, full: bool) -> int:
        """Take over a day's new event files; returns the number of new events."""
        folder = f"events/{day}"
        names = self._list(project, passed, folder, full=full)
        paths = [f"{folder}/{name}" for name in names]
        return self._take_over(project, passed, paths, self._keep_event_files)

    def _list(
        self, project: Project, passed: PassedByFiles, folder: str, *, full: bool
    ) -> list[str]:
        """Return the names of event files or segments in a folder, all or the latest."""
        try:
            if full:
                names = self._listings.all_names(project, folder)
                passed.forget_missing(folder, names)
            else:
                names = self._listings.latest_names(project, folder)
        except Unreadable as error:
            passed.note(folder, str(error).rstrip("."))
            return []
        passed.forget(folder)
        own = [name for name in names if segments.FILE_NAME.fullmatch(name)]
        if len(own) < len(names):
            passed.note_names(folder, set(names).difference(own))
        return own

    def _take_over(
        self, project: Project, passed: PassedByFiles, paths: Sequence[str], keep: Keep
    ) -> int:
        """Read the files that are new and keep the complete ones, many in one transaction."""
        unseen = passed.due(self._shared.state.unseen(paths))
        added = 0
        for group in _groups(self.read_files(project, unseen, passed)):
            with self._shared.database.writing() as connection:
                added += keep(connection, group)
        return added

    def _keep_event_files(self, connection: Connection, files: Sequence[LogFile]) -> int:
        """Add the events of event files to the local log; returns how many were new."""
        return self._keep_lines(connection, [(file.path, file.lines) for file in files])

    def _keep_segments(self, connection: Connection, files: Sequence[LogFile]) -> int:
        """Add the events of segments, and note the files that they repeat."""
        for file in files:
            paths = segments.compacted_paths(file.lines)
            self._shared.state.mark_seen(connection, paths, in_segment=True)
        return self._keep_lines(connection, [(file.path, file.lines[1:]) for file in files])

    def _keep_lines(
        self, connection: Connection, files: Sequence[tuple[str, Sequence[str]]]
    ) -> int:
        """Add the events in the lines of files, given by path, and mark the files as seen."""
        added = 0
        unknown = {path: 0 for path, _ in files}
        lines = ((path, line) for path, lines in files for line in lines)
        while part := list(islice(lines, BATCH_SIZE)):
            events = [(path, event) for path, line in part if (event := _parse(line)) is not None]
            for path, number in (
                Counter(p for p, _ in part) - Counter(p for p, _ in events)
            ).items():
                unknown[path] += number
            added += self._add(connection, events, unknown)
        self._shared.state.mark_seen(connection, [path for path in unknown if not unknown[path]])
        for path, number in unknown.items():
            if number:
                self._shared.state.mark_seen(connection, [path], unknown=number)
        return added

    def _add(
        self, connection: Connection, events: Sequence[tuple[str, Event]], unknown: dict[str, int]
    ) -> int:
        """Add events to the local log; returns how many were new.

        Args:
            connection: The transaction.
            events: Events with the files that they come from.
            unknown: Is raised by one, for its file, by each event that cannot be kept.
        """
        try:
            with connection.begin_nested():
                return len(self._events.add(connection, [event for _, event in events]))
        except (ConflictingEvent, *BAD_EVENT_ERRORS) as error:
            if len(events) > 1:
                return sum(self._add(connection, [event], unknown) for event in events)
            path, event = events[0]
            unknown[path] += 1
            logger.warning("event left out id=%s path=%s reason=%s", event.event_id, path, error)
            return 0


def _complete(future: "Future[LogFile | None]") -> Iterator[LogFile]:
    """Yield the file that was read, if it was complete."""
    file = future.result()
    if file is not None:
        yield file


def _groups(files: Iterable[LogFile]) -> Iterator[list[LogFile]]:
    """Yield files in groups for one transaction each; also those before an error."""
    group: list[LogFile] = []
    lines = 0
    try:
        for file in files:
            group.append(file)
            lines += len(file.lines)
            if len(group) >= FILES_PER_TRANSACTION or lines >= LINES_PER_TRANSACTION:
                yield group
                group, lines = [], 0
    except HopsworksError:
        if group:
            yield group
        raise
    if group:
        yield group


def _parse(line: str) -> Event | None:
    """Return the event in a line; None for one that this version cannot read."""
    try:
        return parse_event(line)
    except InvalidEvent:
        return None
