"""Writing a bundle: weights, descriptions, and the graph that is made of the weights."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from core.model import bundle as bundles
from core.model.bundle import NETWORK, WEIGHTS, Bundle, Calibration, Scaler
from core.model.errors import UnwritableBundle
from core.model.export import export_network
from core.model.metrics import BundleMetrics


def save_bundle(
    folder: Path,
    *,
    description: Mapping[str, object],
    weights: Mapping[str, torch.Tensor],
    scaler: Scaler,
    vocabulary: tuple[str, ...],
    calibration: Calibration,
    metrics: BundleMetrics,
    spelled: tuple[str, ...] | None = None,
) -> Bundle:
    """Write a bundle and check it before it takes the place of an older one.

    Args:
        folder: Where it goes; an older bundle there is replaced as a whole.
        description: The contents of model.json; needs `name`, `architecture`, `arguments`,
            `front_end` and `pooling`.
        weights: Of the network; kept in half precision. model.onnx is made of them.
        scaler: Of log-mel frames.
        vocabulary: The tags that people see.
        calibration: From logits to probabilities and thresholds.
        metrics: The contents of metrics.json.
        spelled: The tags as the training data spell them, where that differs.

    Raises:
        InvalidBundle: The parts do not fit, or model.onnx answers otherwise than the network; an
            older bundle is unchanged.
        UnwritableBundle: The files cannot be written; an older bundle is unchanged.
        ValueError: A number is NaN or infinite, for which JSON has no word.
    """
    folder = Path(folder)
    contents = {
        "model.json": description,
        "scaler.json": _numbers(scaler),
        "id2tag.json": _id2tag(vocabulary, spelled or vocabulary),
        "calibration.json": _numbers(calibration),
        "metrics.json": metrics,
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".bundle-") as temporary:
            fresh = Path(temporary) / folder.name
            fresh.mkdir()
            _write_weights(fresh / WEIGHTS, weights)
            for name, content in contents.items():
                _write_json(fresh / name, content)
            (fresh / NETWORK).write_bytes(export_network(bundles.load(fresh)))
            _replace(folder, fresh, Path(temporary) / "older")
    except OSError as error:
        reason = error.strerror or error
        raise UnwritableBundle(f"The model cannot be written to {folder}: {reason}.") from error
    return bundles.load(folder)


def _write_weights(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write weights, floats in half precision.

    Raises:
        OSError: They cannot be written.
    """
    halves = {
        name: (values.half() if values.is_floating_point() else values).contiguous().cpu()
        for name, values in weights.items()
    }
    path.write_bytes(save(halves))


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", "utf-8")


def _id2tag(vocabulary: tuple[str, ...], spelled: tuple[str, ...]) -> dict[str, object]:
    """Return the contents of id2tag.json."""
    entries: dict[str, object] = {str(index): tag for index, tag in enumerate(spelled)}
    pairs = enumerate(zip(vocabulary, spelled, strict=True))
    shown = {str(index): word for index, (word, spelling) in pairs if word != spelling}
    return entries | ({"shown": shown} if shown else {})


def _replace(folder: Path, fresh: Path, older: Path) -> None:
    """Put `fresh` in the place of `folder`; if that fails, the older bundle is put back."""
    if folder.exists():
        os.rename(folder, older)
    try:
        os.rename(fresh, folder)
    except OSError:
        if older.exists():
            os.rename(older, folder)
        raise


def _numbers(part: Scaler | Calibration) -> dict[str, object]:
    """Return a part's arrays as lists of numbers for JSON."""
    arrays: dict[str, NDArray[np.float32]] = asdict(part)
    return {name: [round(float(value), 6) for value in values] for name, values in arrays.items()}
