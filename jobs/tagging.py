"""The tagging job: new sounds of a folder or of Freesound, once or whenever it is due."""

import logging
import os
import time
from collections.abc import Callable
from datetime import timedelta

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from core.audio.types import AudioLimits
from core.curation.tag_thresholds import apply_automatically
from core.errors import EarmarkError
from core.freesound.client import client_from
from core.model.predictor import Predictor
from core.pipeline.new_sounds import NewSounds
from core.pipeline.run import RunRecorder
from core.pipeline.schedule import due_at
from core.pipeline.sources import FREESOUND, FolderSource, FreesoundSource, Source
from core.pipeline.tagging import MAX_RETRIES, tag_new_sounds
from core.pipeline.withdrawals import withdraw_gone
from core.settings import Settings
from core.storage.active_model import AUTOMATIC, ActiveModel, resolve_model
from core.storage.opening import open_workspace
from core.storage.runs import Run
from core.storage.tag_thresholds import current_thresholds
from core.storage.workspace import Workspace
from core.work import limited_to
from jobs.report import console, print_skipped
from jobs.schedule import LEEWAY, notifying, synced

logger = logging.getLogger(__name__)

MIN_REPORTED_WAIT_S = 5
RETRY_INTERVAL_S = 600
MAX_SLEEP_S = 3600
NO_EXAMPLES = (
    "Nothing is tagged: EARMARK_SOUNDS is not set, and example sounds do not belong into a shared "
    "workspace. Sounds of Freesound: python -m jobs tag --source freesound"
)
MAX_NAME_LENGTH = 40
"""Characters of a sound's name beside the progress bar."""


def tag_folder(
    settings: Settings,
    limit: int | None = None,
    again: bool = False,
    *,
    record_always: bool = False,
) -> Run | None:
    """Tag what is new in the configured folder, with a progress bar.

    Args:
        settings: Name the folder and the workspace.
        limit: Tag at most so many sounds.
        again: Tag also what only an older model version tagged.
        record_always: Record the run also if nothing is new, so that the next is due later.

    Returns:
        The record of the run; None if nothing is new, or the example sounds would go into a
        shared workspace.

    Raises:
        EarmarkError: The folder or the workspace cannot be used.
    """
    if settings.sounds is None and settings.hopsworks_host:
        console.print(NO_EXAMPLES)
        return None
    workspace = open_workspace(settings)
    source = folder_source(settings, workspace)
    place = str(settings.sounds_folder)
    with synced(workspace, settings.keep_runs):
        run = _tag_new(settings, workspace, source, place, limit, again, record_always)
    return run


def folder_source(settings: Settings, workspace: Workspace) -> FolderSource:
    """Return the configured folder as a source of sounds.

    Raises:
        SourceError: There is no such folder.
    """
    return FolderSource(
        settings.sounds_folder,
        workspace.file_ids,
        settings.max_megabytes,
        exclude=settings.workspace_folder,
    )


def tag_newest(settings: Settings, limit: int | None = None, again: bool = False) -> Run | None:
    """Tag the newest sounds of Freesound, and withdraw those that it does not have any more.

    Args:
        settings: Name the credential and the workspace.
        limit: Tag at most so many sounds; `feed_limit` without it.
        again: Tag also what only an older model version tagged.

    Returns:
        The record of the run; None if nothing is new.

    Raises:
        NoKey: No credential is set.
        EarmarkError: Freesound or the workspace cannot be used.
    """
    client = client_from(settings, for_jobs=True, sleep=_wait_for_freesound)
    source = FreesoundSource(client, settings.feed_seconds, settings.feed_days)
    workspace = open_workspace(settings)
    with synced(workspace, settings.keep_runs):
        limit = limit or settings.feed_limit
        run = _tag_new(settings, workspace, source, source.name, limit, again, True)
        gone = withdraw_gone(client, workspace, AUTOMATIC)
    if gone:
        console.print(f"Withdrew {', '.join(gone)}: no longer public on Freesound.", markup=False)
    return run


def tag_if_due(settings: Settings, *, now: bool = False) -> Run | None:
    """Tag the newest sounds of Freesound if the last finished run is long enough ago.

    Args:
        settings: `tag_every_days` says how long; else as for `tag_newest`.
        now: Tag whether a run is due or not.

    Returns:
        The record of the run; None if there was nothing to do.

    Raises:
        EarmarkError: Freesound or the workspace cannot be used.
    """
    workspace = open_workspace(settings)
    workspace.runs.refresh(FREESOUND)
    due = due_at(workspace, FREESOUND, timedelta(days=settings.tag_every_days) - LEEWAY)
    if not now and due > workspace.runs.now():
        logger.info("run not due next=%s", due.isoformat(timespec="seconds"))
        return None
    return tag_newest(settings)


