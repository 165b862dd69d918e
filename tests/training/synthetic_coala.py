"""Small files in the layout of COALA's published ones, whose patches three tags tell apart."""

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from core.model.logmel import log_mel
from tests.training.conftest import KINDS, RATE
from training.coala import SCALERS, TEST, TRAIN, VOCABULARY

TAGS = ("click", "his", "bas", "noise", "rare")
"""As COALA spells them: hiss and bass lost their last letter."""
LABELS = {"click": (0,), "hiss": (1, 3), "hum": (2,)}
FRAMES = 96
FIRST_ID, FIRST_TEST_ID = 1000, 90_000


@dataclass(frozen=True)
class Patches:
    """`log_mel` float32 [n, bands, frames], `labels` int16 [n, tags], `ids` int32 [n, 1]."""

    log_mel: np.ndarray
    labels: np.ndarray
    ids: np.ndarray


def make_patches(count: int, first_id: int) -> Patches:
    random = np.random.default_rng(first_id)
    time = np.arange(RATE * 3) / RATE
    patches, labels = [], np.zeros((count, len(TAGS)), np.int16)
    for row in range(count):
        kind = list(KINDS)[row % len(KINDS)]
        sound = KINDS[kind](time, random)
        quiet = 10 ** random.uniform(-3, -1) * sound / np.abs(sound).max() + 1e-4 * random.standard_normal(len(time))
        patches.append(log_mel(quiet.astype(np.float32))[:, :FRAMES])
        labels[row, LABELS[kind]] = 1
    return Patches(np.stack(patches), labels, np.arange(first_id, first_id + count, dtype=np.int32)[:, None])


def write_hdf5(path: Path, data: np.ndarray, labels: np.ndarray, ids: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("dataset")
        group.create_dataset("id", data=ids)
        group.create_dataset("data", data=data)
        group.create_dataset("label", data=labels)


def scaling(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest log-mel of each time column, float64 [frames] each: about what COALA's scaler has seen."""
    return random.uniform(-16.5, -16, FRAMES), random.uniform(3, 6, FRAMES)


def write_scaler(path: Path, lowest: np.ndarray, highest: np.ndarray) -> None:
    scale = 1 / (highest - lowest)
    path.write_text(json.dumps({"kind": "MinMaxScaler", "scale": scale.tolist(), "min": (-lowest * scale).tolist()}))


def make_coala(folder: Path, train: int = 60, test: int = 18) -> dict[str, Patches]:
    """All four published files in `folder`; returns what the two HDF5 files hold, before scaling."""
    folder.mkdir(parents=True, exist_ok=True)
    lowest, highest = scaling(np.random.default_rng(1))
    write_scaler(folder / SCALERS[0], lowest, highest)
    (folder / VOCABULARY).write_text(json.dumps({str(index): tag for index, tag in enumerate(TAGS)}))
    made = {TRAIN: make_patches(train, FIRST_ID), TEST: make_patches(test, FIRST_TEST_ID)}
    for name, patches in made.items():
        scaled = ((patches.log_mel - lowest) / (highest - lowest)).astype(np.float32)
        write_hdf5(folder / name, scaled, patches.labels, patches.ids)
    return made
