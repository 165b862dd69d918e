"""The backfill job: a range of Freesound's past, with progress and a report."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from core.freesound.client import client_from
from core.pipeline.backfill import (
    BATCH_SIZE,
    BATCHES_PER_ROUND,
    BackfillProgress,
    FanOut,
    ProgressCallback,
    backfill,
)
from core.pipeline.freesound_range import FreesoundRange, RangeListing
from core.settings import Settings
from core.storage.active_model import resolve_model
from core.storage.opening import open_workspace
from core.storage.runs import Run
from jobs.report import console, print_skipped
from jobs.schedule import synced


def run_backfill(
    settings: Settings,
    freesound_range: FreesoundRange,
    fan_out: FanOut,
    *,
    batch_size: int = BATCH_SIZE,
    max_seconds: float | None = None,
    again: bool = False,
) -> Run | None:
    """Tag a range of Freesound's past into the configured workspace, with progress.

    Args:
        settings: Name the credential and the workspace.
        freesound_range: The range.
        fan_out: Hands tasks to workers.
        batch_size: Sounds that a worker takes at once.
        max_seconds: Longest sound; `feed_seconds` without it.
        again: Tag also what only an older model version tagged.

    Returns:
        The record of the run; None if nothing is new.

    Raises:
        BackfillError: Something is left to do.
        EarmarkError: Freesound or the workspace cannot be used.
    """
    workspace = open_workspace(settings)
    client = client_from(settings, for_jobs=True)
    with synced(workspace, settings.keep_runs), _progress() as progress:
        model = resolve_model(workspace).model
        listing = RangeListing(
            client,
            workspace,
            freesound_range,
            max_seconds or settings.feed_seconds,
            model if again else None,
        )
        run = backfill(workspace, listing, model, settings, fan_out, batch_size, progress)
    _report(run, listing)
    return run


@contextmanager
def _progress() -> Iterator[ProgressCallback]:
    """Show a bar over the range on a terminal, a line per round of batches elsewhere."""
    columns = (
        TextColumn("Backfill"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[counts]}", markup=False),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0, counts="listing")

        def show(progress: BackfillProgress) -> None:
            counts = (
                f"{progress.tagged:,} tagged, {progress.skipped:,} skipped, "
                f"{progress.failed_batches} batches failed"
            )
            bar.update(task, completed=progress.share, counts=counts)
            batches = progress.batches + progress.failed_batches
            if not console.is_terminal and batches % BATCHES_PER_ROUND == 0:
                console.print(f"{progress.share:.0%} of the range: {counts}", markup=False)

        yield show


def _report(run: Run | None, listing: RangeListing) -> None:
    if run is None:
        console.print(f"No new sounds in {listing.whole} ({listing.known} known).", markup=False)
        return
    console.print(
        f"Tagged {run.tagged} sounds with {run.model} in {run.seconds:.1f} s; "
        f"{run.known} were known.",
        markup=False,
    )
    print_skipped(run.skipped)
