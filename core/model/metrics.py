"""Scores of predicted tags: pure functions from labels and scores to numbers.

Throughout, `labels` is bool or 0/1 [clips, tags] and `scores` is float [clips, tags], higher
meaning more likely. A number that the labels do not define (no clip, no tag, or tags that all clips
or none have) is None, and such a curve is empty: never NaN, which JSON has no word for.
"""

from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from core.model.metrics_types import (
    Curves,
    Intervals,
    LearningPoint,
    Numbers,
    PrecisionChoice,
    Reliability,
    TagDetail,
    TestData,
    UnknownSounds,
)
from core.model.reference import Reference

Labels = NDArray[np.bool_] | NDArray[np.integer] | NDArray[np.floating]
"""bool or 0/1 [clips, tags]."""
Scores = NDArray[np.floating]
"""Higher means more likely, [clips, tags]."""

CURVE_POINTS = 101
BOOTSTRAP_ROUNDS = 1000
BOOTSTRAP_ROUNDS_IF_LARGE = 100
MIN_LARGE_DECISIONS = 2_000_000
"""From so many decisions on, 1,000 rounds would take minutes."""


class BundleMetrics(TypedDict):
    """The contents of a bundle's metrics.json. The first five entries are checked on loading.

    The others may be absent: bundles of before do not have them.
    """

    overall: Numbers
    per_tag: dict[str, Numbers]
    clips: int
    recordings: int
    split: str
    curves: NotRequired[Curves]
    reliability: NotRequired[Reliability]
    intervals: NotRequired[dict[str, Intervals]]
    baseline: NotRequired[dict[str, float | str | None]]
    validation: NotRequired[Numbers]
    thresholds: NotRequired[dict[str, Numbers]]
    history: NotRequired[list[Numbers]]
    test_data: NotRequired[TestData]
    details: NotRequired[dict[str, TagDetail]]
    threshold_choices: NotRequired[list[PrecisionChoice]]
    learning_curve: NotRequired[list[LearningPoint]]
    unknown_sounds: NotRequired[UnknownSounds]
    reference: NotRequired[Reference]


def overall(labels: Labels, scores: Scores) -> Numbers:
    """Compute the scores over all tags.

    Returns:
        ROC-AUC and PR-AUC (average precision), macro over the tags that some clips have and others
        lack, micro over all decisions; exact-match accuracy at .5; precision@5 and recall@5 over
        the clips that have a tag.
    """
    tagged = labels.any(axis=1)
    roc_macro, pr_macro = _macro_auc(labels, scores)
    roc_micro, pr_micro = _auc_or_none(labels.ravel(), scores.ravel())
    return {
        "roc_auc_macro": roc_macro,
        "roc_auc_micro": roc_micro,
        "pr_auc_macro": pr_macro,
        "pr_auc_micro": pr_micro,
        "exact_match_accuracy": _exact_match_accuracy(labels, scores),
        "precision_at_5": precision_at(labels[tagged], scores[tagged], 5),
        "recall_at_5": recall_at(labels[tagged], scores[tagged], 5),
    }


def per_tag(
    labels: Labels,
    scores: Scores,
    thresholds: NDArray[np.floating],
    recordings: NDArray[np.generic],
) -> list[Numbers]:
    """Compute the scores of each tag.

    Args:
        labels: bool or 0/1 [clips, tags].
        scores: [clips, tags].
        thresholds: From which score on a tag is suggested, [tags].
        recordings: The recording that each clip is of, [clips].

    Returns:
        For each tag PR-AUC, ROC-AUC, precision and recall at its threshold, and the number of clips
        and recordings that have it.
    """
    return [
        _tag_scores(labels[:, index].astype(bool), scores[:, index], threshold, recordings)
        for index, threshold in enumerate(thresholds)
    ]


