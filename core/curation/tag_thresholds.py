"""Thresholds of tags learned from verdicts: how sure people make us of a score.

For each tag, a logistic curve is fitted to the verdicts on its suggestions by score: the share of
right ones at a score. Where the curve reaches a precision is a threshold. Curators' verdicts on the
model version's own suggestions count, and no others.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.curation.errors import CurationError
from core.curation.feedback import Feedback, open_feedback
from core.events.feedback_facts import SCORE_BINS
from core.events.types import ModelRef, ThresholdsSet, ThresholdsSetEvent, new_event
from core.proportions import Z_95, Interval, Proportion
from core.storage.active_model import AUTOMATIC
from core.storage.tag_thresholds import changes_of, thresholds_after
from core.storage.workspace import Workspace

logger = logging.getLogger(__name__)

PRECISIONS = (0.85, 0.9, 0.95, 0.99)
MIN_MOVE = 0.02
"""By less, no threshold is changed without a person."""
_RIDGE = 1.0
"""Weight of the slope's square in the loss, as scikit-learn's logistic regression has it: without
it the curve of scores that part perfectly would be a step without end."""
_MAX_STEPS, _TOLERANCE = 100, 1e-10
_MAX_LOSS_STEPS = 40

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Verdicts on a tag's suggestions by score.

    Attributes:
        scores: Probabilities, float64 [bins], increasing.
        positives: Verdicts that the suggestion is right, [bins].
        negatives: That it is wrong, [bins].
    """

    scores: Values
    positives: Values
    negatives: Values

    @property
    def n(self) -> int:
        """Return the number of verdicts."""
        return int(self.positives.sum() + self.negatives.sum())

    def from_score(self, score: float) -> Proportion:
        """Return the share of right ones among the suggestions from a score on."""
        reached = self.scores >= score
        positives, negatives = self.positives[reached].sum(), self.negatives[reached].sum()
        return Proportion(int(positives), int(positives + negatives))


@dataclass(frozen=True)
class Curve:
    """The share of right suggestions by score: sigmoid(intercept + slope * logit(score)).

    Attributes:
        intercept: Of the curve.
        slope: Of the curve; more than 0 where higher scores are more often right.
        covariance: Of both, float64 [2, 2].
    """

    intercept: float
    slope: float
    covariance: Values

    def at(self, score: float) -> float:
        """Return the share of right suggestions at a score."""
        return _sigmoid(self.intercept + self.slope * _logit(score))


@dataclass(frozen=True)
class PrecisionPoint:
    """The score from which on a suggestion is right with a probability.

    Attributes:
        precision: The probability.
        threshold: The score.
        interval: 95 % interval of the score.
        observed: Right ones among the judged suggestions from that score on.
    """

    precision: float
    threshold: float
    interval: Interval
    observed: Proportion


@dataclass(frozen=True)
class LearnedTag:
    """A tag's verdicts, and the thresholds that follow from them.

    Attributes:
        tag: The tag.
        n: Verdicts.
        positives: Of these, that say that the suggestion is right.
        points: By precision; none where the verdicts decide nothing, see `reason`.
        reason: Why there are no points, as a sentence; empty where there are some.
    """

    tag: str
    n: int
    positives: int
    points: Mapping[float, PrecisionPoint]
    reason: str = ""


def learn(feedback: Feedback, model: ModelRef, min_verdicts: int) -> list[LearnedTag]:
    """Return what curators' verdicts say about the thresholds of a model version, by tag.

    Args:
        feedback: Of the workspace.
        model: The version.
        min_verdicts: Fewer on a tag decide nothing.
    """
    scores = feedback.scores(str(model))
    return [learn_tag(tag, judged(scores[tag]), min_verdicts) for tag in sorted(scores)]


def judged(numbers: Mapping[str, int]) -> Judged:
    """Return verdicts by score from kept numbers, whose keys are such as `180 right`."""
    bins = sorted({int(key.partition(" ")[0]) for key in numbers})
    return Judged(
        (np.array(bins, np.float64) + 0.5) / SCORE_BINS,
        np.array([numbers.get(f"{each:03d} right", 0) for each in bins], np.float64),
        np.array([numbers.get(f"{each:03d} wrong", 0) for each in bins], np.float64),
    )


