"""A publication on its way, in a thread of its own: it goes on when the page is left."""

import logging
import threading
from collections.abc import Callable

from core.errors import EarmarkError
from core.pipeline.analysis import Analysis
from core.publishing.upload_log import Upload

logger = logging.getLogger(__name__)


class Sending:
    """One publication under way.

    Attributes:
        stage: What it is doing, in words.
        share: Of the bytes that are sent.
        analysis: Of the bytes that are sent, once they were analysed.
        upload: The outcome, once there is one.
        error: Why there is none, as a sentence.
    """

    def __init__(self) -> None:
        self.stage, self.share = "Preparing", 0.0
        self.analysis: Analysis | None = None
        self.upload: Upload | None = None
        self.error = ""
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Return True until the thread has ended."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, work: Callable[["Sending"], Upload]) -> None:
        """Begin; `work` may set `analysis` and calls `report`."""
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True, name="publish")
        self._thread.start()

    def wait(self, timeout_s: float | None = None) -> None:
        """Return when the thread has ended, or after a time."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def report(self, stage: str, share: float) -> None:
        """Note how far it is."""
        self.stage, self.share = stage, share

    def _run(self, work: Callable[["Sending"], Upload]) -> None:
        try:
            self.upload = work(self)
        except EarmarkError as error:
            self.error = str(error)
        except Exception:
            logger.exception("publish failed")
            self.error = "Something went wrong here. “Your uploads” shows the sound's state."
