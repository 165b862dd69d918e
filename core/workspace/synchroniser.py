"""The one thread of a server that keeps a shared workspace up to date: it sends what waits and takes over what is new."""

import logging
import threading
from types import TracebackType
from typing import Self

from core.workspace import Workspace, WorkspaceError

logger = logging.getLogger(__name__)
EVERY_S = 5.0
SLOWEST_S = 60.0


class Synchroniser:
    """Started by a server's lifespan hook, or used as a context manager by a job. For a workspace that is its own home it does nothing.

    What goes wrong is no end: it is in the workspace's `sharing()` for people to read, and tried again, ever more seldom.
    """

    def __init__(self, workspace: Workspace, every_s: float = EVERY_S) -> None:
        self.workspace, self.every_s = workspace, every_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless it is going on already."""
        sharing = self.workspace.sharing()
        if self._thread is None and sharing is not None:
            if sharing.warning:
                logger.warning(sharing.warning)
            self._stopping.clear()
            self._thread = threading.Thread(target=self._work, name="synchroniser", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Finish the round that is going on and end."""
        if self._thread is not None:
            self._stopping.set()
            self.workspace.posted.set()
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        pause = self.every_s
        while not self._stopping.is_set():
            self.workspace.posted.clear()
            waiting = self._waiting()
            try:
                self.workspace.flush()
                self.workspace.mirror()
                pause = self.every_s
            except WorkspaceError:
                pause = self.every_s if self._waiting() < waiting else min(2 * pause, SLOWEST_S)
            except Exception:  # a mistake of ours must not end the thread that everybody's saves depend on
                logger.exception("A round of synchronising failed; the next follows in %d s", SLOWEST_S)
                pause = SLOWEST_S
            self.workspace.posted.wait(pause)

    def _waiting(self) -> int:
        sharing = self.workspace.sharing()
        return sharing.waiting if sharing else 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
