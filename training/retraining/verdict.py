"""What a comparison says in one sentence, and what would change with a deployment."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.files import write_atomic
from core.model.bundle import Bundle
from training.retraining.comparison import Difference, PartComparison
from training.retraining.errors import RetrainingError
from training.retraining.report import report

logger = logging.getLogger(__name__)

COMPARISON, REPORT = "comparison.json", "comparison.md"
"""In the bundle's folder; they are no part of the bundle."""
MIN_THRESHOLD_CHANGE = 0.02
"""Smaller changes of a threshold are not listed."""
DECIDES = {"test": "pr_auc_macro", "held_back": "pr_auc_micro"}
"""The score of each part that decides."""


def verdict(parts: Mapping[str, PartComparison]) -> dict[str, Any]:
    """Return whether the challenger is better, worse or neither, and a sentence.

    Returns:
        `kind` is *better*, *worse* or *unclear*; `excludes_loss` is True where every interval that
        decides begins at 0 or above, that on test recordings among them.
    """
    rows = {name: parts[name]["scores"][score] for name, score in DECIDES.items() if name in parts}
    intervals = {name: row["interval"] for name, row in rows.items() if row["interval"]}
    excludes_loss = "test" in intervals and all(low >= 0 for low, _ in intervals.values())
    is_worse = any(high < 0 for _, high in intervals.values())
    kind = "worse" if is_worse else "better" if excludes_loss else "unclear"
    return {"kind": kind, "excludes_loss": excludes_loss, "text": _sentence(kind, rows)}


def bundle_changes(champion: Bundle, challenger: Bundle) -> dict[str, Any]:
    """Return tags that come and go, and thresholds that move, greatest move first."""
    before = dict(zip(champion.vocabulary, champion.calibration.threshold.tolist(), strict=True))
    after = dict(zip(challenger.vocabulary, challenger.calibration.threshold.tolist(), strict=True))
    moved = [
        {"tag": tag, "champion": round(before[tag], 3), "challenger": round(after[tag], 3)}
        for tag in before.keys() & after.keys()
        if abs(before[tag] - after[tag]) >= MIN_THRESHOLD_CHANGE
    ]
    moved.sort(key=lambda row: (-abs(row["champion"] - row["challenger"]), row["tag"]))
    return {
        "tags_gained": sorted(after.keys() - before.keys()),
        "tags_lost": sorted(before.keys() - after.keys()),
        "thresholds": moved,
    }


def write_comparison(folder: Path, comparison: Mapping[str, Any]) -> None:
    """Write a comparison and its report into a bundle's folder.

    Raises:
        RetrainingError: They cannot be written.
    """
    text = json.dumps(comparison, indent=1, ensure_ascii=False, allow_nan=False)
    try:
        write_atomic(folder / COMPARISON, text.encode())
        write_atomic(folder / REPORT, report(comparison).encode())
    except OSError as error:
        raise RetrainingError(f"{folder} cannot be written: {error.strerror}.") from error
    logger.info("comparison written folder=%s verdict=%s", folder, comparison["verdict"]["kind"])


def read_comparison(folder: Path) -> dict[str, Any] | None:
    """Return the comparison in a bundle's folder, or None where there is none.

    Raises:
        RetrainingError: It is damaged.
    """
    path = folder / COMPARISON
    if not path.exists():
        return None
    try:
        comparison: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RetrainingError(f"{path} cannot be read.") from error
    return comparison


def _sentence(kind: str, rows: Mapping[str, Difference]) -> str:
    where = {"test": "on test recordings", "held_back": "on held-back corrections"}
    gains = [
        f"{row['difference']:+.3f} {where[name]}"
        for name, row in rows.items()
        if row["difference"] is not None
    ]
    begin = {
        "better": "The challenger is better",
        "worse": "The challenger is worse",
        "unclear": "No difference is certain",
    }[kind]
    return f"{begin}: PR-AUC {' and '.join(gains)}." if gains else f"{begin}."
