"""Markdown tables."""

from collections.abc import Iterable, Sequence


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def score_cell(value: float | None) -> str:
    """Return a score as .123, or a dash."""
    return "–" if value is None else f"{value:.3f}".removeprefix("0")
