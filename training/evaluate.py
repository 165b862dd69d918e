"""Scores on held-out recordings, calibration and thresholds."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from core.model import metrics
from core.model.bundle import Bundle, Calibration, Scaler
from core.model.front_end import sounding_frames
from core.model.logmel import COALA, LogMelSpec
from core.model.metrics import BundleMetrics
from core.model.metrics_detail import (
    ScoredClip,
    ScoredTags,
    overall_intervals,
    tag_details,
    threshold_choices,
    threshold_for,
)
from core.model.metrics_types import Numbers, TestData
from core.model.networks import Network
from core.model.pooling import Pooling, pool_embeddings, pool_recording, segment_windows
from core.model.reference import summary
from training.datasets.clips import Clip, load_frames, multi_hot, read_clips, read_split
from training.datasets.types import Labels, Subset, trained_facts
from training.errors import DatasetError

BATCH_SIZE = 64
CALIBRATION_PRIOR = 4.0
"""Pulls each tag's scaling to the common one: as strong as a handful of clips."""
THRESHOLD_PRIOR = 10.0
"""Clips that the common threshold counts as, beside a tag's own."""
THRESHOLDS = np.linspace(0.1, 0.8, 71)
PRECISIONS = (0.8, 0.9)
Logits = NDArray[np.float32]
Probabilities = NDArray[np.float32]


def evaluate_bundle(
    bundle: Bundle, data: Path, cache: Path, split: Path | None = None
) -> BundleMetrics:
    """Score a bundle again on its test recordings.

    Args:
        bundle: To score.
        data: Clip folder that has the recordings.
        cache: Where log-mels are kept.
        split: Names the test recordings; model.json by default.

    Raises:
        DatasetError: The folder has none of the recordings.
    """
    test_clips = _test_clips(bundle, data, split)
    tags = scored_tags(bundle)
    labels = multi_hot(test_clips, tags)
    recordings = np.array([clip.recording for clip in test_clips])
    frames = load_frames(test_clips, cache, bundle.front_end)
    test = Subset(frames, np.arange(len(test_clips)), labels, recordings)
    network, spec = bundle.network(), bundle.front_end
    logits, embeddings = clip_outputs(network, test, bundle.scaler, bundle.pooling, spec)
    columns = [bundle.vocabulary.index(tag) for tag in tags]
    described, whole = bundle.metrics["split"], bundle.calibration
    calibration = Calibration(whole.slope[columns], whole.offset[columns], whole.threshold[columns])
    scores = score(logits[:, columns], test, calibration, tags, described, test_clips)
    # Drift compares the live predictions, which are of the whole vocabulary.
    scores["reference"] = summary(whole.probabilities(logits).max(axis=1), embeddings)
    return scores


def _test_clips(bundle: Bundle, data: Path, split: Path | None) -> list[Clip]:
    """Return the clips of the test recordings.

    Raises:
        DatasetError: The folder has none of them.
    """
    clips = read_clips(data)
    if split:
        subset_of = read_split(split, clips)
        test_clips = [clip for clip, n in zip(clips, subset_of, strict=True) if n == 2]
    else:
        listed = trained_facts(bundle).get("test_recordings", ())
        test_clips = [clip for clip in clips if clip.recording in listed]
    if not test_clips:
        raise DatasetError(f"{data} has no clips of the test recordings of {bundle.name}.")
    return test_clips


def scored_tags(bundle: Bundle) -> tuple[str, ...]:
    """Return the tags that training clips were labelled with: all, unless model.json names them."""
    own = trained_facts(bundle).get("own_tags", bundle.vocabulary)
    return tuple(tag for tag in bundle.vocabulary if tag in own)


class ClipOutputs(NamedTuple):
    """Of whole clips: pooled `logits` [clips, tags]; `embeddings` of unit length [clips, size]."""

    logits: Logits
    embeddings: NDArray[np.float32]


def clip_logits(
    network: Network,
    subset: Subset,
    scaler: Scaler,
    pooling: Pooling,
    spec: LogMelSpec = COALA,
) -> Logits:
    """Return the pooled logits of `clip_outputs`, float32 [clips, tags]."""
    return clip_outputs(network, subset, scaler, pooling, spec).logits


