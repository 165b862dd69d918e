"""Limits on analysing clips: what was refused, and how many an hour."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.audio.types import AudioLimits
from core.errors import EarmarkError

HOUR_S = 3600


@dataclass(frozen=True)
class Refusal:
    """The reason for not analysing a clip.

    Without the error itself, which would keep the clip in memory.

    Attributes:
        limits: Those that it was judged by.
        kind: Of the error.
        reason: Its sentence.
    """

    limits: AudioLimits
    kind: type[EarmarkError]
    reason: str


class HourlyLimit:
    """Counts by name how often something was done in the last hour."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin at zero; `clock` gives seconds."""
        self._clock, self._lock = clock, threading.Lock()
        self._times: dict[str, deque[float]] = {}

    @property
    def names(self) -> list[str]:
        """Return the names that are counted at present."""
        return list(self._times)

    def spend(self, limits: Mapping[str, int]) -> bool:
        """Count one for each name, unless one of them has reached its limit."""
        now = self._clock()
        with self._lock:
            self._forget(now)
            if any(len(self._times.get(name, ())) >= limit for name, limit in limits.items()):
                return False
            for name in limits:
                self._times.setdefault(name, deque()).append(now)
            return True

    def _forget(self, now: float) -> None:
        for name, times in list(self._times.items()):
            while times and times[0] <= now - HOUR_S:
                times.popleft()
            if not times:
                del self._times[name]
