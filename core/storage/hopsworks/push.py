"""Sending: this machine's outbox on its way to the shared folder.

Nothing in the shared folder is ever changed or deleted, so there is nothing to lock. A writer
chooses a name that nobody else can have, and an attempt whose outcome is unknown is repeated under
that name until the file has been read back.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import groupby

from sqlalchemy import Connection

from core.events.types import Event
from core.sqlite import DatabaseError
from core.storage.errors import StorageError
from core.storage.hopsworks import segments
from core.storage.hopsworks.client import Project
from core.storage.hopsworks.clock import server_clock
from core.storage.hopsworks.errors import (
    PartialUpload,
    PermanentError,
    Unavailable,
)
from core.storage.hopsworks.outbox import OutboxItem
from core.storage.hopsworks.shared_folder import SharedFolder

logger = logging.getLogger(__name__)

MAX_CONCURRENT_UPLOADS = 8


class Pusher:
    """Sends one shared folder's outbox. Any thread may call it."""

    def __init__(self, shared: SharedFolder) -> None:
        self._shared = shared
        self.stuck: dict[str, str] = {}
        """By path, why an item cannot be sent; the others go past it."""

    def enqueue(self, connection: Connection, events: Sequence[Event]) -> None:
        """Put events into the outbox, in the transaction that adds them to the local log."""
        outbox, remaining = self._shared.outbox, iter(events)
        for lines in segments.chunked(event.to_json() for event in events):
            path = segments.event_path(segments.new_name())
            sequence = outbox.add(connection, path, body=segments.encode("events", lines))
            assert sequence is not None, "nobody else can have a new name"
            event_ids = [next(remaining).event_id for _ in lines]
            outbox.add_waiting(connection, sequence, event_ids)

    def push(self) -> int:
        """Send what is in the outbox, oldest first; returns how much was sent.

        Raises:
            Unavailable: Hopsworks cannot be reached; what is left waits.
            PermanentError: A person must act first; what is left waits.
        """
        sent = 0
        with self._shared.exclusive("outbox"):
            items = self._shared.outbox.paths()
            if not items:
                return 0
            project = self._shared.project()
            for is_medium, group in groupby(items, key=lambda item: item[1].startswith("media/")):
                sequences = [sequence for sequence, _ in group]
                size = MAX_CONCURRENT_UPLOADS if is_medium else 1
                for start in range(0, len(sequences), size):
                    sent += self._send_batch(project, sequences[start : start + size])
        return sent

    def _send_batch(self, project: Project, sequences: Sequence[int]) -> int:
        """Send some items at once; returns how many were sent."""
        with ThreadPoolExecutor(len(sequences)) as pool:
            return sum(pool.map(lambda sequence: self._send(project, sequence), sequences))

    def _send(self, project: Project, sequence: int) -> bool:
        """Send one item; returns False if it has to wait for another round."""
        try:
            item = self._shared.outbox.get(sequence)
        except DatabaseError as error:
            self._note_stuck(f"outbox row {sequence}", str(error))
            return False
        if item is None:
            return False
        item = self._with_current_date(item)
        try:
            project.create_file(self._shared.path(item.path), self._body(item))
        except PartialUpload:  # that name is spoilt for ever, and nobody reads such a file
            self._move(item, segments.next_name(item.path))
            return False
        except (Unavailable, PermanentError):
            raise
        except StorageError as error:
            self._note_stuck(item.path, str(error))
            return False
        if not self._mark_sent(item) and item.path.startswith("media/"):
            project.remove(self._shared.path(item.path))
        return True

    def _note_stuck(self, name: str, reason: str) -> None:
        """Remember why an item cannot be sent; it is logged once."""
        if self.stuck.get(name) != reason:
            logger.warning("upload stuck path=%s reason=%s", name, reason)
        self.stuck[name] = reason

    def _with_current_date(self, item: OutboxItem) -> OutboxItem:
        """Move an event file to today's folder, where readers look, if its own is another.

        It may have waited for days, or its writer's clock be wrong. If it did arrive after all, the
        events in both files are the same.
        """
        folder, _, rest = item.path.partition("/")
        name, now = rest.rpartition("/")[2], server_clock.now()
        day = segments.day_of(rest.partition("/")[0])
        if folder != "events" or (day and abs(day - now.date()) <= timedelta(days=1)):
            return item
        path = segments.event_path(name, now)
        self._move(item, path)
        return OutboxItem(item.sequence, path, item.body, item.medium)

    def _move(self, item: OutboxItem, path: str) -> None:
        """Give an item another path."""
        with self._shared.database.writing() as connection:
            self._shared.outbox.move(connection, item, path)

    def _body(self, item: OutboxItem) -> bytes:
        """Return the bytes to send.

        Raises:
            StorageError: They are not on this machine any more.
        """
        if isinstance(item.body, bytes):
            return item.body
        name = str(item.medium)
        path = self._shared.cache / "media" / name[:2] / name
        try:
            return path.read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "the outbox is damaged"
            waits = f"{item.medium or item.path}, which waits to be sent,"
            raise StorageError(f"{waits} cannot be read on this machine ({reason}).") from error

    def _mark_sent(self, item: OutboxItem) -> bool:
        """Record that an item has arrived; returns False if it was cancelled while it was sent."""
        self.stuck.pop(item.path, None)
        state = self._shared.state
        with self._shared.database.writing() as connection:
            if not self._shared.outbox.remove(connection, item):
                return False
            folder, _, name = item.path.rpartition("/")
            if folder.startswith("media/"):
                state.add_media(connection, folder, [name])
            else:
                state.mark_seen(connection, [item.path])
        return True
