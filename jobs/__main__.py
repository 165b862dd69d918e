"""Entry point of `python -m jobs`."""

from core import cli
from jobs.cli import STOPPED, main

if __name__ == "__main__":
    cli.run(main, STOPPED)
