"""The sounds of a source that need tagging."""

from collections.abc import Iterator
from itertools import islice

from core.errors import EarmarkError
from core.events.types import ModelRef
from core.pipeline.sources import Source, SourceItem, UnusableItem
from core.storage.workspace import Workspace

FIRST_BATCH_SIZE, MAX_BATCH_SIZE = 25, 500
"""Sounds that the workspace is asked about together: few at first, because few may be enough."""
REMEMBERED_RUNS = 10


class NewSounds:
    """The sounds of a source that need tagging, listed only as they are asked for.

    Attributes:
        source_name: The source's name in the records of runs.
        known: Sounds listed so far that need no tagging.
        unusable: (name, reason) of each place listed so far that holds no usable sound, and of
            each sound that failed in the latest runs and is not retried.
        failed_before: Reasons by name of the sounds that the latest runs skipped; empty without a
            limit of retries.
    """

    def __init__(
        self,
        source: Source,
        workspace: Workspace,
        tagged_by: ModelRef | None = None,
        max_retries: int | None = None,
    ) -> None:
        """Begin a listing; nothing is read yet.

        Args:
            source: Where the sounds are.
            workspace: Knows which are tagged.
            tagged_by: Count only sounds that this model version tagged as known.
            max_retries: Offer at most so many of those that failed in the latest runs: were they
                more than a run attempts, it would never get to the others.
        """
        self.source_name = source.name
        self.known = 0
        self.unusable: list[tuple[str, str]] = []
        self.failed_before: dict[str, str] = {}
        if max_retries is not None:
            self.failed_before = _failed_before(source.name, workspace)
        self._source, self._workspace, self._tagged_by = source, workspace, tagged_by
        self._retries_left = max_retries
        self._listing = self._list()
        self._ahead: list[SourceItem] = []
        self._error: EarmarkError | None = None

    def is_empty(self) -> bool:
        """Return True if no sound is left.

        Raises:
            EarmarkError: The source cannot be listed.
        """
        self._ahead = self._ahead or self.take(1)
        return not self._ahead

    def take(self, count: int | None = None) -> list[SourceItem]:
        """Return the next new sounds, `count` of them or all.

        Sounds listed before the source failed are returned first; the next call raises.

        Raises:
            EarmarkError: The source cannot be listed further.
        """
        if self._error is not None:
            raise self._error
        items, self._ahead = self._ahead, []
        try:
            missing = None if count is None else max(0, count - len(items))
            for item in islice(self._listing, missing):
                items.append(item)
        except EarmarkError as error:
            if not items:
                raise
            self._error = error
        return items

    def _list(self) -> Iterator[SourceItem]:
        listed, size = iter(self._source.items()), FIRST_BATCH_SIZE
        while batch := list(islice(listed, size)):
            items = [item for item in batch if not isinstance(item, UnusableItem)]
            tagged = self._workspace.sounds.tagged(
                [item.sound_id for item in items], self._tagged_by
            )
            for item in batch:
                if isinstance(item, UnusableItem):
                    self.unusable.append((item.name, item.reason))
                elif item.sound_id in tagged:
                    self.known += 1
                elif self._may_try(item.name):
                    yield item
            size = min(2 * size, MAX_BATCH_SIZE)

    def _may_try(self, name: str) -> bool:
        """Return True for a sound that did not fail lately, or may be retried."""
        if self._retries_left is None or name not in self.failed_before:
            return True
        if self._retries_left == 0:
            self.unusable.append((name, self.failed_before[name]))
            return False
        self._retries_left -= 1
        return True


def _failed_before(source_name: str, workspace: Workspace) -> dict[str, str]:
    """Return names and reasons that the latest runs from this source skipped."""
    runs = [run for run in workspace.runs.latest(REMEMBERED_RUNS) if run.source == source_name]
    return {name: reason for run in reversed(runs) for name, reason in run.skipped}
