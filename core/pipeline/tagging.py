"""Tagging: the new sounds of a source are analysed and saved, and the run is recorded."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.audio.decode import decode
from core.audio.errors import AudioError
from core.audio.types import AudioLimits, Recording
from core.events.types import ModelRef, Sound
from core.files import remove_abandoned
from core.model.predictor import Predictor
from core.pipeline.analysis import Analysis, analyse, save_analyses
from core.pipeline.errors import SourceError, SourceUnavailable
from core.pipeline.new_sounds import NewSounds
from core.pipeline.run import RunRecorder
from core.pipeline.sources import Source, SourceItem
from core.pipeline.threads import in_threads
from core.storage.active_model import AUTOMATIC
from core.storage.runs import Run
from core.storage.workspace import Workspace
from core.work import Checkpoint, Turns, WorkStopped, unlimited

logger = logging.getLogger(__name__)

SAVE_INTERVAL_S = 1.0
MAX_FAILURES, MAX_RETRIES = 40, 20
"""Of a run with a limit; fewer retries than failures, so that each run gets to other sounds."""
MAX_UNAVAILABLE = 3
"""Sounds in a run that cannot be had for a reason that seems to hold for all of them."""

ProgressCallback = Callable[[int, int, str], None]
"""Called with (sounds done, sounds in all, name of the sound just done)."""
ItemError = AudioError | SourceError | OSError | WorkStopped
"""What can be wrong with a single sound."""
ITEM_ERRORS = (AudioError, SourceError, OSError, WorkStopped)


def tag_new_sounds(
    source: Source,
    predictor: Predictor,
    workspace: Workspace,
    limit: int | None = None,
    *,
    model: ModelRef | None = None,
    again: bool = False,
    new: NewSounds | None = None,
    limits: AudioLimits = AudioLimits(),
    turns: Turns = unlimited,
    workers: int = 1,
    actor: str = AUTOMATIC,
    progress: ProgressCallback | None = None,
) -> Run:
    """Tag the sounds of a source that need it, and record the run.

    Stopping at any moment loses nothing that was saved and repeats nothing: the next run takes
    what is left.

    Args:
        source: Where the sounds are.
        predictor: The model, loaded.
        workspace: Where predictions are kept.
        limit: Tag so many, if there are; a sound that cannot be used is replaced by another, up to
            `MAX_FAILURES` times. All without it.
        model: The predictor's version; its bundle is registered where it is not given.
        again: Tag also what only another model version has tagged.
        new: The new sounds, where the source was listed already.
        limits: Longest sound and largest file that are accepted.
        turns: When the work on a sound may begin, and how long it may take. Fetching its bytes is
            no part of it.
        workers: Threads that analyse.
        actor: Who started the run.
        progress: Called after each sound.

    Returns:
        The record of the run. A sound that cannot be used is in it, with its reason.

    Raises:
        EarmarkError: The source cannot be listed further or is unavailable, or the workspace
            cannot be written; the run is recorded as failed.
    """
    remove_abandoned(workspace.folder)
    model = model or workspace.models.register(predictor.bundle)
    if new is None:
        new = NewSounds(source, workspace, model if again else None, MAX_RETRIES if limit else None)
    with RunRecorder(workspace.runs, new.source_name, model, actor) as recorder:
        work = _Tagging(new, predictor, workspace, model, limits, turns, recorder)
        try:
            work.run(limit, workers, progress or _no_progress)
            workspace.sync.wait_until_synced()
        finally:
            recorder.known = new.known
            recorder.skipped[:0] = new.unusable
    return recorder.run


@dataclass(frozen=True)
class LoadedItem:
    """A sound of a source, decoded with its preview, and its metadata."""

    item: SourceItem
    recording: Recording
    sound: Sound


def decode_item(
    item: SourceItem, data: bytes, rate: int, limits: AudioLimits, checkpoint: Checkpoint
) -> LoadedItem:
    """Decode a sound.

    Args:
        item: The sound.
        data: Its bytes.
        rate: Sample rate to decode to, in Hz.
        limits: Longest sound and largest file that are accepted.
        checkpoint: Called between the steps.

    Raises:
        AudioError: It cannot be decoded.
        WorkStopped: The checkpoint stopped the work.
    """
    recording = decode(
        data, name=item.name, rate=rate, limits=limits, with_preview=True, checkpoint=checkpoint
    )
    return LoadedItem(item, recording, item.describe(data))


def log_skipped(sound_id: str, reason: Exception) -> None:
    """Log that a sound could not be used; its name and the reason's text come from outside."""
    logger.info("sound skipped sound=%s reason=%s", sound_id, type(reason).__name__)


