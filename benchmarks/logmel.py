"""Log-mel frames of ten seconds of sound: core.model.logmel against librosa."""

import subprocess
import sys

import numpy as np

from benchmarks import harness
from benchmarks.harness import Timing, compare
from benchmarks.librosa_way import librosa_log_mel
from core.model.logmel import COALA, log_mel

ROUNDS = 150
FRESH_PROCESSES = 3
SECONDS = 10.0
SIDES = {
    "core.model.logmel": "from core.model.logmel import log_mel as work",
    "librosa": "from benchmarks.librosa_way import librosa_log_mel as work\nimport librosa.feature",
}
FIRST_CALL = """
import time, numpy
samples = numpy.random.default_rng(0).standard_normal({samples}).astype(numpy.float32)
{imports}
began = time.perf_counter()
work(samples)
print(1000 * (time.perf_counter() - began))
"""


def first_calls() -> dict[str, Timing]:
    """Milliseconds of the first call, without the import, each in a fresh process."""
    taken: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(FRESH_PROCESSES):
        for name, imports in SIDES.items():
            script = FIRST_CALL.format(samples=int(SECONDS * COALA.rate), imports=imports)
            done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=harness.ROOT)
            taken[name].append(float(done.stdout))
    return {name: Timing.of(values) for name, values in taken.items()}


def main() -> None:
    """Print warm and first calls, and how far the two agree."""
    harness.one_thread()
    samples = harness.joined(SECONDS, COALA.rate)
    sides = {"core.model.logmel": lambda: log_mel(samples), "librosa": lambda: librosa_log_mel(samples)}
    harness.timing_table(f"logmel: {SECONDS:g} s at {COALA.rate:,} Hz, one thread", compare(sides, ROUNDS, warm_up=5), "core.model.logmel")
    harness.timing_table(f"logmel: first call in a fresh process ({FRESH_PROCESSES} each)", first_calls(), "core.model.logmel")
    difference = float(np.abs(log_mel(samples) - librosa_log_mel(samples)).max())
    harness.print_text(f"Largest difference between the two, natural log: {difference:.1e}")


if __name__ == "__main__":
    main()