def learn_tag(tag: str, verdicts: Judged, min_verdicts: int) -> LearnedTag:
    """Return what verdicts say about one tag's threshold."""
    n, positives = verdicts.n, int(verdicts.positives.sum())
    if n < min_verdicts:
        return LearnedTag(tag, n, positives, {}, f"Too few verdicts: {n} of {min_verdicts}.")
    if positives in (0, n):
        return LearnedTag(
            tag, n, positives, {}, f"All {n} are {'right' if positives else 'wrong'}."
        )
    curve = fit(verdicts)
    if curve is None or curve.slope <= Z_95 * math.sqrt(curve.covariance[1, 1]):
        return LearnedTag(tag, n, positives, {}, "A higher score is not more often right.")
    points = {precision: _point(verdicts, curve, precision) for precision in PRECISIONS}
    reached = {precision: point for precision, point in points.items() if point is not None}
    reason = "" if reached else "No score that was judged is right often enough."
    return LearnedTag(tag, n, positives, reached, reason)


def fit(verdicts: Judged, ridge: float = _RIDGE) -> Curve | None:
    """Fit a logistic curve by Newton's method; None where it does not converge.

    Args:
        verdicts: By score.
        ridge: Weight of half the slope's square, added to the loss.
    """
    x = np.column_stack([np.ones(len(verdicts.scores)), _logits(verdicts.scores)])
    n, penalty = verdicts.positives + verdicts.negatives, np.array([0.0, ridge])
    weights = np.zeros(2)
    for _ in range(_MAX_STEPS):
        share = 1 / (1 + np.exp(-np.clip(x @ weights, -60, 60)))
        gradient = x.T @ (n * share - verdicts.positives) + penalty * weights
        hessian = (x.T * (n * share * (1 - share))) @ x + np.diag(penalty)
        try:
            step: Values = np.linalg.solve(hessian, gradient).astype(np.float64)
        except np.linalg.LinAlgError:
            return None
        weights, before = _descended(x, n, verdicts.positives, penalty, weights, step), weights
        if np.abs(weights - before).max() < _TOLERANCE:
            covariance: Values = np.linalg.inv(hessian).astype(np.float64)
            return Curve(float(weights[0]), float(weights[1]), covariance)
    return None


def _descended(
    x: Values, n: Values, positives: Values, penalty: Values, weights: Values, step: Values
) -> Values:
    """Return the weights after a step, halved until the loss does not rise."""

    def loss(values: Values) -> float:
        line = x @ values
        return float((n * np.logaddexp(0, line) - positives * line).sum() + penalty @ values**2 / 2)

    start = loss(weights)
    for _ in range(_MAX_LOSS_STEPS):
        if loss(weights - step) <= start:
            return weights - step
        step = step / 2
    return weights


def _point(verdicts: Judged, curve: Curve, precision: float) -> PrecisionPoint | None:
    """Return the score where the curve reaches a precision; None beyond what was judged.

    Where all judged scores reach it, the lowest of them is the threshold: nobody knows about lower
    ones.
    """
    line = (_logit(precision) - curve.intercept) / curve.slope
    gradient = np.array([-1, -line]) / curve.slope
    half = Z_95 * math.sqrt(float(gradient @ curve.covariance @ gradient))
    lowest, highest = float(verdicts.scores[0]), float(verdicts.scores[-1])
    threshold = max(_sigmoid(line), lowest)
    if threshold > highest:
        return None
    interval = _sigmoid(line - half), _sigmoid(line + half)
    return PrecisionPoint(precision, threshold, interval, verdicts.from_score(threshold))


