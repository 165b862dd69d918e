"""Log-mel frames of ten seconds of sound: core.model.logmel against librosa."""

import subprocess
import sys

import numpy as np

from benchmarks import harness
from benchmarks.harness import Timing, compare
from benchmarks.librosa_pipeline import librosa_log_mel
from core.model.logmel import AUDIOSET, COALA, LogMelSpec, log_mel

ROUNDS = 150
FRESH_PROCESSES = 3
SECONDS = 10.0
EARMARK, LIBROSA = "core.model.logmel", "librosa"
IMPORTS = {
    EARMARK: "from core.model.logmel import log_mel as work",
    LIBROSA: (
        "from benchmarks.librosa_pipeline import librosa_log_mel as work\nimport librosa.feature"
    ),
}
FIRST_CALL = """
import time, numpy
samples = numpy.random.default_rng(0).standard_normal({samples}).astype(numpy.float32)
{imports}
started = time.perf_counter()
work(samples)
print(1000 * (time.perf_counter() - started))
"""


def first_calls() -> dict[str, Timing]:
    """Time the first call, without the import, in fresh processes."""
    milliseconds: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(FRESH_PROCESSES):
        for name, imports in IMPORTS.items():
            script = FIRST_CALL.format(samples=int(SECONDS * COALA.rate), imports=imports)
            command = [sys.executable, "-c", script]
            result = subprocess.run(
                command, check=True, capture_output=True, text=True, cwd=harness.ROOT
            )
            milliseconds[name].append(float(result.stdout))
    return {name: Timing.of(values) for name, values in milliseconds.items()}


def show(name: str, spec: LogMelSpec) -> None:
    """Print warm calls of a front-end, and the largest difference of the results."""
    samples = harness.joined(SECONDS, spec.rate)
    sides = {
        EARMARK: lambda: log_mel(samples, spec),
        LIBROSA: lambda: librosa_log_mel(samples, spec),
    }
    title = f"logmel: {name}, {SECONDS:g} s at {spec.rate:,} Hz, one thread"
    harness.print_timings(title, compare(sides, ROUNDS, warm_up=5), EARMARK)
    difference = float(np.abs(log_mel(samples, spec) - librosa_log_mel(samples, spec)).max())
    harness.print_text(f"Largest difference between the two, natural log: {difference:.1e}")


def main() -> None:
    """Print both front-ends, and first calls in fresh processes."""
    show("COALA's", COALA)
    show("AudioSet's (librosa has other mel bands)", AUDIOSET)
    first_title = f"logmel: first call in a fresh process ({FRESH_PROCESSES} each)"
    harness.print_timings(first_title, first_calls(), EARMARK)


if __name__ == "__main__":
    main()
