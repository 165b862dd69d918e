"""When a run is due, and whether runs have stopped: by the clock that all who record runs share."""

from datetime import datetime, timedelta

from core.pipeline.sources import FREESOUND
from core.settings import Settings
from core.storage.runs import TAGGING_KINDS
from core.storage.workspace import Workspace


def last_start(workspace: Workspace, source: str) -> datetime | None:
    """Return when the last finished run that tagged new sounds of a source began.

    A folder is one of this machine, so runs of other machines do not count for it, whatever their
    folders are called.

    Args:
        workspace: Where runs are recorded.
        source: The source's name.
    """
    is_shared = workspace.sync.status() is not None
    return workspace.runs.last_start(("tagging",), source, own=is_shared and source != FREESOUND)


def due_at(workspace: Workspace, source: str, every: timedelta) -> datetime:
    """Return when the next run from a source is due: `every` after the last one began, or now.

    A run that failed or was interrupted does not count, and neither does one of another kind or
    from another source.

    Args:
        workspace: Where runs are recorded.
        source: The source's name.
        every: Time between two runs.
    """
    last = last_start(workspace, source)
    return last + every if last else workspace.runs.now()


def quiet_since(workspace: Workspace, settings: Settings) -> datetime | None:
    """Return when the last finished run that tagged sounds began, if that is too long ago.

    Returns:
        None where there was a run lately, or never one.
    """
    last = workspace.runs.last_start(TAGGING_KINDS)
    if last is None or workspace.runs.now() - last < timedelta(days=max_quiet_days(settings)):
        return None
    return last


def max_quiet_days(settings: Settings) -> int:
    """Return after how many days without a finished run people are warned."""
    return settings.quiet_days or 2 * settings.tag_every_days + 1
