"""Tag a range of Freesound's past: `python -m jobs.backfill --created 2026-01-01 2026-02-01`, or `--ids 1000 2000`.

One process owns the API's budget: it lists the range, leaves out what the workspace knows, and hands out batches. Workers, threads here
and containers on Modal, only fetch previews and listen; they have no key of Freesound's and write nothing. What they bring is saved batch
by batch. Stopped at any moment, the next call lists again and takes what is left.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from core import command_line
from core.errors import EarmarkError
from core.freesound.client import LARGEST_PAGE, FreesoundClient, FreesoundSound, PreviewReader, client_from
from core.freesound.feed import FoundOnFreesound
from core.id2prediction import ModelRef, Sound, Suggestion, iso
from core.model import bundle
from core.model.audio import AudioError, AudioLimits
from core.settings import Settings, settings
from core.sources import SourceTrouble
from core.tagging import AUTOMATIC, Heard, Ready, in_threads, keep, make_ready, model_in_force
from core.workspace import Run, Workspace, open_workspace
from jobs.schedule import BACKFILL, at_home

if TYPE_CHECKING:
    from core.model.tagger import Tagger

MOST_PAGED = 3000
"""Sounds that one search pages through: twenty requests, which is what a shared credential may make in a minute."""
BATCH = 50
ROUND = 20  # batches that are handed out together
FETCH_AT_ONCE = 8
LISTEN_AT_ONCE = 10
MOST_FAILED = 10
MOST_REASONS_SHOWN = 10

Task = dict[str, Any]
"""What a worker is given: JSON. `sounds` are rows of Freesound's list; the rest says with which model, from where, within what limits."""
Result = dict[str, Any]
"""What a worker gives back per sound: `name`, and either `skipped`, the reason, or what is kept, as JSON and bytes."""
FanOut = Callable[[Sequence[Task]], Iterable[list[Result] | BaseException]]
"""Hands tasks to workers; results, or what went wrong instead, in any order."""

console = Console(stderr=True, highlight=False)


class BackfillError(EarmarkError):
    """A backfill that did not get through its range."""


# What to list


@dataclass(frozen=True)
class Ids:
    """The sounds whose Freesound ids lie between `first` and `last`, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"--ids {self.first} {self.last}"

    def length(self) -> float:
        return self.last + 1 - self.first

    def rows(self, client: FreesoundClient, also: str) -> Iterator[tuple[FreesoundSound | None, "Ids"]]:
        """Every row of the list that matches `also` too, with the range that is left once all rows before it are dealt with."""
        for first in range(self.first, self.last + 1, MOST_PAGED):
            window = f"id:[{first} TO {min(first + MOST_PAGED - 1, self.last)}] {also}"
            for row in client.search_rows(filter=window, sort="created_asc"):
                yield row, replace(self, first=first)


@dataclass(frozen=True)
class Created:
    """The sounds that were uploaded from `start` to `end`, UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"--created {_moment(self.start)} {_moment(self.end)}"

    def length(self) -> float:
        return (self.end - self.start).total_seconds()

    def rows(self, client: FreesoundClient, also: str) -> Iterator[tuple[FreesoundSound | None, "Created"]]:
        """As `Ids.rows`. After so many rows a new search begins at the last row's moment: no search gets deep, whatever a day holds."""
        left = self
        while True:
            start = left.start
            window = f"created:[{_moment(left.start)} TO {_moment(left.end)}] {also}"
            for number, row in enumerate(client.search_rows(filter=window, sort="created_asc"), 1):
                left = replace(left, start=max(left.start, _uploaded(row) or left.start))
                yield row, left
                if number >= MOST_PAGED and left.start > start:
                    break
            else:
                return


Span = Ids | Created


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _uploaded(row: FreesoundSound | None) -> datetime | None:
    """When the sound was uploaded; None where that cannot be read."""
    try:
        time = datetime.fromisoformat(row.created) if row else None
    except ValueError:
        return None
    return time.replace(tzinfo=time.tzinfo or UTC, microsecond=0) if time else None


