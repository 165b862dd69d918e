"""A range of Freesound's past, by ids or by dates, and the listing of what is new in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from core.errors import EarmarkError
from core.events.types import ModelRef
from core.freesound.client import MAX_PAGE_SIZE, FreesoundClient
from core.freesound.types import FreesoundSound
from core.pipeline.errors import BackfillError
from core.storage.workspace import Workspace

MAX_SEARCH_ROWS = 3000
"""Rows that one search pages through: twenty requests, a shared credential's share of a minute."""


@dataclass(frozen=True)
class IdRange:
    """The sounds whose Freesound ids lie between `first` and `last`, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"--ids {self.first} {self.last}"

    @property
    def length(self) -> float:
        """Return the number of ids."""
        return self.last + 1 - self.first

    def rows(
        self, client: FreesoundClient, conditions: str, max_rows: int = MAX_SEARCH_ROWS
    ) -> Iterator[tuple[FreesoundSound | None, "IdRange"]]:
        """List the range, oldest first.

        Args:
            client: Asks the API.
            conditions: What else must hold, as a filter.
            max_rows: Rows that one search pages through.

        Yields:
            Each row, None where it is unreadable, with the range that is left once all rows before
            it are dealt with.
        """
        for first in range(self.first, self.last + 1, max_rows):
            last = min(first + max_rows - 1, self.last)
            window = f"id:[{first} TO {last}] {conditions}"
            for row in client.search_rows(filter=window, sort="created_asc"):
                yield row, replace(self, first=first)


@dataclass(frozen=True)
class DateRange:
    """The sounds that were uploaded from `start` to `end`."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"--created {_to_solr(self.start)} {_to_solr(self.end)}"

    @property
    def length(self) -> float:
        """Return the number of seconds."""
        return (self.end - self.start).total_seconds()

    def rows(
        self, client: FreesoundClient, conditions: str, max_rows: int = MAX_SEARCH_ROWS
    ) -> Iterator[tuple[FreesoundSound | None, "DateRange"]]:
        """List the range as `IdRange.rows` does.

        After `max_rows` rows a new search begins at the last row's time, so that no search pages
        deep, however many sounds a day holds.
        """
        left = self
        while True:
            start = left.start
            window = f"created:[{_to_solr(start)} TO {_to_solr(left.end)}] {conditions}"
            rows = client.search_rows(filter=window, sort="created_asc")
            for number, row in enumerate(rows, start=1):
                left = replace(left, start=max(left.start, _created(row) or left.start))
                yield row, left
                if number >= max_rows and left.start > start:
                    break
            else:
                return


FreesoundRange = IdRange | DateRange


def parse_range(created: Sequence[str] | None, ids: Sequence[int] | None) -> FreesoundRange:
    """Read a range from the command line: either two dates, or two ids.

    Args:
        created: Two days or moments in ISO 8601; UTC where they name no time zone.
        ids: Two Freesound ids.

    Raises:
        BackfillError: That is no range.
    """
    if bool(created) == bool(ids):
        raise BackfillError("Give either --created FROM TO or --ids FIRST LAST.")
    if ids:
        first, last = ids
        if not 0 < first <= last:
            raise BackfillError(f"{first} to {last} is no range of ids.")
        return IdRange(first, last)
    start, end = (_parse_time(text) for text in created or ())
    if start >= end:
        raise BackfillError(f"{_to_solr(start)} to {_to_solr(end)} is no range of dates.")
    return DateRange(start, end)


class RangeListing:
    """The sounds of a range that need tagging, in batches.

    Attributes:
        whole: The whole range.
        left: The range that is left once all batches returned so far are dealt with.
        known: Sounds listed so far that need no tagging.
        gone: Rows listed so far that hold no sound any more.
        error: What ended the listing early.
    """

    def __init__(
        self,
        client: FreesoundClient,
        workspace: Workspace,
        whole: FreesoundRange,
        max_seconds: float,
        tagged_by: ModelRef | None = None,
        max_search_rows: int = MAX_SEARCH_ROWS,
    ) -> None:
        """Begin a listing; nothing is requested yet.

        Args:
            client: Asks the API.
            workspace: Knows which sounds are tagged.
            whole: The range.
            max_seconds: Longest sound to list.
            tagged_by: Count only sounds that this model version tagged as known.
            max_search_rows: Rows that one search pages through.
        """
        self.whole: FreesoundRange = whole
        self.left: FreesoundRange = whole
        self.known = self.gone = 0
        self.error: EarmarkError | None = None
        self._workspace, self._tagged_by = workspace, tagged_by
        self._listed_ids: set[int] = set()
        conditions = f"duration:[0 TO {max_seconds:g}]"
        self._rows: Iterator[tuple[FreesoundSound | None, FreesoundRange]]
        self._rows = whole.rows(client, conditions, max_search_rows)

    @property
    def share(self) -> float:
        """Return how much of the range was listed, 0 to 1."""
        return 1 - self.left.length / max(1, self.whole.length)

    def batches(self, size: int) -> Iterator[list[FreesoundSound]]:
        """Yield up to `size` new sounds each; also those listed before the listing failed."""
        new: list[FreesoundSound] = []
        for page in self._pages():
            new += self._new_sounds([row for row, _ in page])
            self.left = page[-1][1]
            while len(new) >= size:
                yield new[:size]
                new = new[size:]
        if new:
            yield new

    def _pages(self) -> Iterator[list[tuple[FreesoundSound | None, FreesoundRange]]]:
        page: list[tuple[FreesoundSound | None, FreesoundRange]] = []
        try:
            for row in self._rows:
                page.append(row)
                if len(page) == MAX_PAGE_SIZE:
                    yield page
                    page = []
        except EarmarkError as error:
            self.error = error
        if page:
            yield page

    def _new_sounds(self, rows: Sequence[FreesoundSound | None]) -> list[FreesoundSound]:
        self.gone += sum(row is None for row in rows)
        unseen = {
            f"freesound:{row.id}": row
            for row in rows
            if row is not None and row.id not in self._listed_ids
        }
        self._listed_ids.update(row.id for row in unseen.values())
        tagged = self._workspace.sounds.tagged(list(unseen), self._tagged_by)
        self.known += len(tagged)
        return [row for sound_id, row in unseen.items() if sound_id not in tagged]


def _to_solr(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _created(row: FreesoundSound | None) -> datetime | None:
    """Return when a sound was uploaded; None where that cannot be read."""
    try:
        time = _utc(row.created) if row else None
    except (ValueError, OverflowError):
        return None
    return time.replace(microsecond=0) if time else None


def _parse_time(text: str) -> datetime:
    try:
        return _utc(text)
    except (ValueError, OverflowError) as error:
        raise BackfillError(
            f"{text} is no date; 2026-01-31 and 2026-01-31T12:00:00Z are."
        ) from error


def _utc(text: str) -> datetime:
    """Return a time; UTC where the text names no time zone."""
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