@torch.inference_mode()
def clip_outputs(
    network: Network,
    subset: Subset,
    scaler: Scaler,
    pooling: Pooling,
    spec: LogMelSpec = COALA,
) -> ClipOutputs:
    """Score whole clips as `Predictor` does, where the network is.

    Args:
        network: On any device.
        subset: The clips.
        scaler: Of their log-mel frames.
        pooling: From windows to the clip.
        spec: The front-end that the frames are of.
    """
    network.eval()
    device = next(network.parameters()).device
    segment = segment_windows(spec, network.window, network.hop)
    rows, embeddings = [], []
    for start in range(0, len(subset.clips), BATCH_SIZE):
        clips = [subset.frames.clip(index) for index in subset.clips[start : start + BATCH_SIZE]]
        sounding = [sounding_frames(clip, spec) for clip in clips]
        padded = [_fill(clip, network.window, spec.floor) for clip in clips]
        filled = [torch.from_numpy(scaler(clip)) for clip in padded]
        for scores in network.score([clip.to(device) for clip in filled], sounding):
            logits = scores.logits.float().cpu().numpy()
            rows.append(pool_recording(logits, pooling, segment))
            embeddings.append(pool_embeddings(scores.embedding.float().cpu().numpy()))
    return ClipOutputs(np.stack(rows), np.stack(embeddings))


def _fill(clip: NDArray[np.float32], width: int, floor: float) -> NDArray[np.float32]:
    """Pad a clip shorter than `width` frames with silence."""
    missing = max(0, width - clip.shape[1])
    return np.pad(clip, ((0, 0), (0, missing)), constant_values=floor)


def sigmoid(logits: Logits) -> Probabilities:
    """Return uncalibrated probabilities."""
    return np.asarray(1 / (1 + np.exp(-logits.clip(-60, 60))), np.float32)


