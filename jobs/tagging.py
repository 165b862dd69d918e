"""Command line of the tagging job: python -m jobs.tagging."""

import os
import time
from datetime import UTC, datetime, timedelta

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from core import command_line
from core.settings import Settings, settings
from core.sources import FolderSource
from core.tagging import load_tagger, model_in_force, survey, tag_new_sounds
from core.workspace import Run, Workspace, WorkspaceError, open_workspace
from jobs.schedule import Every, at_home, due_at

console = Console(stderr=True, highlight=False)
MOST_REASONS_SHOWN = 10
RETRY_S, LOOK_AGAIN_S = 600, 3600


@click.command()
@click.option("--limit", type=click.IntRange(1), help="Tag at most so many new sounds.")
@click.option("--again", is_flag=True, help="Tag again what only an older model version has tagged.")
@click.option("--every", type=Every(), help="Stay, and tag whenever so long has passed since the last finished run: 3d, 12h, 30m.")
def main(limit: int | None, again: bool, every: timedelta | None) -> None:
    """Tag the new sounds of the configured folder into the workspace."""
    if every is None:
        tag_folder(settings(), limit, again)
        return
    while True:
        try:
            wait_until_due(open_workspace(settings()), every)
            tag_folder(settings(), limit, again)
        except WorkspaceError as error:
            console.print(f"{error} Trying again in {RETRY_S // 60} minutes.", markup=False)
            time.sleep(RETRY_S)


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
    """Tag what is new, with a progress bar; None where nothing was. The model is only loaded when there is something to hear."""
    workspace = open_workspace(chosen)
    with at_home(workspace, chosen.keep_runs):
        return _tag_new(chosen, workspace, limit, again)


def _tag_new(chosen: Settings, workspace: Workspace, limit: int | None, again: bool) -> Run | None:
    source = FolderSource(chosen.sounds_folder, chosen.max_megabytes, leave_out=chosen.workspace_folder)
    model = model_in_force(workspace)
    found = survey(source, workspace, limit, model if again else None)
    if not found.new:
        console.print(f"No new sounds in {chosen.sounds_folder} ({found.known} known).")
        _report_skipped([(one.name, one.problem) for one in found.problems])
        return None
    run = _tag(chosen, workspace, source, limit, again, len(found.new))
    per_second = f"{run.tagged / run.seconds:.0f} a second" if run.seconds else ""
    console.print(f"Tagged {run.tagged} sounds with {run.model} in {run.seconds:.1f} s ({per_second}).")
    _report_skipped(list(run.skipped))
    return run


def _tag(chosen: Settings, workspace: Workspace, source: FolderSource, limit: int | None, again: bool, count: int) -> Run:
    columns = (
        TextColumn("Listening"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}", markup=False),
    )
    workers = os.cpu_count() or 1
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=count, name="loading the model")
        tagger, model = load_tagger(workspace)
        _one_thread_each()
        return tag_new_sounds(
            source, tagger, workspace, limit, model=model, again=again, limits=chosen.limits, workers=workers,
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
