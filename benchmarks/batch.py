"""Many clips: sounds per second with one and two workers, prediction only and the whole job."""

import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import Timing, compare
from benchmarks.librosa_pipeline import predict_in_worker, start_worker
from core.audio.decode import decode
from core.model.predictor import Predictor
from core.pipeline.sources import FolderSource
from core.pipeline.tagging import tag_new_sounds
from core.storage.local import open_local_workspace

CLIPS = 200
WARM_UP_CLIPS = 16
"""Enough to load everything in every worker; a whole round would cost half a minute."""
ROUNDS = 3
REFERENCE = "prediction, 2 threads"
WHOLE_JOB = "whole job, 2 threads"


def predict_all(
    pool: Executor, predict: Callable[[Path], object], paths: Sequence[Path]
) -> Callable[[], object]:
    """Return work that predicts all files through a pool."""
    return lambda: list(pool.map(predict, paths, chunksize=8))


def run_job(predictor: Predictor, folder: Path, workspaces: Path, workers: int) -> None:
    """Run the whole job into a new workspace: tags, sound, picture, sidecars, events.

    Args:
        predictor: The model, loaded.
        folder: Of the sounds.
        workspaces: Where the workspace is made; removing it is no part of the job.
        workers: Threads that analyse.
    """
    workspace = open_local_workspace(Path(tempfile.mkdtemp(dir=workspaces)))
    tag_new_sounds(FolderSource(folder), predictor, workspace, workers=workers)


def link_all(folder: Path, paths: Sequence[Path]) -> None:
    """Make `folder` hold just these files."""
    for path in paths:
        (folder / path.name).symlink_to(path.resolve())


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Return a pool of spawned processes: this one has threads, which do not survive a fork."""
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), start_worker)


def measure(paths: Sequence[Path], folder: Path, workspaces: Path) -> dict[str, Timing]:
    """Time all sides.

    Args:
        paths: The files to predict.
        folder: Of the different files, for the job, which predicts none twice.
        workspaces: A folder for the job's workspaces.
    """
    predictor = Predictor.from_folder()

    def predict_file(path: Path) -> object:
        return predictor.predict(decode(path, rate=predictor.rate))

    with ExitStack() as stack:
        thread = stack.enter_context(ThreadPoolExecutor(1))
        two_threads = stack.enter_context(ThreadPoolExecutor(2))
        processes = stack.enter_context(process_pool(2))
        warm_up = paths[:WARM_UP_CLIPS]
        predict_all(two_threads, predict_file, warm_up)()
        predict_all(processes, predict_in_worker, warm_up)()
        return compare(
            {
                "prediction, 1 thread": predict_all(thread, predict_file, paths),
                REFERENCE: predict_all(two_threads, predict_file, paths),
                WHOLE_JOB: lambda: run_job(predictor, folder, workspaces, 2),
                "librosa's way, 2 processes": predict_all(processes, predict_in_worker, paths),
            },
            ROUNDS,
            warm_up=0,
        )


def main() -> None:
    """Print sounds per second of each side."""
    different = harness.clips(CLIPS)
    paths = list(islice(cycle(different), CLIPS))
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as workspaces:
        link_all(Path(folder), different)
        timings = measure(paths, Path(folder), Path(workspaces))
    counts = {name: len(different) if name == WHOLE_JOB else CLIPS for name in timings}
    rates = {name: 1000 * counts[name] / timing.median for name, timing in timings.items()}
    rows = [
        (
            name,
            f"{rate:.1f}",
            f"{timings[name].median / 1000:.2f}",
            f"{rate / rates[REFERENCE]:.2f}",
        )
        for name, rate in rates.items()
    ]
    clips = f"{CLIPS} clips ({len(different)} different)"
    harness.print_table(
        f"batch: {clips}, one thread per worker, {ROUNDS} rounds",
        ("", "sounds per second", "median, s", "ratio"),
        rows,
    )
    harness.print_text(
        "Prediction: decode, log-mel, network. The whole job also keeps the sound, its picture, "
        "activations and an event in a workspace."
    )


if __name__ == "__main__":
    main()
