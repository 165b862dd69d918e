"""Files and folders that cannot be read: passed by, reported by name, and tried again later."""

import logging
import time
from collections.abc import Iterable, Sequence

from core.storage.hopsworks.listing import IN_PROGRESS
from core.storage.hopsworks.shared_folder import SharedFolder
from core.storage.hopsworks.sync_state import PassedBy
from core.untrusted import clean_text

logger = logging.getLogger(__name__)

INCOMPLETE_AFTER_S = 300
"""A file that is incomplete for longer than this will hardly be completed; it is reported."""
MAX_RETRY_INTERVAL_S = 600
MAX_NAMED, MAX_LOGGED = 3, 20
MAX_PATH_LENGTH = 300
FOREIGN_NAME = "it has no name of Earmark's"


class PassedByFiles:
    """Files and folders that cannot be read, as they were known when a look at them began."""

    def __init__(self, shared: SharedFolder) -> None:
        self._shared = shared
        self._known = {each.path: each for each in shared.state.passed_by()}

    def note(self, path: str, reason: str = "") -> None:
        """Pass a file or folder by.

        Args:
            path: Its path in the shared folder.
            reason: Why, as the end of a sentence; empty for a file that is not complete yet.
        """
        self._note_all([path], reason)

    def note_names(self, folder: str, names: Iterable[str], reason: str = FOREIGN_NAME) -> None:
        """Pass by what is in a folder and has a wrong name, but for uploads in progress.

        A name does not change, so it is written down once.
        """
        paths = (f"{folder}/{name}" for name in names if not name.endswith(IN_PROGRESS))
        if new := [path for path in paths if _printable(path) not in self._known]:
            self._note_all(new, reason)

    def _note_all(self, paths: Iterable[str], reason: str) -> None:
        """Write down that files are passed by; of many in one folder some are logged."""
        printable, now = [_printable(path) for path in paths], time.time()
        with self._shared.database.writing() as connection:
            pass_by = self._shared.state.pass_by
            news = [path for path in printable if pass_by(connection, path, now, reason)]
        for path in news[:MAX_LOGGED] if reason else ():
            logger.warning("shared file passed by path=%s reason=%s", path, reason)
        if reason and len(news) > MAX_LOGGED:
            logger.warning("shared files passed by more=%d", len(news) - MAX_LOGGED)

    def forget(self, path: str) -> None:
        """Note that something can be read again."""
        if path in self._known:
            with self._shared.database.writing() as connection:
                self._shared.state.forget_passed_by(connection, [path])

    def forget_missing(self, folder: str, names: Iterable[str]) -> None:
        """Forget what was passed by in a folder and is not there any more.

        Args:
            folder: The folder.
            names: All that is in it.
        """
        paths = {_printable(f"{folder}/{name}") for name in names}
        inside = (path for path in self._known if path.rpartition("/")[0] == folder)
        if gone := [path for path in inside if path not in paths]:
            with self._shared.database.writing() as connection:
                self._shared.state.forget_passed_by(connection, gone)

    def due(self, paths: Sequence[str]) -> list[str]:
        """Return the paths without those that were tried lately; the older, the less often."""
        now = time.time()
        return [path for path in paths if _is_due(self._known.get(path), now)]


def _printable(path: str) -> str:
    """Return a path as it is written down: anybody may have chosen it."""
    return clean_text(path, MAX_PATH_LENGTH)


def _is_due(passed: PassedBy | None, now: float) -> bool:
    """Return True for a file that may be tried again."""
    if passed is None:
        return True
    interval = min(passed.checked - passed.since, MAX_RETRY_INTERVAL_S)
    return not 0 <= now - passed.checked < interval  # a clock may have been set back


def report(passed: Sequence[PassedBy]) -> str:
    """Return what is passed by, in one sentence; empty if nothing.

    A file that was found incomplete only lately may be on its way.
    """
    latest = time.time() - INCOMPLETE_AFTER_S
    shown = [each for each in passed if each.reason or each.since < latest]
    if not shown:
        return ""
    named = "; ".join(
        f"{each.path} ({each.reason or 'it is incomplete'})" for each in shown[:MAX_NAMED]
    )
    more = f"; and {len(shown) - MAX_NAMED} more" if len(shown) > MAX_NAMED else ""
    return (
        f"{len(shown)} files or folders of the shared workspace cannot be read and are left out: "
        f"{named}{more}."
    )
