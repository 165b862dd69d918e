"""Draws a part of a page again when it is time, while somebody looks at the page.

The browser waits, not the server: a page in a tab that is not looked at asks for nothing, and is
brought up to date when it is looked at again.
"""

import time
from pathlib import Path

from app.components.register import register

_COMPONENT = register(Path(__file__).parent)
MIN_WAIT_S = 5.0


def refresh_when_due(key: str, age_s: float | None, wait_s: float | None) -> None:
    """Say how old an answer is, and draw the fragment that this stands in again when it is time.

    Args:
        key: Of the component in the session.
        age_s: Seconds since the answer; None where there is none yet.
        wait_s: Seconds until the fragment is to be drawn again; None for never.
    """
    wait = None if wait_s is None else max(MIN_WAIT_S, wait_s)
    # The time makes each drawing another one: the browser is not told of equal data.
    data = {"age": age_s, "wait": wait, "drawn": time.time()}
    _COMPONENT(key=key, data=(data,), on_due_change=lambda: None)
