"""The job itself: new sounds of a source, tagged into a workspace."""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from core import media
from core.errors import EarmarkError
from core.id2prediction import Event, Media, ModelRef, Predicted, RolledOut, Sound, Suggestion, iso, new_event
from core.model import audio, bundle
from core.model.audio import AudioError, AudioLimits, Waveform
from core.sources import FoundSound, Source, SourceError, SourceTrouble
from core.workspace import NoSuchModel, Run, Workspace

if TYPE_CHECKING:
    import numpy as np

    from core.model.tagger import Tagger, Tagging

Item = TypeVar("Item")
Result = TypeVar("Result")

AUTOMATIC = "earmark"
"""The actor of what no person decided."""
FROM_REGISTRY = "earmark (registry)"
"""The actor of a first rollout of a model that somebody registered; a new starter does not take its place."""
SAVE_EVERY_S = 1.0
LOOK_AT_FIRST, LOOK_AT_ONCE = 25, 500  # sounds of which the workspace is asked together: few at first, because few may do
MOST_FAILURES, MOST_RETRIES = 40, 20  # of a run with a limit; fewer retries than failures, so that each run gets to other sounds
MOST_TROUBLES = 3
RUNS_REMEMBERED = 10

ProgressCallback = Callable[[int, int, str], None]
"""Called with (done, total, name of the sound just done)."""


def model_in_force(workspace: Workspace) -> ModelRef:
    """The model version that the workspace's latest rolled_out event names.

    A workspace without one gets the best version of the starter's name that it has, or else the starter. Where only this function ever
    put a starter in force, it follows the starter that ships with the project.
    """
    rollouts = workspace.rollouts()
    current = rollouts[0] if rollouts else None
    if current is not None and current.actor != AUTOMATIC:
        return current.payload.model
    starter = _starter(bundle.STARTER)
    if current is None and (best := _best(workspace, starter.name)) is not None:
        workspace.append([new_event(RolledOut(model=best, reason="first start: the best in the registry"), None, FROM_REGISTRY)])
        return best
    if current is not None and starter.fingerprint in {event.payload.model.fingerprint for event in rollouts}:
        return current.payload.model  # in force already, or given up for a newer one by a program that ships it
    reason = "first start" if current is None else "the project ships a new starter"
    model = workspace.push(starter)
    workspace.append([new_event(RolledOut(model=model, reason=reason), None, AUTOMATIC, base=current)])
    return model


def _best(workspace: Workspace, name: str) -> ModelRef | None:
    """The best version that others have registered before this workspace was first used."""
    try:
        return workspace.find_model(name, "best")
    except NoSuchModel:
        return None


@lru_cache(maxsize=1)
def _starter(folder: Path) -> bundle.Bundle:
    """The starter, read once: it does not change under a running program."""
    return bundle.load(folder)


def load_tagger(workspace: Workspace) -> tuple["Tagger", ModelRef]:
    """The model in force, ready to listen."""
    from core.model.tagger import Tagger

    model = model_in_force(workspace)
    return Tagger.from_folder(workspace.pull(model)), model


def tag_new_sounds(
    source: Source,
    tagger: "Tagger",
    workspace: Workspace,
    limit: int | None = None,
    *,
    model: ModelRef | None = None,
    again: bool = False,
    new: "NewSounds | None" = None,
    limits: AudioLimits = AudioLimits(),
    workers: int = 1,
    actor: str = AUTOMATIC,
    progress: ProgressCallback | None = None,
) -> Run:
    """Tag the source's sounds that have no prediction yet, `limit` of them if there are so many, and keep a record of the run.

    With `again`, sounds that only another model version has tagged count as new; `new` are the new sounds where they were looked
    for already. `workers` threads listen at once. Stopping it at any moment loses nothing that was saved and repeats nothing: the
    next run takes what is left. A sound that cannot be heard is skipped with its reason, and with a `limit` another one takes its
    place, up to `MOST_FAILURES` times; anything else that goes wrong ends the run, which is recorded as failed, and is raised.
    `model` is the version that `tagger` is; where it is not given, the workspace is asked for it.
    """
    model = model or workspace.push(tagger.bundle)
    new = new or NewSounds(source, workspace, model if again else None, MOST_RETRIES if limit else None)
    run = Run(run_id=uuid.uuid4().hex, started=iso(datetime.now(UTC)), source=source.name, model=model, actor=actor)
    began = time.monotonic()
    workspace.record_run(run)
    job = _Job(new, tagger, workspace, model, limits, actor)
    state = "interrupted"
    try:
        job.tag_new(limit, workers, progress or (lambda done, total, name: None))
        workspace.settle()
        state = "finished"
    except Exception as error:
        state, job.note = "failed", str(error) if isinstance(error, EarmarkError) else type(error).__name__
        raise
    finally:
        run = replace(
            run, state=state, finished=iso(datetime.now(UTC)), seconds=round(time.monotonic() - began, 2), tagged=job.tagged,
            known=new.known, skipped=(*new.passed_over, *job.skipped), note=job.note,
        )  # fmt: skip
        workspace.record_run(run)
    return run


