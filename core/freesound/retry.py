"""Trying a read again where that may help."""

from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from core.freesound.errors import ServerTrouble, Throttled, Unreachable
from core.freesound.rate_limit import MARGIN_S, MINUTE_S

MAX_ATTEMPTS = 4

Result = TypeVar("Result")

_exponential = wait_exponential_jitter(initial=1, max=30)


def with_retries(request: Callable[[], Result], sleep: Callable[[float], None]) -> Result:
    """Return the request's result, tried again after a connection error, a 5xx or a throttle.

    Args:
        request: A read; never a write, which might be done twice.
        sleep: Waits for so many seconds.

    Raises:
        FreesoundError: The last attempt's error, or the first that no retry can mend.
    """
    retrying = Retrying(
        retry=retry_if_exception_type((Unreachable, ServerTrouble, Throttled)),
        wait=_pause_s,
        stop=stop_after_attempt(MAX_ATTEMPTS),
        sleep=sleep,
        reraise=True,
    )
    return retrying(request)


def _pause_s(state: RetryCallState) -> float:
    """Return a full window after the minute's throttle, else 1, 2, 4 s with some jitter."""
    error = state.outcome.exception() if state.outcome else None
    return MINUTE_S + MARGIN_S if isinstance(error, Throttled) else _exponential(state)
