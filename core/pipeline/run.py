"""The life of a run: running, then finished, failed or interrupted, with its counts."""

import logging
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from core.errors import EarmarkError
from core.events.types import ModelRef, iso
from core.storage.runs import Run, RunLog, RunState

logger = logging.getLogger(__name__)

BACKFILL_SOURCE = "Freesound, backfill"
"""Beginning of the source of runs that work on a range of the past."""


class RunRecorder:
    """Records one run as a context manager; its counts may be changed inside.

    Leaving the block without an error is *finished*, with an exception *failed*, with Ctrl-C or
    the end of the process *interrupted*.

    Attributes:
        run: The record as it was written last.
        tagged: Sounds that got a prediction.
        known: Sounds that had one before.
        skipped: (name, reason) of each sound that could not be used.
        note: Why the run ends early.
    """

    def __init__(self, runs: RunLog, source: str, model: ModelRef, actor: str) -> None:
        """Prepare the record; it is written when the block begins."""
        self._runs = runs
        self._began = 0.0
        self.run = Run(
            run_id=uuid.uuid4().hex,
            started=iso(datetime.now(UTC)),
            source=source,
            model=model,
            actor=actor,
        )
        self.tagged = self.known = 0
        self.skipped: list[tuple[str, str]] = []
        self.note = ""

    def skip(self, name: str, reason: str) -> None:
        """Note a sound that could not be used."""
        self.skipped.append((name, reason))

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._runs.record(self.run)
        run = self.run
        logger.info("run start run=%s source=%s model=%s", run.run_id, run.source, run.model)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        state: RunState = "finished"
        if isinstance(error, Exception):
            state = "failed"
            self.note = str(error) if isinstance(error, EarmarkError) else type(error).__name__
        elif error is not None:
            state = "interrupted"
        self.run = replace(
            self.run,
            state=state,
            finished=iso(datetime.now(UTC)),
            seconds=round(time.monotonic() - self._began, 2),
            tagged=self.tagged,
            known=self.known,
            skipped=tuple(self.skipped),
            note=self.note,
        )
        self._runs.record(self.run)
        logger.log(
            logging.ERROR if state == "failed" else logging.INFO,
            "run %s run=%s tagged=%d known=%d skipped=%d seconds=%.2f note=%s",
            state,
            self.run.run_id,
            self.tagged,
            self.known,
            len(self.skipped),
            self.run.seconds,
            self.note,
        )
