"""The job itself: new sounds of a source, tagged into a workspace."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from core import media
from core.id2prediction import Event, Media, ModelRef, Predicted, RolledOut, Sound, Suggestion, iso, new_event
from core.model import audio, bundle
from core.model.audio import AudioError, AudioLimits, Waveform
from core.sources import FoundSound, Source, SourceError
from core.workspace import NoSuchModel, Run, Workspace

if TYPE_CHECKING:
    from core.model.tagger import Tagger, Tagging

Item = TypeVar("Item")
Result = TypeVar("Result")

AUTOMATIC = "earmark"
"""The actor of what no person decided."""
FROM_REGISTRY = "earmark (registry)"
"""The actor of a first rollout of a model that somebody registered; a new starter does not take its place."""
SAVE_EVERY_S = 1.0

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
    limits: AudioLimits = AudioLimits(),
    workers: int = 1,
    actor: str = AUTOMATIC,
    progress: ProgressCallback | None = None,
) -> Run:
    """Tag the source's sounds that have no prediction yet, at most `limit` of them, and keep a record of the run.

    With `again`, sounds that only another model version has tagged count as new. `workers` threads listen at once. Stopping it
    at any moment loses nothing that was saved and repeats nothing: the next run takes what is left. A sound that cannot be
    heard is skipped with its reason; anything else that goes wrong ends the run, which is recorded as failed. `model` is the
    version that `tagger` is; where it is not given, the workspace is asked for it.
    """
    model = model or workspace.push(tagger.bundle)
    run = Run(run_id=uuid.uuid4().hex, started=iso(datetime.now(UTC)), source=source.name, model=model, actor=actor)
    began = time.monotonic()
    workspace.record_run(run)
    job = _Job(source, tagger, workspace, model, limits, actor)
    state = "failed"
    try:
        job.look_for_new(again, limit)
        job.tag_all(workers, progress or (lambda done, total, name: None))
        workspace.settle()
        state = "finished"
    except KeyboardInterrupt:
        state = "interrupted"
        raise
    finally:
        run = replace(
            run, state=state, finished=iso(datetime.now(UTC)), seconds=round(time.monotonic() - began, 2), tagged=job.tagged,
            known=job.known, skipped=tuple(job.skipped),
        )  # fmt: skip
        workspace.record_run(run)
    return run


@dataclass(frozen=True)
class Survey:
    """What a source has: sounds still `new`, the number already `known`, and those with a problem."""

    new: tuple[FoundSound, ...]
    known: int
    problems: tuple[FoundSound, ...]


def survey(source: Source, workspace: Workspace, limit: int | None = None, tagged_by: ModelRef | None = None) -> Survey:
    """Look through a source without listening. With `tagged_by`, only what that very model version tagged counts as known."""
    found = list(source.sounds(workspace))
    sounds = [one for one in found if not one.problem]
    known = workspace.known([one.sound_id for one in sounds], tagged_by)
    new = [one for one in sounds if one.sound_id not in known]
    return Survey(tuple(new[:limit]), len(sounds) - len(new), tuple(one for one in found if one.problem))


class _Job:
    """One run's list of sounds and its tally."""

    def __init__(self, source: Source, tagger: "Tagger", workspace: Workspace, model: ModelRef, limits: AudioLimits, actor: str) -> None:
        self.source, self.tagger, self.workspace = source, tagger, workspace
        self.model, self.limits, self.actor = model, limits, actor
        self.new: tuple[FoundSound, ...] = ()
        self.known, self.tagged = 0, 0
        self.skipped: list[tuple[str, str]] = []

    def look_for_new(self, again: bool, limit: int | None) -> None:
        found = survey(self.source, self.workspace, limit, self.model if again else None)
        self.known = found.known
        self.skipped += [(one.name, one.problem) for one in found.problems]
        self.new = found.new[::-1]  # the first comes last, so that it is the newest on the page

    def tag_all(self, workers: int, progress: ProgressCallback) -> None:
        unsaved: list[Event] = []
        saved_at = time.monotonic()
        try:
            for done, (found, outcome) in enumerate(_in_threads(self._listen, self.new, workers), start=1):
                if isinstance(outcome, Event):
                    unsaved.append(outcome)
                else:
                    self.skipped.append((found.name, str(outcome)))
                if time.monotonic() - saved_at > SAVE_EVERY_S:
                    unsaved, saved_at = self._save(unsaved), time.monotonic()
                progress(done, len(self.new), found.name)
        finally:
            self._save(unsaved)

    def _save(self, events: list[Event]) -> list[Event]:
        self.tagged += self.workspace.append(events, once_per_model=True)
        return []

    def _listen(self, found: FoundSound) -> "Event | AudioError | SourceError | OSError":
        """The predicted event of one sound, its media and sidecar written; or why there is none."""
        try:
            data = found.read()
            waveform = audio.load(data, name=found.name, limits=self.limits)
            sound = with_facts(self.source.describe(found, data), waveform)
        except (AudioError, SourceError, OSError) as error:
            return error
        tagging = self.tagger.tag(waveform)
        kept = keep_media(self.workspace, data, tagging, found.name, self.limits)
        self.workspace.put_sidecar(found.sound_id, self.model, sidecar(tagging))
        payload = Predicted(model=self.model, top=suggestions(tagging), sound=sound, media=kept)
        return new_event(payload, found.sound_id, self.actor)


def suggestions(tagging: "Tagging") -> tuple[Suggestion, ...]:
    """A tagging's top tags as they are kept."""
    return tuple(Suggestion(tag=one.tag, probability=round(one.probability, 4), above_threshold=one.above_threshold) for one in tagging.top)


def sidecar(tagging: "Tagging") -> dict:
    """The arrays that are kept beside the media."""
    return {"activations": tagging.activations, "times": tagging.times, "embedding": tagging.embedding}


def keep_media(workspace: Workspace, data: bytes, tagging: "Tagging", name: str, limits: AudioLimits) -> Media:
    """Put the sound and its spectrogram into the workspace."""
    return Media(
        audio=workspace.put_media(media.playable_ogg(data, name, limits), "ogg"),
        spectrogram=workspace.put_media(media.spectrogram_webp(tagging.log_mel), "webp"),
    )


def with_facts(sound: Sound, waveform: Waveform) -> Sound:
    """Metadata completed by what decoding found."""
    facts = waveform.source
    return sound.model_copy(
        update={"seconds": round(facts.seconds, 3), "container": facts.container, "rate": facts.rate, "channels": facts.channels}
    )


def _in_threads(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[tuple[Item, Result]]:
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
