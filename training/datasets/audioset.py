"""AudioSet's labels as Freesound tags, from a table that can be edited without programming."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.tags import clean
from training.errors import DatasetError

TABLE = Path(__file__).with_name("audioset_tags.tsv")
LABELS = 527
"""Outputs of a network that was trained on AudioSet."""


@dataclass(frozen=True)
class LabelTags:
    """The table.

    Attributes:
        labels: AudioSet's labels, in the order of the network's outputs.
        tags: What each label implies, the most special tag first.
    """

    labels: tuple[str, ...]
    tags: tuple[tuple[str, ...], ...]

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Return all tags in alphabetical order."""
        return tuple(sorted({tag for tags in self.tags for tag in tags}))

    def implications(self, vocabulary: tuple[str, ...]) -> NDArray[np.bool_]:
        """Return which label implies which tag: bool [labels, tags].

        Args:
            vocabulary: The tags, in the order of the columns.
        """
        rows = [[tag in tags for tag in vocabulary] for tags in self.tags]
        return np.array(rows, dtype=bool)


@lru_cache
def label_tags(table: Path = TABLE) -> LabelTags:
    """Read the table.

    Raises:
        DatasetError: A line is not a label, a tab and tags that Freesound stores as they are.
    """
    lines = table.read_text("utf-8").splitlines()
    rows = [_row(line, number, table) for number, line in enumerate(lines, 1) if line[:1] != "#"]
    labels, tags = zip(*rows, strict=True)
    if len(set(labels)) != LABELS:
        raise DatasetError(
            f"{table.name} must have {LABELS} different labels, not {len(set(labels))}."
        )
    return LabelTags(labels, tags)


def _row(line: str, number: int, table: Path) -> tuple[str, tuple[str, ...]]:
    """Return label and tags of a line.

    Raises:
        DatasetError: It is malformed.
    """
    label, tab, text = line.partition("\t")
    tags = tuple(text.split())
    if not label or not tab or len(set(tags)) < len(tags):
        raise DatasetError(
            f"{table.name}, line {number}: a label, a tab and different tags are needed."
        )
    unusable = [tag for tag in tags if clean([tag]).tags != (tag,)]
    if unusable:
        reason = f"Freesound does not store {unusable[0]!r} as it is written"
        raise DatasetError(f"{table.name}, line {number}: {reason}.")
    return label, tags
