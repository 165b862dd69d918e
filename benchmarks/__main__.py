"""Command line of the benchmarks: python -m benchmarks [NAME]..."""

import os
import subprocess
import sys

import click

from benchmarks.harness import ONE_THREAD, ROOT, introduction, print_text
from core import cli
from core.errors import EarmarkError

BENCHMARKS = ("logmel", "clip", "batch", "startup")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(BENCHMARKS))
def main(names: tuple[str, ...]) -> None:
    """Run the benchmarks of these NAMES, or all of them, and print a table of each.

    Sounds come from the folder in BENCH_CLIPS if it is set, else from the real clips beside the
    project or from the example sounds. Every benchmark is a process of its own, because numpy's
    threads are set before numpy is imported.
    """
    print_text(introduction())
    environment = os.environ | ONE_THREAD
    for name in names or BENCHMARKS:
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        status = subprocess.run(command, cwd=ROOT, env=environment).returncode
        if status:
            raise EarmarkError(f"The benchmark {name} failed (exit status {status}).")


if __name__ == "__main__":
    cli.run(main)
