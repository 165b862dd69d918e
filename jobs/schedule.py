"""Time spans, and how a job keeps a shared workspace up to date and tells people of its end."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import click

from core.errors import EarmarkError
from core.notifications import check_runs
from core.pipeline.maintenance import maintain_after_run
from core.settings import Settings
from core.storage.background_sync import BackgroundSync
from core.storage.opening import open_workspace
from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)

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
    maintain_after_run(workspace, keep_runs)


@contextmanager
def notifying(settings: Settings) -> Iterator[None]:
    """Tell people of what went wrong in the work, once it has ended; it never fails because of it.

    Args:
        settings: Say who is told of what.
    """
    try:
        yield
    finally:
        if settings.notify is not None:
            try:
                check_runs(open_workspace(settings), settings)
            except EarmarkError as error:
                logger.warning("notifications not checked reason=%s", error)
