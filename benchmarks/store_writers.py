"""Many processes that edit one workspace at once: no edit may be lost."""

import multiprocessing
import tempfile
import time
from collections import Counter
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks.harness import print_text
from core.errors import EarmarkError
from core.events.fold import save_changes
from core.events.types import ModelRef, Predicted, Sound, new_event
from core.storage.local import open_local_workspace

EDITS, SOUNDS = 200, 40


def edit(folder: Path, name: str, edits: int, start: Barrier) -> None:
    """Add a tag of its own to one sound after the other, all of which others edit too."""
    workspace = open_local_workspace(folder)
    start.wait(120)
    for number in range(edits):
        state = workspace.sounds.get(f"freesound:{1 + number % SOUNDS}")
        assert state is not None
        event = save_changes(state, [*state.tags, f"{name}-{number}"], name)
        assert event is not None
        workspace.events.append([event])


def lost_edits(folder: Path, writers: int, edits: int) -> int:
    """Let so many processes edit, and return how many edits are not there.

    Raises:
        EarmarkError: A process failed.
    """
    workspace = open_local_workspace(folder)
    prediction = Predicted(
        model=ModelRef(name="cnn", version=1), top=(), sound=Sound(title="", source="bench")
    )
    workspace.events.append(
        new_event(prediction, f"freesound:{number}", "job") for number in range(1, SOUNDS + 1)
    )
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(writers)
    processes = [
        spawn.Process(target=edit, args=(folder, f"curator{number}", edits, start))
        for number in range(writers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise EarmarkError("A process that edited has failed.")
    return writers * edits - _kept(folder)


def _kept(folder: Path) -> int:
    """Return how many edits are in the log, in the sounds' tags and in the kept counts."""
    workspace = open_local_workspace(folder)
    logged = sum(event.kind == "reviewed" for event in workspace.events.all())
    tags = Counter(tag for state in workspace.sounds.all() for tag in state.tags)
    if dict(workspace.sounds.tag_counts()) != tags:
        raise EarmarkError("The kept counts are not those of the sounds.")
    return min(logged, tags.total())


def main(writers: int) -> None:
    """Print how many edits of so many processes are lost.

    Raises:
        EarmarkError: Some are.
    """
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        lost = lost_edits(Path(folder), writers, EDITS)
        seconds = time.perf_counter() - started
    print_text(f"store: {lost} of {writers * EDITS:,} edits by {writers} processes lost")
    print_text(f"{seconds:.1f} s in all")
    if lost:
        raise EarmarkError("Edits were lost.")