class NewSounds:
    """The sounds of a source that need tagging, looked for only as they are asked for.

    With `tagged_by`, only what that very model version tagged counts as known. With `retries`, only so many of those that lately
    could not be used are offered again: were they more than a run attempts, it would never get to the others.
    Counted so far: `known` sounds, and those `passed_over`, each with its reason.
    """

    def __init__(self, source: Source, workspace: Workspace, tagged_by: ModelRef | None = None, retries: int | None = None) -> None:
        self.known = 0
        self.passed_over: list[tuple[str, str]] = []
        self.failed_lately = {} if retries is None else _failed_lately(source, workspace)
        self._source, self._workspace, self._tagged_by, self._retries = source, workspace, tagged_by, retries
        self._looking = self._look()
        self._next: list[FoundSound] = []
        self._error: EarmarkError | None = None

    def any(self) -> bool:
        """Whether there is one (left). Raises `EarmarkError` if the source cannot be listed."""
        self._next = self._next or self.take(1)
        return bool(self._next)

    def take(self, most: int | None = None) -> list[FoundSound]:
        """The next new sounds, `most` of them or all. What was found before the source failed is handed over first; the next
        call raises its `EarmarkError`."""
        if self._error is not None:
            raise self._error
        found, self._next = self._next, []
        try:
            while (most is None or len(found) < most) and (one := next(self._looking, None)):
                found.append(one)
        except EarmarkError as error:
            if not found:
                raise
            self._error = error
        return found

    def _look(self) -> Iterator[FoundSound]:
        sounds, size = iter(self._source.sounds(self._workspace)), LOOK_AT_FIRST
        while some := list(islice(sounds, size)):
            known = self._workspace.known([one.sound_id for one in some if not one.problem], self._tagged_by)
            for one in some:
                if one.problem:
                    self.passed_over.append((one.name, one.problem))
                elif one.sound_id in known:
                    self.known += 1
                elif self._worth_trying(one):
                    yield one
            size = min(2 * size, LOOK_AT_ONCE)

    def _worth_trying(self, one: FoundSound) -> bool:
        """Whether the sound did not fail lately, or may be tried once more."""
        if self._retries is None or one.name not in self.failed_lately:
            return True
        if self._retries == 0:
            self.passed_over.append((one.name, self.failed_lately[one.name]))
            return False
        self._retries -= 1
        return True


def _failed_lately(source: Source, workspace: Workspace) -> dict[str, str]:
    """Names and reasons that the latest runs from this source skipped."""
    runs = [run for run in workspace.runs(RUNS_REMEMBERED) if run.source == source.name]
    return {name: reason for run in reversed(runs) for name, reason in run.skipped}


