"""Tables in Markdown and CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from core.files import write_atomic


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def score_cell(value: float | None) -> str:
    """Return a score as .123, or a dash."""
    return "–" if value is None else f"{value:.3f}".removeprefix("0")


def write_table(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write rows, the first of which is the header, as CSV for the model card.

    Raises:
        OSError: The file cannot be written.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_atomic(path, text.getvalue().encode())
