"""Heads that learned from part of the recordings, scored on the same test clips."""

import numpy as np
import torch

from training.fine_tuning.head import Whole
from training.learning_curve import FRACTIONS, learning_points


def features(labels: np.ndarray, recordings: np.ndarray, random: np.random.Generator) -> Whole:
    """Features that tell the tags, below what is peculiar to each recording."""
    offsets = {name: random.normal(0, 1.2, 12) for name in np.unique(recordings)}
    told = np.pad(2.0 * labels, ((0, 0), (0, 12 - labels.shape[1])))
    noisy = told + np.stack([offsets[name] for name in recordings]) + random.normal(0, 0.3, (1, 12))
    values = torch.from_numpy(noisy.astype(np.float32))
    return Whole(values, values, values)


def test_more_recordings_bring_more_on_the_same_test_clips():
    random = np.random.default_rng(0)
    names = np.repeat([f"r{number:03d}" for number in range(160)], 2)
    labels = np.repeat(random.random((160, 3)) < 0.3, 2, axis=0).astype(np.float32)
    none = np.zeros((4, 3), np.float32)
    others = features(none, np.array(["a", "b", "c", "d"]), random)
    points = learning_points(features(labels, names, random), labels, names, 200, others, none)
    assert [point["recordings"] for point in points] == [round(each * 100) for each in FRACTIONS]
    assert all(point["low"] <= point["pr_auc_macro"] <= point["high"] for point in points)
    assert points[-1]["pr_auc_macro"] > points[0]["pr_auc_macro"] + 0.02
