"""When a job is due, and what a run owes the shared home before and after its work."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import click

from core.workspace import Run, Workspace
from core.workspace.synchroniser import Synchroniser

BACKFILL = "Freesound, backfill"
"""The source of runs that work on a range of the past: they do not put off the newest sounds."""
UNITS = {"d": "days", "h": "hours", "m": "minutes"}


class Every(click.ParamType):
    """A time span on the command line: 3d, 12h, 30m."""

    name = "span"

    def convert(self, value, param, ctx):
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([1-9]\d{0,4})([dhm])", value)
        if not found:
            self.fail(f"{value} is no time span; 3d, 12h and 30m are.", param, ctx)
        return timedelta(**{UNITS[found[2]]: int(found[1])})


def due_at(runs: Sequence[Run], every: timedelta, now: datetime) -> datetime:
    """When the next run is due: `every` after the last finished one began, or now. A run that failed or was cut off, and a backfill,
    do not count."""
    counting = [run for run in runs if run.state == "finished" and not run.source.startswith(BACKFILL)]
    finished = [datetime.fromisoformat(run.started) for run in counting]
    return max(finished) + every if finished else now


@contextmanager
def at_home(workspace: Workspace, keep_runs: int) -> Iterator[None]:
    """Work on a workspace that is up to date, and leave only when all of it is in the shared home; the local home is its own.

    Raises `WorkspaceError` if the shared home cannot be read before, or not be brought up to date after.
    """
    workspace.mirror()
    with Synchroniser(workspace):
        yield
    workspace.settle()
    workspace.upkeep(keep_runs)
