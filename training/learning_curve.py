"""What more recordings would bring: heads that learned from part of them, scored on test.

Only the head is trained, on features of the published network, whose layers stay as they are: that
takes minutes. The last point is therefore below the score of the whole fine-tuning; what counts is
whether the curve still rises.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from core.model.bundle import Bundle
from core.model.efficientat import Features
from core.model.metrics import overall
from core.model.metrics_types import LearningPoint
from training.datasets.clips import Clip, multi_hot, read_clips, read_split
from training.datasets.types import Labels
from training.evaluate import scored_tags
from training.fine_tuning.data import few_of_each_recording, load_frames
from training.fine_tuning.head import (
    OTHER_SOUNDS_WEIGHT,
    Whole,
    head_logits,
    train_head,
    whole_clips,
)
from training.pretrained import load_pretrained

FRACTIONS = (0.125, 0.25, 0.5, 1.0)
SEEDS = (1, 2, 3)


def learning_curve(
    bundle: Bundle, data: Path, others: Path, split: Path, weights: Path, run: Path
) -> list[LearningPoint]:
    """Score heads for a bundle's own tags by the number of recordings that they learned from.

    Args:
        bundle: Says which tags.
        data: Clip folder.
        others: Other sounds, all of which every head learns from.
        split: Names the training and the test recordings.
        weights: Published weights, converted.
        run: Where log-mels are kept.

    Raises:
        DatasetError: A folder or the split cannot be used.
        PretrainedError: There are no published weights.
        AudioError: A clip cannot be decoded.
    """
    network, own = load_pretrained(weights), scored_tags(bundle)
    clips, other_clips = read_clips(data), read_clips(others)
    subset_of = read_split(split, clips)
    names = np.array([clip.recording for clip in clips])
    random = np.random.default_rng(SEEDS[0])
    train = few_of_each_recording(np.flatnonzero(subset_of == 0), names, random)
    test = np.flatnonzero(subset_of == 2)
    used = [clips[row] for row in (*train, *test)]

    def features(part: list[Clip]) -> Whole:
        return whole_clips(network, load_frames(part, run))

    return learning_points(
        features(used),
        multi_hot(used, own),
        np.array([clip.recording for clip in used]),
        len(train),
        features(other_clips),
        multi_hot(other_clips, own),
    )


def learning_points(
    known: Whole,
    labels: Labels,
    recordings: NDArray[np.str_],
    train: int,
    others: Whole,
    other_labels: Labels,
) -> list[LearningPoint]:
    """Score heads by the number of recordings that they learned from.

    Args:
        known: Features of the training clips, and after them of the test clips.
        labels: Their tags, float32 [clips, own].
        recordings: Of each clip, [clips].
        train: Number of training clips.
        others: Features of other sounds.
        other_labels: Their tags, float32 [sounds, own].
    """
    test = np.arange(train, len(labels))
    names = np.unique(recordings[:train])
    points: list[LearningPoint] = []
    for fraction in FRACTIONS:
        count = max(1, round(fraction * len(names)))
        scores = []
        for seed in SEEDS:
            drawn = np.random.default_rng(seed).permutation(names)[:count]
            rows = np.flatnonzero(np.isin(recordings[:train], drawn))
            features = _joined(known.rows(rows), others)
            targets = np.concatenate([labels[rows], other_labels])
            weights = np.ones(len(targets), np.float32)
            weights[len(rows) :] = OTHER_SOUNDS_WEIGHT
            head = train_head(features, targets, weights, seed)
            score = overall(labels[test], head_logits(head, known.rows(test)))["pr_auc_macro"]
            scores.append(score or 0.0)
        points.append(
            {
                "recordings": count,
                "pr_auc_macro": round(float(np.mean(scores)), 4),
                "low": round(min(scores), 4),
                "high": round(max(scores), 4),
            }
        )
    return points


def _joined(clips: Features, others: Whole) -> Features:
    """Return the features of clips and of all other sounds."""
    return Features(*(torch.cat(pair) for pair in zip(clips, others, strict=True)))
