"""The one thread of a server that keeps a shared workspace up to date: it pushes and pulls."""

import logging
import threading
import time
from types import TracebackType
from typing import Self

from core.errors import EarmarkError
from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 5.0
MAX_POLL_INTERVAL_S = 60.0
IDLE_AFTER_S = 60.0
"""Time after the last save or look at a page from which on it asks less and less often."""
THREAD_NAME = "background-sync"


class BackgroundSync:
    """Runs in a server, or around a job as a context manager; idle for a local workspace.

    Trouble does not end it: it is in the workspace's `sync.status()` for people to read, and the
    work is tried again, less and less often. So it is while nobody saves anything or looks at a
    page; the first who does wakes it.
    """

    def __init__(self, workspace: Workspace, interval_s: float = POLL_INTERVAL_S) -> None:
        self._sync, self._interval_s = workspace.sync, interval_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Return True while the thread runs."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread, unless it runs already or there is nothing to sync."""
        status = self._sync.status()
        if self._thread is not None or status is None:
            return
        if status.warning:
            logger.warning("sync warning=%s", status.warning)
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the round in progress and end the thread."""
        if self._thread is not None:
            self._stopping.set()
            self._sync.outbox_event.set()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        """Sync in rounds until `stop` is called."""
        pause, woken_at = self._interval_s, time.monotonic()
        while not self._stopping.is_set():
            self._sync.outbox_event.clear()
            if self._stopping.is_set():  # `stop` may have set both events just before
                return
            try:
                is_well = self._round()
                used_at = max(woken_at, self._sync.last_use)
                is_idle = time.monotonic() - used_at > IDLE_AFTER_S
                slower = min(2 * pause, MAX_POLL_INTERVAL_S)
                pause = self._interval_s if is_well and not is_idle else slower
            except Exception:  # a bug must not end the thread that everybody's saves depend on
                pause = MAX_POLL_INTERVAL_S
                logger.exception("sync round failed next_in_s=%d", pause)
            if self._sync.outbox_event.wait(pause):
                woken_at = time.monotonic()

    def _round(self) -> bool:
        """Push and pull once; returns True if that worked or sent at least something."""
        waiting = self._waiting()
        try:
            self._sync.push()
            self._sync.refresh()
        except EarmarkError:  # noted and logged by the sync itself
            return self._waiting() < waiting
        return True

    def _waiting(self) -> int:
        """Return the number of saves that wait; 0 where the workspace cannot be read."""
        try:
            status = self._sync.status()
        except EarmarkError:
            return 0
        return status.waiting if status else 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
