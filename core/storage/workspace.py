"""The workspace: the stores of one folder, and the sync with the shared folder behind it."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.events.sounds import SoundIndex
from core.events.types import (
    Event,
    PredictedEvent,
    RolledOutEvent,
    SoundEvent,
    ThresholdsSetEvent,
)
from core.storage.errors import StorageError
from core.storage.file_ids import FileIds
from core.storage.media import MediaStore
from core.storage.models import ModelRegistry
from core.storage.notices import Notices
from core.storage.purges import Purges, Scope
from core.storage.runs import RunLog
from core.storage.sidecars import SidecarStore
from core.storage.sync import Sync

logger = logging.getLogger(__name__)


class EventLog(Protocol):
    """A store of events."""

    def append(self, events: Iterable[Event], *, once_per_model: bool = False) -> int:
        """Add the events that are not there yet, all or none; returns how many were new.

        With `once_per_model`, a sound that a model version has predicted gets no second prediction
        by it.
        """

    def of_sound(self, sound_id: str) -> list[SoundEvent]:
        """Return a sound's whole history, oldest first; empty if it is unknown."""

    def all(self) -> Iterator[Event]:
        """Iterate over every event in order of arrival."""

    def rollouts(self, limit: int | None = None) -> list[RolledOutEvent]:
        """Return the *rolled_out* events, newest first.

        Raises:
            StorageError: The shared log was never read, so "none" might be wrong.
        """

    def threshold_changes(self) -> list[ThresholdsSetEvent]:
        """Return the *thresholds_set* events that are known here, oldest first."""

    def rebuild(self) -> int:
        """Make the derived tables anew; returns the number of sounds."""


@dataclass(frozen=True)
class Workspace:
    """The stores of one workspace; every method of theirs may be called from any thread.

    Attributes:
        folder: This machine's part of the workspace.
        events: The log.
        sounds: Queries over it.
        media: Sounds to play and spectrograms.
        sidecars: Arrays of predictions.
        models: The registry of bundles.
        runs: Records of job runs.
        notices: Which notifications were sent.
        file_ids: Sound ids of files on this machine.
        purges: Which withdrawn sounds were purged.
        purge_scope: How far `media` and `sidecars` reach.
        sync: What connects all this with a shared folder.
    """

    folder: Path
    events: EventLog
    sounds: SoundIndex
    media: MediaStore
    sidecars: SidecarStore
    models: ModelRegistry
    runs: RunLog
    notices: Notices
    file_ids: FileIds
    purges: Purges
    purge_scope: Scope
    sync: Sync

    def purge(self, sound_id: str) -> int:
        """Delete a withdrawn sound's media and sidecars, and record it.

        Media that another sound in view has too stay. Where something cannot be deleted, because
        the shared folder cannot be reached, the purge is not recorded; a later one finishes it.

        Returns:
            The number of files deleted on this machine.
        """
        last_event = self.purges.last_event(sound_id)
        history = self.events.of_sound(sound_id)
        predicted = [event.payload for event in history if isinstance(event, PredictedEvent)]
        names = {name for payload in predicted for name in payload.media.names}
        deletable = sorted(names - self.sounds.shown_by_others(sorted(names), sound_id))
        models = {payload.model for payload in predicted}
        deletions = (
            self._delete(sound_id, lambda: self.media.delete(deletable)),
            self._delete(sound_id, lambda: self.sidecars.delete(sound_id, models)),
        )
        if None not in deletions:
            self.purges.note(sound_id, self.purge_scope, last_event)
        return sum(deleted or 0 for deleted in deletions)

    def _delete(self, sound_id: str, delete: Callable[[], int]) -> int | None:
        """Return the number of files deleted, or None where the deletion is not complete."""
        try:
            return delete()
        except StorageError as error:
            logger.warning("purge incomplete sound=%s reason=%s", sound_id, error)
            return None
