"""Spreading sounds of one uploader or one recording over a list."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

Alike = Callable[[int, int], bool]
"""Whether two sounds, by position, are of one uploader or recording."""


@dataclass(frozen=True)
class Spread:
    """The next sounds of a list.

    Attributes:
        shown: Their positions.
        deferred: Positions that were passed over and come as soon as they can.
        read: How many sounds were taken from the list.
    """

    shown: tuple[int, ...]
    deferred: tuple[int, ...]
    read: int


def spread(
    positions: Iterable[int],
    deferred: Iterable[int],
    last: int | None,
    size: int,
    alike: Alike,
    max_deferred: int,
) -> Spread:
    """Take sounds from a list so that no two alike follow each other.

    A sound that is like the one before it is deferred. Two alike follow each other only where
    nothing else comes in the list, or for `max_deferred` sounds.

    Args:
        positions: The list's sounds, the first one first.
        deferred: Sounds that come before it, if they can.
        last: The sound shown before, if one was.
        size: How many to take at most.
        alike: Whether two sounds may not follow each other.
        max_deferred: How many sounds may be deferred at once.
    """
    source = _Counted(positions)
    waiting, shown = list(deferred), list[int]()
    while len(shown) < size:
        selected = next((each for each in waiting if last is None or not alike(each, last)), None)
        if selected is None:
            for each in source:
                waiting.append(each)
                if last is None or not alike(each, last):
                    selected = each
                    break
                if len(waiting) > max_deferred:
                    break
        if not waiting:
            break
        selected = waiting[0] if selected is None else selected
        waiting.remove(selected)
        shown.append(selected)
        last = selected
    return Spread(tuple(shown), tuple(waiting), source.number)


class _Counted:
    """Counts what is taken from an iterable."""

    def __init__(self, values: Iterable[int]) -> None:
        self._values = iter(values)
        self.number = 0

    def __iter__(self) -> Iterator[int]:
        for value in self._values:
            self.number += 1
            yield value
