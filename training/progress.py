"""How far a training is, told to whoever listens, such as the job that a page shows.

Trainings call `report`; without a listener it does nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int, str], object]
"""Called with what is done, what there is to do (0 where unknown), and the stage in words."""
_listener: ContextVar[Listener | None] = ContextVar("training_progress", default=None)


def report(done: int, total: int, stage: str) -> None:
    """Tell how far the training is.

    Args:
        done: Steps of this stage that are done.
        total: Steps of this stage; 0 where that is not known.
        stage: What it is doing, such as *Computing features*.
    """
    if listener := _listener.get():
        listener(done, total, stage)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let reports of this thread go to a listener."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
