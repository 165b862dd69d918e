"""Long recordings: time from the file to its tags, and memory above that of the loaded model."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile

from benchmarks import harness
from core.audio.decode import decode
from core.model.predictor import Predictor

LENGTHS_S = (10, 60, 600)
RATE_HZ = 44_100
ROUNDS = 3
MEGABYTE = 1024  # in kilobytes, as Linux gives them


def write_recording(path: Path, seconds: float) -> None:
    """Write real clips end to end as FLAC."""
    soundfile.write(path, harness.joined(seconds, RATE_HZ), RATE_HZ)


def measure(path: Path) -> None:
    """Print seconds and megabytes of one file; run in a process of its own."""
    predictor = Predictor.from_folder()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        predictor.predict(decode(path, rate=predictor.rate))
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{sorted(seconds)[ROUNDS // 2]:.3f} {(peak - before) / MEGABYTE:.0f}")


def main() -> None:
    """Print a row per length."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.flac"
        for length in LENGTHS_S:
            write_recording(path, length)
            command = [sys.executable, "-m", "benchmarks.long", str(path)]
            result = subprocess.run(
                command, check=True, capture_output=True, text=True, cwd=harness.ROOT
            )
            seconds, megabytes = result.stdout.split()
            rows.append((f"{length} s, mono FLAC", seconds, megabytes))
    columns = ("", "file to tags, s", "peak memory above the loaded model, MB")
    harness.print_table(f"long: one thread, medians of {ROUNDS}", columns, rows)


if __name__ == "__main__":
    measure(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
