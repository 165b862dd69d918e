"""Entry point of `python -m core`."""

from core.cli import main, run

if __name__ == "__main__":
    run(main)
