"""From a clip folder to a scored bundle, in one run that can be stopped and resumed."""

import importlib.metadata
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from core.model import bundle as bundles
from core.model.logmel import COALA
from core.model.networks import Network
from core.model.tagger import pool
from training import datasets, evaluate
from training.datasets import SPLITS, Frames
from training.solver import Part, Processes, Progress, Recipe, best_device, train

if TYPE_CHECKING:
    from training.corrections import Tally

SEED_BASELINE = {
    "name": "the student prototype (seed)",
    "data": "another data set: COALA test, 19,103 patches",
    "roc_auc_macro": 0.938,
    "roc_auc_micro": 0.966,
    "pr_auc_macro": 0.415,
    "pr_auc_micro": 0.543,
    "exact_match_accuracy": 0.249,
}


def run(
    data: Path,
    out: Path,
    run: Path,
    name: str,
    recipe: Recipe,
    least_recordings: int = datasets.LEAST_RECORDINGS,
    licence: str = "",
    provenance: str = "",
    split: Path | None = None,
    cache: Path | None = None,
    quiet: bool = False,
    corrections: Path | None = None,
) -> bundles.Bundle:
    """Split by recording, train, calibrate on validation, score on test, write the bundle; prints a summary.

    `split` names a list of recordings for each part; without it the recipe's seed decides. Log-mels are kept in `cache`, or in `run`.
    What people decided in the workspace in the folder `corrections` joins the training part.
    """
    material = gather(data, recipe, least_recordings, split, cache or run, corrections, quiet)
    network, progress = train(recipe, material.parts[0], material.parts[1], material.scaler, run, quiet=quiet)
    processes = Processes.join(best_device())
    if not processes.first:  # under torchrun one process writes the bundle; the others hand back what it wrote
        processes.wait()
        return bundles.load(out)
    network = network.cpu().half().float()  # as the bundle will keep it: what is scored is what ships
    calibration, metrics = judge(network, recipe, material, progress, _how_split(split, recipe.seed))
    description = describe(name, recipe, material.parts, progress, licence, provenance)
    bundle = bundles.save(
        out,
        description=description | ({"corrections": asdict(material.tally)} if material.tally else {}),
        weights=network.state_dict(),
        scaler=material.scaler,
        vocabulary=material.tags,
        calibration=calibration,
        metrics=metrics,
    )
    processes.wait()
    if not quiet:
        _print_summary(bundle)
    return bundle


@dataclass(frozen=True)
class Material:
    """What a training works with: log-mel `frames`, `parts` for training, validation and test, the vocabulary, the scaler that the
    training part gave, and the `tally` of people's corrections, if they joined it."""

    frames: Frames
    parts: list[Part]
    tags: tuple[str, ...]
    scaler: bundles.Scaler
    tally: "Tally | None"


def gather(
    data: Path, recipe: Recipe, least_recordings: int, split: Path | None, cache: Path, corrections: Path | None, quiet: bool
) -> Material:
    """Read the folder, split it by recording, and look at the training part. Raises `DatasetError`."""
    clips = datasets.read_clips(data)
    part_of = datasets.read_split(split, clips) if split else datasets.split_by_recording(clips, recipe.seed)
    tags = datasets.vocabulary([clip for clip, part in zip(clips, part_of, strict=True) if part == 0], least_recordings)
    frames = datasets.load_frames(clips, cache)
    labels, recordings = datasets.multi_hot(clips, tags), np.array([clip.recording for clip in clips])
    parts = [Part(frames, index, labels[index], recordings[index]) for index in (np.flatnonzero(part_of == p) for p in range(3))]
    if not quiet:
        for part_name, part in zip(SPLITS, parts, strict=True):
            Console(stderr=True).print(f"{part_name}: {len(part.clips)} clips of {len(set(part.recordings.tolist()))} recordings")
    _check_judgeable(parts)
    scaler, tally = per_band_scaler(frames, parts[0].clips), None
    if corrections:
        from training import corrections as people  # the workspace and its database are needed for nothing else here

        parts[0], tally = people.join(corrections, parts[0], clips, part_of, tags, cache)
        Console(stderr=True).print(str(tally))
    return Material(frames, parts, tags, scaler, tally)


