"""Shares of counted things with 95 % intervals."""

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054
"""Quantile of the standard normal distribution for 95 % intervals."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Proportion:
    """A share: `part` of `n`.

    Attributes:
        part: How many of them.
        n: How many there are.
        clusters: How many of them are independent; by default all are. The tags of one sound are
            not, so an interval of many tags of few sounds is made for the sounds.
    """

    part: int
    n: int
    clusters: int | None = None

    @property
    def value(self) -> float | None:
        """Return the share; None of nothing."""
        return self.part / self.n if self.n else None

    @property
    def interval(self) -> Interval | None:
        """Return the 95 % interval; None of nothing."""
        return wilson(self.part / self.n, self.independent) if self.n else None

    @property
    def independent(self) -> int:
        """Return the number that the interval is made for."""
        return self.n if self.clusters is None else min(self.n, max(1, self.clusters))


def wilson(share: float, n: int) -> Interval:
    """Return the 95 % interval of a share (Wilson 1927, without continuity correction).

    Args:
        share: 0 to 1.
        n: Of how many, at least 1.
    """
    square = Z_95 * Z_95
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = Z_95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    # Rounding must not part a share of 0 or 1 from its interval.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def difference(first: Proportion, second: Proportion) -> Interval:
    """Return the 95 % interval of `first` minus `second`, independent of each other.

    Newcombe 1998, method 10: from the Wilson intervals of both.

    Raises:
        ValueError: One is of nothing.
    """
    if not first.n or not second.n:
        raise ValueError("a share of nothing has no interval")
    share1, share2 = first.part / first.n, second.part / second.n
    low1, high1 = wilson(share1, first.independent)
    low2, high2 = wilson(share2, second.independent)
    between = share1 - share2
    lower = math.hypot(share1 - low1, high2 - share2)
    upper = math.hypot(high1 - share1, share2 - low2)
    return between - lower, between + upper
