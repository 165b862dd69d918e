"""From logits to probabilities and thresholds, chosen on validation and on other sounds held back.

A tag with clips of its own is calibrated on validation. Its threshold has the best F score; that of
a rare tag is pulled to the common one. Other sounds count twice, because there are fewer of them. A
tag that only AudioSet's labels give has no clips to choose a threshold on: it is `LABEL_FLOOR`,
raised to what `LABEL_QUANTILE` of the clips that cannot mean the tag stay below.
"""

import numpy as np
from numpy.typing import NDArray

from core.model.bundle import Calibration
from training.datasets.types import Labels
from training.evaluate import THRESHOLD_PRIOR, Logits, Probabilities, calibrate
from training.fine_tuning.data import TagSpace

LABEL_FLOOR = 0.5
LABEL_QUANTILE = 0.998
OTHER_SOUNDS_WEIGHT = 2.0
RECALL_WEIGHT = 0.7
"""Of recall in the F score, squared beta: a wrong suggestion costs more than a missing one."""
GRID = np.linspace(0.1, 0.9, 81)


def calibrate_own(
    validation: Logits, labels: Labels, others: Logits, other_labels: Labels
) -> Calibration:
    """Calibrate the tags that have clips of their own.

    Args:
        validation: Logits of validation clips, [clips, own].
        labels: Their tags.
        others: Logits of other sounds that were held back, [sounds, own].
        other_labels: The own tags that they surely have.
    """
    fitted = calibrate(validation, labels)
    probabilities = fitted.probabilities(np.concatenate([validation, others]))
    truth = np.concatenate([labels, other_labels])
    weights = np.ones((len(truth), 1), np.float32)
    weights[len(labels) :] = OTHER_SOUNDS_WEIGHT
    common = _best_threshold(probabilities, truth, weights)
    support = labels.sum(axis=0)
    columns = range(truth.shape[1])
    own = np.array(
        [_best_threshold(probabilities[:, [k]], truth[:, [k]], weights) for k in columns]
    )
    thresholds = (support * own + THRESHOLD_PRIOR * common) / (support + THRESHOLD_PRIOR)
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


def _best_threshold(
    probabilities: Probabilities, truth: Labels, weights: NDArray[np.float32]
) -> float:
    """Return the threshold of the best F score."""

    def score(threshold: float) -> float:
        predicted = (probabilities >= threshold) * weights
        true_positives = float((predicted * truth).sum())
        relevant = predicted.sum() + RECALL_WEIGHT * (truth * weights).sum()
        return (1 + RECALL_WEIGHT) * true_positives / max(1e-9, float(relevant))

    return float(GRID[np.argmax([score(threshold) for threshold in GRID])])