def roc_auc_and_average_precision(labels: Labels, scores: Scores) -> tuple[float, float]:
    """Compute ROC-AUC (equal scores count half) and average precision of decisions [n].

    scikit-learn's numbers in a fifth of its time, which is spent after every epoch: on COALA's
    1,000 tags 2 seconds instead of 10.

    Args:
        labels: bool or 0/1 [n], not all the same.
        scores: [n].
    """
    order = np.argsort(-scores)  # equal ones in any order: they count together
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # of equal scores
    true_positives = np.cumsum(labels[order], dtype=np.float64)[ends]
    false_positives = ends + 1 - true_positives
    gained = np.diff(true_positives, prepend=0.0)
    pairs_in_order = np.diff(false_positives, prepend=0.0) * (true_positives - gained / 2)
    roc_auc = pairs_in_order.sum() / (true_positives[-1] * false_positives[-1])
    precisions = gained * true_positives / (ends + 1)
    return float(roc_auc), float(precisions.sum() / true_positives[-1])


def precision_at(labels: Labels, scores: Scores, k: int) -> float | None:
    """Return the share of each clip's `k` best-scored tags that are true, averaged over clips."""
    return float(_true_among_best(labels, scores, k).mean(axis=1).mean()) if labels.size else None


def recall_at(labels: Labels, scores: Scores, k: int) -> float | None:
    """Return the share of each clip's true tags that are among its `k` best-scored.

    It is averaged over the clips that have a tag.
    """
    tagged = labels.any(axis=1)
    if not tagged.any():
        return None
    labels, scores = labels[tagged], scores[tagged]
    recalls = _true_among_best(labels, scores, k).sum(axis=1) / labels.sum(axis=1)
    return float(recalls.mean())


def curves(labels: Labels, scores: Scores, points: int = CURVE_POINTS) -> Curves:
    """Compute micro-averaged ROC and precision-recall curves; empty if undefined.

    Args:
        labels: bool or 0/1 [clips, tags], or [clips] of one tag.
        scores: The same shape.
        points: Of each curve, on an even grid.
    """
    from sklearn.metrics import precision_recall_curve, roc_curve

    if not labels.any() or labels.all():
        return {
            "roc": {"false_positive_rate": [], "true_positive_rate": []},
            "precision_recall": {"recall": [], "precision": []},
        }
    false_rate, true_rate, _ = roc_curve(labels.ravel(), scores.ravel())
    precision, recall, _ = precision_recall_curve(labels.ravel(), scores.ravel())
    grid = np.linspace(0, 1, points)
    return {
        "roc": {
            "false_positive_rate": _rounded(grid),
            "true_positive_rate": _rounded(np.interp(grid, false_rate, true_rate)),
        },
        "precision_recall": {
            "recall": _rounded(grid),
            "precision": _rounded(np.interp(grid, recall[::-1], precision[::-1])),
        },
    }


def reliability(labels: Labels, probabilities: Scores, bins: int = 10) -> Reliability:
    """Compute the expected calibration error over bins of equal width, and what is in each bin.

    (Guo et al., On Calibration of Modern Neural Networks, 2017.) Decisions of all tags are pooled.
    """
    if not labels.size:
        return {"ece": None, "predicted": [], "observed": [], "count": []}
    truth, values = labels.ravel().astype(float), probabilities.ravel()
    bin_of_value = np.minimum((values * bins).astype(int), bins - 1)
    counts = np.bincount(bin_of_value, minlength=bins)
    filled = counts > 0
    predicted = np.bincount(bin_of_value, values, bins)[filled] / counts[filled]
    observed = np.bincount(bin_of_value, truth, bins)[filled] / counts[filled]
    error = float(np.sum(counts[filled] * np.abs(predicted - observed)) / counts.sum())
    return {
        "ece": error,
        "predicted": _rounded(predicted),
        "observed": _rounded(observed),
        "count": [int(count) for count in counts[filled]],
    }


