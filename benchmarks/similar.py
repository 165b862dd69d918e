"""Nearest sounds by embedding: the kept index against sorting all products, and its extension."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import harness
from benchmarks.harness import Timing, compare
from core.curation.opening import Curation, open_curation
from core.curation.vector_index import Manifest, VectorIndex, Vectors, normalised
from core.events.types import ModelRef, Predicted, PredictedEvent, Sound, Suggestion, new_event
from core.storage.local import open_local_workspace
from core.storage.workspace import Workspace

SOUNDS = (10_000, 100_000)
SIZE = 256
"""Numbers in an embedding of the default model."""
LIMIT = 10
ROUNDS = 50
NEW_SOUNDS = 100
CHUNK_SIZE = 20_000
MODEL = ModelRef(name="benchmark", version=1, fingerprint="f")
INDEX, PAGE, SORTED = (
    "index: ids and similarities",
    "index: with the sounds' current tags",
    "all products in memory, sorted",
)


@dataclass(frozen=True)
class Side:
    """A workspace whose index holds many sounds, and the embedding that is asked for."""

    curation: Curation
    index: VectorIndex
    vectors: Vectors
    vector: Vectors


def prediction(number: int) -> PredictedEvent:
    """Return the prediction of a sound."""
    top = (Suggestion(tag="rain", probability=0.9, above_threshold=True),)
    sound = Sound(title=f"sound {number}", source="benchmark")
    return new_event(Predicted(model=MODEL, top=top, sound=sound), sound_id(number), "benchmark")


def sound_id(number: int) -> str:
    """Return the id of sound `number`, from 0."""
    return f"freesound:{number + 1}"


def clustered(count: int) -> Iterator[Vectors]:
    """Yield unit vectors float32 [rows, SIZE] around 200 centres, as sounds of some kinds are."""
    generator = np.random.default_rng(1)
    centres = generator.standard_normal((200, SIZE))
    for start in range(0, count, CHUNK_SIZE):
        rows = min(CHUNK_SIZE, count - start)
        noise = generator.standard_normal((rows, SIZE))
        yield normalised(centres[generator.integers(0, 200, rows)] + noise)


def prepare(folder: Path, count: int) -> Side:
    """Fill an index; sound 0 and its neighbours are in the event log, too."""
    workspace = open_local_workspace(folder)
    index, manifest = VectorIndex(folder / "similar" / f"{MODEL.name}-{MODEL.version}"), Manifest()
    chunks = list(clustered(count))
    for number, chunk in enumerate(chunks):
        first = number * CHUNK_SIZE
        ids = [sound_id(first + row) for row in range(len(chunk))]
        manifest = index.add(ids, chunk, manifest)
    vectors = np.concatenate(chunks)
    add_sounds(workspace, vectors, [0])
    near = [int(match.sound_id.split(":")[1]) - 1 for match in index.nearest(vectors[0], 60)]
    workspace.events.append([prediction(number) for number in near if number])
    return Side(open_curation(workspace), index, vectors, vectors[0])


def add_sounds(workspace: Workspace, vectors: Vectors, numbers: list[int]) -> None:
    """Add sounds with their sidecars to the workspace."""
    for number in numbers:
        arrays = {"embedding": vectors[number % len(vectors)]}
        workspace.sidecars.put(sound_id(number), MODEL, arrays)
    workspace.events.append([prediction(number) for number in numbers])


def sort_all(side: Side) -> None:
    """Find the nearest sounds without an index."""
    scores = side.vectors @ side.vector
    np.argsort(scores)[::-1][:LIMIT]


def extension(folder: Path, side: Side) -> Timing:
    """Time the extension of the index by new sounds."""
    workspace = open_local_workspace(folder)
    side.curation.similar.extend(MODEL)
    starts = iter(range(len(side.vectors), 10 * len(side.vectors), NEW_SOUNDS))
    milliseconds = []
    for _ in range(5):
        start = next(starts)
        add_sounds(workspace, side.vectors, list(range(start, start + NEW_SOUNDS)))
        sides = {"extend": lambda: side.curation.similar.extend(MODEL)}
        milliseconds.append(compare(sides, 1, warm_up=0)["extend"].median)
    return Timing.of(milliseconds)


def measure(count: int) -> None:
    """Print the times for so many sounds."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "workspace"
        side = prepare(folder, count)
        timings = compare(
            {
                INDEX: lambda: side.index.nearest(side.vector, LIMIT),
                PAGE: lambda: side.curation.similar.nearest(sound_id(0), MODEL, LIMIT),
                SORTED: lambda: sort_all(side),
            },
            ROUNDS,
        )
        title = f"similar: the {LIMIT} nearest of {count:,} sounds, {SIZE} numbers each"
        harness.print_timings(title, timings, INDEX)
        extended = extension(folder, side)
        harness.print_text(
            f"Extended by {NEW_SOUNDS} sounds and their sidecars in {extended} ms"
            f" (quartiles {extended.spread})."
        )


def main() -> None:
    """Print the times for all sizes."""
    for count in SOUNDS:
        measure(count)


if __name__ == "__main__":
    main()
