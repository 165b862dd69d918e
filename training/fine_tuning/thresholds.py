"""From logits to probabilities and thresholds, chosen on validation and on other sounds.

A tag with clips of its own is calibrated on validation. Its threshold is where a right suggestion
is worth most in comparison with wrong ones, both on validation and on other sounds; that of a rare
tag is pulled to the common one. The logits of other sounds come from heads that were trained
without the source that the sound is from: only they tell how unknown sounds will be tagged.

A tag that only AudioSet's labels give has no clips to choose a threshold on: it is `LABEL_FLOOR`,
raised to what `LABEL_QUANTILE` of the clips that cannot mean the tag stay below.
"""

import numpy as np
from numpy.typing import NDArray

from core.model.bundle import Calibration
from training.datasets.types import Labels
from training.evaluate import THRESHOLD_PRIOR, Logits, Probabilities, calibrate
from training.fine_tuning.data import TagSpace

LABEL_FLOOR = 0.7
LABEL_QUANTILE = 0.998
WRONG_COST, UNKNOWN_COST = 0.7, 0.6
"""Of a wrong suggestion on validation, and on another sound; a right one is worth 1."""
MAX_UNKNOWN_SHARE = 0.02
"""Share of other sounds that may be given one tag wrongly."""
MAX_THRESHOLD = 0.995
GRID = np.append(np.linspace(0.1, 0.95, 86), [0.96, 0.97, 0.98, 0.99])


def calibrate_own(
    validation: Logits, labels: Labels, others: Logits, other_labels: Labels
) -> Calibration:
    """Calibrate the tags that have clips of their own.

    Args:
        validation: Logits of validation clips, [clips, own].
        labels: Their tags.
        others: Logits of other sounds, by heads that know nothing of their source, [sounds, own].
        other_labels: The own tags that they surely have.
    """
    fitted = calibrate(validation, labels)
    known, unknown = fitted.probabilities(validation), fitted.probabilities(others)
    worth = _worth(known, labels, unknown, other_labels)
    common, own = GRID[np.argmax(worth.sum(axis=1))], GRID[np.argmax(worth, axis=0)]
    support = labels.sum(axis=0)
    thresholds = (support * own + THRESHOLD_PRIOR * common) / (support + THRESHOLD_PRIOR)
    thresholds = np.maximum(thresholds, _unknown_floor(unknown, other_labels))
    return Calibration(fitted.slope, fitted.offset, thresholds.astype(np.float32))


def label_thresholds(
    probabilities: Probabilities, tags: list[frozenset[str]], space: TagSpace
) -> NDArray[np.float32]:
    """Return the threshold of every tag as AudioSet's labels give it.

    Args:
        probabilities: Of clips and all tags, from labels alone, [clips, tags].
        tags: What each clip has.
        space: The vocabulary.
    """
    possible = possible_tags(tags, space)
    thresholds = np.full(len(space.tags), LABEL_FLOOR, np.float32)
    for column in range(len(space.tags)):
        impossible = probabilities[~possible[:, column], column]
        if len(impossible):
            highest = np.quantile(impossible, LABEL_QUANTILE)
            thresholds[column] = min(max(LABEL_FLOOR, float(highest)), 1.0)
    return thresholds


def possible_tags(tags: list[frozenset[str]], space: TagSpace) -> NDArray[np.bool_]:
    """Return which tags a clip may have: those of the labels that share one of its tags.

    A clip of which nothing is known to AudioSet may have all.

    Args:
        tags: What each clip has.
        space: The vocabulary.

    Returns:
        bool [clips, tags].
    """
    implied = space.implications
    has = np.array([[tag in own for tag in space.tags] for own in tags], bool)
    fitting = has.astype(np.float32) @ implied.T.astype(np.float32) > 0
    shared = fitting.astype(np.float32) @ implied.astype(np.float32) > 0
    possible: NDArray[np.bool_] = shared | has | ~has.any(axis=1, keepdims=True)
    return possible


def joined(own: Calibration, of_labels: NDArray[np.float32], space: TagSpace) -> Calibration:
    """Return the calibration of the whole vocabulary."""
    slope, offset = np.ones(len(space.tags)), np.zeros(len(space.tags))
    threshold = of_labels.copy()
    columns = space.own_columns
    slope[columns], offset[columns] = own.slope, own.offset
    threshold[columns] = own.threshold
    return Calibration(
        slope.astype(np.float32), offset.astype(np.float32), threshold.astype(np.float32)
    )


def _worth(
    known: Probabilities, labels: Labels, unknown: Probabilities, unknown_labels: Labels
) -> NDArray[np.float64]:
    """Return what suggestions at each threshold of `GRID` are worth, [thresholds, tags]."""
    rows = []
    for threshold in GRID:
        of_known, of_unknown = known >= threshold, unknown >= threshold
        true_positives = (of_known * labels).sum(axis=0)
        false_positives = (of_known * (1 - labels)).sum(axis=0)
        invented = (of_unknown * (1 - unknown_labels)).sum(axis=0)
        rows.append(true_positives - WRONG_COST * false_positives - UNKNOWN_COST * invented)
    return np.array(rows)


def _unknown_floor(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Return for each tag what all but `MAX_UNKNOWN_SHARE` of the sounds without it stay below."""
    allowed = int(MAX_UNKNOWN_SHARE * len(probabilities))
    without = np.where(labels > 0, 0.0, probabilities)
    highest = -np.sort(-without, axis=0)[min(allowed, len(without) - 1)]
    return np.asarray(np.nextafter(highest, 2).clip(0, MAX_THRESHOLD), np.float64)
