"""The life of a run: running, then finished, failed or interrupted, with its counts."""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from core.errors import EarmarkError
from core.events.types import ModelRef, iso
from core.people import shown_name
from core.pipeline.errors import RunCancelled
from core.sqlite import DatabaseError
from core.storage.runs import Run, RunKind, RunLog, RunProgress, RunState

logger = logging.getLogger(__name__)

REPORT_INTERVAL_S = 2.0
"""Time between two reports of how far a run is."""


class RunRecorder:
    """Records one run as a context manager; its counts may be changed inside.

    Leaving the block without an error is *finished*, with an exception *failed*, with Ctrl-C, the
    end of the process or a cancellation *interrupted*. While it runs, a thread of its own notes
    how far it is and learns whether somebody wants it to stop.

    Attributes:
        run: The record as it was written last.
        tagged: Sounds that got a prediction.
        known: Sounds that had one before.
        skipped: (name, reason) of each sound that could not be used.
        note: Why the run ends early.
        done: What it did of anything but sounds: files compacted, epochs trained.
        result: What it made, such as a model version.
    """

    def __init__(
        self,
        runs: RunLog,
        source: str,
        model: ModelRef | None,
        actor: str,
        *,
        kind: RunKind = "tagging",
        on_cancel: Callable[[], object] | None = None,
    ) -> None:
        """Prepare the record; it is written when the block begins.

        Args:
            runs: Where it is written.
            source: Where the sounds come from, or what else is worked on.
            model: The version that predicts; None for a run that predicts nothing.
            actor: Who started it.
            kind: What it does.
            on_cancel: Called once, from another thread, when somebody wants the run to stop and
                its work does not call `check`.
        """
        self._runs = runs
        self._began = 0.0
        self.run = Run(
            run_id=uuid.uuid4().hex,
            started=iso(runs.now()),
            source=source,
            model=model,
            actor=actor,
            kind=kind,
        )
        self.tagged = self.known = self.done = 0
        self.skipped: list[tuple[str, str]] = []
        self.note = self.result = ""
        self._on_cancel = on_cancel
        self._progress = RunProgress(self.run.run_id, "")
        self._cancelled_by = ""
        self._ended = threading.Event()
        self._reporter = threading.Thread(target=self._keep_reporting, daemon=True, name="run")

    def skip(self, name: str, reason: str) -> None:
        """Note a sound that could not be used."""
        self.skipped.append((name, reason))

    def report(self, done: int, total: int = 0, stage: str = "") -> None:
        """Tell how far the run is; costs nothing, and any thread may call it.

        Args:
            done: What is done.
            total: What there is to do; 0 where that is not known.
            stage: What it is doing, in words.
        """
        self._progress = replace(self._progress, done=done, total=total, stage=stage)

    def check(self) -> None:
        """Go on, unless somebody wants the run to stop.

        Raises:
            RunCancelled: Somebody does.
        """
        if self._cancelled_by:
            raise RunCancelled(f"Cancelled by {shown_name(self._cancelled_by)}.")

    def _keep_reporting(self) -> None:
        while not self._ended.wait(REPORT_INTERVAL_S):
            self._write_progress()

    def _write_progress(self) -> None:
        """Note how far the run is, and learn whether it is to stop."""
        try:
            progress = replace(self._progress, seen=iso(datetime.now(UTC)))
            cancelled_by = self._runs.report(progress)
        except DatabaseError as error:
            logger.warning("run not reported run=%s reason=%s", self.run.run_id, error)
            return
        if cancelled_by and not self._cancelled_by:
            logger.info("run cancelled run=%s actor=%s", self.run.run_id, cancelled_by)
            self._cancelled_by = cancelled_by
            if self._on_cancel is not None:
                self._on_cancel()

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._runs.record(self.run)
        self._write_progress()
        self._reporter.start()
        run = self.run
        logger.info(
            "run start run=%s kind=%s source=%s model=%s",
            *(run.run_id, run.kind, run.source, run.model),
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if threading.current_thread() is not self._reporter:
            self._reporter.join()
        self.run = replace(
            self.run,
            state=self._state_after(error),
            finished=iso(self._runs.now()),
            seconds=round(time.monotonic() - self._began, 2),
            tagged=self.tagged,
            known=self.known,
            skipped=tuple(self.skipped),
            note=self.note,
            done=self.done,
            result=self.result,
        )
        self._runs.record(self.run)
        self._log_end()

    def _state_after(self, error: BaseException | None) -> RunState:
        """Return the state that the block was left in, and note why."""
        if error is None:
            return "finished"
        if self._cancelled_by and not isinstance(error, EarmarkError):
            self.note = f"Cancelled by {shown_name(self._cancelled_by)}."
            return "interrupted"
        if isinstance(error, Exception):
            self.note = str(error) if isinstance(error, EarmarkError) else type(error).__name__
            return "interrupted" if isinstance(error, RunCancelled) else "failed"
        return "interrupted"

    def _log_end(self) -> None:
        run = self.run
        logger.log(
            logging.ERROR if run.state == "failed" else logging.INFO,
            "run %s run=%s tagged=%d known=%d skipped=%d done=%d seconds=%.2f note=%s",
            *(run.state, run.run_id, run.tagged, run.known, len(run.skipped), run.done),
            *(run.seconds, run.note),
        )
