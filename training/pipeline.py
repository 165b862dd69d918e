"""From data to a scored bundle, in a run that can be stopped and resumed."""

import importlib.metadata
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from core.model.bundle import Bundle, Calibration
from core.model.logmel import COALA
from core.model.metrics import BundleMetrics
from core.model.metrics_types import Numbers
from core.model.networks import Network
from core.model.saving import save_bundle
from training import evaluate
from training.datasets.types import SUBSETS, TrainingData
from training.processes import Processes, best_device
from training.recipes import Recipe
from training.trainer import Progress, train

logger = logging.getLogger(__name__)

PROTOTYPE_SCORES: Numbers = {
    "roc_auc_macro": 0.938,
    "roc_auc_micro": 0.966,
    "pr_auc_macro": 0.415,
    "pr_auc_micro": 0.543,
    "exact_match_accuracy": 0.249,
}
PROTOTYPE_BASELINE: dict[str, float | str | None] = {
    "name": "student prototype",
    "data": "COALA test, 19,103 patches, as its makers published",
    **PROTOTYPE_SCORES,
}


def train_and_evaluate(
    data: TrainingData,
    recipe: Recipe,
    *,
    name: str,
    run: Path,
    out: Path,
    start: Mapping[str, Tensor] | None = None,
) -> Bundle | None:
    """Train, calibrate on validation, score on test, and write the bundle.

    Args:
        data: To learn from.
        recipe: How to train.
        name: Of the model.
        run: Folder for checkpoints; the same again goes on.
        out: Folder of the bundle.
        start: Weights to begin with, instead of random ones.

    Returns:
        The bundle; None in all processes but the main one.

    Raises:
        CheckpointError: `run` holds something else, or cannot be written.
        BundleError: The bundle cannot be written.
    """
    network, progress = train(recipe, data.train, data.validation, data.scaler, run, start=start)
    if not Processes.join(best_device()).is_main_process:
        return None
    network = network.half().float()  # as the bundle holds it: the scores are those of the bundle
    calibration, metrics = evaluate_network(network, recipe, data, progress)
    bundle = save_bundle(
        out,
        description=_description(name, recipe, data, progress),
        weights=network.state_dict(),
        scaler=data.scaler,
        vocabulary=data.tags,
        spelled=data.spelled,
        calibration=calibration,
        metrics=metrics,
    )
    logger.info("bundle written name=%s folder=%s", name, out)
    return bundle


def evaluate_network(
    network: Network, recipe: Recipe, data: TrainingData, progress: Progress
) -> tuple[Calibration, BundleMetrics]:
    """Calibrate on the calibration subset; return that and the contents of metrics.json."""
    subset, scaler = data.calibration, data.scaler
    logits = evaluate.clip_logits(network, subset, scaler, recipe.pooling)
    calibration = evaluate.calibrate(logits, subset.labels)
    probabilities = calibration.probabilities(logits)
    test_logits = evaluate.clip_logits(network, data.test, scaler, recipe.pooling)
    split = data.description.split
    metrics = evaluate.score(test_logits, data.test, calibration, data.tags, split)
    thresholds = evaluate.thresholds_for_precision(probabilities, subset.labels, data.tags)
    return calibration, metrics | {
        "baseline": PROTOTYPE_BASELINE,
        "validation": evaluate.rounded(progress.history[progress.best_epoch - 1]),
        "thresholds": thresholds,
        "history": [evaluate.rounded(row) for row in progress.history],
    }


def _description(
    name: str, recipe: Recipe, data: TrainingData, progress: Progress
) -> dict[str, Any]:
    """Return the contents of model.json."""
    subsets = dict(zip(SUBSETS, (data.train, data.validation, data.test), strict=True))
    description = {
        "name": name,
        "architecture": recipe.architecture,
        "arguments": recipe.arguments,
        "front_end": asdict(COALA),
        "pooling": recipe.pooling,
        "trained": {
            "recipe": recipe.training_settings,
            "best_epoch": progress.best_epoch,
            "clips": {key: len(subset.clips) for key, subset in subsets.items()},
            "recordings": {key: subset.recording_count for key, subset in subsets.items()},
            **data.description.trained,
        },
        "data": data.description.provenance,
        "license": data.description.license,
        "libraries": {
            package: importlib.metadata.version(package)
            for package in ("torch", "numpy", "safetensors")
        },
    }
    if data.description.corrections is not None:
        description["corrections"] = dict(data.description.corrections)
    return description
