"""What the benchmarks share: the sounds, interleaved timing, tables."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from core.errors import EarmarkError
from core.model import audio

ROOT = Path(__file__).parents[1]
REAL_CLIPS = ROOT.parent / "shared" / "data" / "freesound-mini" / "audio"
EXAMPLES = ROOT / "examples" / "sounds"
CLIPS_VARIABLE = "BENCH_CLIPS"
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
"""Environment of a benchmark, so that one thread is measured wherever more are not asked for."""

console = Console(width=120, highlight=False)


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one side over all rounds: `median`, and the quartiles `low` and `high`."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, milliseconds: list[float]) -> "Timing":
        low, median, high = np.percentile(milliseconds, [25, 50, 75])
        return cls(float(median), float(low), float(high))

    def __str__(self) -> str:
        return f"{self.median:,.1f}"

    @property
    def spread(self) -> str:
        return f"{self.low:,.1f} .. {self.high:,.1f}"


def compare(sides: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1) -> dict[str, Timing]:
    """Time all sides in turns, A B C A B C ..., after `warm_up` rounds that do not count: what slows the machine slows all sides."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(warm_up + rounds):
        for name, work in sides.items():
            began = time.perf_counter()
            work()
            if number >= warm_up:
                taken[name].append(1000 * (time.perf_counter() - began))
    return {name: Timing.of(values) for name, values in taken.items()}


def one_thread() -> None:
    """Keep torch to one thread as well; the environment keeps numpy, OpenMP and numba."""
    import torch

    torch.set_num_threads(1)


def clip_folder() -> Path:
    """The folder that sounds are taken from. Raises `EarmarkError` if it does not exist."""
    chosen = os.environ.get(CLIPS_VARIABLE)
    if chosen:
        if not Path(chosen).is_dir():
            raise EarmarkError(f"There is no folder {chosen}; {CLIPS_VARIABLE} must name a folder of sounds.")
        return Path(chosen)
    return REAL_CLIPS if REAL_CLIPS.is_dir() else EXAMPLES


def clips(most: int) -> list[Path]:
    """Up to `most` different sounds, evenly spaced over the folder in order of name. Raises `EarmarkError` if there is none."""
    folder = clip_folder()
    found = sorted(path for path in folder.iterdir() if path.suffix.lower().lstrip(".") in audio.AUDIO_SUFFIXES)
    if not found:
        raise EarmarkError(f"There are no sounds in {folder}.")
    return [found[index] for index in np.unique(np.linspace(0, len(found) - 1, most).astype(int))]


def five_second_clip() -> Path:
    """The first clip that lasts five seconds as near as can be."""
    return min(clips(200), key=lambda path: abs(soundfile.info(str(path)).duration - 5))


def joined(seconds: float, rate: int, first: int = 0) -> np.ndarray:
    """Real clips end to end, from the `first` on: float32 [seconds * rate], mono, -1..1."""
    wanted, parts, length = int(seconds * rate), [], 0
    for path in islice(cycle(clips(20)), first, None):
        parts.append(np.clip(audio.load(path, rate=rate).samples, -1, 1))
        length += len(parts[-1])
        if length >= wanted:
            return np.concatenate(parts)[:wanted]
    raise AssertionError("unreachable: the cycle has no end")


def introduction() -> str:
    """Which sounds and which machine."""
    libraries = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "numpy", "librosa"))
    return (
        f"Sounds: {clip_folder().resolve()}\n"
        f"Machine: {os.cpu_count()} cores, {platform.machine()}, {platform.system()}; Python {platform.python_version()}, {libraries}\n"
        "All sides take turns in one run (A B A B ...) after a warm-up; medians and quartiles."
    )


def print_text(text: str) -> None:
    """Print a line as it is, whatever its length."""
    console.print(text, markup=False, soft_wrap=True)


def timing_table(title: str, timings: Mapping[str, Timing], reference: str, unit: str = "ms") -> None:
    """Print a row per side, with its time as a multiple of the `reference` side's."""
    rows = [(name, str(one), one.spread, f"{one.median / timings[reference].median:.2f}") for name, one in timings.items()]
    table(title, ("", f"median, {unit}", "quartiles", "ratio"), rows)


def table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table whose first column is text and whose others are numbers."""
    grid = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        grid.add_column(column, justify="right" if number else "left")
    for row in rows:
        grid.add_row(*row)
    console.print()
    console.print(grid)
