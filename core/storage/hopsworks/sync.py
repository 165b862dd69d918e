"""The sync of a workspace with its shared folder.

Everything is kept on this machine first, and every question is answered from there. What is to be
shared goes into a durable outbox in the same transaction; `push` sends it and `pull` takes over
what others have sent. A save is *waiting* while only the outbox holds it, and *saved* once it has
been read back from Hopsworks.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Connection

from core.errors import EarmarkError
from core.events.errors import InvalidEvent
from core.events.formats import from_prototype_format, to_prototype_format
from core.events.types import Event, iso
from core.storage.errors import StorageError
from core.storage.hopsworks.compaction import compact
from core.storage.hopsworks.ephemeral import ephemeral_warning
from core.storage.hopsworks.errors import NotFound, Unavailable
from core.storage.hopsworks.media import SharedFiles, SharedMedia, SharedSidecars
from core.storage.hopsworks.pull import Puller
from core.storage.hopsworks.push import Pusher
from core.storage.hopsworks.retention import remove_old_runs
from core.storage.hopsworks.shared_folder import SharedFolder
from core.storage.local import LocalStores, local_workspace
from core.storage.purges import Scope
from core.storage.sync import SyncStatus

logger = logging.getLogger(__name__)

SYNC_TIMEOUT_S = 300
"""Time that a job tries to send its events; what is not sent then waits on its machine."""
RETRY_INTERVAL_S = 0.5
IDLE_AFTER_S = 60
"""Time without a look at the workspace after which the next one is a new beginning."""
MIN_FILES_PER_SEGMENT = 100
TAGS_FILE = "id2prediction.json"
IMPORTED_NOTE = "prototype imported"

Task = Literal["push", "pull"]


class HopsworksSync:
    """Push, pull and maintenance of one shared workspace. Any thread may call it."""

    def __init__(
        self,
        shared: SharedFolder,
        stores: LocalStores,
        files: SharedFiles,
        prototype_file: str = "",
    ) -> None:
        """Connect this machine's stores with a shared folder.

        Args:
            shared: The shared folder.
            stores: This machine's stores.
            files: The shared folder's media.
            prototype_file: Path in the project of an id2prediction.json that `maintain` imports at
                the first run.
        """
        self._shared, self._stores, self._files = shared, stores, files
        self._pusher = Pusher(shared)
        self._puller = Puller(shared, stores.events, stores.runs)
        self._prototype_file = prototype_file
        self._problems: dict[Task, str] = {}
        self._last_use = float("-inf")

    @property
    def outbox_event(self) -> threading.Event:
        """Return the event that is set whenever something was put into the outbox."""
        return self._shared.outbox_event

    @property
    def last_pull(self) -> str:
        """Return when the whole shared log was last pulled, UTC; empty if never."""
        return self._puller.last_pull

    def enqueue(self, connection: Connection, events: Sequence[Event]) -> None:
        """Put events into the outbox, in the transaction that adds them to the local log."""
        self._pusher.enqueue(connection, events)

    def status(self) -> SyncStatus | None:
        """Return how far things are."""
        return SyncStatus(
            waiting=self._shared.outbox.count(),
            last_contact=self._puller.last_pull,
            problem=self._task_problem() or self._file_problem(),
            warning=ephemeral_warning(self._shared.cache),
        )

    def waiting(self, event_ids: Iterable[str]) -> set[str]:
        """Return those events that are not in the shared folder yet."""
        return self._shared.outbox.waiting(event_ids)

    def push(self) -> int:
        """Send what waits; returns how much was sent.

        Raises:
            HopsworksError: Something could not be sent; it goes on waiting.
        """
        return self._noting_problem("push", self._pusher.push)

    def pull(self, *, everything: bool = False) -> int:
        """Take over what is new in the shared folder; returns the number of new events.

        Args:
            everything: Look through segments, run records and days long past as well.

        Raises:
            HopsworksError: The folder cannot be read; what was read until then is kept.
        """
        added = self._noting_problem("pull", lambda: self._puller.pull(everything=everything))
        if added:
            self._files.expire_listing()
        self._purge_withdrawn("local")  # in the shared folder, whoever withdrew a sound does that
        return added

    def refresh(self) -> int:
        """Take over what is new in today's folder, now and then in all; returns as `pull`.

        Raises:
            HopsworksError: The folder cannot be read; what was read until then is kept.
        """
        added = self._noting_problem("pull", self._puller.refresh)
        if added:
            self._files.expire_listing()
            self._purge_withdrawn("local")
        return added

    def note_use(self) -> None:
        """Note that somebody looks at the workspace, and wake the thread that keeps it in step."""
        before, self._last_use = self._last_use, time.monotonic()
        if self._last_use - before > IDLE_AFTER_S:
            self.outbox_event.set()

    @property
    def last_use(self) -> float:
        """Return when somebody last looked at it, as `time.monotonic` counts."""
        return self._last_use

    def wait_until_synced(self, timeout_s: float = SYNC_TIMEOUT_S) -> None:
        """Return when everything saved so far is in the shared folder.

        Raises:
            StorageError: Something still waits after the timeout; it goes on waiting.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self.push()
                if not self._shared.outbox.count():
                    return
                reason = self._file_problem()
            except Unavailable as error:
                reason = str(error)
            if time.monotonic() > deadline:
                waiting = f"{self._shared.outbox.count()} saves wait in {self._shared.cache}"
                raise StorageError(f"{waiting} to be sent. {reason}")
            time.sleep(RETRY_INTERVAL_S)

    def maintain(self, keep_runs: int) -> int:
        """Do what a scheduled job does after its work; returns how many event files it compacted.

        Args:
            keep_runs: The number of runs whose media all stay.

        Raises:
            StorageError: The shared folder cannot be reached.
        """
        self.wait_until_synced()
        self.pull(everything=True)
        self.import_prototype_file()
        compacted = self.compact(MIN_FILES_PER_SEGMENT)
        self._purge_withdrawn("shared")
        decided = self._stores.sounds.decided_histories()
        remove_old_runs(self._shared, self._files, keep_runs, decided)
        self._publish_tags()
        return compacted

    def compact(self, min_files: int) -> int:
        """Repeat event files in segments, if there are `min_files`; returns how many were.

        Raises:
            HopsworksError: The folder cannot be read or written.
        """
        return compact(self._shared, self._puller, min_files)

    def import_prototype_file(self) -> int:
        """Import the prototype's id2prediction.json, once; returns how many sounds were new.

        Without such a file nothing happens.

        Raises:
            StorageError: The shared folder cannot be reached.
        """
        if not self._prototype_file or self._shared.state.read_note(IMPORTED_NOTE):
            return 0
        try:
            data = self._shared.project().read_file(self._prototype_file)
            now = datetime.now(UTC)
            today = now.replace(hour=0, minute=0, second=0, microsecond=0)
            # Two machines that import on one day make the same events.
            events = from_prototype_format(data, self._prototype_file, today)
        except (NotFound, InvalidEvent) as error:
            logger.info("no prototype file imported reason=%s", error)
            return 0
        is_first = not self._stores.sounds.has_events("imported")
        with self._shared.database.writing() as connection:
            new = self._stores.events.add(connection, events) if is_first else []
            self.enqueue(connection, new)
            self._shared.state.write_note(connection, IMPORTED_NOTE, iso(now))
        self.wait_until_synced()
        return len(new)

    def _purge_withdrawn(self, scope: Scope) -> None:
        """Delete the media of sounds that were withdrawn and not purged that far since."""
        stores, files, everywhere = self._stores, self._files, scope == "shared"
        workspace = replace(
            local_workspace(stores),
            media=SharedMedia(stores.media, files, delete_everywhere=everywhere),
            sidecars=SharedSidecars(stores.sidecars, files, delete_everywhere=everywhere),
            purge_scope=scope,
        )
        for sound_id in stores.purges.pending(scope):
            workspace.purge(sound_id)

    def _publish_tags(self) -> None:
        """Write the current tags as id2prediction.json into the shared folder."""
        entries = to_prototype_format(self._stores.sounds.all())
        text = json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
        self._shared.project().replace_file(self._shared.path(TAGS_FILE), text.encode())

    def _file_problem(self) -> str:
        """Return what is wrong with single files, in one sentence; empty if nothing."""
        return next(iter(self._pusher.stuck.values()), "") or self._puller.problem()

    def _task_problem(self) -> str:
        """Return why pushing or pulling does not work, in one sentence; empty if both do."""
        return self._problems.get("push") or self._problems.get("pull") or ""

    def _noting_problem(self, task: Task, work: Callable[[], int]) -> int:
        """Do some work and remember what went wrong, for `status`.

        Trouble is logged when it begins or changes, and when it ends: not in every round.
        """
        before = self._task_problem()
        try:
            done = work()
        except EarmarkError as error:
            self._problems[task] = str(error)
            if before != str(error):
                logger.warning("sync trouble task=%s reason=%s", task, error)
            raise
        except Exception as error:
            what = error.strerror if isinstance(error, OSError) else type(error).__name__
            self._problems[task] = f"An unforeseen error on this machine ({what}); the log has it."
            raise
        self._problems.pop(task, None)
        if before and not self._task_problem():
            logger.info("sync recovered task=%s", task)
        return done
