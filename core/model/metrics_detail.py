"""What a maintainer looks at behind the scores of each tag: intervals, curves, errors, thresholds.

As in `core.model.metrics`, `labels` is bool or 0/1 [clips, tags] and `probabilities` is float
[clips, tags]. A tag is suggested for a clip where its probability reaches the tag's threshold.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.model.metrics import Labels, Scores, curves, reliability
from core.model.metrics_types import (
    ErrorExample,
    Intervals,
    PrecisionChoice,
    TagDetail,
    ThresholdChoice,
)
from core.proportions import wilson

CURVE_POINTS = 41
RELIABILITY_BINS = 5
"""Fewer than for all tags together: a tag has few clips."""
MAX_ERRORS = 2000
"""Examples in all, so that metrics.json stays small."""
MAX_ERRORS_OF_TAG = 8
"""Of each kind."""
MAX_CONFUSIONS = 5
MIN_RECORDINGS = 3
"""With the tag; fewer say nothing of how much a score would change."""
MIN_TRUE_POSITIVES = 3
"""That a threshold for a precision is read off at least."""
PRECISIONS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)
ROUNDS = 1000
ROUNDS_IF_LARGE = 100
MAX_DECISIONS = 2_000_000
"""Above so many decisions, 1,000 rounds would take minutes."""


@dataclass(frozen=True)
class ScoredClip:
    """A test clip.

    Attributes:
        recording: The Freesound id that it was cut from.
        tags: What it has.
        file: Its name in the data set; empty where unknown.
        start_s: From where in the recording it was cut; None where unknown.
    """

    recording: str
    tags: tuple[str, ...]
    file: str = ""
    start_s: float | None = None


@dataclass(frozen=True)
class ScoredTags:
    """Labels and probabilities of test clips.

    Attributes:
        labels: bool or 0/1 [clips, tags].
        probabilities: [clips, tags].
        thresholds: From which probability on a tag is suggested, [tags].
        tags: Their names.
        clips: What is known of each clip.
    """

    labels: Labels
    probabilities: Scores
    thresholds: NDArray[np.floating]
    tags: tuple[str, ...]
    clips: Sequence[ScoredClip]

    @property
    def suggested(self) -> NDArray[np.bool_]:
        """Return which tags are suggested, [clips, tags]."""
        reached: NDArray[np.bool_] = self.probabilities >= self.thresholds
        return reached

    @property
    def recordings(self) -> NDArray[np.str_]:
        """Return the recording of each clip, [clips]."""
        return np.array([clip.recording for clip in self.clips])


def tag_details(
    scored: ScoredTags, rounds: int | None = None, seed: int = 0
) -> dict[str, TagDetail]:
    """Return what each tag that a clip has opens to.

    Args:
        scored: The test clips.
        rounds: Of resampling recordings; by default 1,000, of large data 100.
        seed: Of the random numbers.
    """
    times = drawn_times(scored.recordings, rounds or _default_rounds(scored.labels), seed)
    used = np.flatnonzero(scored.labels.any(axis=0)).tolist()
    examples = max(1, min(MAX_ERRORS_OF_TAG, MAX_ERRORS // max(1, 2 * len(used))))
    return {scored.tags[column]: _detail(scored, column, times, examples) for column in used}


def overall_intervals(scored: ScoredTags, rounds: int | None = None, seed: int = 0) -> Intervals:
    """Return 95 % intervals of the scores of `metrics.overall`, resampled by recording.

    Args:
        scored: The test clips.
        rounds: Of resampling recordings; by default 1,000, of large data 100.
        seed: Of the random numbers.
    """
    labels, scores = scored.labels.astype(bool), scored.probabilities
    times = drawn_times(scored.recordings, rounds or _default_rounds(labels), seed)
    by_tag = [
        weighted_auc(labels[:, column], scores[:, column], times)
        for column in np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0))
    ]
    micro = _micro_auc(labels, scores, times)
    values = {"pr_auc_micro": micro[0], "roc_auc_micro": micro[1]}
    if by_tag:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a round may define no tag
            macro = np.nanmean(np.array(by_tag), axis=0)
        values |= {"pr_auc_macro": macro[0], "roc_auc_macro": macro[1]}
    values |= _means(_clip_scores(labels, scores), times)
    return {name: _spread(rounds_values) for name, rounds_values in values.items()}


def drawn_times(recordings: NDArray[np.generic], rounds: int, seed: int = 0) -> NDArray[np.float32]:
    """Return how often each clip is drawn when whole recordings are, [rounds, clips]."""
    _, group = np.unique(recordings, return_inverse=True)
    count = int(group.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), rounds)
    return np.asarray(drawn[:, group], np.float32)


def tag_intervals(
    truth: NDArray[np.bool_],
    scores: Scores,
    threshold: float,
    times: NDArray[np.float32],
    recordings: NDArray[np.generic],
) -> Intervals:
    """Return 95 % intervals of a tag's scores, resampled by recording.

    A share that every round gives alike gets Wilson's interval over the recordings instead: ten of
    ten recordings are no proof that all are right. PR-AUC and ROC-AUC then have none.

    Args:
        truth: Which clips have the tag, [clips].
        scores: [clips].
        threshold: From which score on it is suggested.
        times: How often each clip is drawn, [rounds, clips].
        recordings: Of each clip, [clips].
    """
    suggested = np.asarray(scores >= threshold, bool)
    true_positives = truth & suggested
    intervals: Intervals = dict.fromkeys(("pr_auc", "roc_auc", "precision", "recall"))
    if len(set(recordings[truth].tolist())) < MIN_RECORDINGS or truth.all():
        return intervals
    average_precision, roc_auc = weighted_auc(truth, scores, times)
    intervals["pr_auc"] = _spread(average_precision)
    intervals["roc_auc"] = _spread(roc_auc)
    for name, whole in (("precision", suggested), ("recall", truth)):
        intervals[name] = _share_interval(true_positives, whole, times, recordings)
    return intervals


def weighted_auc(
    truth: NDArray[np.bool_], scores: Scores, times: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return average precision and ROC-AUC of clips counted `times`, each [rounds].

    Equal scores count together. NaN where a round has no clip of one kind.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    ordered = times[:, order].astype(np.float64)
    positives = ordered.cumsum(axis=1)[:, ends]
    true_positives = (ordered * truth[order]).cumsum(axis=1)[:, ends]
    false_positives = positives - true_positives
    gained = np.diff(true_positives, axis=1, prepend=0.0)
    lost = np.diff(false_positives, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precisions = (gained * true_positives / np.maximum(positives, 1)).sum(axis=1)
        average_precision = precisions / true_positives[:, -1]
        pairs = (lost * (true_positives - gained / 2)).sum(axis=1)
        roc_auc = pairs / (true_positives[:, -1] * false_positives[:, -1])
    return average_precision, roc_auc


def threshold_choices(
    scored: ScoredTags, precisions: Sequence[float] = PRECISIONS
) -> list[PrecisionChoice]:
    """Return what is suggested at the model's thresholds, and at those for each precision.

    They are read off the same clips that they are counted on, so they are a little too good.
    """
    columns = [
        column for column in range(len(scored.tags)) if scored.labels[:, column].astype(bool).any()
    ]
    own: dict[int, float | None] = {column: float(scored.thresholds[column]) for column in columns}
    choices = [_choice(scored, None, own)]
    for precision in precisions:
        reached = {
            column: threshold_for(
                scored.probabilities[:, column], scored.labels[:, column].astype(bool), precision
            )
            for column in columns
        }
        choices.append(_choice(scored, precision, reached))
    return choices


def threshold_for(
    probabilities: Scores, truth: NDArray[np.bool_], precision: float
) -> float | None:
    """Return the lowest probability from which on a precision is reached.

    Args:
        probabilities: Of the clips, [clips].
        truth: Which of them have the tag.
        precision: To reach, with `MIN_TRUE_POSITIVES` at least.

    Returns:
        One of `probabilities`; None where no threshold will do.
    """
    order = np.argsort(-probabilities, kind="stable")
    true_positives = np.cumsum(truth[order])
    is_precise = true_positives / np.arange(1, len(order) + 1) >= precision
    is_last_of_value = np.append(np.diff(probabilities[order]) != 0, True)
    enough = true_positives >= MIN_TRUE_POSITIVES
    reached = np.flatnonzero(is_precise & enough & is_last_of_value)
    return float(probabilities[order[reached[-1]]]) if len(reached) else None


def _default_rounds(labels: Labels) -> int:
    return ROUNDS_IF_LARGE if labels.size > MAX_DECISIONS else ROUNDS


def _micro_auc(
    labels: NDArray[np.bool_], scores: Scores, times: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return average precision and ROC-AUC of all decisions, [rounds] each."""
    truth, values = labels.ravel(), scores.ravel()
    at_once = max(1, MAX_DECISIONS // max(1, len(truth)))
    parts = [
        weighted_auc(truth, values, np.repeat(part, labels.shape[1], axis=1))
        for part in np.array_split(times, -(-len(times) // at_once))
    ]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _clip_scores(labels: NDArray[np.bool_], scores: Scores) -> dict[str, NDArray[np.float64]]:
    """Return what the scores are means of over clips, [clips] each; NaN of a clip without tags."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    true_tags = np.take_along_axis(labels, best, axis=1)
    tagged = labels.any(axis=1)
    with np.errstate(invalid="ignore"):
        recall = true_tags.sum(axis=1) / labels.sum(axis=1)
    return {
        "exact_match_accuracy": ((scores >= 0.5) == labels).all(axis=1).astype(np.float64),
        "precision_at_5": np.where(tagged, true_tags.mean(axis=1), np.nan),
        "recall_at_5": recall,
    }


def _means(
    values: dict[str, NDArray[np.float64]], times: NDArray[np.float32]
) -> dict[str, NDArray[np.float64]]:
    """Return the mean of each of `values` over the clips that have one, [rounds] each."""
    means = {}
    for name, of_clips in values.items():
        known = np.isfinite(of_clips)
        with np.errstate(invalid="ignore"):
            means[name] = (times[:, known] @ of_clips[known]) / times[:, known].sum(axis=1)
    return means


def _detail(
    scored: ScoredTags, column: int, times: NDArray[np.float32], examples: int
) -> TagDetail:
    truth = scored.labels[:, column].astype(bool)
    probabilities = scored.probabilities[:, column]
    suggested = scored.suggested[:, column]
    threshold = float(scored.thresholds[column])
    missed, wrong = truth & ~suggested, suggested & ~truth
    others = scored.suggested & ~scored.labels.astype(bool)
    return {
        "intervals": tag_intervals(truth, probabilities, threshold, times, scored.recordings),
        "curves": curves(truth, probabilities, CURVE_POINTS),
        "reliability": reliability(truth, probabilities, RELIABILITY_BINS),
        "suggested": int(suggested.sum()),
        "true_positives": int((truth & suggested).sum()),
        "missed_for": _most_frequent(others[missed], scored.tags, column),
        "wrong_for": _most_frequent(scored.labels[wrong].astype(bool), scored.tags, column),
        "false_positives": _examples(scored, np.flatnonzero(wrong), -probabilities, examples),
        "false_negatives": _examples(scored, np.flatnonzero(missed), probabilities, examples),
    }


def _share_interval(
    part: NDArray[np.bool_],
    whole: NDArray[np.bool_],
    times: NDArray[np.float32],
    recordings: NDArray[np.generic],
) -> list[float] | None:
    """Return the interval of the share of clips in `whole` that are in `part`, [clips] each."""
    if not whole.any():
        return None
    with np.errstate(invalid="ignore"):
        resampled = (times @ part.astype(np.float32)) / (times @ whole.astype(np.float32))
    spread = _spread(resampled.astype(np.float64))
    if spread is not None:
        return spread
    low, high = wilson(float(part.sum() / whole.sum()), len(set(recordings[whole].tolist())))
    return [round(low, 4), round(high, 4)]


def _spread(values: NDArray[np.float64]) -> list[float] | None:
    """Return the middle 95 % of values that are not NaN; None where they are all the same."""
    known = values[np.isfinite(values)]
    if not len(known) or np.ptp(known) < 1e-9:
        return None
    return [round(float(value), 4) for value in np.percentile(known, [2.5, 97.5])]


def _most_frequent(has: NDArray[np.bool_], tags: tuple[str, ...], column: int) -> dict[str, int]:
    """Return the tags that most of some clips have, with their numbers, without the tag itself."""
    counts = has.sum(axis=0)
    counts[column] = 0
    order = np.argsort(-counts, kind="stable")[:MAX_CONFUSIONS]
    return {tags[index]: int(counts[index]) for index in order if counts[index]}


def _examples(
    scored: ScoredTags, rows: NDArray[np.int64], order: Scores, count: int
) -> list[ErrorExample]:
    """Return some of the clips, one of each recording, the lowest of `order` first."""
    examples: dict[str, ErrorExample] = {}
    for row in rows[np.argsort(order[rows], kind="stable")].tolist():
        clip = scored.clips[row]
        if clip.recording in examples:
            continue
        if len(examples) == count:
            break
        examples[clip.recording] = {
            "recording": clip.recording,
            "file": clip.file,
            "start_s": clip.start_s,
            "probability": round(abs(float(order[row])), 4),
            "tags": sorted(clip.tags),
        }
    return list(examples.values())


def _choice(
    scored: ScoredTags, precision: float | None, thresholds: dict[int, float | None]
) -> PrecisionChoice:
    """Return what is suggested at these thresholds of columns."""
    per_tag = {
        scored.tags[column]: _counted(
            threshold, scored.probabilities[:, column], scored.labels[:, column].astype(bool)
        )
        for column, threshold in thresholds.items()
    }
    rows = per_tag.values()
    positives = int(scored.labels[:, list(thresholds)].sum())
    suggested = sum(row["suggested"] for row in rows)
    true_positives = sum(row["true_positives"] for row in rows)
    return {
        "precision": precision,
        "overall": _threshold_choice(None, suggested, true_positives, positives),
        "tags": sum(row["threshold"] is not None for row in rows),
        "per_tag": per_tag,
    }


def _counted(
    threshold: float | None, probabilities: Scores, truth: NDArray[np.bool_]
) -> ThresholdChoice:
    reached = probabilities >= (np.inf if threshold is None else threshold)
    true_positives = int((reached & truth).sum())
    return _threshold_choice(threshold, int(reached.sum()), true_positives, int(truth.sum()))


def _threshold_choice(
    threshold: float | None, suggested: int, true_positives: int, positives: int
) -> ThresholdChoice:
    return {
        "threshold": None if threshold is None else round(threshold, 6),
        "precision": round(true_positives / suggested, 4) if suggested else None,
        "recall": round(true_positives / positives, 4) if positives else None,
        "suggested": suggested,
        "true_positives": true_positives,
    }
