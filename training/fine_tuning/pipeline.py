"""From clips, other sounds and published weights to a scored bundle."""

import importlib.metadata
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from core.model.bundle import Bundle, Calibration
from core.model.efficientat import TIME_STRIDE, AudioSetNetwork, Features, TagHead
from core.model.logmel import AUDIOSET
from core.model.metrics import BundleMetrics, Numbers
from core.model.networks import EfficientAT, build
from core.model.saving import save_bundle
from training import evaluate
from training.datasets.clips import (
    MIN_RECORDINGS,
    Clip,
    read_clips,
    read_split,
    split_by_recording,
    vocabulary,
)
from training.datasets.types import SUBSETS, Labels, Subset
from training.errors import DatasetError
from training.fine_tuning import body as tuning
from training.fine_tuning.data import (
    SCALER,
    Sounds,
    TagSpace,
    few_of_each_recording,
    load_sounds,
    split_off,
    tag_space,
)
from training.fine_tuning.head import (
    MIN_FRAMES,
    OTHER_SOUNDS_WEIGHT,
    head_logits,
    label_probabilities,
    train_head,
    whole_clips,
)
from training.fine_tuning.thresholds import calibrate_own, joined, label_thresholds
from training.pipeline import PROTOTYPE_BASELINE
from training.pretrained import NOTICE, load_pretrained

logger = logging.getLogger(__name__)

HELD_BACK = 0.2
"""Share of the other sounds, by recording, that thresholds are chosen on."""
Part = TypeVar("Part", AudioSetNetwork, TagHead)
NOT_SCORED: Numbers = {
    "pr_auc": None,
    "roc_auc": None,
    "precision": None,
    "recall": None,
    "clips": 0,
    "recordings": 0,
}
"""Of a tag that no labelled clip has."""


@dataclass(frozen=True)
class Source:
    """The data and the settings of a fine-tuning.

    Attributes:
        clips: Folder of clips with our tags.
        others: Folder of other sounds; their tags are surely there, others may be.
        weights: Published weights, converted.
        run: Checkpoints and log-mels; the same again goes on.
        split: JSON list of recordings for each subset; without it, the seed decides.
        min_recordings: Rarer tags have no head output.
        seed: Of all random numbers.
        provenance: What the data are, for the bundle.
        license: Condition of use, for the bundle.
    """

    clips: Path
    others: Path
    weights: Path
    run: Path
    split: Path | None = None
    min_recordings: int = MIN_RECORDINGS
    seed: int = 1
    provenance: str = ""
    license: str = ""


@dataclass(frozen=True)
class FineTuningData:
    """The data of a fine-tuning.

    Attributes:
        space: The vocabulary.
        clips: With our tags.
        sounds: The same clips as the network takes them.
        subset_of: 0 train, 1 validation, 2 test, [clips].
        train: Rows of `clips` to train on: few of each recording.
        others: Other sounds.
        other_sounds: The same as the network takes them; targets hold only their own tags.
        taught: Rows of `others` to train on.
        held_back: Rows of `others` to choose thresholds on.
    """

    space: TagSpace
    clips: list[Clip]
    sounds: Sounds
    subset_of: NDArray[np.int64]
    train: NDArray[np.int64]
    others: list[Clip]
    other_sounds: Sounds
    taught: NDArray[np.int64]
    held_back: NDArray[np.int64]

    def rows(self, subset: int) -> NDArray[np.int64]:
        """Return the rows of a subset."""
        return np.flatnonzero(self.subset_of == subset)


def fine_tune(source: Source, name: str, out: Path) -> Bundle:
    """Train the head, then every layer, then the head again; write a scored bundle.

    Args:
        source: What to train on.
        name: Of the model.
        out: Folder of the bundle.

    Raises:
        DatasetError: A folder cannot be used.
        PretrainedError: There are no published weights.
        CheckpointError: `source.run` holds something else.
        BundleError: The bundle cannot be written.
    """
    material = load_data(source)
    published = load_pretrained(source.weights)
    others = with_answers(material.other_sounds, published, material.space)
    head = fit_head(published, material, others, source.seed, with_copies=False)
    run = tuning.FineTuning(published, head, source.run, source.seed)
    run.run(material.sounds.rows(material.train), others.rows(material.taught))
    body = rounded_to_half(run.body)
    head = rounded_to_half(fit_head(body, material, others, source.seed))
    calibration, metrics = evaluate_tagger(body, head, material)
    network = assembled(body, head, material.space)
    return save_bundle(
        out,
        description=_description(name, source, material),
        weights=network.state_dict(),
        scaler=SCALER,
        vocabulary=material.space.tags,
        calibration=calibration,
        metrics=metrics,
    )


def load_data(source: Source) -> FineTuningData:
    """Read and split the clips and the other sounds.

    Raises:
        DatasetError: A folder cannot be used.
        AudioError: A clip cannot be decoded.
    """
    clips, others = read_clips(source.clips), read_clips(source.others)
    if source.split:
        subset_of = read_split(source.split, clips)
    else:
        subset_of = split_by_recording(clips, source.seed)
    in_training = [clip for clip, subset in zip(clips, subset_of, strict=True) if subset == 0]
    own = vocabulary(in_training, source.min_recordings)
    sounds = load_sounds(clips, own, source.run)
    other_sounds = load_sounds(others, own, source.run)
    random = np.random.default_rng(source.seed)
    train = few_of_each_recording(np.flatnonzero(subset_of == 0), sounds.recordings, random)
    taught, held_back = split_off(other_sounds.recordings, HELD_BACK, random)
    if not len(held_back):
        raise DatasetError(f"{source.others} has too few recordings to hold some back.")
    logger.info("fine-tuning clips=%d others=%d tags=%d", len(train), len(taught), len(own))
    space = tag_space(own)
    return FineTuningData(
        space, clips, sounds, subset_of, train, others, other_sounds, taught, held_back
    )


