"""Maintenance of a shared workspace, recorded as a run where it did something."""

import logging
import time
import uuid

from core.errors import EarmarkError
from core.events.types import iso
from core.pipeline.run import RunRecorder
from core.storage.active_model import AUTOMATIC
from core.storage.runs import Run, RunState
from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)

SOURCE = "Shared workspace"


def maintain_after_run(workspace: Workspace, keep_runs: int) -> None:
    """Compact a shared workspace and remove old media, as a job does after its work.

    It is recorded where it compacted something or failed.

    Args:
        workspace: The workspace.
        keep_runs: Runs whose media stay in the shared folder.

    Raises:
        StorageError: The shared folder cannot be reached.
    """
    started, began = iso(workspace.runs.now()), time.monotonic()

    def record(state: RunState, done: int = 0, note: str = "") -> None:
        run = Run(
            run_id=uuid.uuid4().hex,
            started=started,
            source=SOURCE,
            model=None,
            actor=AUTOMATIC,
            state=state,
            finished=iso(workspace.runs.now()),
            seconds=round(time.monotonic() - began, 2),
            note=note,
            kind="compaction",
            done=done,
        )
        workspace.runs.record(run)

    try:
        compacted = workspace.sync.maintain(keep_runs)
    except EarmarkError as error:
        record("failed", note=str(error))
        raise
    if compacted:
        record("finished", compacted)
        workspace.sync.wait_until_synced()


def compact_shared_workspace(workspace: Workspace, keep_runs: int, actor: str) -> Run:
    """Do the same because somebody asked for it; it is recorded in any case.

    Args:
        workspace: The workspace.
        keep_runs: Runs whose media stay in the shared folder.
        actor: Who asked.

    Returns:
        The record.

    Raises:
        StorageError: The shared folder cannot be reached.
    """
    with RunRecorder(workspace.runs, SOURCE, None, actor, kind="compaction") as recorder:
        recorder.done = workspace.sync.maintain(keep_runs)
    workspace.sync.wait_until_synced()
    return recorder.run
