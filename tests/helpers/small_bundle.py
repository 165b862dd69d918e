"""A bundle of a tiny network, for tests of what a bundle is rather than of its predictions."""

from pathlib import Path
from typing import NotRequired, TypedDict, Unpack

import numpy as np
import torch

from core.model.bundle import Bundle, Calibration, Scaler
from core.model.metrics import BundleMetrics
from core.model.networks import Network, PrototypeCNN
from core.model.saving import save_bundle

torch.set_num_threads(1)  # threads cost more than these networks do

TAGS = ("bark", "dog", "rain")
DESCRIPTION: dict[str, object] = {
    "name": "tiny",
    "architecture": "prototype_cnn",
    "arguments": {"channels": [2, 3, 4, 5], "hidden": 7},
    "front_end": {"rate": 22_000, "n_fft": 1024, "hop": 512, "bands": 96, "pad_mode": "reflect"},
    "pooling": "top_half",
    "license": "CC0",
}
METRICS: BundleMetrics = {
    "overall": {"pr_auc_macro": 0.5},
    "per_tag": {tag: {"pr_auc": 0.5} for tag in TAGS},
    "clips": 3,
    "recordings": 3,
    "split": "test",
}


class Parts(TypedDict):
    """The arguments of `save_bundle`."""

    description: dict[str, object]
    weights: dict[str, torch.Tensor]
    scaler: Scaler
    vocabulary: tuple[str, ...]
    calibration: Calibration
    metrics: BundleMetrics
    spelled: NotRequired[tuple[str, ...]]


class ChangedParts(TypedDict, total=False):
    """The arguments of `save_bundle` that a test changes."""

    description: dict[str, object]
    weights: dict[str, torch.Tensor]
    scaler: Scaler
    vocabulary: tuple[str, ...]
    calibration: Calibration
    metrics: BundleMetrics
    spelled: tuple[str, ...]


def tiny_network(tags: int = len(TAGS)) -> Network:
    """Return a network of random weights whose batch norms have statistics."""
    torch.manual_seed(7)
    network = PrototypeCNN(tags, (2, 3, 4, 5), hidden=7)
    return with_batch_statistics(network)


def with_batch_statistics(network: Network) -> Network:
    """Run random patches through a network in training mode; return it in eval mode."""
    for _ in range(3):
        network(torch.randn(8, network.bands, network.window))
    return network.eval()


def parts() -> Parts:
    """Return parts for `save_bundle` that fit each other."""
    bands = np.linspace(0, 1, 96, dtype=np.float32)
    return {
        "description": DESCRIPTION,
        "weights": tiny_network().state_dict(),
        "scaler": Scaler(mean=-9 + 5 * bands, std=1 + 2 * bands),
        "vocabulary": TAGS,
        "calibration": Calibration(
            slope=np.array([1, 0.5, 2], np.float32),
            offset=np.array([0, -0.25, 0.125], np.float32),
            threshold=np.array([0.5, 0.25, 0.75], np.float32),
        ),
        "metrics": METRICS,
    }


def saved(folder: Path, **changed: Unpack[ChangedParts]) -> Bundle:
    """Write the tiny bundle, with some parts changed."""
    return save_bundle(folder, **(parts() | changed))
