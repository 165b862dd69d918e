"""Shared by the benchmarks: the sounds, interleaved timing, tables."""

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
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from core.audio.decode import decode
from core.audio.types import AUDIO_SUFFIXES
from core.errors import EarmarkError

ROOT = Path(__file__).parents[1]
REAL_CLIPS = ROOT.parent / "shared" / "data" / "freesound-mini" / "audio"
EXAMPLES = ROOT / "examples" / "sounds"
CLIPS_VARIABLE = "BENCH_CLIPS"
ONE_THREAD = {
    "EARMARK_THREADS": "1",
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")},
}
"""Environment of a benchmark, so that more threads are used only where they are asked for."""

console = Console(width=120, highlight=False)


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a side over all rounds: `median`, and the quartiles `low` and `high`."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, milliseconds: list[float]) -> "Timing":
        """Return the quartiles of measured times."""
        low, median, high = np.percentile(milliseconds, [25, 50, 75])
        return cls(float(median), float(low), float(high))

    def __str__(self) -> str:
        return f"{self.median:,.1f}"

    @property
    def spread(self) -> str:
        """Return both quartiles as text."""
        return f"{self.low:,.1f} .. {self.high:,.1f}"


def compare(
    sides: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1
) -> dict[str, Timing]:
    """Time all sides in turns, A B C A B C ...: what slows the machine slows all of them.

    Args:
        sides: The work of each side, by its name.
        rounds: Of all sides that count.
        warm_up: Rounds before them that do not count.
    """
    milliseconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(warm_up + rounds):
        for name, work in sides.items():
            started = time.perf_counter()
            work()
            if number >= warm_up:
                milliseconds[name].append(1000 * (time.perf_counter() - started))
    return {name: Timing.of(values) for name, values in milliseconds.items()}


def clip_folder() -> Path:
    """Return the folder that sounds are taken from.

    Raises:
        EarmarkError: It does not exist.
    """
    folder = os.environ.get(CLIPS_VARIABLE)
    if not folder:
        return REAL_CLIPS if REAL_CLIPS.is_dir() else EXAMPLES
    if not Path(folder).is_dir():
        reason = f"{CLIPS_VARIABLE} must name a folder of sounds"
        raise EarmarkError(f"There is no folder {folder}; {reason}.")
    return Path(folder)


def clips(limit: int) -> list[Path]:
    """Return up to `limit` different sounds, evenly spaced over the folder in order of name.

    Raises:
        EarmarkError: There is none.
    """
    folder = clip_folder()
    files = (path for path in folder.iterdir() if path.suffix.lower().lstrip(".") in AUDIO_SUFFIXES)
    paths = sorted(files)
    if not paths:
        raise EarmarkError(f"There are no sounds in {folder}.")
    positions = np.unique(np.linspace(0, len(paths) - 1, limit).astype(int))
    return [paths[position] for position in positions]


def five_second_clip() -> Path:
    """Return the clip whose length is nearest to five seconds."""
    return min(clips(200), key=lambda path: abs(soundfile.info(str(path)).duration - 5))


def joined(seconds: float, rate: int, first: int = 0) -> NDArray[np.float32]:
    """Return real clips end to end: float32 [seconds * rate], mono, -1..1.

    Args:
        seconds: Length of the result.
        rate: In Hz.
        first: The clip to begin with.
    """
    size, parts, length = int(seconds * rate), [], 0
    for path in islice(cycle(clips(20)), first, None):
        parts.append(np.clip(decode(path, rate=rate).samples, -1, 1))
        length += len(parts[-1])
        if length >= size:
            return np.concatenate(parts)[:size]
    raise AssertionError("unreachable: the cycle has no end")


def introduction() -> str:
    """Return lines that name the sounds and the machine."""
    names = ("onnxruntime", "numpy", "librosa")
    libraries = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    return (
        f"Sounds: {clip_folder().resolve()}\n"
        f"Machine: {machine}; Python {platform.python_version()}, {libraries}\n"
        "All sides take turns in one run (A B A B ...) after a warm-up; medians and quartiles."
    )


def print_text(text: str) -> None:
    """Print a line as it is, whatever its length."""
    console.print(text, markup=False, soft_wrap=True)


def print_timings(
    title: str, timings: Mapping[str, Timing], reference: str, unit: str = "ms"
) -> None:
    """Print a row per side, with its time as a multiple of the `reference` side's."""
    rows = [
        (name, str(timing), timing.spread, f"{timing.median / timings[reference].median:.2f}")
        for name, timing in timings.items()
    ]
    print_table(title, ("", f"median, {unit}", "quartiles", "ratio"), rows)


def print_table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table whose first column is text and whose others are numbers."""
    grid = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        grid.add_column(column, justify="right" if number else "left")
    for row in rows:
        grid.add_row(*row)
    console.print()
    console.print(grid)