def bootstrap(
    labels: Labels,
    scores: Scores,
    groups: NDArray[np.generic] | None = None,
    rounds: int | None = None,
    seed: int = 0,
) -> Intervals:
    """Compute 95 % intervals of macro and micro PR-AUC by resampling with replacement.

    Args:
        labels: bool or 0/1 [clips, tags].
        scores: [clips, tags].
        groups: Each clip's recording, [clips]: whole recordings are drawn, which gives wider
            intervals because clips of a recording are alike. By default clips are drawn.
        rounds: Of resampling; by default 1,000, of large data 100.
        seed: Of the random numbers.
    """
    used = labels.any(axis=0) & ~labels.all(axis=0)
    if not used.any():
        return {"pr_auc_macro": None, "pr_auc_micro": None}
    large = labels.size > MIN_LARGE_DECISIONS
    rounds = rounds or (BOOTSTRAP_ROUNDS_IF_LARGE if large else BOOTSTRAP_ROUNDS)
    times = _drawn_times(np.arange(len(labels)) if groups is None else groups, rounds, seed)
    by_tag = np.stack(
        [
            _average_precisions(labels[:, index], scores[:, index], times)
            for index in np.flatnonzero(used)
        ]
    )
    order = np.argsort(-scores.ravel(), kind="stable")
    truth, clip = labels.ravel()[order], order // labels.shape[1]
    across = [_ordered_average_precisions(truth, drawn[clip][None])[0] for drawn in times]
    return {
        "pr_auc_macro": _interval(np.nanmean(by_tag, axis=0)),
        "pr_auc_micro": _interval(np.array(across)),
    }


def _macro_auc(labels: Labels, scores: Scores) -> tuple[float | None, float | None]:
    """Return the means of ROC-AUC and average precision over the tags that define them."""
    used = labels.any(axis=0) & ~labels.all(axis=0)
    by_tag = [
        roc_auc_and_average_precision(labels[:, index], scores[:, index])
        for index in np.flatnonzero(used)
    ]
    if not by_tag:
        return None, None
    roc_auc, average_precision = np.mean(by_tag, axis=0)
    return float(roc_auc), float(average_precision)


def _auc_or_none(labels: Labels, scores: Scores) -> tuple[float | None, float | None]:
    """Return ROC-AUC and average precision of decisions [n]; None where all are the same."""
    if not labels.any() or labels.all():
        return None, None
    return roc_auc_and_average_precision(labels, scores)


def _exact_match_accuracy(labels: Labels, scores: Scores) -> float | None:
    if not labels.size:
        return None
    return float(((scores >= 0.5) == labels.astype(bool)).all(axis=1).mean())


def _tag_scores(
    truth: NDArray[np.bool_],
    scores: Scores,
    threshold: float,
    recordings: NDArray[np.generic],
) -> Numbers:
    """Return a row of `per_tag`, from the tag's labels and scores [clips]."""
    suggested = scores >= threshold
    roc_auc, average_precision = _auc_or_none(truth, scores)
    return {
        "pr_auc": 1.0 if truth.size and truth.all() else average_precision,
        "roc_auc": roc_auc,
        "precision": float(truth[suggested].mean()) if suggested.any() else None,
        "recall": float(suggested[truth].mean()) if truth.any() else None,
        "clips": int(truth.sum()),
        "recordings": len(set(recordings[truth].tolist())),
    }


def _true_among_best(labels: Labels, scores: Scores, k: int) -> NDArray[np.float64]:
    """Return the labels of each clip's `k` best-scored tags, [clips, k]."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(labels.astype(np.float64), best, axis=1)


def _drawn_times(groups: NDArray[np.generic], rounds: int, seed: int) -> NDArray[np.float32]:
    """Return how often each clip is drawn in each round, [rounds, clips]."""
    _, group = np.unique(groups, return_inverse=True)
    count = int(group.max()) + 1
    random = np.random.default_rng(seed)
    drawn = random.multinomial(count, np.full(count, 1 / count), rounds)
    return drawn[:, group].astype(np.float32)


def _average_precisions(
    labels: Labels, scores: Scores, times: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return average precision of decisions [n] counted `times` [rounds, n], per round.

    NaN where no decision is true.
    """
    order = np.argsort(-scores, kind="stable")
    return _ordered_average_precisions(labels[order], times[:, order])


def _ordered_average_precisions(labels: Labels, times: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the same as `_average_precisions` for decisions in order of their scores."""
    weights = times * labels.astype(np.float32)
    true_positives = weights.cumsum(axis=1, dtype=np.float64)
    positives = times.cumsum(axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        sums = (weights * true_positives / np.maximum(positives, 1)).sum(axis=1)
        precisions: NDArray[np.float64] = sums / true_positives[:, -1]
    return precisions


def _interval(values: NDArray[np.float64]) -> list[float]:
    return _rounded(np.nanpercentile(values, [2.5, 97.5]))


def _rounded(values: NDArray[np.floating]) -> list[float]:
    return [round(float(value), 4) for value in values]
