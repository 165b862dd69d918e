"""The owner of a backfill: tags a range of Freesound's past into a workspace.

One process has the request budget: it lists the range, leaves out what the workspace knows, and
hands out batches. Workers fetch previews and analyse. Their results are saved batch by batch:
stopped at any moment, the next call lists again and takes what is left.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from core.errors import EarmarkError
from core.events.types import ModelRef
from core.files import remove_abandoned
from core.pipeline.analysis import save_analyses
from core.pipeline.backfill_worker import (
    BackfillResult,
    BackfillTask,
    analyse_task,
    unpack,
)
from core.pipeline.errors import BackfillError
from core.pipeline.freesound_range import RangeListing
from core.pipeline.run import RunRecorder
from core.pipeline.threads import in_threads
from core.settings import Settings
from core.storage.active_model import AUTOMATIC
from core.storage.runs import BACKFILL_SOURCE, Run
from core.storage.tag_thresholds import current_thresholds
from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)

BATCH_SIZE = 50
"""Sounds that a worker takes at once."""
BATCHES_PER_ROUND = 20
MAX_FAILED_IN_A_ROW = 10

Outcome = list[BackfillResult] | BaseException
FanOut = Callable[[Sequence[BackfillTask]], Iterable[Outcome]]
"""Hands tasks to workers; gives their results, or what went wrong instead, in any order."""


@dataclass(frozen=True)
class BackfillProgress:
    """The progress of a backfill.

    Attributes:
        share: How much of the range was listed, 0 to 1.
        tagged: Sounds tagged.
        skipped: Sounds that could not be used.
        batches: Batches done.
        failed_batches: Batches that failed.
    """

    share: float
    tagged: int
    skipped: int
    batches: int
    failed_batches: int


ProgressCallback = Callable[[BackfillProgress], None]


def backfill(
    workspace: Workspace,
    listing: RangeListing,
    model: ModelRef,
    settings: Settings,
    fan_out: FanOut,
    batch_size: int = BATCH_SIZE,
    progress: ProgressCallback = lambda progress: None,
) -> Run | None:
    """Tag what is new in a range, and record the run.

    Args:
        workspace: Where predictions are kept.
        listing: The range.
        model: The version that workers predict with.
        settings: Name Freesound's addresses and the limits of sounds.
        fan_out: Hands tasks to workers.
        batch_size: Sounds that a worker takes at once.
        progress: Called after each batch.

    Returns:
        The record of the run; None if nothing is new.

    Raises:
        BackfillError: The range was not listed to its end, or batches failed. What was tagged is
            kept, the run is recorded as failed, and the next call takes the rest.
        EarmarkError: The listing could not even begin.
    """
    batches = listing.batches(batch_size)
    thresholds = current_thresholds(workspace, model)
    tasks = (BackfillTask.from_settings(settings, model, batch, thresholds) for batch in batches)
    first_round = list(islice(tasks, BATCHES_PER_ROUND))
    if not first_round:
        _raise_if_unfinished(listing, _Batches())
        return None
    remove_abandoned(workspace.folder)
    source = f"{BACKFILL_SOURCE} {listing.whole}"
    with RunRecorder(workspace.runs, source, model, AUTOMATIC, kind="backfill") as recorder:
        owner = _Owner(workspace, listing, recorder, progress)
        try:
            for round_tasks in _rounds(first_round, tasks):
                for outcome in fan_out(round_tasks):
                    owner.take(outcome)
                    recorder.check()
                workspace.sync.wait_until_synced()
        finally:
            recorder.known = listing.known
        _raise_if_unfinished(listing, owner.batches)
    return recorder.run


def in_this_process(settings: Settings, workers: int) -> FanOut:
    """Return workers that are threads of this process."""

    def attempt(task: BackfillTask) -> Outcome:
        try:
            return analyse_task(task, settings)
        except Exception as error:
            return error

    return lambda tasks: (outcome for _, outcome in in_threads(attempt, tasks, workers))


@dataclass
class _Batches:
    """Counts of batches, and why the last one failed."""

    done: int = 0
    failed: int = 0
    failed_in_a_row: int = 0
    last_failure: str = ""


class _Owner:
    """Saves what workers bring."""

    def __init__(
        self,
        workspace: Workspace,
        listing: RangeListing,
        recorder: RunRecorder,
        progress: ProgressCallback,
    ) -> None:
        self.batches = _Batches()
        self._workspace, self._listing = workspace, listing
        self._recorder, self._progress = recorder, progress

    def take(self, outcome: Outcome) -> None:
        """Save a batch; raise `BackfillError` after too many failures in a row."""
        if isinstance(outcome, BaseException):
            self._note_failure(outcome)
        else:
            self._save(outcome)
        recorder, batches = self._recorder, self.batches
        stage = f"{recorder.tagged:,} tagged, {len(recorder.skipped):,} skipped"
        recorder.report(round(100 * self._listing.share), 100, stage)
        self._progress(
            BackfillProgress(
                share=self._listing.share,
                tagged=recorder.tagged,
                skipped=len(recorder.skipped),
                batches=batches.done,
                failed_batches=batches.failed,
            )
        )

    def _save(self, results: Sequence[BackfillResult]) -> None:
        """Write media and sidecars first, then the batch's events, all or none."""
        analyses = []
        for result in results:
            if result.skip_reason:
                self._recorder.skip(result.name, result.skip_reason)
            else:
                analyses.append(unpack(result))
        run_id = self._recorder.run.run_id
        events = save_analyses(self._workspace, analyses, AUTOMATIC, run=run_id)
        self._recorder.tagged += self._workspace.events.append(events, once_per_model=True)
        self.batches.done += 1
        self.batches.failed_in_a_row = 0

    def _note_failure(self, error: BaseException) -> None:
        batches = self.batches
        batches.failed += 1
        batches.failed_in_a_row += 1
        batches.last_failure = str(error)
        if not isinstance(error, EarmarkError):
            batches.last_failure = f"{type(error).__name__}: {error}"
        logger.warning("backfill batch failed reason=%s", batches.last_failure)
        if batches.failed_in_a_row >= MAX_FAILED_IN_A_ROW:
            raise BackfillError(
                f"Stopped after {MAX_FAILED_IN_A_ROW} batches in a row failed: "
                f"{batches.last_failure}"
            )


def _rounds(
    first_round: list[BackfillTask], tasks: Iterator[BackfillTask]
) -> Iterator[list[BackfillTask]]:
    """Yield batches that are handed out together."""
    round_tasks = first_round
    while round_tasks:
        yield round_tasks
        round_tasks = list(islice(tasks, BATCHES_PER_ROUND))


def _raise_if_unfinished(listing: RangeListing, batches: _Batches) -> None:
    """Raise what kept the range from being done."""
    if listing.error is not None and listing.left == listing.whole and not batches.done:
        raise listing.error
    if listing.error is not None:
        raise BackfillError(
            f"{listing.error} To go on, call it with {listing.left}."
        ) from listing.error
    if batches.failed:
        failed = "A batch" if batches.failed == 1 else f"{batches.failed} batches"
        raise BackfillError(
            f"{failed} failed, and the next call takes their sounds: {batches.last_failure}"
        )