def _no_progress(done: int, total: int, name: str) -> None:
    """Report nothing."""


class _Tagging:
    """The work of one run."""

    def __init__(
        self,
        new: NewSounds,
        predictor: Predictor,
        workspace: Workspace,
        model: ModelRef,
        limits: AudioLimits,
        turns: Turns,
        recorder: RunRecorder,
    ) -> None:
        self._new, self._predictor, self._workspace = new, predictor, workspace
        self._model, self._limits, self._turns = model, limits, turns
        self._recorder = recorder
        self._tried = self._unavailable = 0

    def run(self, limit: int | None, workers: int, progress: ProgressCallback) -> None:
        """Tag all new sounds, or go on until `limit` of them are tagged."""
        recorder = self._recorder
        while limit is None or recorder.tagged < limit:
            recorder.check()
            failures = len(recorder.skipped)
            if limit is not None and failures >= MAX_FAILURES:
                recorder.note = f"Stopped after {failures} sounds that could not be used."
                return
            items = self._new.take(None if limit is None else limit - recorder.tagged)
            if not items:
                return
            # The first comes last, so that it is the newest on the page.
            self._tag(items[::-1], workers, progress)

    def _tag(self, items: Sequence[SourceItem], workers: int, progress: ProgressCallback) -> None:
        unsaved: list[Analysis] = []
        saved_at, total = time.monotonic(), self._tried + len(items)
        try:
            for item, outcome in in_threads(self._analyse, items, workers):
                self._tried += 1
                if isinstance(outcome, Analysis):
                    unsaved.append(outcome)
                else:
                    self._skip(item, outcome)
                if time.monotonic() - saved_at > SAVE_INTERVAL_S:
                    self._save(unsaved)
                    unsaved, saved_at = [], time.monotonic()
                progress(self._tried, total, item.name)
                self._recorder.report(self._tried, total, item.name)
                self._recorder.check()
        finally:
            self._save(unsaved)

    def _analyse(self, item: SourceItem) -> Analysis | ItemError:
        """Return a sound's analysis, or what is wrong with the sound."""
        try:
            data = item.read()
            with self._turns(item.name) as checkpoint:
                return self._analyse_data(item, data, checkpoint)
        except ITEM_ERRORS as error:
            return error

    def _analyse_data(self, item: SourceItem, data: bytes, checkpoint: Checkpoint) -> Analysis:
        predictor = self._predictor
        loaded = decode_item(item, data, predictor.rate, self._limits, checkpoint)
        recording, sound = loaded.recording, loaded.sound
        return analyse(recording, predictor, self._model, item.sound_id, sound, checkpoint)

    def _skip(self, item: SourceItem, reason: ItemError) -> None:
        """Note why a sound is left out; raise the reason where it seems to hold for every sound."""
        self._recorder.skip(item.name, str(reason))
        log_skipped(item.sound_id, reason)
        if isinstance(reason, SourceUnavailable) and item.name not in self._new.failed_before:
            self._unavailable += 1
            if self._unavailable >= MAX_UNAVAILABLE:
                raise reason

    def _save(self, analyses: Sequence[Analysis]) -> None:
        """Bring a batch's files to the disk together, and only then append its events."""
        if not analyses:
            return
        run = self._recorder.run
        events = save_analyses(self._workspace, analyses, run.actor, run=run.run_id)
        self._recorder.tagged += self._workspace.events.append(events, once_per_model=True)
