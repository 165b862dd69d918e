"""Small files in the layout of COALA's published ones, whose patches three tags tell apart."""

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from core.model.logmel import log_mel
from tests.helpers.synthetic_clips import KINDS, RATE_HZ
from training.datasets.coala import SCALERS, TEST, TRAIN, VOCABULARY

TAGS = ("click", "his", "bas", "noise", "rare")
"""As COALA spells them: hiss and bass lost their last letter."""
LABELS = {"click": (0,), "hiss": (1, 3), "hum": (2,)}
FRAMES = 96
FIRST_ID, FIRST_TEST_ID = 1000, 90_000


@dataclass(frozen=True)
class Patches:
    """`log_mel` float32 [n, bands, frames], `labels` int16 [n, tags], `ids` int32 [n, 1]."""

    log_mel: NDArray[np.float32]
    labels: NDArray[np.int16]
    ids: NDArray[np.int32]


def make_patches(count: int, first_id: int) -> Patches:
    """Return patches of three kinds in turn, each of a sound of its own."""
    random = np.random.default_rng(first_id)
    time = np.arange(RATE_HZ * 3) / RATE_HZ
    patches, labels = [], np.zeros((count, len(TAGS)), np.int16)
    for row in range(count):
        kind = list(KINDS)[row % len(KINDS)]
        sound = KINDS[kind](time, random)
        quiet = 10 ** random.uniform(-3, -1) * sound / np.abs(sound).max()
        noisy = quiet + 1e-4 * random.standard_normal(len(time))
        patches.append(log_mel(noisy.astype(np.float32))[:, :FRAMES])
        labels[row, LABELS[kind]] = 1
    ids = np.arange(first_id, first_id + count, dtype=np.int32)[:, None]
    return Patches(np.stack(patches), labels, ids)


def write_hdf5(
    path: Path,
    data: NDArray[np.float32],
    labels: NDArray[np.int16],
    ids: NDArray[np.int32],
) -> None:
    """Write a file in COALA's layout."""
    with h5py.File(path, "w") as file:
        group = file.create_group("dataset")
        group.create_dataset("id", data=ids)
        group.create_dataset("data", data=data)
        group.create_dataset("label", data=labels)


def write_scaler(path: Path, lowest: NDArray[np.float64], highest: NDArray[np.float64]) -> None:
    """Write a scaler that maps these values of each time column to 0 and 1."""
    scale = 1 / (highest - lowest)
    offset = -lowest * scale
    content = {"kind": "MinMaxScaler", "scale": scale.tolist(), "min": offset.tolist()}
    path.write_text(json.dumps(content))


def make_coala(folder: Path, train: int = 60, test: int = 18) -> dict[str, Patches]:
    """Write all four published files; return the contents of both HDF5 files before scaling."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    lowest, highest = random.uniform(-16.5, -16, FRAMES), random.uniform(3, 6, FRAMES)
    write_scaler(folder / SCALERS[0], lowest, highest)
    tags = {str(index): tag for index, tag in enumerate(TAGS)}
    (folder / VOCABULARY).write_text(json.dumps(tags))
    made = {TRAIN: make_patches(train, FIRST_ID), TEST: make_patches(test, FIRST_TEST_ID)}
    for name, patches in made.items():
        scaled = ((patches.log_mel - lowest) / (highest - lowest)).astype(np.float32)
        write_hdf5(folder / name, scaled, patches.labels, patches.ids)
    return made
