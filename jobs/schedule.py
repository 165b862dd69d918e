"""When a job is due, and how it keeps a shared workspace up to date."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import click

from core.pipeline.run import BACKFILL_SOURCE
from core.storage.background_sync import BackgroundSync
from core.storage.runs import Run
from core.storage.workspace import Workspace

UNITS = {"d": "days", "h": "hours", "m": "minutes"}
LEEWAY = timedelta(hours=1)
"""A daily look does not happen at the same second each day: three days less an hour are three."""


class TimeSpan(click.ParamType[timedelta]):
    """A time span on the command line: 3d, 12h, 30m."""

    name = "span"

    def convert(
        self,
        value: str | timedelta,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> timedelta:
        """Return the span; a value that is none is a usage error."""
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"([1-9]\d{0,4})([dhm])", value)
        if not match:
            self.fail(f"{value} is no time span; 3d, 12h and 30m are.", param, ctx)
        return timedelta(**{UNITS[match[2]]: int(match[1])})


def due_at(runs: Sequence[Run], every: timedelta, now: datetime) -> datetime:
    """Return when the next run is due: `every` after the last finished one began, or now.

    A run that failed or was interrupted does not count, and neither does a backfill.
    """
    started = [
        datetime.fromisoformat(run.started)
        for run in runs
        if run.state == "finished" and not run.source.startswith(BACKFILL_SOURCE)
    ]
    return max(started) + every if started else now


@contextmanager
def synced(workspace: Workspace, keep_runs: int) -> Iterator[None]:
    """Work on an up-to-date workspace, and leave only when the shared folder has all of it.

    Args:
        workspace: The workspace; one of this machine alone is always up to date.
        keep_runs: Runs whose media stay in the shared folder.

    Raises:
        StorageError: The shared folder cannot be read before the work, or not be written after it.
    """
    workspace.sync.pull()
    with BackgroundSync(workspace):
        yield
    workspace.sync.wait_until_synced()
    workspace.sync.maintain(keep_runs)