def calibrate(logits: Logits, labels: Labels) -> Calibration:
    """Fit a Platt scaling and a threshold per tag.

    Slopes and offsets of all tags are fitted together, with a Gaussian prior around common ones, so
    that a tag with three examples borrows from the rest.

    Args:
        logits: Of the validation part, float32 [clips, tags].
        labels: float32 [clips, tags].
    """
    z, y = torch.from_numpy(logits).double(), torch.from_numpy(labels).double()
    common = torch.tensor([1.0, 0.0], dtype=torch.double, requires_grad=True)
    own = torch.zeros(2, z.shape[1], dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([common, own], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        slope, offset = (common[:, None] + own).unbind()
        fitted = slope * z + offset
        loss = torch.nn.functional.binary_cross_entropy_with_logits(fitted, y, reduction="sum")
        loss = loss + CALIBRATION_PRIOR * own.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    slope, offset = (common[:, None] + own).detach().float().numpy()
    without_thresholds = Calibration(slope, offset, np.full_like(slope, 0.5))
    thresholds = _best_thresholds(without_thresholds.probabilities(logits), labels)
    return Calibration(slope, offset, thresholds)


def _best_thresholds(probabilities: Probabilities, labels: Labels) -> NDArray[np.float32]:
    """Return each tag's threshold of the best F1, pulled to the common best one if it is rare."""
    common = _best_threshold(probabilities, labels)
    support = labels.sum(axis=0)
    columns = zip(probabilities.T, labels.T, strict=True)
    own = np.array([_best_threshold(*column) for column in columns])
    shrunk = (support * own + THRESHOLD_PRIOR * common) / (support + THRESHOLD_PRIOR)
    return np.asarray(shrunk, np.float32)


def _best_threshold(probabilities: Probabilities, labels: Labels) -> float:
    """Return the threshold of the best F1."""

    def f1(threshold: float) -> float:
        predicted = probabilities >= threshold
        both = predicted.sum() + labels.sum()
        return float(2 * (predicted * labels).sum() / max(1.0, both))

    return float(THRESHOLDS[np.argmax([f1(threshold) for threshold in THRESHOLDS])])


def thresholds_for_precision(
    probabilities: Probabilities, labels: Labels, tags: tuple[str, ...]
) -> dict[str, dict[str, float | None]]:
    """Find the lowest threshold per tag that reaches each of `PRECISIONS` on validation.

    Returns:
        By precision and tag; None where no threshold reaches it with enough true positives.
    """
    return {
        f"precision_{precision:g}": {
            tag: _rounded_down(threshold_for(probabilities[:, k], labels[:, k] > 0, precision))
            for k, tag in enumerate(tags)
        }
        for precision in PRECISIONS
    }


def _rounded_down(threshold: float | None) -> float | None:
    return None if threshold is None else round(threshold, 4)


def score(
    logits: Logits,
    subset: Subset,
    calibration: Calibration,
    tags: tuple[str, ...],
    split: str,
    clips: Sequence[Clip] = (),
) -> BundleMetrics:
    """Return the scores of metrics.json, all on calibrated probabilities.

    Args:
        logits: Of the test clips, [clips, tags].
        subset: The test clips.
        calibration: Of the tags.
        tags: That are scored.
        split: How the test clips were held out, for people.
        clips: The same clips with their files, where they are known.
    """
    labels, recordings = subset.labels, subset.recordings
    probabilities = calibration.probabilities(logits)
    rows = metrics.per_tag(labels, probabilities, calibration.threshold, recordings)
    described = scored_clips(subset, tags, clips)
    scored = ScoredTags(labels, probabilities, calibration.threshold, tags, described)
    return {
        "overall": rounded(metrics.overall(labels, probabilities)),
        "per_tag": {tag: rounded(row) for tag, row in zip(tags, rows, strict=True)},
        "curves": metrics.curves(labels, probabilities),
        "reliability": metrics.reliability(labels, probabilities),
        "intervals": {
            "clips": metrics.bootstrap(labels, probabilities),
            "recordings": overall_intervals(scored),
        },
        "clips": len(labels),
        "recordings": subset.recording_count,
        "split": split,
        "test_data": scored_data(described, tags, source_names(clips)),
        "details": tag_details(scored),
        "threshold_choices": threshold_choices(scored),
    }


def scored_clips(
    subset: Subset, tags: tuple[str, ...], clips: Sequence[Clip] = ()
) -> list[ScoredClip]:
    """Return what examples of errors say of each clip of a subset."""
    if clips:
        return [
            ScoredClip(clip.recording, tuple(sorted(clip.tags)), clip.path.name, clip.start_s)
            for clip in clips
        ]
    pairs = zip(subset.recordings.tolist(), subset.labels > 0, strict=True)
    return [
        ScoredClip(recording, tuple(tags[column] for column in np.flatnonzero(row)))
        for recording, row in pairs
    ]


def scored_data(clips: Sequence[ScoredClip], tags: tuple[str, ...], name: str) -> TestData:
    """Return the name of test clips, and a fingerprint of them and of their scored tags."""
    scored = set(tags)
    lines = sorted(
        f"{clip.recording} {' '.join(sorted(scored & set(clip.tags)))}" for clip in clips
    )
    digest = hashlib.sha256("\n".join([" ".join(sorted(tags)), *lines]).encode())
    return {"name": name, "fingerprint": digest.hexdigest(), "tags": len(tags)}


def source_names(clips: Sequence[Clip]) -> str:
    """Return the names of the data sets that clips came with."""
    return ", ".join(sorted({clip.source for clip in clips if clip.source}))


def rounded(row: Numbers) -> Numbers:
    """Return the same with floats to four places."""
    return {
        key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()
    }


def summary_lines(scores: BundleMetrics) -> list[str]:
    """Return the scores as lines of text, the worst tags last; no tags without clips."""
    intervals = scores["intervals"]["recordings"]
    lines = [f"{scores['clips']} clips of {scores['recordings']} recordings"]
    for name, value in scores["overall"].items():
        low_high = intervals.get(name)
        interval = f"   95 % {low_high[0]:.3f} .. {low_high[1]:.3f}" if low_high else ""
        lines.append(f"{name:22s} {_cell(value)}{interval}")
    lines += [f"{'ece':22s} {scores['reliability']['ece']:.4f}", ""]
    lines.append(f"{'tag':14s} PR-AUC ROC-AUC clips recordings")
    scored = ((tag, row) for tag, row in scores["per_tag"].items() if row["clips"])
    rows = sorted(scored, key=lambda item: -(item[1]["pr_auc"] or 0))
    for tag, row in rows:
        cells = f"{_cell(row['pr_auc'])}  {_cell(row['roc_auc'])}"
        lines.append(f"{tag:14s} {cells}   {row['clips']:5d} {row['recordings']:5d}")
    return lines


def _cell(value: float | None) -> str:
    return "    –" if value is None else f"{value:.3f}"
