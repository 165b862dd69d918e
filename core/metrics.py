"""How good tags are: pure functions from labels and scores to numbers.

Throughout, `labels` is bool or 0/1 [clips, tags] and `scores` is float [clips, tags], higher meaning more likely. A number that
the labels do not define (no clip, no tag, or tags that all clips or none have) is None, and such a curve is empty: never NaN,
which JSON has no word for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from core import tags

CURVE_POINTS = 101
ROUNDS, ROUNDS_IF_LARGE, LARGE = 1000, 100, 2_000_000  # of the bootstrap; beyond so many decisions it would take minutes


def overall(labels: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    """ROC-AUC and PR-AUC (average precision), macro over the tags that some clips have and others lack, micro over all decisions;
    exact-match accuracy at .5; precision@5 and recall@5 over the clips that have a tag."""
    used = labels.any(axis=0) & ~labels.all(axis=0)
    some = labels.any(axis=1)
    by_tag = [areas(*both) for both in zip(labels.T[used], scores.T[used], strict=True)]
    roc_macro, pr_macro = np.mean(by_tag, axis=0).tolist() if by_tag else (None, None)
    roc_micro, pr_micro = areas(labels.ravel(), scores.ravel()) if labels.any() and not labels.all() else (None, None)
    return {
        "roc_auc_macro": roc_macro,
        "roc_auc_micro": roc_micro,
        "pr_auc_macro": pr_macro,
        "pr_auc_micro": pr_micro,
        "exact_match_accuracy": float(((scores >= 0.5) == labels.astype(bool)).all(axis=1).mean()) if labels.size else None,
        "precision_at_5": precision_at(labels[some], scores[some], 5),
        "recall_at_5": recall_at(labels[some], scores[some], 5),
    }


def areas(truth: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """ROC-AUC (equal scores count half) and average precision of decisions [n] of which some are right and some are wrong.

    scikit-learn's numbers in a fifth of its time, which is spent after every epoch: on COALA's 1,000 tags 2 seconds instead of 10.
    """
    order = np.argsort(-scores)  # equal ones in any order: they count together
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # the last of each run of equal scores
    right = np.cumsum(truth[order], dtype=np.float64)[ends]
    wrong = ends + 1 - right
    gained = np.diff(right, prepend=0.0)
    roc = (np.diff(wrong, prepend=0.0) * (right - gained / 2)).sum() / (right[-1] * wrong[-1])
    return float(roc), float((gained * right / (ends + 1)).sum() / right[-1])


def precision_at(labels: np.ndarray, scores: np.ndarray, k: int) -> float | None:
    """The share of each clip's `k` best-scored tags that are right, averaged over clips."""
    return float(_hits(labels, scores, k).mean(axis=1).mean()) if labels.size else None


def recall_at(labels: np.ndarray, scores: np.ndarray, k: int) -> float | None:
    """The share of each clip's right tags that are among its `k` best-scored, averaged over the clips that have a tag."""
    some = labels.any(axis=1)
    if not some.any():
        return None
    labels, scores = labels[some], scores[some]
    return float((_hits(labels, scores, k).sum(axis=1) / labels.sum(axis=1)).mean())


def _hits(labels: np.ndarray, scores: np.ndarray, k: int) -> np.ndarray:
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(labels.astype(float), best, axis=1)


def per_tag(labels: np.ndarray, scores: np.ndarray, thresholds: np.ndarray, recordings: np.ndarray) -> list[dict[str, float | None]]:
    """For each tag: PR-AUC, ROC-AUC, precision and recall at its threshold (None where undefined), and its support in clips
    and in recordings; `recordings` names each clip's recording [clips]."""
    rows = []
    for k in range(labels.shape[1]):
        truth, score = labels[:, k].astype(bool), scores[:, k]
        told = score >= thresholds[k]
        roc, precision = areas(truth, score) if truth.any() and not truth.all() else (None, 1.0 if truth.any() else None)
        rows.append(
            {
                "pr_auc": precision,
                "roc_auc": roc,
                "precision": float(truth[told].mean()) if told.any() else None,
                "recall": float(told[truth].mean()) if truth.any() else None,
                "clips": int(truth.sum()),
                "recordings": len(set(recordings[truth].tolist())),
            }
        )
    return rows


