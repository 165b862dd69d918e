"""The comparison of a challenger with the champion as a text for people."""

from collections.abc import Mapping
from typing import Any

from training.tables import markdown_table

PARTS = {
    "test": "Test recordings",
    "held_back": "Corrections held back",
}
SCORES = {
    "pr_auc_macro": "PR-AUC, mean over tags",
    "pr_auc_micro": "PR-AUC, all decisions",
    "precision": "Precision of suggestions",
    "recall": "Recall",
}


def report(comparison: Mapping[str, Any]) -> str:
    """Return a comparison as Markdown.

    Args:
        comparison: The contents of comparison.json.
    """
    lines = [
        f"# {comparison['challenger']['name']}: challenger against "
        f"{comparison['champion']['name']} v{comparison['champion']['version']}",
        "",
        comparison["verdict"]["text"],
    ]
    for key, title in PARTS.items():
        part = comparison["parts"].get(key)
        if part:
            lines += ["", f"## {title}", "", _facts(part), "", _table(part["scores"])]
    if comparison.get("others"):
        lines += ["", "## Sounds outside the vocabulary", "", _table(comparison["others"])]
    lines += ["", "## Corrections", "", *_corrections(comparison["corrections"])]
    return "\n".join(lines) + "\n"


def _facts(part: Mapping[str, Any]) -> str:
    return (
        f"{part['clips']:,} clips of {part['recordings']:,} recordings, "
        f"{part['decisions']:,} decisions."
    )


def _table(scores: Mapping[str, Any]) -> str:
    rows = [
        [
            SCORES.get(name, name.replace("_", " ")),
            _number(row["champion"]),
            _number(row["challenger"]),
            _signed(row["difference"]),
            _interval(row["interval"]),
        ]
        for name, row in scores.items()
    ]
    columns = ["score", "champion", "challenger", "difference", "95 % interval"]
    return markdown_table(columns, rows)


def _corrections(counts: Mapping[str, Any]) -> list[str]:
    held_back = counts["held_back"]
    lines = [
        f"Learned from {counts['decisions']:,} decisions about {counts['sounds']:,} sounds; "
        f"{held_back['decisions']:,} about {held_back['sounds']:,} sounds are held back."
    ]
    left_out = counts["left_out"]
    if left_out:
        lines.append("Left out: " + ", ".join(f"{n:,} {why}" for why, n in left_out.items()) + ".")
    return lines


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def _interval(values: list[float] | None) -> str:
    return "–" if values is None else f"{values[0]:+.3f} to {values[1]:+.3f}"
