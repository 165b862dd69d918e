"""From the start of a process to a file's tags: python -m core tag against the librosa way as a script."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import ONE_THREAD, compare

ROUNDS = 5


def in_fresh_process(arguments: list[str], environment: dict[str, str]) -> Callable[[], object]:
    """Work that starts Python with `arguments` and waits for its end. Raises `CalledProcessError`."""
    command = [sys.executable, *arguments]
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=harness.ROOT, env=environment)


def main() -> None:
    """Print seconds from start to exit; threads are as the machine gives them."""
    sound = str(harness.five_second_clip())
    with tempfile.TemporaryDirectory() as empty:
        environment = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
        environment["EARMARK_WORKSPACE"] = str(Path(empty) / "none")  # the starter, whatever is in force on this machine
        sides = {
            "ours (python -m core tag)": ["-m", "core", "tag", sound],
            "librosa way": ["-m", "benchmarks.librosa_way", sound],
            "floor: import torch": ["-c", "import torch"],
        }
        timings = compare({name: in_fresh_process(arguments, environment) for name, arguments in sides.items()}, ROUNDS)
    harness.timing_table(f"startup: a fresh process to five tags, {ROUNDS} each", timings, "ours (python -m core tag)")


if __name__ == "__main__":
    main()
