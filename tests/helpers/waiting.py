"""Waiting for what another thread or process does in its own time."""

import time
from collections.abc import Callable

TIMEOUT_S, POLL_INTERVAL_S = 60.0, 0.02


def wait_until(condition: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
    """Wait until a condition is true; fail when it is not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "what was awaited has not happened"
        time.sleep(POLL_INTERVAL_S)
