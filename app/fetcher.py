"""The server's one fetch of new sounds from Freesound, in the background."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from app.analysis_queue import AnalysisQueue, Requester
from app.predictor import ActivePredictor
from core.audio.types import AudioLimits
from core.errors import EarmarkError
from core.freesound.client import client_from
from core.people import shown_name
from core.pipeline.job_lock import JobLock
from core.pipeline.sources import FreesoundSource
from core.pipeline.tagging import tag_new_sounds
from core.pipeline.withdrawals import withdraw_gone
from core.settings import Settings
from core.storage.active_model import AUTOMATIC
from core.storage.runs import Run
from core.storage.workspace import Workspace
from core.work import Checkpoint

logger = logging.getLogger(__name__)

MIN_SHOWN_WAIT_S = 5
"""A shorter pause between requests is not worth a word."""
IN_BACKGROUND = Requester("fetch", "fetch", in_background=True)


@dataclass(frozen=True)
class Fetch:
    """One fetch as it stands.

    Attributes:
        number: Counts the server's fetches from 1; 0 before the first.
        actor: Who started it.
        stage: What it is doing, in words.
        done: Sounds that were looked at.
        total: Sounds to look at; 0 where that is not known yet.
        run: The run's record, once it has ended well.
        error: Why it has not, as a sentence.
        running: True until it has ended.
    """

    number: int = 0
    actor: str = ""
    stage: str = ""
    done: int = 0
    total: int = 0
    run: Run | None = None
    error: str = ""
    running: bool = False


class Fetcher:
    """Fetches, one at a time; a server that stops loses nothing that was tagged."""

    def __init__(
        self,
        settings: Settings,
        workspace: Workspace,
        load_predictor: Callable[[], ActivePredictor],
        queue: AnalysisQueue,
        job_lock: JobLock,
    ) -> None:
        """Begin without a fetch.

        Args:
            settings: Name the credential and the limits.
            workspace: Where what is fetched is kept.
            load_predictor: Returns the model to predict with.
            queue: In which each sound waits until no person's clip does.
            job_lock: Held while it fetches: one job at a time.
        """
        self._settings, self._workspace, self._job_lock = settings, workspace, job_lock
        self._load_predictor, self._queue = load_predictor, queue
        self._lock = threading.Lock()
        self._current = Fetch()
        self._thread: threading.Thread | None = None

    @property
    def current(self) -> Fetch:
        """Return the fetch that is running, or the last one."""
        return self._current

    def start(self, actor: str) -> bool:
        """Begin a fetch; returns False, and does nothing, while one or another job is running.

        Raises:
            EarmarkError: The workspace's folder cannot be written.
        """
        with self._lock:
            if self._current.running or not self._job_lock.acquire():
                return False
            number = self._current.number + 1
            self._current = Fetch(number, actor, "Loading the model", running=True)
            self._thread = threading.Thread(target=self._run, daemon=True, name="fetch")
            self._thread.start()
            return True

    def refusal(self) -> str:
        """Return why no fetch can be started just now, as a sentence."""
        if self._current.running:
            name = shown_name(self._current.actor)
            return f"{name} is fetching already; no second fetch was started."
        return "Another job is running; no fetch was started."

    def wait(self) -> None:
        """Return when the fetch that is running has ended."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        run, error = None, "The fetch was interrupted."
        try:
            run, error = self._fetch(), ""
        except EarmarkError as problem:
            error = str(problem)
        except Exception:
            logger.exception("fetch failed actor=%s", self._current.actor)
        finally:
            self._job_lock.release()
            self._update(run=run, error=error, running=False)

    def _fetch(self) -> Run:
        settings = self._settings
        client = client_from(settings, sleep=self._sleep)
        source = FreesoundSource(client, settings.feed_seconds, settings.feed_days)
        active = self._load_predictor()
        self._update(stage="Searching Freesound")
        run = tag_new_sounds(
            source,
            active.predictor,
            self._workspace,
            settings.feed_limit,
            model=active.model,
            limits=AudioLimits.from_settings(settings),
            turns=self._turn,
            actor=self._current.actor,
            progress=self._report,
        )
        self._update(stage="Looking for sounds that are no longer public")
        withdraw_gone(client, self._workspace, AUTOMATIC)
        return run

    @contextmanager
    def _turn(self, name: str) -> Iterator[Checkpoint]:
        """Wait until no person's clip waits to be analysed."""

        def report(place: int) -> None:
            stage = f"Waiting to tag {name}: people's clips go first"
            self._update(stage=stage if place else f"Tagging {name}")

        with self._queue.turn(IN_BACKGROUND, report) as turn:
            yield turn.limited_to(self._settings.max_work_seconds, name)

    def _report(self, done: int, total: int, name: str) -> None:
        self._update(stage=f"Tagged {name}", done=done, total=total)

    def _sleep(self, seconds: float) -> None:
        if seconds > MIN_SHOWN_WAIT_S:
            reason = "because Freesound limits requests"
            self._update(stage=f"Waiting {seconds:.0f} s, {reason}")
        time.sleep(seconds)

    def _update(self, **changes: object) -> None:
        self._current = replace(self._current, **changes)  # type: ignore[arg-type]
