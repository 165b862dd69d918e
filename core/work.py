"""Long work that can be stopped, or asked to let others go first, between two of its steps."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from core.errors import EarmarkError

T = TypeVar("T")

Checkpoint = Callable[[], None]
"""Called between steps of at most some tenths of a second. It may wait; it may raise `WorkStopped`.

Whoever calls it lets the error pass and leaves nothing half done.
"""
Turns = Callable[[str], AbstractContextManager[Checkpoint]]
"""Called with a sound's name before the work on it. The context is entered when the work may begin
and left at its end; it gives the checkpoint to call meanwhile."""


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


def unlimited(name: str) -> AbstractContextManager[Checkpoint]:
    """Begin the work on a sound at once, for as long as it takes: the simplest `Turns`."""
    return nullcontext(no_checkpoint)


def limited_to(seconds: float) -> Turns:
    """Return turns that begin at once, and end the work on a sound that takes too long.

    Args:
        seconds: Of a sound's own thread at work. Time in which other threads have the processor
            does not count, so a busy machine refuses nothing that an idle one takes.
    """
    return lambda name: nullcontext(stop_after(seconds, name, time.thread_time))
