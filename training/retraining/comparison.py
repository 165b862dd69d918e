"""Champion and challenger on the same sounds: differences of their scores, with intervals.

Recordings are drawn with replacement, the same ones for both (a paired bootstrap), so that what is
hard for both does not widen the interval. Only decided labels count.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from training.datasets.types import Labels
from training.evaluate import Probabilities

ROUNDS = 1000
MIN_RECORDINGS = 20
"""Of which an interval says something; with fewer there is none."""
Known = NDArray[np.bool_]
Times = NDArray[np.float32]
"""How often each clip is drawn in each round, [rounds, clips]; the first row holds ones."""


class Difference(TypedDict):
    """A score of both; None where it is not defined. `interval` is of the difference, 95 %."""

    champion: float | None
    challenger: float | None
    difference: float | None
    interval: list[float] | None


class PartComparison(TypedDict):
    """The comparison on one kind of sounds."""

    clips: int
    recordings: int
    decisions: int
    scores: dict[str, Difference]


@dataclass(frozen=True)
class Answers:
    """A model's answers: calibrated `probabilities` [clips, tags] and `thresholds` [tags]."""

    probabilities: Probabilities
    thresholds: NDArray[np.float32]

    def of(self, columns: list[int]) -> "Answers":
        """Return what it says of some tags."""
        return Answers(self.probabilities[:, columns], self.thresholds[columns])


@dataclass(frozen=True)
class Truth:
    """The known tags of some clips.

    Attributes:
        labels: 1 where a clip has a tag, float32 [clips, tags].
        known: False where nobody decided, bool [clips, tags].
        recordings: Of each clip, str [clips].
    """

    labels: Labels
    known: Known
    recordings: NDArray[np.str_]


def compare(
    truth: Truth, champion: Answers, challenger: Answers, seed: int = 0, rounds: int = ROUNDS
) -> PartComparison:
    """Compare two models on clips with labels.

    Args:
        truth: The labels.
        champion: The active model's answers.
        challenger: The other's.
        seed: Of the drawn recordings.
        rounds: Of drawing.

    Returns:
        PR-AUC by tag and over all decisions, precision and recall at each model's thresholds.
    """
    times = drawn_times(truth.recordings, seed, rounds)
    scores: dict[str, Callable[[Answers], NDArray[np.float64]]] = {
        "pr_auc_macro": lambda answers: _macro(truth, answers, times),
        "pr_auc_micro": lambda answers: _micro(truth, answers, times),
        "precision": lambda answers: _precision(truth, answers, times),
        "recall": lambda answers: _recall(truth, answers, times),
    }
    recordings = len(set(truth.recordings.tolist()))
    return {
        "clips": len(truth.labels),
        "recordings": recordings,
        "decisions": int(truth.known.sum()),
        "scores": {
            name: difference(score(champion), score(challenger), recordings)
            for name, score in scores.items()
        },
    }


def compare_shares(
    champion: Known, challenger: Known, recordings: NDArray[np.str_], seed: int = 0
) -> Difference:
    """Compare the shares of clips for which something is true, bool [clips] each."""
    times = drawn_times(recordings, seed)
    before, after = (
        times @ kind.astype(np.float64) / times.sum(axis=1) for kind in (champion, challenger)
    )
    return difference(before, after, len(set(recordings.tolist())))


def difference(
    champion: NDArray[np.float64], challenger: NDArray[np.float64], recordings: int
) -> Difference:
    """Return the scores of both, and the interval of their difference.

    Args:
        champion: Score with every clip once, then of each round, [1 + rounds].
        challenger: Likewise, of the same rounds.
        recordings: That were drawn from; of very few there is no interval.
    """
    gains = challenger - champion
    drawn = gains[1:][~np.isnan(gains[1:])]
    has_interval = recordings >= MIN_RECORDINGS and len(drawn) > 0
    return {
        "champion": _number(champion[0]),
        "challenger": _number(challenger[0]),
        "difference": _number(gains[0]),
        "interval": [round(float(x), 4) for x in np.percentile(drawn, [2.5, 97.5])]
        if has_interval
        else None,
    }


def drawn_times(recordings: NDArray[np.str_], seed: int, rounds: int = ROUNDS) -> Times:
    """Return how often each clip is drawn, [1 + rounds, clips]: once, then as its recording is."""
    if not len(recordings):
        return np.ones((1 + rounds, 0), np.float32)
    _, group = np.unique(recordings, return_inverse=True)
    count = int(group.max()) + 1
    random = np.random.default_rng(seed)
    drawn = random.multinomial(count, np.full(count, 1 / count), rounds)[:, group]
    return np.concatenate([np.ones((1, len(group))), drawn]).astype(np.float32)


def _macro(truth: Truth, answers: Answers, times: Times) -> NDArray[np.float64]:
    """Return the mean average precision of the tags that have both kinds of decisions."""
    rows = []
    for tag in range(truth.labels.shape[1]):
        known, labels = truth.known[:, tag], truth.labels[:, tag]
        decided = labels[known]
        if decided.any() and not decided.all():
            scores = answers.probabilities[known, tag]
            rows.append(_average_precision(decided, scores, times[:, known]))
    if not rows:
        return np.full(len(times), np.nan)
    of_tags = np.stack(rows)
    counts = (~np.isnan(of_tags)).sum(axis=0)
    means: NDArray[np.float64] = np.nansum(of_tags, axis=0) / np.where(counts, counts, np.nan)
    return means


def _micro(truth: Truth, answers: Answers, times: Times) -> NDArray[np.float64]:
    """Return the average precision over all decisions together."""
    clip, tag = np.nonzero(truth.known)
    labels = truth.labels[clip, tag]
    if not labels.any() or labels.all():
        return np.full(len(times), np.nan)
    order = np.argsort(-answers.probabilities[clip, tag], kind="stable")
    parts = [_ordered_precision(labels[order], drawn[clip[order]][None]) for drawn in times]
    return np.concatenate(parts)


def _average_precision(labels: Labels, scores: Probabilities, times: Times) -> NDArray[np.float64]:
    """Return average precision of decisions [n] counted `times` [rounds, n], per round."""
    order = np.argsort(-scores, kind="stable")
    return _ordered_precision(labels[order], times[:, order])


def _ordered_precision(labels: Labels, times: Times) -> NDArray[np.float64]:
    """Return the same for decisions in order of their scores; NaN where none is true."""
    weights = times * labels
    true_positives = weights.cumsum(axis=1, dtype=np.float64)
    positives = times.cumsum(axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        sums = (weights * true_positives / np.maximum(positives, 1)).sum(axis=1)
        precisions: NDArray[np.float64] = sums / true_positives[:, -1]
    return precisions


def _precision(truth: Truth, answers: Answers, times: Times) -> NDArray[np.float64]:
    suggested = (answers.probabilities >= answers.thresholds) & truth.known
    return _ratio(suggested & (truth.labels > 0.5), suggested, times)


def _recall(truth: Truth, answers: Answers, times: Times) -> NDArray[np.float64]:
    present = (truth.labels > 0.5) & truth.known
    return _ratio(present & (answers.probabilities >= answers.thresholds), present, times)


def _ratio(part: Known, whole: Known, times: Times) -> NDArray[np.float64]:
    """Return the share of decisions `whole` that are in `part`, per round; NaN of none."""
    parts, wholes = (times @ kind.sum(axis=1).astype(np.float64) for kind in (part, whole))
    with np.errstate(invalid="ignore"):
        ratio: NDArray[np.float64] = parts / wholes
    return ratio


def _number(value: np.floating) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