def stay(
    tag: Callable[[], Run | None], settings: Settings, every: timedelta, *, from_freesound: bool
) -> None:
    """Tag whenever it is due, without end.

    Args:
        tag: Tags what is new, and records the run also if nothing is.
        settings: Name the workspace.
        every: Time between two runs.
        from_freesound: Sounds come from Freesound, not from the folder.

    Raises:
        EarmarkError: Something is wrong at the start, such as a missing key; what goes wrong
            later is tried again.
    """
    started = False
    while True:
        try:
            workspace = open_workspace(settings)
            source = FREESOUND if from_freesound else folder_source(settings, workspace).name
            wait_until_due(workspace, source, every)
            with notifying(settings):
                tag()
            started = True
        except EarmarkError as error:
            if not started:
                raise
            logger.warning("run postponed seconds=%d reason=%s", RETRY_INTERVAL_S, error)
            minutes = RETRY_INTERVAL_S // 60
            console.print(f"{error} Trying again in {minutes} minutes.", markup=False)
            time.sleep(RETRY_INTERVAL_S)


def wait_until_due(workspace: Workspace, source: str, every: timedelta) -> None:
    """Sleep until the next run is due; another machine's run from Freesound puts it off.

    Args:
        workspace: Where runs are recorded.
        source: The source's name.
        every: Time between two runs.

    Raises:
        StorageError: The shared folder cannot be read.
    """
    while True:
        workspace.runs.refresh(source)
        wait_s = (due_at(workspace, source, every) - workspace.runs.now()).total_seconds()
        if wait_s <= 0:
            return
        logger.info("run not due seconds=%d", wait_s)
        console.print(f"The next run is due in {timedelta(seconds=round(wait_s))}.")
        time.sleep(min(wait_s, MAX_SLEEP_S))


def _wait_for_freesound(seconds: float) -> None:
    if seconds > MIN_REPORTED_WAIT_S:
        console.print(f"Waiting {seconds:.0f} s for Freesound, which limits requests.")
    time.sleep(seconds)


def _tag_new(
    settings: Settings,
    workspace: Workspace,
    source: Source,
    place: str,
    limit: int | None,
    again: bool,
    record_always: bool,
) -> Run | None:
    """Tag what is new, and report; the model is only loaded when there is something to tag."""
    active = resolve_model(workspace)
    new = NewSounds(
        source, workspace, active.model if again else None, MAX_RETRIES if limit else None
    )
    if new.is_empty():
        console.print(f"No new sounds in {place} ({new.known} known).", markup=False)
        print_skipped(new.unusable)
        if record_always:
            _record_nothing_new(workspace, new, active)
        return None
    run = _tag_with_progress(settings, workspace, source, new, active, limit)
    rate = f" ({run.tagged / run.seconds:.0f} a second)" if run.tagged > run.seconds > 0 else ""
    report = f"Tagged {run.tagged} sounds with {run.model} in {run.seconds:.1f} s{rate}. {run.note}"
    console.print(report.rstrip(), markup=False)
    print_skipped(run.skipped)
    return run


def _record_nothing_new(workspace: Workspace, new: NewSounds, active: ActiveModel) -> None:
    """Record a run that had nothing to do: it is the last one all the same."""
    with RunRecorder(workspace.runs, new.source_name, active.model, AUTOMATIC) as recorder:
        recorder.known, recorder.skipped = new.known, list(new.unusable)


def _tag_with_progress(
    settings: Settings,
    workspace: Workspace,
    source: Source,
    new: NewSounds,
    active: ActiveModel,
    limit: int | None,
) -> Run:
    columns = (
        TextColumn("Tagging"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}", markup=False),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None, name="loading the model")

        def show(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, name=name[-MAX_NAME_LENGTH:])

        predictor = Predictor.from_folder(active.folder)
        if settings.learned_precision:
            precision = settings.learned_precision / 100
            minimum = settings.min_threshold_verdicts
            apply_automatically(workspace, active.model, precision, minimum)
        predictor = predictor.with_thresholds(current_thresholds(workspace, active.model))
        return tag_new_sounds(
            source,
            predictor,
            workspace,
            limit,
            model=active.model,
            new=new,
            limits=AudioLimits.from_settings(settings),
            turns=limited_to(settings.max_work_seconds),
            workers=os.cpu_count() or 1,
            progress=show,
        )