def curves(labels: np.ndarray, scores: np.ndarray) -> dict[str, dict[str, list[float]]]:
    """Micro-averaged ROC and precision-recall curves, each thinned to at most 101 points."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    if not labels.any() or labels.all():
        return {"roc": {"false_positive_rate": [], "true_positive_rate": []}, "precision_recall": {"recall": [], "precision": []}}
    false_rate, true_rate, _ = roc_curve(labels.ravel(), scores.ravel())
    precision, recall, _ = precision_recall_curve(labels.ravel(), scores.ravel())
    grid = np.linspace(0, 1, CURVE_POINTS)
    return {
        "roc": {"false_positive_rate": _short(grid), "true_positive_rate": _short(np.interp(grid, false_rate, true_rate))},
        "precision_recall": {"recall": _short(grid), "precision": _short(np.interp(grid, recall[::-1], precision[::-1]))},
    }


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> dict[str, Any]:
    """Expected calibration error over equal-width bins, and per bin: mean predicted probability, observed share, count.

    (Guo et al., On Calibration of Modern Neural Networks, 2017.) Decisions of all tags are pooled.
    """
    if not labels.size:
        return {"ece": None, "predicted": [], "observed": [], "count": []}
    truth, told = labels.ravel().astype(float), probabilities.ravel()
    where = np.minimum((told * bins).astype(int), bins - 1)
    counts = np.bincount(where, minlength=bins)
    filled = counts > 0
    predicted = np.bincount(where, told, bins)[filled] / counts[filled]
    observed = np.bincount(where, truth, bins)[filled] / counts[filled]
    error = float(np.sum(counts[filled] * np.abs(predicted - observed)) / counts.sum())
    return {"ece": error, "predicted": _short(predicted), "observed": _short(observed), "count": counts[filled].tolist()}


@dataclass(frozen=True)
class Agreement:
    """How far suggested tags and an uploader's own agree, over `sounds` sounds, as counts that can be added up.

    `suggested`: tags that the model suggested; `given`: the uploader's tags that the model knows, for it cannot be blamed for words
    that it was never taught; `agreed`: tags that are both.
    """

    sounds: int = 0
    suggested: int = 0
    given: int = 0
    agreed: int = 0

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(self.sounds + other.sounds, self.suggested + other.suggested, self.given + other.given, self.agreed + other.agreed)

    @property
    def precision(self) -> float | None:
        """The share of the suggested tags that the uploader gave too."""
        return self.agreed / self.suggested if self.suggested else None

    @property
    def recall(self) -> float | None:
        """The share of the uploader's tags in the vocabulary that were suggested."""
        return self.agreed / self.given if self.given else None


def agreement(suggested: Iterable[str], given: Iterable[str], vocabulary: Iterable[str]) -> Agreement:
    """The agreement on one sound. Tags are compared as Earmark cleans them (`Field Recording` is `field-recording`), else to the
    letter: `waves` is not `wave`. A sound whose uploader gave none of the model's words counts too: what was suggested there, the
    uploader did not say."""
    ours, theirs = _clean(suggested), _clean(given) & _known(tuple(vocabulary))
    return Agreement(1, len(ours), len(theirs), len(ours & theirs))


def agreement_by_tag(suggested: Iterable[str], given: Iterable[str], vocabulary: Iterable[str]) -> dict[str, Agreement]:
    """The same on one sound for each tag that either side named."""
    ours, theirs = _clean(suggested), _clean(given) & _known(tuple(vocabulary))
    return {tag: Agreement(1, int(tag in ours), int(tag in theirs), int(tag in ours & theirs)) for tag in ours | theirs}


def _clean(words: Iterable[str]) -> set[str]:
    return set(tags.clean(words).tags)


@lru_cache(maxsize=8)
def _known(vocabulary: tuple[str, ...]) -> frozenset[str]:
    """A vocabulary as it is compared; made once, because many sounds share one and it has hundreds of words."""
    return frozenset(_clean(vocabulary))


def bootstrap(
    labels: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None, rounds: int | None = None, seed: int = 0
) -> dict[str, list[float] | None]:
    """95 % intervals of macro and micro PR-AUC: drawn again `rounds` times with replacement, clip by clip or, with `groups` [clips]
    (each clip's recording), group by group, which is wider because clips of one recording are alike."""
    used = labels.any(axis=0) & ~labels.all(axis=0)
    if not used.any():
        return {"pr_auc_macro": None, "pr_auc_micro": None}
    rounds = rounds or (ROUNDS if labels.size <= LARGE else ROUNDS_IF_LARGE)
    _, group = np.unique(np.arange(len(labels)) if groups is None else groups, return_inverse=True)
    number = int(group.max()) + 1
    times = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), rounds)[:, group].astype(np.float32)
    by_tag = np.stack([_weighted_precision(labels[:, k], scores[:, k], times) for k in np.flatnonzero(used)])
    order = np.argsort(-scores.ravel(), kind="stable")
    truth, clip = labels.ravel()[order], order // labels.shape[1]
    across = [_precision_in_order(truth, one[clip][None])[0] for one in times]
    return {"pr_auc_macro": _interval(np.nanmean(by_tag, axis=0)), "pr_auc_micro": _interval(np.array(across))}


def _weighted_precision(labels: np.ndarray, scores: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Average precision of decisions [n] counted `times` [rounds, n]: [rounds], NaN where nothing is right."""
    order = np.argsort(-scores, kind="stable")
    return _precision_in_order(labels[order], times[:, order])


def _precision_in_order(labels: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The same of decisions that stand in order of their scores."""
    right = times * labels.astype(np.float32)
    found, told = right.cumsum(axis=1, dtype=np.float64), times.cumsum(axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return (right * found / np.maximum(told, 1)).sum(axis=1) / found[:, -1]


def _interval(values: np.ndarray) -> list[float]:
    return _short(np.nanpercentile(values, [2.5, 97.5]))


def _short(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]
