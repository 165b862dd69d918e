"""The request budget of a credential, counted in one small SQLite file.

The app and the jobs on a machine share the file. Freesound throttles per credential, over sliding
windows, with one counter for reads and writes (measured): a write is refused as soon as 30 requests
of any kind were made in the last minute, or 500 in the last day, while reads may go on to 60 and
2,000. Where a credential is also used to publish, reads must therefore stop well before the limits
of writes.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sqlalchemy as sql

from core.freesound.errors import DailyLimitReached
from core.sqlite import open_database

logger = logging.getLogger(__name__)

Kind = Literal["read", "write"]
MINUTE_S, DAY_S = 60.0, 86_400.0
MARGIN_S = 0.5
"""Added to every wait: Freesound's clock is not ours."""

_meta = sql.MetaData()
_requests = sql.Table(
    "requests",
    _meta,
    sql.Column("credential", sql.Text, nullable=False),
    sql.Column("time", sql.Float, nullable=False),
    sql.Index("requests_by_credential", "credential", "time"),
)


@dataclass(frozen=True)
class Limits:
    """Requests of any kind in the last minute and day that still allow a read, or a write."""

    reads_a_minute: int
    reads_a_day: int
    writes_a_minute: int = 28
    writes_a_day: int = 490

    def of(self, kind: Kind) -> tuple[int, int]:
        """Return the limits (a minute, a day) for one kind."""
        if kind == "read":
            return self.reads_a_minute, self.reads_a_day
        return self.writes_a_minute, self.writes_a_day


SHARED = Limits(reads_a_minute=20, reads_a_day=420)
"""For a credential that also publishes: eight writes a minute and seventy a day are always left."""
READING_ONLY = Limits(reads_a_minute=56, reads_a_day=1950)
"""For a credential of the jobs' own."""


class Budget:
    """Counts requests per credential. Safe for threads and processes."""

    def __init__(
        self, path: Path, limits: Limits = SHARED, clock: Callable[[], float] = time.time
    ) -> None:
        """Open the budget.

        Args:
            path: The SQLite file; it is created where there is none.
            limits: Freesound's limits, less what is kept free.
            clock: Gives seconds since the epoch.

        Raises:
            DatabaseError: The file cannot be opened.
        """
        self.limits, self._clock = limits, clock
        self._database = open_database(path, "freesound_requests", _meta)

    def left(self, credential: str, kind: Kind) -> tuple[int, int]:
        """Return how many requests may still be booked this minute, and today.

        Args:
            credential: The key.
            kind: Reads or writes.

        Raises:
            DatabaseError: The file cannot be read.
        """
        now, (per_minute, per_day) = self._clock(), self.limits.of(kind)
        with self._database.reading() as connection:
            times = _booked_times(connection, _name(credential))
        today = [booked_at for booked_at in times if booked_at > now - DAY_S]
        recent = [booked_at for booked_at in today if booked_at > now - MINUTE_S]
        return max(0, per_minute - len(recent)), max(0, per_day - len(today))

    def spend(self, credential: str, kind: Kind) -> float:
        """Book a request if the budget allows it.

        Args:
            credential: The key; only a hash of it is kept.
            kind: A read or a write.

        Returns:
            0 if the request was booked, else the seconds until it is worth asking again.

        Raises:
            DailyLimitReached: The day's requests are used up.
            DatabaseError: The file cannot be written.
        """
        now, name = self._clock(), _name(credential)
        per_minute, per_day = self.limits.of(kind)
        with self._database.writing() as connection:
            connection.execute(_requests.delete().where(_requests.c.time < now - DAY_S))
            times = _booked_times(connection, name)
            if len(times) >= per_day:
                raise _day_used_up(times[-per_day] + DAY_S - now)
            recent = [booked_at for booked_at in times if booked_at > now - MINUTE_S]
            if len(recent) >= per_minute:
                return recent[-per_minute] + MINUTE_S - now + MARGIN_S
            connection.execute(_requests.insert().values(credential=name, time=now))
        return 0.0


def _name(credential: str) -> str:
    """Return what stands for a key in the file."""
    return hashlib.sha256(credential.encode()).hexdigest()[:16]


def _booked_times(connection: sql.Connection, name: str) -> list[float]:
    """Return when a credential's requests were booked, oldest first."""
    query = sql.select(_requests.c.time).where(_requests.c.credential == name)
    return list(connection.execute(query.order_by(_requests.c.time)).scalars())


def _day_used_up(wait_s: float) -> DailyLimitReached:
    hours = wait_s / 3600
    logger.warning("freesound budget used up wait_h=%.1f", hours)
    return DailyLimitReached(
        f"Freesound's daily limit of requests is reached; there is room again in {hours:.1f} hours."
    )
