"""How good the fine-tuning is apart from one bundle: unknown sounds, folds, seeds, and licenses.

Each table is trained for by itself and written as CSV for the model card. A table that is there
already is left, so that a study that was interrupted goes on.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from core.model import metrics
from core.model.efficientat import AudioSetNetwork, Features
from training.datasets.clips import Clip
from training.fine_tuning.head import Whole, head_logits, train_head, whole_clips
from training.fine_tuning.material import FineTuningData, Source, load_data
from training.fine_tuning.tagger import Tagger, train_network, train_tagger
from training.fine_tuning.unknown_sounds import UnknownSounds, leave_sources_out
from training.pretrained import load_pretrained
from training.tables import write_table

logger = logging.getLogger(__name__)

FOLDS = 5
ESC10 = "esc10"
"""Name of the data set in clips.csv."""
FURTHER_SEEDS = (2, 3)
TEST = 2
Row = tuple[str, ...]


def study(source: Source, out: Path) -> list[Path]:
    """Write all tables.

    Args:
        source: Data and settings of the fine-tuning.
        out: Folder of the tables.

    Returns:
        The files that were written now.

    Raises:
        DatasetError: A folder cannot be used.
        PretrainedError: There are no published weights.
        CheckpointError: `source.run` holds something else.
    """
    material, published = load_data(source), load_pretrained(source.weights)
    tables: dict[str, Callable[[], Iterator[Row]]] = {
        "license_variants.csv": partial(_license_variants, source, material, published),
        "open_world.csv": partial(_unknown_sounds, source, material, published),
        "esc10_folds.csv": partial(_esc10, material, published, source.seed),
        "five_folds.csv": partial(_folds, source, material, published),
        "seeds.csv": partial(_seeds, source, material, published),
    }
    written = []
    for name, rows in tables.items():
        path = out / name
        if not path.exists():
            write_table(path, list(rows()))
            logger.info("table written path=%s", path)
            written.append(path)
    return written


def _unknown_sounds(
    source: Source, material: FineTuningData, published: AudioSetNetwork
) -> Iterator[Row]:
    """Yield the counts of each part of the other sounds, and of all."""
    yield "part", "sounds", "wrong own tag", "wrong tag", "no suggestion"
    parts = leave_sources_out(material, published, source.run, source.seed)
    for number, counts in enumerate(parts, start=1):
        yield str(number), *counts.cells
    yield "all", *sum(parts, UnknownSounds()).cells


def _license_variants(
    source: Source, material: FineTuningData, published: AudioSetNetwork
) -> Iterator[Row]:
    """Yield the scores with and without clips under non-commercial licenses."""
    yield "trained on", "clips", "own tags", "PR-AUC macro", "micro", "recall", "wrong suggestions"
    free = load_data(replace(source, commercial=True))
    for name, data in (("all clips", material), ("without non-commercial clips", free)):
        run = source.run if data is material else source.run / "commercial"
        tagger = train_tagger(data, published, run, source.seed)
        counts = (str(len(data.train)), str(len(data.space.own)))
        yield name, *counts, *_scores(tagger, material)


def _scores(tagger: Tagger, material: FineTuningData) -> Row:
    """Return PR-AUC, recall and wrong suggestions on test for the tags that clips have.

    A tag that the tagger does not know has the probability 0.
    """
    sounds = material.sounds.rows(material.rows(TEST))
    logits = tagger.logits(sounds.frames)
    columns = [
        tagger.space.tags.index(tag) for tag in material.space.own if tag in tagger.space.tags
    ]
    known = [tag in tagger.space.tags for tag in material.space.own]
    labels = sounds.targets
    probabilities, suggested = np.zeros(labels.shape, np.float32), np.zeros(labels.shape, bool)
    probabilities[:, known] = tagger.calibration.probabilities(logits)[:, columns]
    suggested[:, known] = tagger.suggests(logits)[:, columns]
    true_positives = float((suggested * labels).sum())
    recall, precision = true_positives / labels.sum(), true_positives / max(1, suggested.sum())
    return *_pr_auc(labels, probabilities), f"{recall:.3f}", f"{1 - precision:.1%}"


def _folds(source: Source, material: FineTuningData, published: AudioSetNetwork) -> Iterator[Row]:
    """Yield the scores of each fold by recording, trained on the others, and their mean."""
    yield "fold", "clips", "PR-AUC macro", "micro"
    fold_of = folds_by_recording(material.clips, FOLDS, source.seed)
    scores = []
    for fold in range(FOLDS):
        data = material.split_as(np.where(fold_of == fold, TEST, 0), source.seed)
        row = _ranking(data, published, source.run / f"fold-{fold + 1}", source.seed)
        scores.append([float(value) for value in row])
        yield str(fold + 1), str(len(data.rows(TEST))), *row
    mean, error = np.mean(scores, axis=0), np.std(scores, axis=0, ddof=1) / FOLDS**0.5
    # 2.78: Student's t for 95 % and four degrees of freedom
    intervals = (f"{m:.3f} ± {2.78 * e:.3f}" for m, e in zip(mean, error, strict=True))
    yield "mean, 95 %", str(len(fold_of)), *intervals


def folds_by_recording(clips: Sequence[Clip], count: int, seed: int) -> NDArray[np.int64]:
    """Divide clips into folds that share no recording and have about the same tags.

    Args:
        clips: To divide.
        count: Of folds.
        seed: Of the order.

    Returns:
        Each clip's fold, int [clips].
    """
    recordings = [clip.recording for clip in clips]
    tags = [" ".join(sorted(clip.tags)) for clip in clips]
    folds = np.zeros(len(clips), np.int64)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    for number, (_, rows) in enumerate(splitter.split(clips, tags, recordings)):
        folds[rows] = number
    return folds


def _esc10(material: FineTuningData, published: AudioSetNetwork, seed: int) -> Iterator[Row]:
    """Yield the accuracy on each fold of ESC-10 of heads on the published network's features.

    The network itself is not trained further: it would have seen the clips of the test fold.
    """
    yield "fold", "clips", "accuracy"
    rows = np.array([row for row, clip in enumerate(material.clips) if clip.source == ESC10])
    folds = np.array([material.clips[row].fold for row in rows])
    classes = np.unique([material.clips[row].category for row in rows], return_inverse=True)[1]
    copies = [whole_clips(published, frames) for frames in material.sounds.rows(rows).copies]
    correct = predicted_by_fold(copies, classes, folds, seed) == classes
    for fold in np.unique(folds):
        is_fold = folds == fold
        yield str(fold), str(is_fold.sum()), f"{correct[is_fold].mean():.1%}"
    yield "all", str(len(rows)), f"{correct.mean():.1%}"


def predicted_by_fold(
    copies: Sequence[Whole], classes: NDArray[np.int64], folds: NDArray[np.str_], seed: int
) -> NDArray[np.int64]:
    """Return the class that a head gives each clip after training on the other folds, int [clips].

    Args:
        copies: Features of the clips, and of each of their copies.
        classes: Of each clip, from 0.
        folds: Of each clip.
        seed: Of the training.
    """
    predicted = np.zeros(len(classes), np.int64)
    one_hot = np.eye(classes.max() + 1, dtype=np.float32)[classes]
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        parts = [features.rows(train) for features in copies]
        features = Features(*(torch.cat(values) for values in zip(*parts, strict=True)))
        targets = np.tile(one_hot[train], (len(parts), 1))
        head = train_head(features, targets, np.ones(len(targets), np.float32), seed)
        predicted[test] = head_logits(head, copies[0].rows(test)).argmax(axis=1)
    return predicted


def _seeds(source: Source, material: FineTuningData, published: AudioSetNetwork) -> Iterator[Row]:
    """Yield the scores by random seed."""
    yield "seed", "PR-AUC macro", "micro"
    for seed in (source.seed, *FURTHER_SEEDS):
        run = source.run if seed == source.seed else source.run / f"seed-{seed}"
        yield str(seed), *_ranking(material, published, run, seed)


def _ranking(
    material: FineTuningData, published: AudioSetNetwork, run: Path, seed: int
) -> tuple[str, str]:
    """Train without calibrating; return macro and micro PR-AUC on test."""
    body, head, _ = train_network(material, published, run, seed)
    sounds = material.sounds.rows(material.rows(TEST))
    features = whole_clips(body, sounds.frames)
    logits = head_logits(head, features.rows(np.arange(len(sounds.targets))))
    return _pr_auc(sounds.targets, 1 / (1 + np.exp(-logits)))


def _pr_auc(labels: metrics.Labels, probabilities: metrics.Scores) -> tuple[str, str]:
    scores = metrics.overall(labels, probabilities)
    return f"{scores['pr_auc_macro']:.3f}", f"{scores['pr_auc_micro']:.3f}"
