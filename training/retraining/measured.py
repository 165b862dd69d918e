"""A challenger's answers beside the champion's, on everything that tells them apart."""

import numpy as np
from numpy.typing import NDArray

from core.model.bundle import Calibration
from core.model.networks import EfficientAT
from core.model.related_tags import rank
from training.datasets.corrections import Correction, correction_labels
from training.fine_tuning.tagger import MAX_TAGS
from training.retraining.challenger import (
    Challenger,
    Champion,
    LoadedData,
    calibration_of,
    network_of,
)
from training.retraining.comparison import (
    Answers,
    Difference,
    PartComparison,
    Truth,
    compare,
    compare_shares,
)
from training.retraining.features import Windows
from training.retraining.head import all_logits

Suggested = NDArray[np.bool_]


def on_test(champion: Champion, challenger: Challenger, data: LoadedData) -> PartComparison:
    """Compare on the recordings that neither has learned from."""
    test = data.base.rows(2)
    recordings = np.array([data.base.clips[row].recording for row in test])
    targets, windows = data.targets[test], data.clips[0].rows(test)
    truth = Truth(targets, np.ones(targets.shape, np.bool_), recordings)
    return compare(truth, *_both(champion, challenger, windows))


def on_held_back(
    champion: Champion, challenger: Challenger, data: LoadedData
) -> PartComparison | None:
    """Compare on the corrections that are held back; None where there are none."""
    if data.held_back is None:
        return None
    held_back = data.corrections.held_back
    labels, known = correction_labels(held_back, champion.own)
    truth = Truth(labels, known, np.array([item.recording for item in held_back]))
    return compare(truth, *_both(champion, challenger, data.held_back))


def on_others(
    champion: Champion, challenger: Challenger, data: LoadedData
) -> dict[str, Difference]:
    """Compare the shares of other sounds with a suggestion that their labels lack."""
    if not data.others:
        return {}
    wrong = [
        np.any((answers.probabilities >= answers.thresholds) & (data.other_targets < 0.5), axis=1)
        for answers in _both(champion, challenger, data.others[0])
    ]
    recordings = np.array([clip.recording for clip in data.base.others])
    return {"wrong_suggestion": compare_shares(wrong[0], wrong[1], recordings)}


def suggestion_changes(
    champion: Champion, challenger: Challenger, data: LoadedData
) -> dict[str, float]:
    """Return what is expected to change in suggestions, measured on test clips."""
    windows = data.clips[0].rows(data.base.rows(2))
    before = _suggested(champion, champion.network, champion.bundle.calibration, windows)
    calibration = calibration_of(champion, challenger)
    after = _suggested(champion, network_of(champion, challenger), calibration, windows)
    return {
        "clips": len(before),
        "changed": round(float((before != after).any(axis=1).mean()), 4),
        "champion": round(float(before.sum(axis=1).mean()), 3),
        "challenger": round(float(after.sum(axis=1).mean()), 3),
    }


def by_actor(
    champion: Champion, challenger: Challenger, data: LoadedData
) -> dict[str, dict[str, dict[str, int]]]:
    """Return for each person how many of their decisions either model agrees with.

    Returns:
        By person, `trained` and `held_back`: numbers of `decisions`, and of those that the
        `champion` and the `challenger` would suggest as the person decided.
    """
    parts = (
        ("trained", data.corrections.trained, data.corrected[0] if data.corrected else None),
        ("held_back", data.corrections.held_back, data.held_back),
    )
    people: dict[str, dict[str, dict[str, int]]] = {}
    for name, corrections, windows in parts:
        if windows is not None:
            both = _both(champion, challenger, windows)
            for actor, counts in agreements(corrections, champion.own, *both).items():
                people.setdefault(actor, {})[name] = counts
    return people


def agreements(
    corrections: list[Correction], tags: tuple[str, ...], before: Answers, after: Answers
) -> dict[str, dict[str, int]]:
    """Return by person how many decisions there are, and how many either model agrees with."""
    labels, known = correction_labels(corrections, tags)
    agrees = [(each.probabilities >= each.thresholds) == (labels > 0.5) for each in (before, after)]
    people: dict[str, dict[str, int]] = {}
    for row, column in zip(*np.nonzero(known), strict=True):
        actor = corrections[row].actors.get(tags[column], "")
        counts = people.setdefault(actor, {"decisions": 0, "champion": 0, "challenger": 0})
        counts["decisions"] += 1
        counts["champion"] += int(agrees[0][row, column])
        counts["challenger"] += int(agrees[1][row, column])
    return people


def _both(champion: Champion, challenger: Challenger, windows: Windows) -> tuple[Answers, Answers]:
    pooling = champion.bundle.pooling
    before = Challenger.unchanged(champion).answers(windows, pooling)
    return before, challenger.answers(windows, pooling)


def _suggested(
    champion: Champion, network: EfficientAT, calibration: Calibration, windows: Windows
) -> Suggested:
    """Return which tags the product suggests of short clips, [clips, tags]."""
    logits = all_logits(network, windows, champion.bundle.pooling)
    probabilities = calibration.probabilities(logits)
    suggested = np.zeros(probabilities.shape, np.bool_)
    for row, values in zip(suggested, probabilities, strict=True):
        ranking = rank(champion.bundle.vocabulary, values, calibration.threshold, MAX_TAGS)
        row[ranking.suggested] = True
    return suggested
