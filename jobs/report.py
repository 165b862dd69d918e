"""What jobs tell the person at the terminal."""

from collections.abc import Sequence

from rich.console import Console

MAX_REASONS_SHOWN = 10
console = Console(stderr=True, highlight=False)


def print_skipped(skipped: Sequence[tuple[str, str]]) -> None:
    """Print which sounds could not be used, and why."""
    for name, reason in skipped[:MAX_REASONS_SHOWN]:
        console.print(f"Skipped {name}: {reason}", markup=False)
    if len(skipped) > MAX_REASONS_SHOWN:
        console.print(f"... and {len(skipped) - MAX_REASONS_SHOWN} more.")
