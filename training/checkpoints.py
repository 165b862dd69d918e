"""Checkpoints: safetensors files with the run's state as JSON in their header, no pickles."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from training.datasets.types import Subset
from training.errors import CheckpointError

LAST, BEST = "last.safetensors", "best.safetensors"


def save(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write a checkpoint as a whole or not at all.

    Args:
        path: An older checkpoint there is replaced.
        tensors: By name.
        state: Whatever else is needed to go on, as JSON.

    Raises:
        CheckpointError: It cannot be written; the older one is whole.
    """
    partial = path.with_suffix(".partial")
    try:
        on_cpu = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
        save_file(on_cpu, partial, metadata={"state": json.dumps(state)})
        partial.replace(path)
    except (SafetensorError, OSError) as error:
        what = f"The checkpoint {path} cannot be written ({error})"
        raise CheckpointError(f"{what}; the one before it is whole.") from error


def read_state(path: Path) -> dict[str, Any]:
    """Return what `save` was given as `state`.

    Raises:
        CheckpointError: The file is not a checkpoint or is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            return dict(json.loads(file.metadata()["state"]))
    except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
        what = f"{path} is damaged or not a checkpoint of this program"
        raise CheckpointError(f"{what}; remove it to begin again.") from error


def read_tensors(path: Path, prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix`, by the rest of their names."""
    with safe_open(path, "pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        return {name.removeprefix(prefix): file.get_tensor(name) for name in names}


def fingerprint(*subsets: Subset) -> str:
    """Return a SHA-256 over clips and labels: a run goes on only with the data it began with."""
    digest = hashlib.sha256()
    for subset in subsets:
        arrays = (subset.frames.offsets, subset.clips, subset.recordings)
        digest.update(json.dumps([array.tolist() for array in arrays]).encode())
        digest.update(np.ascontiguousarray(subset.labels).tobytes())
        if subset.known is not None:
            digest.update(np.packbits(subset.known).tobytes())
    return digest.hexdigest()


def fingerprint_of(*arrays: NDArray[np.float32]) -> str:
    """Return a SHA-256 over arrays, likewise."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
