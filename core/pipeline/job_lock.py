"""One job at a time among the app processes of a machine that share a workspace."""

from pathlib import Path

from filelock import FileLock, Timeout

from core.errors import EarmarkError

LOCK_NAME = ".job.lock"


class JobLock:
    """A lock that the file system frees when the process that holds it dies.

    It may be released by another thread than the one that acquired it.
    """

    def __init__(self, folder: Path) -> None:
        """Prepare the lock of the workspace in `folder`."""
        self._folder = folder
        self._lock = FileLock(folder / LOCK_NAME, thread_local=False)

    def acquire(self) -> bool:
        """Take the lock; returns False where somebody else has it.

        Raises:
            EarmarkError: The workspace's folder cannot be written.
        """
        if self._lock.is_locked:
            return False
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        except OSError as error:
            reason = f"The workspace {self._folder} cannot be written: {error.strerror}."
            raise EarmarkError(reason) from error
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()
