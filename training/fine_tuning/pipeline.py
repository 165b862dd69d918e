"""From clips, other sounds and published weights to a scored bundle."""

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.model.bundle import Bundle
from core.model.efficientat import TIME_STRIDE, AudioSetNetwork, TagHead
from core.model.logmel import AUDIOSET
from core.model.metrics import BundleMetrics
from core.model.metrics_types import Numbers, UnknownSounds
from core.model.networks import EfficientAT, build
from core.model.reference import summary
from core.model.saving import save_bundle
from training import evaluate
from training.datasets.types import SUBSETS, Labels, Subset
from training.fine_tuning import body as tuning
from training.fine_tuning.data import SCALER, TagSpace
from training.fine_tuning.head import LOOP_FRAMES, MIN_FRAMES
from training.fine_tuning.material import FineTuningData, Source, load_data
from training.fine_tuning.tagger import Tagger, train_tagger
from training.fine_tuning.unknown_sounds import count
from training.pipeline import PROTOTYPE_BASELINE
from training.pretrained import NOTICE, load_pretrained

NOT_SCORED: Numbers = {
    "pr_auc": None,
    "roc_auc": None,
    "precision": None,
    "recall": None,
    "clips": 0,
    "recordings": 0,
}
"""Of a tag that no labelled clip has."""


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
    tagger = train_tagger(material, load_pretrained(source.weights), source.run, source.seed)
    network = assembled(tagger.body, tagger.head, tagger.space)
    return save_bundle(
        out,
        description=_description(name, source, material),
        weights=network.state_dict(),
        scaler=SCALER,
        vocabulary=tagger.space.tags,
        calibration=tagger.calibration,
        metrics=score(tagger, material),
    )


def score(tagger: Tagger, material: FineTuningData) -> BundleMetrics:
    """Score the own tags on test, and read thresholds for a precision off validation."""
    space, sounds = tagger.space, material.sounds
    test, validation = material.rows(2), material.rows(1)
    logits = tagger.logits(sounds.frames)
    own = logits[:, space.own_columns]
    scored = Subset(sounds.frames, test, sounds.targets[test], sounds.recordings[test])
    split = "test: recordings held out from training and from every choice"
    clips = [material.clips[row] for row in test]
    metrics = evaluate.score(own[test], scored, tagger.own, space.own, split, clips)
    probabilities = tagger.own.probabilities(own[validation])
    metrics["thresholds"] = _precise_thresholds(probabilities, sounds.targets[validation], space)
    metrics["per_tag"] = {tag: metrics["per_tag"].get(tag, NOT_SCORED) for tag in space.tags}
    metrics["baseline"] = PROTOTYPE_BASELINE | {
        "data": f"another data set: {PROTOTYPE_BASELINE['data']}"
    }
    metrics["unknown_sounds"] = _unknown_sounds(tagger, material)
    metrics["reference"] = summary(tagger.calibration.probabilities(logits[test]).max(axis=1))
    return metrics


def _unknown_sounds(tagger: Tagger, material: FineTuningData) -> UnknownSounds:
    """Return what is suggested for the other sounds, which took part in the training."""
    suggested = tagger.suggests(tagger.logits(material.other_sounds.frames))
    counts = count(suggested, material.others, material.space)
    return {"measured": counts.fractions, "data": evaluate.source_names(material.others)}


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
    return {"sources": space.sources, **sizes, "loop_frames": LOOP_FRAMES}


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
        "other_sounds": len(material.others),
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
