"""Limits on analysing clips: what was refused, and how many an hour."""

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
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
    """Counts by name how many different things were done in the last hour."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin at zero; `clock` gives seconds."""
        self._clock, self._lock = clock, threading.Lock()
        self._times: dict[str, dict[str, float]] = {}

    @property
    def names(self) -> list[str]:
        """Return the names that are counted at present."""
        return list(self._times)

    def spend(self, limits: Mapping[str, int], thing: str = "") -> bool:
        """Count a thing for each name, unless one of them has reached its limit.

        Args:
            limits: By name.
            thing: What was counted in the last hour already is not counted again, and never too
                much; by default it is a new one.
        """
        now, thing = self._clock(), thing or secrets.token_hex(16)
        with self._lock:
            self._forget(now)
            counts = {name: self._times.get(name, {}) for name in limits}
            if any(
                len(counts[name]) >= limit and thing not in counts[name]
                for name, limit in limits.items()
            ):
                return False
            for name in limits:
                self._times.setdefault(name, {}).setdefault(thing, now)
            return True

    def give_back(self, names: Iterable[str], thing: str) -> None:
        """Count a thing no more: nothing came of it."""
        with self._lock:
            for name in names:
                self._times.get(name, {}).pop(thing, None)

    def _forget(self, now: float) -> None:
        for name, times in list(self._times.items()):
            for thing, at in list(times.items()):
                if at <= now - HOUR_S:
                    del times[thing]
            if not times:
                del self._times[name]
