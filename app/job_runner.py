"""Jobs that a maintainer starts from a page: in the background, one at a time."""

import logging
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from typing import Literal

from app.fetcher import Fetcher
from core.errors import EarmarkError
from core.people import shown_name
from core.pipeline.job_lock import JobLock
from core.pipeline.maintenance import compact_shared_workspace
from core.settings import ROOT, Settings
from core.storage.runs import Run
from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)

JobKind = Literal["tagging", "training", "compaction"]
NAMES: dict[str, str] = {
    "tagging": "Tagging",
    "backfill": "Backfill",
    "training": "Training",
    "compaction": "Compaction",
}
TRAINING = (sys.executable, "-m", "jobs", "train", "retrain")
ACTOR_VARIABLE = "EARMARK_JOB_ACTOR"
"""In the environment of the training's process: who started it."""
LOG_NAME = "training.log"
"""What the last training wrote, in the workspace's folder."""
MAX_SENTENCE_LENGTH = 400


@dataclass(frozen=True)
class Job:
    """A job as it stands.

    Attributes:
        number: Counts the server's jobs from 1; 0 before the first.
        kind: What it does.
        actor: Who started it.
        running: True until it has ended.
        error: Why it has not ended well, as a sentence.
    """

    number: int = 0
    kind: JobKind = "tagging"
    actor: str = ""
    running: bool = False
    error: str = ""


class JobRunner:
    """Runs jobs, one at a time on this machine; what they record is what pages show."""

    def __init__(self, settings: Settings, workspace: Workspace, fetcher: Fetcher) -> None:
        """Begin without a job.

        Args:
            settings: Name the credential, the data and the limits.
            workspace: Where the jobs work.
            fetcher: Tags new sounds, behind people's clips.
        """
        self._settings, self._workspace, self._fetcher = settings, workspace, fetcher
        self._job_lock = JobLock(settings.workspace_folder)
        self._lock = threading.Lock()
        self._current = Job()
        self._thread: threading.Thread | None = None

    @property
    def current(self) -> Job:
        """Return the job that is running, or the last one."""
        return self._current

    def kinds(self) -> tuple[JobKind, ...]:
        """Return the jobs that the settings allow."""
        settings = self._settings
        allowed: dict[JobKind, bool] = {
            "tagging": settings.freesound_api_key is not None,
            "training": settings.training_data is not None,
            "compaction": bool(settings.hopsworks_host),
        }
        return tuple(kind for kind, is_allowed in allowed.items() if is_allowed)

    def start(self, kind: JobKind, actor: str) -> str:
        """Begin a job.

        Args:
            kind: What to do.
            actor: Who wants it.

        Returns:
            Why nothing was started, as a sentence; empty if it was.
        """
        if kind not in self.kinds():
            return f"{NAMES[kind]} is not set up on this server."
        try:
            if busy := self._same_job(kind):
                return f"{NAMES[kind]} by {shown_name(busy.actor)} is running already."
            return self._begin(kind, actor)
        except EarmarkError as error:
            return str(error)

    def wait(self) -> None:
        """Return when the job that is running has ended."""
        if self._thread is not None:
            self._thread.join()

    def _same_job(self, kind: JobKind) -> Run | None:
        """Return a run of the same kind that goes on, on this machine or another."""
        return next((run for run in self._workspace.runs.running() if run.kind == kind), None)

    def _begin(self, kind: JobKind, actor: str) -> str:
        with self._lock:
            if self._current.running or not self._claim(kind, actor):
                return self._busy()
            number = self._current.number + 1
            self._current = Job(number, kind, actor, running=True)
            self._thread = threading.Thread(target=self._run, daemon=True, name="job")
            self._thread.start()
        logger.info("job start kind=%s actor=%s", kind, actor)
        return ""

    def _claim(self, kind: JobKind, actor: str) -> bool:
        """Take the lock; returns False where another job has it. The fetcher takes it itself."""
        return self._fetcher.start(actor) if kind == "tagging" else self._job_lock.acquire()

    def _busy(self) -> str:
        """Return which job is in the way, as a sentence."""
        running = self._workspace.runs.running()
        if not running:
            return "Another job is running; nothing was started."
        run = running[0]
        return f"{NAMES[run.kind]} by {shown_name(run.actor)} is running; nothing was started."

    def _run(self) -> None:
        error = "The job was interrupted."
        try:
            error = self._work()
        except EarmarkError as problem:
            error = str(problem)
        except Exception:
            logger.exception("job failed kind=%s", self._current.kind)
        finally:
            if self._current.kind != "tagging":
                self._job_lock.release()
            self._current = replace(self._current, running=False, error=error)

    def _work(self) -> str:
        """Do the job; returns why it did not end well, empty if it did."""
        kind, actor = self._current.kind, self._current.actor
        if kind == "tagging":
            self._fetcher.wait()
            return self._fetcher.current.error
        if kind == "compaction":
            compact_shared_workspace(self._workspace, self._settings.keep_runs, actor)
            return ""
        return self._train(actor)

    def _train(self, actor: str) -> str:
        """Train in a process of its own, which goes on if this one ends."""
        path = self._workspace.folder / LOG_NAME
        with path.open("wb") as log:
            process = subprocess.Popen(
                TRAINING,
                cwd=ROOT,
                env=os.environ | {ACTOR_VARIABLE: actor},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            if process.wait() == 0:
                return ""
        lines = path.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1][:MAX_SENTENCE_LENGTH] if lines else "The training ended without a word."
