"""Entry point of `python -m core`."""

import os

# Read when numpy is imported: its products here are too small to be shared among threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from core.cli import main, run

if __name__ == "__main__":
    run(main)