class Listing:
    """The sounds of a range that need tagging, in batches. Counted so far: those `known`, and rows that are `gone` from Freesound.

    `left` is the range that is left once all that was handed out is dealt with; `error` is what ended the listing early.
    """

    def __init__(self, client: FreesoundClient, workspace: Workspace, span: Span, longest_s: float, tagged_by: ModelRef | None = None):
        self.span, self.left, self.known, self.gone = span, span, 0, 0
        self.error: EarmarkError | None = None
        self._workspace, self._tagged_by, self._seen = workspace, tagged_by, set[int]()
        self._rows: Iterator[tuple[FreesoundSound | None, Span]] = span.rows(client, f"duration:[0 TO {longest_s:g}]")

    def batches(self, size: int) -> Iterator[list[FreesoundSound]]:
        """Up to `size` sounds each. What was found before the listing failed is handed out."""
        new: list[FreesoundSound] = []
        for page in self._pages():
            new += self._new([row for row, _ in page])
            self.left = page[-1][1]
            while len(new) >= size:
                yield new[:size]
                new = new[size:]
        if new:
            yield new

    def _pages(self) -> Iterator[list[tuple[FreesoundSound | None, Span]]]:
        page = []
        try:
            for one in self._rows:
                page.append(one)
                if len(page) == LARGEST_PAGE:
                    yield page
                    page = []
        except EarmarkError as error:
            self.error = error
        if page:
            yield page

    def share(self) -> float:
        """How much of the range was listed, 0 to 1."""
        return 1 - self.left.length() / max(1, self.span.length())

    def _new(self, rows: list[FreesoundSound | None]) -> list[FreesoundSound]:
        self.gone += rows.count(None)
        fresh = {row.id: row for row in rows if row is not None and row.id not in self._seen}
        self._seen |= fresh.keys()
        known = self._workspace.known([f"freesound:{number}" for number in fresh], self._tagged_by)
        self.known += len(known)
        return [row for number, row in fresh.items() if f"freesound:{number}" not in known]


def task_of(batch: Sequence[FreesoundSound], model: ModelRef, chosen: Settings) -> Task:
    """What a worker must be told about a batch."""
    return {
        "model": model.model_dump(mode="json"),
        "api": chosen.freesound_api,
        "hosts": list(chosen.preview_hosts),
        "limits": [chosen.max_seconds, chosen.max_megabytes],
        "sounds": [row.model_dump(mode="json") for row in batch],
    }


# The worker


def hear(task: Task) -> list[Result]:
    """Fetch the previews of a batch and listen to them. Needs no key of Freesound's and writes nothing.

    Raises `SourceTrouble` if not one preview could be had because the way to them is blocked, and `WorkspaceError` if the model cannot be.
    """
    tagger = _tagger(ModelRef.model_validate(task["model"]))
    reader, limits = PreviewReader(task["api"], tuple(task["hosts"])), AudioLimits(*task["limits"])
    found = [FoundOnFreesound.of(FreesoundSound.model_validate(row), reader) for row in task["sounds"]]
    with ThreadPoolExecutor(FETCH_AT_ONCE) as pool:
        fetched = list(pool.map(partial(make_ready, limits=limits), found))
    troubles = [one for one in fetched if isinstance(one, SourceTrouble)]
    if troubles and len(troubles) == len(fetched):
        raise troubles[0]
    results = [_skipped(one.name, why) for one, why in zip(found, fetched, strict=True) if not isinstance(why, Ready)]
    return results + listen(tagger, [one for one in fetched if isinstance(one, Ready)], limits)


def listen(tagger: "Tagger", sounds: Sequence[Ready], limits: AudioLimits) -> list[Result]:
    """Results of decoded sounds, some of them in one pass of the network at a time."""
    results = []
    for start in range(0, len(sounds), LISTEN_AT_ONCE):
        some = sounds[start : start + LISTEN_AT_ONCE]
        for ready, tagging in zip(some, tagger.tag_many([one.waveform for one in some]), strict=True):
            try:
                results.append(_packed(ready.found.name, Heard.of(ready, tagging, limits)))
            except AudioError as error:
                results.append(_skipped(ready.found.name, error))
    return results


def _tagger(model: ModelRef) -> "Tagger":
    return _tagger_of(model.name, model.version, model.fingerprint)


@lru_cache(maxsize=1)
def _tagger_of(name: str, version: int, fingerprint: str) -> "Tagger":
    """A model ready to listen, fetched once per container: the starter is there already, any other comes from the team's registry."""
    import torch

    from core.model.tagger import Tagger

    torch.set_num_threads(1)  # several clips at once, one thread each, are faster than one clip on all threads
    if fingerprint and bundle.fingerprint(bundle.STARTER) == fingerprint:
        return Tagger.from_folder()
    model = ModelRef(name=name, version=version, fingerprint=fingerprint)
    return Tagger.from_folder(open_workspace(settings()).pull(model))


def _skipped(name: str, reason: Exception) -> Result:
    return {"name": name, "skipped": str(reason)}


