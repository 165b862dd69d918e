"""The server's check, every few minutes, of whether there is something to notify people of."""

import logging
import threading

from core.notifications import check_all
from core.settings import Settings
from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)

CHECK_INTERVAL_S = 600.0
THREAD_NAME = "notifications"


class NotificationWatch:
    """Checks in a thread of its own; idle where nobody is to be notified."""

    def __init__(
        self, workspace: Workspace, settings: Settings, interval_s: float = CHECK_INTERVAL_S
    ) -> None:
        """Prepare the thread.

        Args:
            workspace: Whose runs are looked at.
            settings: Say who is told of what.
            interval_s: Time between two checks; the first is after one of them.
        """
        self._workspace, self._settings, self._interval_s = workspace, settings, interval_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, if somebody is to be notified."""
        if self._settings.notify is not None:
            self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                check_all(self._workspace, self._settings)
            except Exception:  # a bug must not end the checks
                logger.exception("notifications not checked")
