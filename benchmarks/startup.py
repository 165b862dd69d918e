"""From the start of a process to a file's tags: python -m core tag against a librosa script."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import ONE_THREAD, compare

ROUNDS = 5
EARMARK, LIBROSA = "earmark (python -m core tag)", "librosa pipeline"


def in_fresh_process(arguments: list[str], environment: dict[str, str]) -> Callable[[], object]:
    """Return work that starts Python with `arguments` and waits for its end.

    The work raises `CalledProcessError`.
    """
    command = [sys.executable, *arguments]
    return lambda: subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, cwd=harness.ROOT, env=environment
    )


def main() -> None:
    """Print seconds from start to exit, with the default numbers of threads."""
    sound = str(harness.five_second_clip())
    commands = {
        EARMARK: ["-m", "core", "tag", sound],
        LIBROSA: ["-m", "benchmarks.librosa_pipeline", sound],
        "floor: import torch": ["-c", "import torch"],
    }
    with tempfile.TemporaryDirectory() as empty:
        environment = {n: value for n, value in os.environ.items() if n not in ONE_THREAD}
        # A workspace without a deployed model, so that the default model is used.
        environment["EARMARK_WORKSPACE"] = str(Path(empty) / "none")
        sides = {name: in_fresh_process(args, environment) for name, args in commands.items()}
        timings = compare(sides, ROUNDS)
    title = f"startup: a fresh process to five tags, {ROUNDS} each"
    harness.print_timings(title, timings, EARMARK)


if __name__ == "__main__":
    main()
