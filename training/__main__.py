"""Command line of the training: python -m training clips --data FOLDER --out FOLDER."""

from core import cli, logging
from core.settings import settings
from training.cli import main

STOPPED = "Stopped. Run the same command again to go on from the last finished epoch."

if __name__ == "__main__":
    logging.configure(settings().log_level)
    cli.run(main, STOPPED)