def apply_learned(
    workspace: Workspace,
    model: ModelRef,
    learned: Sequence[LearnedTag],
    precision: float,
    actor: str,
    reason: str = "",
) -> ThresholdsSetEvent | None:
    """Use the thresholds that were learned for a precision from now on.

    Args:
        workspace: Where the change is recorded.
        model: The version.
        learned: As `learn` returned it.
        precision: One of `PRECISIONS`.
        actor: Who decides.
        reason: Why.

    Returns:
        The event; None where no threshold changes.

    Raises:
        StorageError: It cannot be recorded.
    """
    points = {each.tag: each for each in learned if precision in each.points}
    current = thresholds_after(changes_of(workspace, model))
    new: dict[str, float | None] = {}
    for tag, each in points.items():
        threshold = round(each.points[precision].threshold, 4)
        if current.get(tag) != threshold:
            new[tag] = threshold
    if not new:
        return None
    verdicts = {tag: points[tag].n for tag in new}
    return _record(workspace, model, new, actor, reason, precision=precision, verdicts=verdicts)


def apply_automatically(
    workspace: Workspace, model: ModelRef, precision: float, min_verdicts: int
) -> ThresholdsSetEvent | None:
    """Use the learned thresholds of all tags whose threshold no person has decided about.

    What a maintainer applied, reverted or reset stays as it is, and so does a threshold that would
    hardly move.

    Args:
        workspace: Holds the verdicts.
        model: The version.
        precision: One of `PRECISIONS`.
        min_verdicts: Fewer on a tag decide nothing.

    Returns:
        The event; None where nothing changes.

    Raises:
        StorageError: It cannot be recorded.
    """
    changes = changes_of(workspace, model)
    last_actor = {tag: event.actor for event in changes for tag in event.payload.thresholds}
    current = thresholds_after(changes)
    free = [
        each
        for each in learn(open_feedback(workspace), model, min_verdicts)
        if last_actor.get(each.tag, AUTOMATIC) == AUTOMATIC
        and precision in each.points
        and abs(each.points[precision].threshold - current.get(each.tag, -1)) >= MIN_MOVE
    ]
    return apply_learned(workspace, model, free, precision, AUTOMATIC)


def revert(
    workspace: Workspace, model: ModelRef, event_id: str, actor: str
) -> ThresholdsSetEvent | None:
    """Return the tags of a change to the thresholds that they had before it.

    Args:
        workspace: Where the change was recorded.
        model: The version.
        event_id: Of the change.
        actor: Who decides.

    Returns:
        The new event; None where all have these thresholds already.

    Raises:
        CurationError: There is no such change.
        StorageError: It cannot be recorded.
    """
    changes = changes_of(workspace, model)
    ids = [change.event_id for change in changes]
    if event_id not in ids:
        raise CurationError("This change of thresholds is not known here; reload the page.")
    place = ids.index(event_id)
    before, current = thresholds_after(changes[:place]), thresholds_after(changes)
    tags = changes[place].payload.thresholds
    new = {tag: before.get(tag) for tag in tags if before.get(tag) != current.get(tag)}
    return _record(workspace, model, new, actor, "reverted") if new else None


def reset(workspace: Workspace, model: ModelRef, actor: str) -> ThresholdsSetEvent | None:
    """Return all tags to the model's own thresholds; None where they have them already.

    Raises:
        StorageError: It cannot be recorded.
    """
    current = thresholds_after(changes_of(workspace, model))
    new: dict[str, float | None] = dict.fromkeys(current)
    return _record(workspace, model, new, actor, "back to the model's own") if new else None


def _record(
    workspace: Workspace,
    model: ModelRef,
    thresholds: Mapping[str, float | None],
    actor: str,
    reason: str,
    *,
    precision: float = 0.0,
    verdicts: Mapping[str, int] | None = None,
) -> ThresholdsSetEvent:
    """Record a change after all that are known."""
    changes = workspace.events.threshold_changes()
    payload = ThresholdsSet(
        model=model,
        thresholds=dict(thresholds),
        precision=precision,
        verdicts=dict(verdicts or {}),
        reason=reason,
    )
    event = new_event(payload, None, actor, base=changes[-1] if changes else None)
    workspace.events.append([event])
    logger.info("thresholds model=%s tags=%d actor=%s", model, len(thresholds), actor)
    return event


def _logits(values: Values) -> Values:
    logits: Values = np.log(values / (1 - values))
    return logits


def _logit(value: float) -> float:
    return math.log(value / (1 - value))


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, value))))