def _packed(name: str, heard: Heard) -> Result:
    import numpy as np
    from safetensors.numpy import save

    return {
        "name": name,
        "sound_id": heard.sound_id,
        "sound": heard.sound.model_dump(mode="json"),
        "top": [one.model_dump(mode="json") for one in heard.top],
        "audio": heard.audio,
        "spectrogram": heard.spectrogram,
        "sidecar": save({name: np.ascontiguousarray(values, dtype=np.float16) for name, values in heard.arrays.items()}),
    }


def _unpacked(result: Result) -> Heard:
    from safetensors.numpy import load

    top = tuple(Suggestion.model_validate(one) for one in result["top"])
    sound, arrays = Sound.model_validate(result["sound"]), load(result["sidecar"])
    return Heard(result["sound_id"], sound, top, result["audio"], result["spectrogram"], arrays)


# The owner


@dataclass
class Tally:
    """What came of the batches so far."""

    tagged: int = 0
    batches: int = 0
    failed: int = 0
    failed_in_a_row: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    last_failure: str = ""


def backfill(
    workspace: Workspace,
    listing: Listing,
    task: Callable[[Sequence[FreesoundSound]], Task],
    fan_out: FanOut,
    *,
    model: ModelRef,
    batch: int = BATCH,
    progress: Callable[[float, Tally], None] = lambda share, tally: None,
) -> Run | None:
    """Tag what is new in the listing and keep a record of the run; None if nothing was.

    Raises `BackfillError` if the range was not listed to its end or batches failed; what was tagged is kept, and the next call takes the
    rest. The run is recorded as failed then.
    """
    batches = listing.batches(batch)
    now = list(islice(batches, ROUND))
    if not now:
        _complain(listing, Tally())
        return None
    tally = Tally()
    with _recorded(workspace, listing, tally, model) as run:
        while now:
            for outcome in fan_out([task(one) for one in now]):
                _save(workspace, outcome, model, tally)
                progress(listing.share(), tally)
            workspace.settle()
            now = list(islice(batches, ROUND))
        _complain(listing, tally)
    return next(one for one in workspace.runs() if one.run_id == run.run_id)


def _save(workspace: Workspace, outcome: list[Result] | BaseException, model: ModelRef, tally: Tally) -> None:
    """Keep a batch: media and sidecars first, then its events, all or none. Raises `BackfillError` after too many failures in a row."""
    if isinstance(outcome, BaseException):
        tally.failed, tally.failed_in_a_row = tally.failed + 1, tally.failed_in_a_row + 1
        tally.last_failure = str(outcome) if isinstance(outcome, EarmarkError) else f"{type(outcome).__name__}: {outcome}"
        if tally.failed_in_a_row >= MOST_FAILED:
            raise BackfillError(f"Stopped after {MOST_FAILED} batches in a row failed: {tally.last_failure}")
        return
    tally.skipped += [(one["name"], one["skipped"]) for one in outcome if "skipped" in one]
    events = [keep(workspace, _unpacked(one), model, AUTOMATIC) for one in outcome if "skipped" not in one]
    tally.tagged += workspace.append(events, once_per_model=True)
    tally.batches, tally.failed_in_a_row = tally.batches + 1, 0


def _complain(listing: Listing, tally: Tally) -> None:
    """Raise what kept the range from being done."""
    if listing.error is not None and listing.left == listing.span and not tally.batches:
        raise listing.error
    if listing.error is not None:
        raise BackfillError(f"{listing.error} To go on, call it with {listing.left}.") from listing.error
    if tally.failed:
        what = "A batch" if tally.failed == 1 else f"{tally.failed} batches"
        raise BackfillError(f"{what} failed, and the next call takes their sounds: {tally.last_failure}")


@contextmanager
def _recorded(workspace: Workspace, listing: Listing, tally: Tally, model: ModelRef) -> Iterator[Run]:
    """Keep the record of a run before and after it; media go to the run's folder meanwhile."""
    source = f"{BACKFILL} {listing.span}"
    run = Run(run_id=uuid.uuid4().hex, started=iso(datetime.now(UTC)), source=source, model=model, actor=AUTOMATIC)
    began, state, note = time.monotonic(), "interrupted", ""
    workspace.record_run(run)
    try:
        yield run
        state = "finished"
    except Exception as error:
        state, note = "failed", str(error) if isinstance(error, EarmarkError) else type(error).__name__
        raise
    finally:
        seconds, finished = round(time.monotonic() - began, 2), iso(datetime.now(UTC))
        workspace.record_run(
            replace(
                run, state=state, finished=finished, seconds=seconds, tagged=tally.tagged, known=listing.known,
                skipped=tuple(tally.skipped), note=note,
            )
        )  # fmt: skip


