"""The shared log: this machine's outbox on its way there, and everybody's event files on their way into the index.

Nothing in the shared home is ever changed or deleted, so there is nothing to lock. A writer chooses a name that nobody else can have,
and an attempt whose outcome is unknown is repeated under that name until the file has been read back. A reader lists the last days
again each time, because files may arrive late, and every day once in a while; it takes over only files whose hash is right.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import TypeVar

from sqlalchemy import Connection

from core.id2prediction import Event, EventError, iso
from core.workspace.hopsworks import files
from core.workspace.hopsworks.client import Away, HopsworksError, Missing, Project, Refused, Torn
from core.workspace.hopsworks.home import Home
from core.workspace.hopsworks.ledger import Parcel
from core.workspace.index import Contradiction, run_from_json

Item = TypeVar("Item")

AT_ONCE = 8
"""Files under way at a time."""
FILES_PER_TRANSACTION = 200
DAYS_LISTED_AGAIN = timedelta(days=2)
"""A file goes into the folder of today or yesterday, by its writer's clock; so far back a new one may appear."""
SWEEP_EVERY_S = 3600
TORN_FOR_S = 3600
"""A file that is incomplete for longer than this will not be completed; it is reported."""
MIRRORED_NOTE = "mirrored"


@dataclass(frozen=True)
class ReadFile:
    """A file of the shared home that is whole: its path and lines."""

    path: str
    lines: list[str]


Keep = Callable[[Connection, Sequence[ReadFile]], int]
"""Puts files into the index within a transaction and returns how many events were new."""


