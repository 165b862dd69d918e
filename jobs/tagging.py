"""Command line of the tagging job: python -m jobs.tagging."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from core import command_line
from core.freesound.client import FreesoundError, client_from
from core.freesound.feed import FreesoundSource
from core.settings import Settings, settings
from core.sources import FolderSource, Source
from core.tagging import AUTOMATIC, MOST_RETRIES, NewSounds, load_tagger, model_in_force, tag_new_sounds
from core.withdrawing import withdraw_gone
from core.workspace import Run, Workspace, WorkspaceError, open_workspace
from jobs.modal_tagging import app as app  # what `modal deploy -m jobs.tagging` publishes
from jobs.schedule import Every, at_home, due_at

console = Console(stderr=True, highlight=False)
MOST_REASONS_SHOWN = 10
WORTH_SAYING_S = 5
RETRY_S, LOOK_AGAIN_S = 600, 3600
LEEWAY = timedelta(hours=1)
"""A daily look does not happen at the same second each day: three days less a moment are three days."""


@click.command()
@click.option("--limit", type=click.IntRange(1), help="Tag at most so many new sounds; from Freesound, EARMARK_FEED_LIMIT without it.")
@click.option("--again", is_flag=True, help="Tag again what only an older model version has tagged.")
@click.option("--source", type=click.Choice(["folder", "freesound"]), default="folder", show_default=True, help="Where sounds come from.")
@click.option("--every", type=Every(), help="Stay, and tag whenever so long has passed since the last finished run: 3d, 12h, 30m.")
def main(limit: int | None, again: bool, source: str, every: timedelta | None) -> None:
    """Tag the new sounds of the configured folder, or the newest of Freesound, into the workspace."""
    tag = tag_newest if source == "freesound" else tag_folder
    if every is None:
        tag(settings(), limit, again)
        return
    stay(lambda: tag(settings(), limit, again), every)


def stay(tag: Callable[[], Run | None], every: timedelta) -> None:
    """Tag whenever it is due, for ever. What is wrong at the start, such as a missing key, is raised; later it is tried again."""
    started = False
    while True:
        try:
            wait_until_due(open_workspace(settings()), every)
            tag()
            started = True
        except (WorkspaceError, FreesoundError) as error:
            if not started:
                raise
            console.print(f"{error} Trying again in {RETRY_S // 60} minutes.", markup=False)
            time.sleep(RETRY_S)


def tag_if_due(chosen: Settings, at_once: bool = False) -> Run | None:
    """Tag the newest sounds of Freesound if the last finished run is `tag_every_days` ago, or at once; None if there was nothing to do."""
    workspace = open_workspace(chosen)
    workspace.mirror()
    every, now = timedelta(days=chosen.tag_every_days), datetime.now(UTC)
    if not at_once and due_at(workspace.runs(), every - LEEWAY, now) > now:
        return None
    return tag_newest(chosen)


def wait_until_due(workspace: Workspace, every: timedelta) -> None:
    """Sleep until the next run is due; another machine's run puts it off."""
    while True:
        workspace.mirror()
        left = (due_at(workspace.runs(), every, now := datetime.now(UTC)) - now).total_seconds()
        if left <= 0:
            return
        console.print(f"The next run is due in {timedelta(seconds=round(left))}.")
        time.sleep(min(left, LOOK_AGAIN_S))


def tag_folder(chosen: Settings, limit: int | None = None, again: bool = False) -> Run | None:
    """Tag what is new in the folder, with a progress bar; None where nothing was."""
    source = FolderSource(chosen.sounds_folder, chosen.max_megabytes, leave_out=chosen.workspace_folder)
    workspace = open_workspace(chosen)
    with at_home(workspace, chosen.keep_runs):
        return _tag_new(chosen, workspace, source, str(chosen.sounds_folder), limit, again)


def tag_newest(chosen: Settings, limit: int | None = None, again: bool = False) -> Run | None:
    """Tag the newest sounds of Freesound; None where none is new. Raises `FreesoundError`, with one sentence, as `NoKey` without a key."""
    client = client_from(chosen, for_jobs=True, sleep=_wait_for_freesound)
    source = FreesoundSource(client, chosen.feed_seconds, chosen.feed_days)
    workspace = open_workspace(chosen)
    with at_home(workspace, chosen.keep_runs):
        run = _tag_new(chosen, workspace, source, "Freesound", limit or chosen.feed_limit, again)
        gone = withdraw_gone(client, workspace, AUTOMATIC)
    if gone:
        console.print(f"Withdrew {', '.join(gone)}: Freesound does not have them any more.", markup=False)
    return run


def _wait_for_freesound(seconds: float) -> None:
    if seconds > WORTH_SAYING_S:
        console.print(f"Waiting {seconds:.0f} s for Freesound, which limits requests.")
    time.sleep(seconds)


def _tag_new(chosen: Settings, workspace: Workspace, source: Source, place: str, limit: int | None, again: bool) -> Run | None:
    """The model is only loaded when there is something to hear."""
    model = model_in_force(workspace)
    new = NewSounds(source, workspace, model if again else None, MOST_RETRIES if limit else None)
    if not new.any():
        console.print(f"No new sounds in {place} ({new.known} known).", markup=False)
        _report_skipped(new.passed_over)
        return None
    run = _listen(chosen, source, workspace, new, limit)
    per_second = f" ({run.tagged / run.seconds:.0f} a second)" if run.tagged > run.seconds > 0 else ""
    console.print(f"Tagged {run.tagged} sounds with {run.model} in {run.seconds:.1f} s{per_second}. {run.note}".rstrip())
    _report_skipped(list(run.skipped))
    return run


def _listen(chosen: Settings, source: Source, workspace: Workspace, new: NewSounds, limit: int | None) -> Run:
    columns = (
        TextColumn("Listening"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}", markup=False),
    )
    workers = os.cpu_count() or 1
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None, name="loading the model")
        tagger, model = load_tagger(workspace)
        _one_thread_each()
        return tag_new_sounds(
            source, tagger, workspace, limit, new=new, model=model, limits=chosen.limits, workers=workers,
            progress=lambda done, total, name: bar.update(task, completed=done, total=total, name=name[-40:]),
        )  # fmt: skip


def _one_thread_each() -> None:
    """Several clips at once, one thread each, are faster than one clip on all threads."""
    import torch

    torch.set_num_threads(1)


def _report_skipped(skipped: list[tuple[str, str]]) -> None:
    for name, reason in skipped[:MOST_REASONS_SHOWN]:
        console.print(f"Skipped {name}: {reason}", markup=False)
    if len(skipped) > MOST_REASONS_SHOWN:
        console.print(f"... and {len(skipped) - MOST_REASONS_SHOWN} more.")


if __name__ == "__main__":
    command_line.run(main, "Stopped. What was tagged is kept; run it again for the rest.")
