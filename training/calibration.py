"""Calibrate a bundle again, where front-end or pooling changed after its training."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from core.model.bundle import WEIGHTS, Bundle
from core.model.saving import save_bundle
from training import evaluate
from training.datasets.clips import load_frames, read_clips, read_split, subsets


def recalibrate_bundle(bundle: Bundle, data: Path, cache: Path, split: Path, out: Path) -> Bundle:
    """Write a bundle of the same weights with new calibration, thresholds and scores.

    Args:
        bundle: The model.
        data: Clip folder that it was trained on.
        cache: Where log-mels are kept.
        split: Names the recordings of validation, which calibrates, and of test, which is scored.
        out: Folder of the new bundle.

    Raises:
        DatasetError: Folder or split cannot be used.
        BundleError: The bundle cannot be written.
    """
    clips, spec = read_clips(data), bundle.front_end
    frames = load_frames(clips, cache, spec)
    _, validation, test = subsets(clips, read_split(split, clips), bundle.spelled, frames)
    network = bundle.network()
    logits, test_logits = (
        evaluate.clip_logits(network, subset, bundle.scaler, bundle.pooling, spec)
        for subset in (validation, test)
    )
    calibration = evaluate.calibrate(logits, validation.labels)
    probabilities = np.asarray(calibration.probabilities(logits), np.float32)
    tags, described = bundle.vocabulary, bundle.metrics["split"]
    metrics = bundle.metrics | evaluate.score(test_logits, test, calibration, tags, described)
    metrics["thresholds"] = evaluate.thresholds_for_precision(
        probabilities, validation.labels, tags
    )
    description: dict[str, Any] = bundle.description | {"front_end": asdict(spec)}
    return save_bundle(
        out,
        description=description,
        weights=load_file(bundle.folder / WEIGHTS),
        scaler=bundle.scaler,
        vocabulary=bundle.vocabulary,
        spelled=bundle.spelled,
        calibration=calibration,
        metrics=metrics,
    )
