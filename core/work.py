"""Long work that can be stopped, or asked to let others go first, between two of its steps."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from core.errors import EarmarkError

T = TypeVar("T")

Checkpoint = Callable[[], None]
"""Called between steps of at most some tenths of a second. It may wait; it may raise `WorkStopped`.

Whoever calls it lets the error pass and leaves nothing half done.
"""


class WorkStopped(EarmarkError):
    """Work that was given up before its end."""


class WorkTooLong(WorkStopped):
    """Work that took longer than it may."""


def no_checkpoint() -> None:
    """Go on at once."""


def with_checkpoints(items: Iterable[T], checkpoint: Checkpoint) -> Iterator[T]:
    """Yield items, with a checkpoint before each."""
    for item in items:
        checkpoint()
        yield item


def stop_after(
    seconds: float, name: str, clock: Callable[[], float] = time.monotonic
) -> Checkpoint:
    """Return a checkpoint that stops the work on a sound once it has taken so long.

    Args:
        seconds: The work may take, from this call on.
        name: What to call the sound in the error, `WorkTooLong`.
        clock: Gives seconds; by default those that pass.
    """
    start = clock()

    def checkpoint() -> None:
        if clock() - start > seconds:
            reason = f"was given up after {seconds:g} s of work"
            raise WorkTooLong(f"{name} takes too long and {reason}; please shorten it.")

    return checkpoint
