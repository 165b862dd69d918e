"""The event log of a shared workspace."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from core.events.store import EventStore
from core.events.types import Event, RolledOutEvent, SoundEvent, ThresholdsSetEvent
from core.storage.hopsworks.errors import HopsworksError
from core.storage.hopsworks.shared_folder import SharedFolder
from core.storage.hopsworks.sync import HopsworksSync


class SharedEvents:
    """This machine's copy of the shared log; what is added to it goes into the outbox, too."""

    def __init__(self, local: EventStore, shared: SharedFolder, sync: HopsworksSync) -> None:
        self._local, self._shared, self._sync = local, shared, sync

    def append(self, events: Iterable[Event], *, once_per_model: bool = False) -> int:
        """Add the events that are not there yet, here and to the outbox, all or none.

        Raises:
            ConflictingEvent: An event id is there already with another content.
            DatabaseError: The events could not be written; none was.
        """
        if once_per_model:
            # Another job may have been faster. If that cannot be asked, twice is better than never.
            with suppress(HopsworksError):
                self._sync.refresh()
        with self._shared.database.writing() as connection:
            new = self._local.add(connection, events, once_per_model)
            self._sync.enqueue(connection, new)
        self._shared.outbox_event.set()
        return len(new)

    def of_sound(self, sound_id: str) -> list[SoundEvent]:
        """Return a sound's whole history, oldest first; empty if it is unknown."""
        return self._local.of_sound(sound_id)

    def all(self) -> Iterator[Event]:
        """Iterate over every event in order of arrival."""
        return self._local.all()

    def rollouts(self, limit: int | None = None) -> list[RolledOutEvent]:
        """Return the *rolled_out* events, newest first.

        Raises:
            HopsworksError: The shared log was never read, so "none" might be wrong.
        """
        if not self._sync.last_pull:
            self._sync.pull()
        return self._local.rollouts(limit)

    def threshold_changes(self) -> list[ThresholdsSetEvent]:
        """Return the *thresholds_set* events that are known here, oldest first."""
        return self._local.threshold_changes()

    def rebuild(self) -> int:
        """Make the derived tables anew; returns the number of sounds."""
        return self._local.rebuild()
