"""Scores on held-out recordings, calibration and thresholds."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from core import metrics
from core.model.bundle import Calibration, Scaler
from core.model.logmel import FLOOR
from core.model.networks import Network
from training.datasets import Frames

CLIPS_AT_ONCE = 64
SHRINKAGE = 4.0  # prior of the per-tag calibration: as strong as a handful of clips
THRESHOLD_PRIOR = 10.0
PRECISIONS = (0.8, 0.9)
LEAST_RIGHT = 3


@torch.inference_mode()
def clip_logits(
    network: Network, frames: Frames, clips: np.ndarray, scaler: Scaler, pooling: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Score whole clips as the tagger does, where the network is: pooled logits float32 [clips, tags]."""
    network.eval()
    device = next(network.parameters()).device
    rows = []
    for start in range(0, len(clips), CLIPS_AT_ONCE):
        batch = [_scaled(frames.clip(index), network.window, scaler, device) for index in clips[start : start + CLIPS_AT_ONCE]]
        scores = network.score(batch)
        logits = torch.cat([one.logits for one in scores]).float().cpu().numpy()
        rows += [pooling(windows) for windows in np.split(logits, np.cumsum([len(one.logits) for one in scores])[:-1])]
    return np.stack(rows)


def _scaled(clip: np.ndarray, window: int, scaler: Scaler, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(scaler(_fill(clip, window))).to(device)


def _fill(frames: np.ndarray, width: int) -> np.ndarray:
    missing = max(0, width - frames.shape[1])
    return np.pad(frames, ((0, 0), (0, missing)), constant_values=FLOOR)


def calibrate(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """Platt scaling per tag, shrunk towards one common scaling; thresholds likewise.

    `logits` and `labels` [clips, tags] come from the validation part. Slopes and offsets of all tags are fitted together, with
    a Gaussian prior around the common ones (`SHRINKAGE`), so that a tag with three examples borrows from the rest.
    """
    z, y = torch.from_numpy(logits).double(), torch.from_numpy(labels).double()
    common = torch.tensor([1.0, 0.0], dtype=torch.double, requires_grad=True)
    own = torch.zeros(2, z.shape[1], dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([common, own], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        slope, offset = (common[:, None] + own).unbind()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(slope * z + offset, y, reduction="sum")
        loss = loss + SHRINKAGE * own.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    slope, offset = (common[:, None] + own).detach().float().numpy()
    untuned = Calibration(slope, offset, np.full_like(slope, 0.5))
    return Calibration(slope, offset, _thresholds(untuned.probabilities(logits), labels))


def _thresholds(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Per tag the probability of the best F1, pulled to the common best one where the tag has few examples."""
    grid = np.linspace(0.1, 0.8, 71)
    common = grid[np.argmax([_f1(probabilities, labels, cut) for cut in grid])]
    support = labels.sum(axis=0)
    own = np.array([grid[np.argmax([_f1(probabilities[:, k], labels[:, k], cut) for cut in grid])] for k in range(labels.shape[1])])
    return ((support * own + THRESHOLD_PRIOR * common) / (support + THRESHOLD_PRIOR)).astype(np.float32)


def _f1(probabilities: np.ndarray, labels: np.ndarray, cut: float) -> float:
    told = probabilities >= cut
    return float(2 * (told * labels).sum() / max(1.0, told.sum() + labels.sum()))


def thresholds_for_precision(
    logits: np.ndarray, labels: np.ndarray, calibration: Calibration, tags: tuple[str, ...]
) -> dict[str, dict[str, float | None]]:
    """For each of `PRECISIONS` and each tag: the lowest probability from which on that share of validation clips was right.

    None where no threshold reaches it with at least `LEAST_RIGHT` right answers.
    """
    probabilities = calibration.probabilities(logits)
    return {
        f"precision_{wanted:g}": {tag: _threshold_for(probabilities[:, k], labels[:, k], wanted) for k, tag in enumerate(tags)}
        for wanted in PRECISIONS
    }


def _threshold_for(probabilities: np.ndarray, labels: np.ndarray, wanted: float) -> float | None:
    order = np.argsort(-probabilities, kind="stable")
    right = np.cumsum(labels[order])
    precise = (right / np.arange(1, len(order) + 1) >= wanted) & (right >= LEAST_RIGHT)
    last_of_its_value = np.append(np.diff(probabilities[order]) != 0, True)
    reached = np.flatnonzero(precise & last_of_its_value)
    return round(float(probabilities[order[reached[-1]]]), 4) if len(reached) else None


def score(
    logits: np.ndarray, labels: np.ndarray, recordings: np.ndarray, calibration: Calibration, tags: tuple[str, ...]
) -> dict[str, Any]:
    """What goes to `metrics.json`: overall, per tag, curves and reliability, all on calibrated probabilities."""
    probabilities = calibration.probabilities(logits)
    rows = metrics.per_tag(labels, probabilities, calibration.threshold, recordings)
    return {
        "overall": rounded(metrics.overall(labels, probabilities)),
        "per_tag": {tag: rounded(row) for tag, row in zip(tags, rows, strict=True)},
        "curves": metrics.curves(labels, probabilities),
        "reliability": metrics.reliability(labels, probabilities),
        "intervals": {
            "clips": metrics.bootstrap(labels, probabilities),
            "recordings": metrics.bootstrap(labels, probabilities, recordings),
        },
        "clips": len(labels),
        "recordings": len(set(recordings.tolist())),
    }


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    """The same with floats to four places."""
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
