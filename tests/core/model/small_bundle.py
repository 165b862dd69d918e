"""A bundle of a tiny network, for tests of what a bundle is rather than of what it hears."""

from pathlib import Path

import numpy as np
import torch

from core.model import bundle as bundles
from core.model.bundle import Bundle, Calibration, Scaler
from core.model.networks import SeedCNN

torch.set_num_threads(1)  # threads cost more than these networks do

TAGS = ("bark", "dog", "rain")
DESCRIPTION = {
    "name": "tiny",
    "architecture": "seed_cnn",
    "arguments": {"channels": [2, 3, 4, 5], "hidden": 7},
    "front_end": {"rate": 22_000, "n_fft": 1024, "hop": 512, "bands": 96, "pad_mode": "reflect"},
    "pooling": "top_half",
    "licence": "CC0",
}
METRICS = {
    "overall": {"pr_auc_macro": 0.5},
    "per_tag": {tag: {"pr_auc": 0.5} for tag in TAGS},
    "clips": 3,
    "recordings": 3,
    "split": "test",
}


def tiny_network(tags: int = len(TAGS), **arguments) -> SeedCNN:
    """Random weights, and batch norms that have seen something."""
    torch.manual_seed(7)
    network = SeedCNN(tags, **({"channels": (2, 3, 4, 5), "hidden": 7} | arguments))
    for _ in range(3):
        network(torch.randn(8, network.bands, network.window))
    return network.eval()


def parts() -> dict:
    """What `save` wants to know, fitting."""
    return {
        "description": DESCRIPTION,
        "weights": tiny_network().state_dict(),
        "scaler": Scaler(np.linspace(-9, -4, 96, dtype=np.float32), np.linspace(1, 3, 96, dtype=np.float32)),
        "vocabulary": TAGS,
        "calibration": Calibration(
            np.array([1, 0.5, 2], np.float32), np.array([0, -0.25, 0.125], np.float32), np.array([0.5, 0.25, 0.75], np.float32)
        ),
        "metrics": METRICS,
    }


def saved(folder: Path, **changed) -> Bundle:
    """The tiny bundle, written to `folder`."""
    return bundles.save(folder, **(parts() | changed))
