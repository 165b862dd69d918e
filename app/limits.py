"""Limits on analysing clips: how many at a time, and how many an hour."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

HOUR_S = 3600


class AnalysisSlots:
    """So many analyses run at a time; the others wait in turn."""

    def __init__(self, slots: int) -> None:
        self._free = threading.BoundedSemaphore(slots)
        self._lock, self._waiting = threading.Lock(), 0

    @contextmanager
    def slot(self, on_queue: Callable[[int], None]) -> Iterator[None]:
        """Hold a slot.

        Args:
            on_queue: Called once if there is a queue, with the number of those who wait, the
                caller included.
        """
        if not self._free.acquire(blocking=False):
            with self._lock:
                self._waiting += 1
            try:
                on_queue(self._waiting)
                self._free.acquire()
            finally:
                with self._lock:
                    self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()


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