class _Job:
    """One run's tally."""

    def __init__(self, new: NewSounds, tagger: "Tagger", workspace: Workspace, model: ModelRef, limits: AudioLimits, actor: str) -> None:
        self.new, self.tagger, self.workspace = new, tagger, workspace
        self.model, self.limits, self.actor = model, limits, actor
        self.tagged, self.tried, self.troubles = 0, 0, 0
        self.skipped: list[tuple[str, str]] = []
        self.note = ""

    def tag_new(self, limit: int | None, workers: int, progress: ProgressCallback) -> None:
        """Tag all new sounds, or go on until `limit` of them are tagged."""
        while limit is None or self.tagged < limit:
            if limit is not None and len(self.skipped) >= MOST_FAILURES:
                self.note = f"Stopped after {len(self.skipped)} sounds that could not be used."
                return
            wanted = None if limit is None else limit - self.tagged
            sounds = self.new.take(wanted)
            if not sounds:
                return
            self._tag(sounds[::-1], workers, progress)  # the first comes last, so that it is the newest on the page

    def _tag(self, sounds: Sequence[FoundSound], workers: int, progress: ProgressCallback) -> None:
        unsaved: list[Event] = []
        saved_at, total = time.monotonic(), self.tried + len(sounds)
        try:
            for found, outcome in in_threads(self._listen, sounds, workers):
                self.tried += 1
                if isinstance(outcome, Event):
                    unsaved.append(outcome)
                else:
                    self._skip(found, outcome)
                if time.monotonic() - saved_at > SAVE_EVERY_S:
                    unsaved, saved_at = self._save(unsaved), time.monotonic()
                progress(self.tried, total, found.name)
        finally:
            self._save(unsaved)

    def _skip(self, found: FoundSound, reason: Exception) -> None:
        """Note why a sound is left out. Raises the reason where it looks as if it held for every sound."""
        self.skipped.append((found.name, str(reason)))
        if isinstance(reason, SourceTrouble) and found.name not in self.new.failed_lately:
            self.troubles += 1
            if self.troubles >= MOST_TROUBLES:
                raise reason

    def _save(self, events: list[Event]) -> list[Event]:
        self.tagged += self.workspace.append(events, once_per_model=True)
        return []

    def _listen(self, found: FoundSound) -> "Event | AudioError | SourceError | OSError":
        """The predicted event of one sound, its media and sidecar written; or why there is none."""
        ready = make_ready(found, self.limits)
        if not isinstance(ready, Ready):
            return ready
        heard = Heard.of(ready, self.tagger.tag(ready.waveform), self.limits)
        return keep(self.workspace, heard, self.model, self.actor)


@dataclass(frozen=True)
class Ready:
    """A sound that can be listened to: its bytes, decoded, and its metadata."""

    found: FoundSound
    data: bytes
    waveform: Waveform
    sound: Sound


@dataclass(frozen=True)
class Heard:
    """All that is kept of one sound: tags, metadata, an Ogg file to play, the spectrogram as WebP, and the sidecar's arrays."""

    sound_id: str
    sound: Sound
    top: tuple[Suggestion, ...]
    audio: bytes
    spectrogram: bytes
    arrays: "Mapping[str, np.ndarray]"

    @classmethod
    def of(cls, ready: Ready, tagging: "Tagging", limits: AudioLimits) -> "Heard":
        """Raises the kinds of `AudioError` where the sound cannot be made playable."""
        ogg = media.playable_ogg(ready.data, ready.found.name, limits)
        picture = media.spectrogram_webp(tagging.log_mel)
        return cls(ready.found.sound_id, ready.sound, suggestions(tagging), ogg, picture, sidecar(tagging))


def make_ready(found: FoundSound, limits: AudioLimits) -> "Ready | AudioError | SourceError | OSError":
    """Read and decode a sound, or why that cannot be done."""
    try:
        data = found.read()
        waveform = audio.load(data, name=found.name, limits=limits)
        return Ready(found, data, waveform, with_facts(found.describe(data), waveform))
    except (AudioError, SourceError, OSError) as error:
        return error


def keep(workspace: Workspace, heard: Heard, model: ModelRef, actor: str, base: Event | None = None) -> Event:
    """Put media and sidecar into the workspace; the event that is to be appended then, later than `base` if there is one."""
    kept = Media(audio=workspace.put_media(heard.audio, "ogg"), spectrogram=workspace.put_media(heard.spectrogram, "webp"))
    workspace.put_sidecar(heard.sound_id, model, heard.arrays)
    return new_event(Predicted(model=model, top=heard.top, sound=heard.sound, media=kept), heard.sound_id, actor, base)


def suggestions(tagging: "Tagging") -> tuple[Suggestion, ...]:
    """A tagging's top tags as they are kept."""
    return tuple(Suggestion(tag=one.tag, probability=round(one.probability, 4), above_threshold=one.above_threshold) for one in tagging.top)


def sidecar(tagging: "Tagging") -> dict:
    """The arrays that are kept beside the media."""
    return {"activations": tagging.activations, "times": tagging.times, "embedding": tagging.embedding}


def with_facts(sound: Sound, waveform: Waveform) -> Sound:
    """Metadata completed by what decoding found."""
    facts = waveform.source
    return sound.model_copy(
        update={"seconds": round(facts.seconds, 3), "container": facts.container, "rate": facts.rate, "channels": facts.channels}
    )


def in_threads(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[tuple[Item, Result]]:
    """Results in the order of the items, with only a few items under way at a time, so that stopping is quick."""
    with ThreadPoolExecutor(max_workers=workers) as pool:
        waiting: list[tuple[Item, Future[Result]]] = []
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) >= 2 * workers:
                    first, future = waiting.pop(0)
                    yield first, future.result()
            for first, future in waiting:
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)
