"""Scores of a bundle that is there, on the test recordings of a clip folder; and the same network with another pooling."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.model import bundle as bundles
from core.model.bundle import Bundle, Pooling
from core.model.tagger import pool
from training import datasets, evaluate
from training.datasets import DatasetError


def score_bundle(
    bundle: Bundle,
    data: Path,
    cache: Path,
    split: Path | None = None,
    pooling: Pooling | None = None,
    window: int | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """What `metrics.json` says of scores, measured again; with `out`, written there as a bundle.

    The test recordings are those that model.json names, or `split`'s. With another `pooling` or `window` (frames) than the bundle's,
    calibration and thresholds are fitted again on `split`'s validation recordings. Raises `DatasetError` if the folder has none of
    the recordings, `BundleError` if the network takes no such window.
    """
    other = replace(bundle, pooling=pooling or bundle.pooling, arguments=bundle.arguments | ({"window": window} if window else {}))
    again = other != bundle
    if again and not split:
        raise DatasetError("Another pooling or window needs a split: the calibration is fitted again on its validation recordings.")
    clips = datasets.read_clips(data)
    frames = datasets.load_frames(clips, cache)
    part_of = datasets.read_split(split, clips) if split else _by_model_json(bundle, clips)
    labels, recordings = datasets.multi_hot(clips, bundle.vocabulary), np.array([clip.recording for clip in clips])
    network = other.network()

    def logits(part: int) -> tuple[np.ndarray, np.ndarray]:
        index = np.flatnonzero(part_of == part)
        if not len(index):
            raise DatasetError(f"{data} has no clips of the {datasets.SPLITS[part]} recordings of {bundle.name}.")
        return index, evaluate.clip_logits(network, frames, index, bundle.scaler, lambda windows: pool(windows, other.pooling))

    test, test_logits = logits(2)
    calibration, metrics = bundle.calibration, dict(bundle.metrics)
    if again:
        validation, validation_logits = logits(1)
        calibration = evaluate.calibrate(validation_logits, labels[validation])
        metrics["thresholds"] = evaluate.thresholds_for_precision(validation_logits, labels[validation], calibration, bundle.vocabulary)
    metrics |= evaluate.score(test_logits, labels[test], recordings[test], calibration, bundle.vocabulary)
    if out:
        bundles.save(
            out,
            description=bundle.description | {"pooling": other.pooling, "arguments": other.arguments},
            weights=network.state_dict(),
            scaler=bundle.scaler,
            vocabulary=bundle.vocabulary,
            calibration=calibration,
            metrics=metrics,
        )
    return metrics


def _by_model_json(bundle: Bundle, clips: list[datasets.Clip]) -> np.ndarray:
    named = set(bundle.description.get("trained", {}).get("test_recordings", ()))
    return np.array([2 if clip.recording in named else 0 for clip in clips])


def in_words(metrics: dict[str, Any]) -> list[str]:
    """The scores as lines of text, the worst tags last."""
    overall, intervals = metrics["overall"], metrics["intervals"]
    lines = [f"{metrics['clips']} clips of {metrics['recordings']} recordings"]
    for name in ("pr_auc_macro", "pr_auc_micro"):
        low, high = intervals["recordings"][name]
        lines.append(f"{name:22s} {overall[name]:.3f}   95 % over recordings {low:.3f} .. {high:.3f}")
    lines += [f"{name:22s} {value:.3f}" for name, value in overall.items() if name not in intervals["clips"] and value is not None]
    lines += [f"{'ece':22s} {metrics['reliability']['ece']:.4f}", "", f"{'tag':14s} PR-AUC ROC-AUC clips recordings"]
    for tag, row in sorted(metrics["per_tag"].items(), key=lambda pair: -(pair[1]["pr_auc"] or 0)):
        lines.append(f"{tag:14s} {_share(row['pr_auc'])}  {_share(row['roc_auc'])}   {row['clips']:5d} {row['recordings']:5d}")
    return lines


def _share(value: float | None) -> str:
    return "    –" if value is None else f"{value:.3f}"