class SharedLog:
    """Sending and receiving for one `Home`. Every method may be called from any thread."""

    def __init__(self, home: Home) -> None:
        self.home, self.ledger = home, home.ledger
        self.stuck: dict[str, str] = {}
        """Why something in the outbox cannot be sent, by path; the rest goes past it."""
        self._swept = float("-inf")
        self._fresh_start = True

    # Sending

    def post(self, connection: Connection, events: Sequence[Event]) -> None:
        """Put events into the outbox, in the transaction that adds them to the index."""
        rest = iter(events)
        for lines in files.portions(event.to_json() for event in events):
            parcel = self.ledger.post(connection, files.event_path(files.new_name()), body=files.encode("events", lines))
            assert parcel is not None, "a new name is taken by nobody"
            self.ledger.wait_for(connection, parcel, [next(rest).event_id for _ in lines])

    def flush(self) -> int:
        """Send what is in the outbox, oldest first, and return how much was. Raises `Away` or `Refused`; what is left then waits."""
        sent = 0
        with self.home.only_one("outbox"):
            addresses = self.ledger.addresses()
            project = self.home.project() if addresses else None
            for is_medium, group in groupby(addresses, key=lambda one: one[1].startswith("media/")):
                for some in _in_portions(list(group), AT_ONCE if is_medium else 1):
                    with ThreadPoolExecutor(len(some)) as pool:
                        sent += sum(pool.map(lambda one: self._send(project, one[0]), some))
        return sent

    def _send(self, project: Project | None, sequence: int) -> int:
        """1 if the parcel is in the shared home now, 0 if it has to wait for another round."""
        parcel = self.ledger.parcel(sequence)
        if parcel is None or project is None:
            return 0
        parcel = self._dated(parcel)
        try:
            project.create(self.home.path(parcel.path), self._body(parcel))
        except Torn:  # by an attempt that was cut short: that name is spoilt for ever, and nobody reads such a file
            with self.home.index.writing() as connection:
                self.ledger.readdress(connection, parcel, files.another_name(parcel.path))
            return 0
        except (Away, Refused):
            raise
        except HopsworksError as error:
            self.stuck[parcel.path] = str(error)
            return 0
        except OSError as error:
            self.stuck[parcel.path] = f"{parcel.medium}, which waits to be sent, cannot be read on this machine ({error.strerror})."
            return 0
        self._is_there(parcel)
        return 1

    def _dated(self, parcel: Parcel) -> Parcel:
        """An event file that has waited for days goes to today's folder, where readers look; if it did arrive after all, the events in
        both files are the same."""
        folder, _, rest = parcel.path.partition("/")
        day, _, name = rest.partition("/")
        if folder != "events" or day >= (datetime.now(UTC).date() - timedelta(days=1)).isoformat():
            return parcel
        path = files.event_path(name)
        with self.home.index.writing() as connection:
            self.ledger.readdress(connection, parcel, path)
        return Parcel(parcel.sequence, path, parcel.body, parcel.medium)

    def _body(self, parcel: Parcel) -> bytes:
        if parcel.body is not None:
            return parcel.body
        return (self.home.cache / "media" / str(parcel.medium)[:2] / str(parcel.medium)).read_bytes()

    def _is_there(self, parcel: Parcel) -> None:
        self.stuck.pop(parcel.path, None)
        with self.home.index.writing() as connection:
            self.ledger.delivered(connection, parcel)
            folder, _, name = parcel.path.rpartition("/")
            if folder.startswith("media/"):
                self.ledger.put_places(connection, folder, [name])
            else:
                self.ledger.saw(connection, [parcel.path])

    # Receiving

    def mirror(self, *, everything: bool = False) -> int:
        """Take over what is new and return how many events were. Raises `Away` or `Refused`; what was read until then is kept.

        With `everything`, segments, run records and the days long past are looked through too.
        """
        with self.home.only_one("mirror"):
            project, began = self.home.project(), time.monotonic()
            sweep = everything or began - self._swept > SWEEP_EVERY_S
            if self._fresh_start:
                self._forget_what_an_older_program_could_not_read()
            added = self._take_segments(project) if sweep else 0
            added += self._take_event_files(project, sweep)
            if sweep or added:
                self._take_runs(project)
            if sweep:
                self._swept = began
            with self.home.index.writing() as connection:
                self.ledger.note(connection, MIRRORED_NOTE, iso(datetime.now(UTC)))
        return added

    @property
    def mirrored(self) -> str:
        """When the whole shared log was last in the index, UTC; empty if never."""
        return self.ledger.noted(MIRRORED_NOTE)

    def _forget_what_an_older_program_could_not_read(self) -> None:
        with self.home.index.writing() as connection:
            self.ledger.forget_unknown(connection)
        self._fresh_start = False

    def _names(self, project: Project, folder: str) -> list[str]:
        """What is in a folder; nothing if there is no such folder, and an error is an error."""
        try:
            return project.names(self.home.path(folder))
        except Missing:
            return []

    def _take_segments(self, project: Project) -> int:
        names = [name for name in self._names(project, "segments") if files.FILE_NAME.fullmatch(name)]
        return self._take(project, [f"segments/{name}" for name in names], self._keep_segments)

    def _take_event_files(self, project: Project, sweep: bool) -> int:
        days = sorted(day for day in self._names(project, "events") if files.DAY.fullmatch(day))
        if days and not sweep:
            newest = min(date.fromisoformat(days[-1]), datetime.now(UTC).date())
            days = [day for day in days if day >= (newest - DAYS_LISTED_AGAIN).isoformat()]
        listed = [(f"events/{day}", name) for day in days for name in self._names(project, f"events/{day}")]
        paths = [f"{folder}/{name}" for folder, name in listed if files.FILE_NAME.fullmatch(name)]
        return self._take(project, paths, self._keep_event_files)

    def _take(self, project: Project, paths: Iterable[str], keep: Keep) -> int:
        """Read the files that are new and keep the whole ones, many in one transaction."""
        added = 0
        for some in _in_portions(self.ledger.unseen(paths), FILES_PER_TRANSACTION):
            with ThreadPoolExecutor(AT_ONCE) as pool:
                whole = [one for one in pool.map(lambda path: self._read(project, path), some) if one is not None]
            try:
                with self.home.index.writing() as connection:
                    added += keep(connection, whole)
            except Contradiction:
                added += sum(self._keep_alone(one, keep) for one in whole)
        return added

    def _keep_alone(self, file: ReadFile, keep: Keep) -> int:
        """One file by itself. A forged one, which says something else under a known event id, is left out for good."""
        try:
            with self.home.index.writing() as connection:
                return keep(connection, [file])
        except Contradiction:
            with self.home.index.writing() as connection:
                self.ledger.saw(connection, [file.path], unknown=len(file.lines))
            return 0

    def _read(self, project: Project, path: str) -> ReadFile | None:
        """A file's lines; None if it is incomplete, which may change."""
        try:
            data = project.read(self.home.path(path))
            return ReadFile(path, files.decode("segment" if path.startswith("segments/") else "events", data))
        except (files.Incomplete, Missing):
            with self.home.index.writing() as connection:
                self.ledger.found_torn(connection, path, time.time())
            return None

    def _keep_event_files(self, connection: Connection, read: Sequence[ReadFile]) -> int:
        return self._keep(connection, [(file.path, file.lines) for file in read])

    def _keep_segments(self, connection: Connection, read: Sequence[ReadFile]) -> int:
        for file in read:
            self.ledger.saw(connection, files.repeated(file.lines), in_segment=True)
        return self._keep(connection, [(file.path, file.lines[1:]) for file in read])

    def _keep(self, connection: Connection, read: Sequence[tuple[str, list[str]]]) -> int:
        events: list[Event] = []
        for path, lines in read:
            some, unknown = _events(lines)
            events += some
            self.ledger.saw(connection, [path], unknown=unknown)
        return len(self.home.index.add(connection, events))

    def _take_runs(self, project: Project) -> None:
        """Run records: one file when a run starts and one when it ends, which comes later and says more."""
        paths = [f"runs/{name}" for name in self._names(project, "runs") if name.endswith(".json")]
        for path in self.ledger.unseen(paths):
            try:
                run = run_from_json(project.read(self.home.path(path)))
            except (ValueError, KeyError, TypeError, Missing):
                continue
            with self.home.index.writing() as connection:
                self.home.index.keep_run(connection, run)
                self.ledger.saw(connection, [path])

    # Segments

    def compact(self, fewest: int) -> int:
        """Gather event files that no segment repeats, if there are `fewest`, into segments; returns how many files were.

        Two who do so at once make two segments of the same events, which is harmless. Lines are taken from the shared home, not from
        the index: what this program cannot read is passed on to one that can.
        """
        self.mirror(everything=True)
        loose = self.ledger.loose()
        if len(loose) < fewest:
            return 0
        project = self.home.project()
        gathered = 0
        for some in _in_portions(loose, files.MOST_LINES):
            with ThreadPoolExecutor(AT_ONCE) as pool:
                read = [one for one in pool.map(lambda path: self._read(project, path), some) if one is not None]
            for portion in _segments(read):
                self._write_segment(project, portion)
                gathered += len(portion)
        return gathered

    def _write_segment(self, project: Project, portion: Sequence[ReadFile]) -> None:
        path, paths = f"segments/{files.new_name()}", [file.path for file in portion]
        lines = files.segment_lines(paths, [line for file in portion for line in file.lines])
        project.create(self.home.path(path), files.encode("segment", lines))
        with self.home.index.writing() as connection:
            self.ledger.saw(connection, paths, in_segment=True)
            self.ledger.saw(connection, [path])

    # For people

    def problem(self) -> str:
        """One sentence on what is wrong with the shared files, or nothing."""
        torn = self.ledger.torn_before(time.time() - TORN_FOR_S)
        unknown = self.ledger.count_unknown()
        if unknown:
            return f"{unknown} events in the shared log cannot be read by this version of Earmark, or contradict others; is it up to date?"
        if torn:
            return f"{len(torn)} files in the shared log have been incomplete for over an hour ({torn[0]}); their writer sends them again."
        return next(iter(self.stuck.values()), "")


def _events(lines: Sequence[str]) -> tuple[list[Event], int]:
    """The events of some lines, and how many lines this version cannot read."""
    events, unknown = [], 0
    for line in lines:
        try:
            events.append(Event.from_json(line))
        except EventError:
            unknown += 1
    return events, unknown


def _segments(read: Sequence[ReadFile]) -> Iterator[list[ReadFile]]:
    """The files in portions whose lines fit into one segment."""
    portion: list[ReadFile] = []
    lines = size = 0
    for file in read:
        length = sum(map(len, file.lines))
        if portion and (lines + len(file.lines) > files.MOST_LINES or size + length > files.MOST_BYTES):
            yield portion
            portion, lines, size = [], 0, 0
        portion.append(file)
        lines += len(file.lines)
        size += length
    if portion:
        yield portion


def _in_portions(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