def in_this_process(workers: int) -> FanOut:
    """Workers that are threads."""

    def attempt(task: Task) -> list[Result] | BaseException:
        try:
            return hear(task)
        except Exception as error:
            return error

    return lambda tasks: (outcome for _, outcome in in_threads(attempt, tasks, workers))


def run(
    chosen: Settings, span: Span, fan_out: FanOut, *, batch: int = BATCH, longest_s: float | None = None, again: bool = False
) -> Run | None:
    """Backfill a range into the configured workspace, with progress; None if all of it is known.

    Raises kinds of `EarmarkError`, as `BackfillError` if something is left to do.
    """
    workspace = open_workspace(chosen)
    client = client_from(chosen, for_jobs=True)
    with at_home(workspace, chosen.keep_runs), _progress() as progress:
        model = model_in_force(workspace)
        listing = Listing(client, workspace, span, longest_s or chosen.feed_seconds, model if again else None)
        done = backfill(
            workspace, listing, partial(task_of, model=model, chosen=chosen), fan_out, model=model, batch=batch, progress=progress
        )
    _report(done, listing)
    return done


@contextmanager
def _progress() -> Iterator[Callable[[float, Tally], None]]:
    """A bar over the range on a terminal, a line per round of batches in a log."""
    columns = (
        TextColumn("Backfill"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}", markup=False),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0, said="listing")

        def tell(share: float, tally: Tally) -> None:
            said = f"{tally.tagged:,} tagged, {len(tally.skipped):,} skipped, {tally.failed} batches failed"
            bar.update(task, completed=share, said=said)
            if not console.is_terminal and (tally.batches + tally.failed) % ROUND == 0:
                console.print(f"{share:.0%} of the range: {said}", markup=False)

        yield tell


def _report(run: Run | None, listing: Listing) -> None:
    if run is None:
        console.print(f"No new sounds in {listing.span} ({listing.known} known).", markup=False)
        return
    console.print(f"Tagged {run.tagged} sounds with {run.model} in {run.seconds:.1f} s; {run.known} were known.", markup=False)
    for name, reason in run.skipped[:MOST_REASONS_SHOWN]:
        console.print(f"Skipped {name}: {reason}", markup=False)
    if len(run.skipped) > MOST_REASONS_SHOWN:
        console.print(f"... and {len(run.skipped) - MOST_REASONS_SHOWN} more.")


# The command line


def span_of(created: Sequence[str] | None, ids: Sequence[int] | None) -> Span:
    """The range that was asked for: two days or moments (UTC), or two ids. Raises `BackfillError` if it is none."""
    if bool(created) == bool(ids):
        raise BackfillError("Give either --created FROM TO or --ids FIRST LAST.")
    if ids:
        if not 0 < ids[0] <= ids[1]:
            raise BackfillError(f"{ids[0]} to {ids[1]} is no range of ids.")
        return Ids(*ids)
    start, end = (_parsed(text) for text in created or ())
    if start >= end:
        raise BackfillError(f"{_moment(start)} to {_moment(end)} is no range of dates.")
    return Created(start, end)


def _parsed(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise BackfillError(f"{text} is no date; 2026-01-31 and 2026-01-31T12:00:00Z are.") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@click.command()
@click.option("--created", nargs=2, metavar="FROM TO", help="Sounds uploaded between two dates or moments, UTC.")
@click.option("--ids", nargs=2, type=int, metavar="FIRST LAST", help="Sounds with ids in this range.")
@click.option("--longest", type=click.FloatRange(0, min_open=True), help="Longest sound, in seconds; EARMARK_FEED_SECONDS without it.")
@click.option("--batch", type=click.IntRange(1, 500), default=BATCH, show_default=True, help="Sounds that a worker takes at once.")
@click.option("--workers", type=click.IntRange(1), help="Threads that listen; one per core without it.")
@click.option("--again", is_flag=True, help="Tag again what only an older model version has tagged.")
def main(
    created: tuple[str, str] | None, ids: tuple[int, int] | None, longest: float | None, batch: int, workers: int | None, again: bool
) -> None:
    """Tag a range of Freesound's sounds that the workspace does not know yet."""
    workers = workers or os.cpu_count() or 1
    run(settings(), span_of(created, ids), in_this_process(workers), batch=batch, longest_s=longest, again=again)


if __name__ == "__main__":
    command_line.run(main, "Stopped. What was tagged is kept; run it again for the rest.")