def judge(
    network: Network, recipe: Recipe, material: Material, progress: Progress, split: str
) -> tuple[bundles.Calibration, dict[str, Any]]:
    """The calibration that the validation part gives, and everything that `metrics.json` says: the test part's scores under it."""
    _, validation, test = material.parts

    def logits(part: Part) -> np.ndarray:
        return evaluate.clip_logits(network, material.frames, part.clips, material.scaler, lambda windows: pool(windows, recipe.pooling))

    on_validation = logits(validation)
    calibration = evaluate.calibrate(on_validation, validation.labels)
    metrics = evaluate.score(logits(test), test.labels, test.recordings, calibration, material.tags)
    return calibration, metrics | {
        "split": split,
        "baseline": SEED_BASELINE,
        "validation": evaluate.rounded(progress.history[progress.best_epoch - 1]),
        "thresholds": evaluate.thresholds_for_precision(on_validation, validation.labels, calibration, material.tags),
        "history": [evaluate.rounded(row) for row in progress.history],
    }


def _how_split(split: Path | None, seed: int) -> str:
    how = f"the list {split.name}" if split else f"seed {seed}"
    return f"test: recordings held out from training and from every choice (iterative stratification, {how})"


def _check_judgeable(parts: list[Part]) -> None:
    """Raise `DatasetError` if a part cannot tell a good network from a bad one; better now than after the last epoch."""
    for name, part in zip(SPLITS, parts, strict=True):
        if not (part.labels.any(axis=0) & ~part.labels.all(axis=0)).any():
            raise datasets.DatasetError(f"In the {name} part every tag is on all clips or on none; more varied recordings are needed.")


def per_band_scaler(frames: Frames, clips: np.ndarray) -> bundles.Scaler:
    """Mean and standard deviation of each mel band over the training clips."""
    rows = np.concatenate([frames.data[frames.offsets[i] : frames.offsets[i + 1]] for i in clips]).astype(np.float32)
    return bundles.Scaler(rows.mean(axis=0), rows.std(axis=0) + 1e-3)


def describe(name: str, recipe: Recipe, parts: list[Part], progress: Progress, licence: str, provenance: str) -> dict:
    """The text of `model.json`."""
    versions = {package: importlib.metadata.version(package) for package in ("torch", "numpy", "safetensors")}
    return {
        "name": name,
        "architecture": recipe.architecture,
        "arguments": recipe.arguments,
        "front_end": asdict(COALA),
        "pooling": recipe.pooling,
        "trained": {
            "recipe": {key: value for key, value in asdict(recipe).items() if key not in ("architecture", "arguments", "pooling")},
            "best_epoch": progress.best_epoch,
            "clips": {split: len(part.clips) for split, part in zip(SPLITS, parts, strict=True)},
            "recordings": {split: len(set(part.recordings.tolist())) for split, part in zip(SPLITS, parts, strict=True)},
            "test_recordings": sorted(set(parts[2].recordings.tolist()), key=lambda one: (len(one), one)),
        },
        "data": provenance,
        "licence": licence,
        "libraries": versions,
    }


def _print_summary(bundle: bundles.Bundle) -> None:
    scores = bundle.metrics["overall"]
    Console().print(
        f"{bundle.folder}: {len(bundle.vocabulary)} tags. On {bundle.metrics['clips']} clips of {bundle.metrics['recordings']} held-out "
        f"recordings: PR-AUC {scores['pr_auc_macro']:.3f} macro {scores['pr_auc_micro']:.3f} micro, "
        f"ROC-AUC {scores['roc_auc_macro']:.3f} / {scores['roc_auc_micro']:.3f}, precision@5 {scores['precision_at_5']:.3f}."
    )
