"""Many clips: sounds per second with one and with two workers, listening only and as the whole job."""

import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import Timing, compare
from benchmarks.librosa_way import LibrosaTagger, listen_in_worker, start_worker
from core.model import audio, bundle
from core.model.tagger import Tagger
from core.sources import FolderSource
from core.tagging import tag_new_sounds
from core.workspace.local import LocalWorkspace

CLIPS = 200
WARM_UP_CLIPS = 16  # enough to load everything in every worker; a whole round would cost half a minute
ROUNDS = 3
OURS = "ours, 1 thread"


def listen_all(pool: Executor, listen: Callable[[Path], object], paths: list[Path]) -> Callable[[], object]:
    """Work that hears all files through a pool."""
    return lambda: list(pool.map(listen, paths, chunksize=8))


def run_job(tagger: Tagger, folder: Path, workers: int) -> None:
    """The project's whole job into a workspace of its own: tags, sound and picture to keep, sidecars, events."""
    with tempfile.TemporaryDirectory() as home:
        tag_new_sounds(FolderSource(folder), tagger, LocalWorkspace(Path(home) / "workspace"), workers=workers)


def link_all(folder: Path, paths: list[Path]) -> None:
    """Make `folder` hold just these files."""
    for path in paths:
        (folder / path.name).symlink_to(path.resolve())


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Spawned, because torch's threads do not survive a fork."""
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), start_worker)


def measure(paths: list[Path], folder: Path) -> dict[str, Timing]:
    """All sides over `paths`; the job, which hears nothing twice, over the different ones of them in `folder`."""
    tagger, other = Tagger.from_folder(), LibrosaTagger(bundle.load())
    with ExitStack() as stack:
        one, two = (stack.enter_context(ThreadPoolExecutor(workers)) for workers in (1, 2))
        processes = stack.enter_context(process_pool(2))
        ours = lambda path: tagger.tag(audio.load(path))  # noqa: E731
        for pool, listen in ((one, ours), (one, other.listen), (processes, listen_in_worker)):
            listen_all(pool, listen, paths[:WARM_UP_CLIPS])()
        return compare(
            {
                OURS: listen_all(one, ours, paths),
                "librosa way, 1 thread": listen_all(one, other.listen, paths),
                "ours, 2 threads": listen_all(two, ours, paths),
                "librosa way, 2 threads": listen_all(two, other.listen, paths),
                "librosa way, 2 processes": listen_all(processes, listen_in_worker, paths),
                "ours, whole job, 2 threads": lambda: run_job(tagger, folder, 2),
            },
            ROUNDS,
            warm_up=0,
        )


def main() -> None:
    """Print sounds per second of each side."""
    harness.one_thread()
    different = harness.clips(CLIPS)
    paths = list(islice(cycle(different), CLIPS))
    with tempfile.TemporaryDirectory() as folder:
        link_all(Path(folder), different)
        timings = measure(paths, Path(folder))
    rates = {name: 1000 * (len(different) if "job" in name else CLIPS) / one.median for name, one in timings.items()}
    rows = [(name, f"{rate:.1f}", f"{timings[name].median / 1000:.2f}", f"{rate / rates[OURS]:.2f}") for name, rate in rates.items()]
    harness.table(
        f"batch: {CLIPS} clips ({len(different)} different), one torch thread per worker, {ROUNDS} rounds",
        ("", "sounds per second", "median, s", "ratio"),
        rows,
    )
    harness.print_text("The whole job also keeps the sound, its picture, activations and one event in a workspace.")


if __name__ == "__main__":
    main()
