"""Working on many items in a few threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD_PER_WORKER = 4
"""Items begun or done before the caller takes their results: while it is busy, workers go on."""


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Yield (item, result) in the order of the items.

    Only a few items are in work or done at a time, which bounds memory.

    Args:
        work: What is done with each item; its exceptions are raised here.
        items: Taken as they are needed.
        workers: Number of threads.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:
        pending: deque[tuple[Item, Future[Result]]] = deque()
        try:
            for item in items:
                pending.append((item, pool.submit(work, item)))
                if len(pending) >= AHEAD_PER_WORKER * workers:
                    first, future = pending.popleft()
                    yield first, future.result()
            for first, future in pending:
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)
