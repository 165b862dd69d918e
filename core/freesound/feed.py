"""The newest sounds of freesound.org, as its search lists them."""

from collections.abc import Iterator
from dataclasses import dataclass

from core.freesound.client import FreesoundClient
from core.freesound.types import FreesoundSound

MAX_ROWS = 3000
"""Rows that one run reads: twenty requests, a shared credential's share of a minute."""


@dataclass(frozen=True)
class ListingGap:
    """A place in the list that holds no usable sound.

    Attributes:
        name: What to call the place in a run's report.
        reason: Why it was left out, as a sentence.
    """

    name: str
    reason: str


NULL_ROW = ListingGap(
    "A row of Freesound's list", "Freesound lists a sound that it does not have any more."
)


def newest_rows(
    client: FreesoundClient,
    max_seconds: float = 10,
    days: int = 30,
    max_rows: int = MAX_ROWS,
) -> Iterator[FreesoundSound | ListingGap]:
    """List the newest sounds, newest first, each once; pages are requested as they are needed.

    A sound enters the list only after moderation, days later, but under its old date. So there is
    no position to resume from: each run reads the list from its start and skips known ids.

    Args:
        client: Asks the API.
        max_seconds: Longest sound to list.
        days: How far back to go, in days.
        max_rows: Rows to read; what lies deeper is reported as a gap.

    Yields:
        A sound, or a gap for a row that names none.

    Raises:
        FreesoundError: The list cannot be read further.
    """
    listed_ids: set[int] = set()
    filter = f"duration:[0 TO {max_seconds:g}] created:[NOW-{days}DAY TO NOW]"
    for number, row in enumerate(client.search_rows(filter=filter)):
        if number == max_rows:
            yield _rest_of_list(max_rows)
            return
        if row is None:
            yield NULL_ROW
        elif row.id not in listed_ids:
            listed_ids.add(row.id)
            yield row


def _rest_of_list(max_rows: int) -> ListingGap:
    return ListingGap(
        "The rest of Freesound's list",
        f"A run looks no further than the {max_rows:,} newest sounds; what lies deeper was left "
        "out.",
    )
