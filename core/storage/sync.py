"""The interface between a workspace and the shared folder behind it."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class SyncStatus:
    """The state of a workspace towards its shared folder.

    Attributes:
        waiting: Saves that only this machine has; all others are *saved*.
        last_contact: When the shared folder was last read completely, UTC; empty if never.
        problem: Why it is not up to date, in one sentence; empty if it is.
        warning: What should be set up differently; empty if nothing.
    """

    waiting: int
    last_contact: str = ""
    problem: str = ""
    warning: str = ""


class Sync(Protocol):
    """Pushes what this machine saved and pulls what others did. Any thread may call it."""

    @property
    def outbox_event(self) -> threading.Event:
        """Return the event that is set whenever something was put into the outbox."""

    def status(self) -> SyncStatus | None:
        """Return how far things are; None for a workspace that is not shared."""

    def waiting(self, event_ids: Iterable[str]) -> set[str]:
        """Return those events that are not in the shared folder yet."""

    def push(self) -> int:
        """Send what waits; returns how much was sent.

        Raises:
            StorageError: Something could not be sent; it goes on waiting.
        """

    def pull(self) -> int:
        """Take over what is new in the shared folder; returns the number of new events.

        Raises:
            StorageError: The shared folder cannot be read; what was read until then is kept.
        """

    def refresh(self) -> int:
        """Take over what is most likely new, in very few requests, and now and then all of it.

        Raises:
            StorageError: The shared folder cannot be read; what was read until then is kept.
        """

    def note_use(self) -> None:
        """Note that somebody looks at the workspace, which shall be up to date."""

    @property
    def last_use(self) -> float:
        """Return when somebody last looked at it, as `time.monotonic` counts."""

    def wait_until_synced(self) -> None:
        """Return when everything saved so far is in the shared folder.

        Raises:
            StorageError: It cannot get there; it goes on waiting.
        """

    def maintain(self, keep_runs: int) -> int:
        """Do what a scheduled job does after its work; returns how many event files it compacted.

        Media of all but the last `keep_runs` runs are deleted unless somebody decided about the
        sound, events are compacted, derived files are published.

        Raises:
            StorageError: The shared folder cannot be reached.
        """


class NoSync:
    """The workspace is this machine's alone: everything saved is where it belongs."""

    def __init__(self) -> None:
        self._outbox_event = threading.Event()

    @property
    def outbox_event(self) -> threading.Event:
        """Return an event that nobody sets."""
        return self._outbox_event

    def status(self) -> SyncStatus | None:
        """Return None: there is nothing to be in step with."""
        return None

    def waiting(self, event_ids: Iterable[str]) -> set[str]:
        """Return no event."""
        return set()

    def push(self) -> int:
        """Send nothing."""
        return 0

    def pull(self) -> int:
        """Take over nothing."""
        return 0

    def refresh(self) -> int:
        """Take over nothing."""
        return 0

    def note_use(self) -> None:
        """Do nothing: it is always up to date."""

    @property
    def last_use(self) -> float:
        """Return never."""
        return float("-inf")

    def wait_until_synced(self) -> None:
        """Return at once."""

    def maintain(self, keep_runs: int) -> int:
        """Keep everything."""
        return 0
