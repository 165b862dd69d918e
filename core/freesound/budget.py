"""How many requests a credential may still make, counted in one small SQLite file that app and jobs on a machine share.

Freesound throttles per credential, over sliding windows, with one counter for reads and writes (measured): a write is refused as
soon as 30 requests of any kind were made in the last minute, or 500 in the last day, while reads may go on to 60 and 2,000. Where a
credential is also used to publish, reads must therefore stop well before the limits of writes.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sqlalchemy as sql

from core.errors import EarmarkError
from core.sqlite import with_tables

Kind = Literal["read", "write"]
MINUTE_S, DAY_S = 60.0, 86_400.0
MARGIN_S = 0.5  # their clock and ours

_tables = sql.MetaData()
_requests = sql.Table(
    "requests",
    _tables,
    sql.Column("credential", sql.Text, nullable=False),
    sql.Column("time", sql.Float, nullable=False),
    sql.Index("requests_by_credential", "credential", "time"),
)


class DailyLimitReached(EarmarkError):
    """No request is left today."""


@dataclass(frozen=True)
class Limits:
    """Requests of any kind in the last minute and day, up to which one more read, or one more write, may be made."""

    reads_a_minute: int
    reads_a_day: int
    writes_a_minute: int = 28
    writes_a_day: int = 490

    def of(self, kind: Kind) -> tuple[int, int]:
        """The limits (a minute, a day) for one kind."""
        return (self.reads_a_minute, self.reads_a_day) if kind == "read" else (self.writes_a_minute, self.writes_a_day)


SHARED = Limits(reads_a_minute=20, reads_a_day=420)
"""For a credential that also publishes: eight writes a minute and seventy a day are always left."""
READING_ONLY = Limits(reads_a_minute=56, reads_a_day=1950)
"""For a credential of the jobs' own."""


class Budget:
    """The ledger in the SQLite file `path`. Safe for threads and processes; `clock` gives seconds since the epoch."""

    def __init__(self, path: Path, limits: Limits = SHARED, clock: Callable[[], float] = time.time) -> None:
        self.limits, self._clock = limits, clock
        self._engine, _ = with_tables(path, _tables)

    def spend(self, credential: str, kind: Kind) -> float:
        """Book a request if one is left, and return 0; else return the seconds until it is worth asking again.

        Only a hash of `credential` is kept. Raises `DailyLimitReached` if the day's requests are used up.
        """
        now, name = self._clock(), hashlib.sha256(credential.encode()).hexdigest()[:16]
        a_minute, a_day = self.limits.of(kind)
        with self._engine.begin() as connection:
            connection.execute(_requests.delete().where(_requests.c.time < now - DAY_S))
            mine = sql.select(_requests.c.time).where(_requests.c.credential == name).order_by(_requests.c.time)
            times = list(connection.execute(mine).scalars())
            if len(times) >= a_day:
                again = (times[-a_day] + DAY_S - now) / 3600
                raise DailyLimitReached(f"Freesound's daily limit of requests is reached; there is room again in {again:.1f} hours.")
            recent = [one for one in times if one > now - MINUTE_S]
            if len(recent) >= a_minute:
                return recent[-a_minute] + MINUTE_S - now + MARGIN_S
            connection.execute(_requests.insert().values(credential=name, time=now))
        return 0.0