def with_answers(others: Sounds, published: AudioSetNetwork, space: TagSpace) -> Sounds:
    """Return other sounds whose targets are their tags, else what the published network says.

    Nobody knows which tags they lack; that network's own answer is the best guess.
    """
    answers = label_probabilities(whole_clips(published, others.frames).labels, space)
    targets = np.maximum(others.targets, answers[:, space.own_columns]).astype(np.float32)
    return Sounds(others.frames, others.soft, others.clipped, targets, others.recordings)


def fit_head(
    body: AudioSetNetwork,
    material: FineTuningData,
    others: Sounds,
    seed: int,
    with_copies: bool = True,
) -> TagHead:
    """Train a head on features of whole clips, and of their soft and clipped copies."""
    sounds = material.sounds.rows(material.train).followed_by(others.rows(material.taught))
    copies = [sounds.frames, *([sounds.soft, sounds.clipped] if with_copies else [])]
    parts = [whole_clips(body, frames) for frames in copies]
    features = Features(*(torch.cat(values) for values in zip(*parts, strict=True)))
    weights = np.ones(len(sounds.targets), np.float32)
    weights[len(material.train) :] = OTHER_SOUNDS_WEIGHT
    targets = np.tile(sounds.targets, (len(copies), 1))
    return train_head(features, targets, np.tile(weights, len(copies)), seed)


def evaluate_tagger(
    body: AudioSetNetwork, head: TagHead, material: FineTuningData
) -> tuple[Calibration, BundleMetrics]:
    """Calibrate on validation and the sounds held back; score the own tags on test."""
    space, sounds, others = material.space, material.sounds, material.other_sounds
    validation, test = material.rows(1), material.rows(2)
    features = whole_clips(body, sounds.frames)
    other_features = whole_clips(body, others.frames)
    own = calibrate_own(
        head_logits(head, features.rows(validation)),
        sounds.targets[validation],
        head_logits(head, other_features.rows(material.held_back)),
        others.targets[material.held_back],
    )
    seen = np.concatenate([material.train, validation])
    labels = torch.cat([features.labels[torch.from_numpy(seen)], other_features.labels])
    tags = [clip.tags for clip in (*(material.clips[row] for row in seen), *material.others)]
    of_labels = label_thresholds(label_probabilities(labels, space), tags, space)
    logits = head_logits(head, features.rows(test))
    scored = Subset(sounds.frames, test, sounds.targets[test], sounds.recordings[test])
    split = "test: recordings held out from training and from every choice"
    metrics = evaluate.score(logits, scored, own, space.own, split)
    validation_logits = head_logits(head, features.rows(validation))
    thresholds = _precise_thresholds(
        own.probabilities(validation_logits), sounds.targets[validation], space
    )
    metrics["per_tag"] = {tag: metrics["per_tag"].get(tag, NOT_SCORED) for tag in space.tags}
    return joined(own, of_labels, space), metrics | {
        "baseline": PROTOTYPE_BASELINE,
        "thresholds": thresholds,
    }


def assembled(body: AudioSetNetwork, head: TagHead, space: TagSpace) -> EfficientAT:
    """Return body and head as the network of a bundle."""
    network = build("efficientat_mn", len(space.tags), arguments(space))
    assert isinstance(network, EfficientAT)
    network.body.load_state_dict(body.state_dict())
    network.head.load_state_dict(head.state_dict())
    return network.eval()


def arguments(space: TagSpace) -> dict[str, Any]:
    """Return the network's arguments for model.json."""
    sizes = {"head_tags": len(space.own), "window": MIN_FRAMES, "hop": TIME_STRIDE}
    return {"sources": space.sources, **sizes}


def rounded_to_half(module: Part) -> Part:
    """Return a module as the bundle holds it: the scores are those of the bundle."""
    return module.half().float()


def _precise_thresholds(
    probabilities: evaluate.Probabilities, labels: Labels, space: TagSpace
) -> dict[str, Numbers]:
    """Return thresholds for a precision of the own tags; None for the others."""
    own = evaluate.thresholds_for_precision(probabilities, labels, space.own)
    return {name: {tag: row.get(tag) for tag in space.tags} for name, row in own.items()}


def _description(name: str, source: Source, material: FineTuningData) -> dict[str, Any]:
    """Return the contents of model.json."""
    rows = (material.train, material.rows(1), material.rows(2))
    recordings = material.sounds.recordings
    counts = {
        "clips": {key: len(part) for key, part in zip(SUBSETS, rows, strict=True)},
        "recordings": {
            key: len(set(recordings[part].tolist()))
            for key, part in zip(SUBSETS, rows, strict=True)
        },
        "other_sounds": {"train": len(material.taught), "held_back": len(material.held_back)},
    }
    return {
        "name": name,
        "architecture": "efficientat_mn",
        "arguments": arguments(material.space),
        "front_end": AUDIOSET.described(),
        "pooling": "max",
        "trained": {
            "from": NOTICE,
            "own_tags": list(material.space.own),
            "seed": source.seed,
            "epochs": tuning.EPOCHS,
            **counts,
            "test_recordings": _ordered(recordings[material.rows(2)]),
        },
        "data": source.provenance,
        "license": source.license,
        "libraries": {
            package: importlib.metadata.version(package)
            for package in ("torch", "numpy", "safetensors")
        },
    }


def _ordered(recordings: NDArray[np.str_]) -> list[str]:
    return sorted(set(recordings.tolist()), key=lambda recording: (len(recording), recording))
