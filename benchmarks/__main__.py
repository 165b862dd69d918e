"""Command line of the benchmarks: python -m benchmarks [NAME]..., python -m benchmarks fuzz."""

import os
import subprocess
import sys
from pathlib import Path

import click

from benchmarks.harness import ONE_THREAD, ROOT, introduction, print_text
from core import cli
from core.errors import EarmarkError

BENCHMARKS = ("logmel", "clip", "batch", "startup", "long", "similar")


FUZZ = "fuzz"
QUALITY = ("collages", "conditions", "frames", "levels")
"""Run only by name: they measure suggestions, not time, and write tables for the model card."""
MEMORY = "memory"
"""Run only by name: it needs Linux and Chromium."""
STORE, FEEDBACK = "store", "feedback"
"""Run only by name: they write a large workspace first."""


PAGE = ("page", "review_script")
"""Run only by name: they need Chromium."""
LOAD = "load"
"""Run only by name: many people for two minutes, on this machine alone."""
BY_NAME = (*QUALITY, *PAGE, MEMORY, STORE, FEEDBACK, LOAD)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice((*BENCHMARKS, *BY_NAME, FUZZ)))
@click.option("--files", default=10_000, show_default=True, help="fuzz: Damaged files to read.")
@click.option("--seed", default=1, show_default=True, help="fuzz: The same makes the same files.")
@click.option("--first", default=0, help="fuzz: Number of the first file.")
@click.option("--keep", type=Path, help="fuzz: Folder for the files that are read wrongly.")
@click.option(
    "--sounds", default=100_000, show_default=True, help="store, feedback: Sounds to write."
)
@click.option("--folder", type=Path, help="store, feedback: Keep the workspace there.")
@click.option("--writers", default=0, help="store: Count lost edits of so many processes instead.")
def main(
    names: tuple[str, ...],
    files: int,
    seed: int,
    first: int,
    keep: Path | None,
    sounds: int,
    folder: Path | None,
    writers: int,
) -> None:
    """Run the benchmarks of these NAMES, or all of them, and print a table of each.

    Sounds come from the folder in BENCH_CLIPS if it is set, else from the real clips beside the
    project or from the example sounds. Every benchmark is a process of its own, because numpy's
    threads are set before numpy is imported.

    fuzz is none of them: it reads damaged sound files and fails if one is neither decoded nor
    refused in a sentence.
    """
    if FUZZ in names:
        _fuzz(files, seed, first, keep)
        names = tuple(name for name in names if name != FUZZ)
        if not names:
            return
    print_text(introduction())
    environment = os.environ | ONE_THREAD | _store_settings(sounds, folder, writers)
    for name in names or BENCHMARKS:
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        status = subprocess.run(command, cwd=ROOT, env=environment).returncode
        if status:
            raise EarmarkError(f"The benchmark {name} failed (exit status {status}).")


def _store_settings(sounds: int, folder: Path | None, writers: int) -> dict[str, str]:
    """Return the environment of the benchmark of the store."""
    kept = {"BENCH_STORE_FOLDER": str(folder.resolve())} if folder else {}
    return {"BENCH_STORE_SOUNDS": str(sounds), "BENCH_STORE_WRITERS": str(writers)} | kept


def _fuzz(files: int, seed: int, first: int, keep: Path | None) -> None:
    """Read damaged files.

    Raises:
        EarmarkError: Some were read wrongly.
    """
    from benchmarks.fuzz import FuzzSettings, fuzz  # imports the decoders

    os.environ.update(ONE_THREAD)
    report = fuzz(FuzzSettings(files, seed, first, keep=keep))
    if report.faults:
        raise EarmarkError(f"{len(report.faults):,} damaged files were read wrongly.")


if __name__ == "__main__":
    cli.run(main)
