"""A trained model as a folder of plain files: what `training` writes, the registry keeps and the tagger loads.

weights.safetensors   model.json   scaler.json   id2tag.json   calibration.json   metrics.json
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import EarmarkError
from core.model.logmel import LogMelSpec

if TYPE_CHECKING:
    import torch

FILES = ("weights.safetensors", "model.json", "scaler.json", "id2tag.json", "calibration.json", "metrics.json")
STARTER = Path(__file__).parents[1] / "starter"
NAME_PATTERN = re.compile(r"[a-z0-9_]+")  # also what the Hopsworks registry accepts


class BundleError(EarmarkError):
    """A folder that is not a whole, fitting bundle."""


@dataclass(frozen=True)
class Scaler:
    """Standardisation of log-mel frames: (frames - `mean`) / `std`, each float32 [bands] (or [1] for a global one)."""

    mean: np.ndarray
    std: np.ndarray

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """float32 [bands, time] -> the same shape, scaled."""
        return (frames - self.mean[:, None]) / self.std[:, None]


@dataclass(frozen=True)
class Calibration:
    """Per tag, float32 [tags]: probability = sigmoid(`slope` * logit + `offset`), suggested from `threshold` upwards."""

    slope: np.ndarray
    offset: np.ndarray
    threshold: np.ndarray

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """float32 [..., tags] -> probabilities of the same shape."""
        return 1 / (1 + np.exp(-(self.slope * logits + self.offset)))


@dataclass(frozen=True)
class Bundle:
    """The parts of a model that are small enough to keep in memory, and the `folder` that its weights lie in."""

    folder: Path
    name: str
    architecture: str
    arguments: dict[str, Any]
    front_end: LogMelSpec
    pooling: str
    scaler: Scaler
    vocabulary: tuple[str, ...]
    calibration: Calibration
    metrics: dict[str, Any] = field(repr=False)
    description: dict[str, Any] = field(repr=False)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the bytes of all files: two bundles with the same fingerprint are the same model."""
        return fingerprint(self.folder)

    def network(self) -> "torch.nn.Module":
        """The network with its weights, in eval mode. Raises `BundleError` if they do not fit each other."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from core.model.networks import build

        try:
            network = build(self.architecture, len(self.vocabulary), self.arguments)
            weights = {name: tensor.float() for name, tensor in load_file(self.folder / "weights.safetensors").items()}
            network.load_state_dict(weights)
        except KeyError as error:
            raise BundleError(f"{self.folder.name}: the architecture {error} is not known to this version of Earmark.") from error
        except (TypeError, RuntimeError, SafetensorError, OSError) as error:
            first = str(error).strip().splitlines()[0]
            raise BundleError(f"{self.folder.name}: the weights do not fit model.json ({first}).") from error
        if network.bands != self.front_end.bands:
            raise BundleError(f"{self.folder.name}: the network wants {network.bands} bands, the front-end makes {self.front_end.bands}.")
        return network.eval()


def fingerprint(folder: Path) -> str:
    """SHA-256 over names and bytes of a bundle's files. Raises `BundleError` if one is missing."""
    digest = hashlib.sha256()
    for name in FILES:
        try:
            data = (folder / name).read_bytes()
        except OSError as error:
            raise BundleError(f"The model in {folder.name} lacks {name}.") from error
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def load(folder: Path = STARTER) -> Bundle:
    """Read and check a bundle's descriptions; its weights are read by `Bundle.network`.

    Raises `BundleError`, with one sentence saying what is missing or does not fit.
    """
    folder = Path(folder)
    model, scaler = _json(folder, "model.json"), _json(folder, "scaler.json")
    tags, calibration = _json(folder, "id2tag.json"), _json(folder, "calibration.json")
    if not (folder / "weights.safetensors").is_file():
        raise BundleError(f"The model in {folder.name} lacks weights.safetensors.")
    try:
        bundle = Bundle(
            folder=folder,
            name=model["name"],
            architecture=model["architecture"],
            arguments=model["arguments"],
            front_end=LogMelSpec(**model["front_end"]),
            pooling=model["pooling"],
            scaler=Scaler(_floats(scaler["mean"]), _floats(scaler["std"])),
            vocabulary=tuple(tags[str(index)] for index in range(len(tags))),
            calibration=Calibration(*(_floats(calibration[part]) for part in ("slope", "offset", "threshold"))),
            metrics=_json(folder, "metrics.json"),
            description=model,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"The model in {folder.name} is described wrongly: {error!r}.") from error
    _check(bundle)
    return bundle


def _check(bundle: Bundle) -> None:
    """Raise `BundleError` if the parts do not fit each other."""
    where, tags, bands = bundle.folder.name, len(bundle.vocabulary), bundle.front_end.bands
    if not NAME_PATTERN.fullmatch(bundle.name):
        raise BundleError(f"{where}: the model's name {bundle.name!r} may hold only a-z, 0-9 and _.")
    if not tags or len(set(bundle.vocabulary)) != tags:
        raise BundleError(f"{where}: the vocabulary is empty or names a tag twice.")
    for part, values in asdict(bundle.calibration).items():
        if values.shape != (tags,) or not np.isfinite(values).all():
            raise BundleError(f"{where}: calibration.json has {len(values)} values of {part} for {tags} tags, or one that is no number.")
    if bundle.scaler.mean.shape not in ((bands,), (1,)) or bundle.scaler.std.shape != bundle.scaler.mean.shape:
        raise BundleError(f"{where}: scaler.json does not fit {bands} mel bands.")
    if not (bundle.scaler.std > 0).all():
        raise BundleError(f"{where}: scaler.json divides by zero.")


def save(
    folder: Path,
    *,
    description: dict[str, Any],
    weights: dict[str, "torch.Tensor"],
    scaler: Scaler,
    vocabulary: tuple[str, ...],
    calibration: Calibration,
    metrics: dict[str, Any],
) -> Bundle:
    """Write a bundle, weights in half precision, as a whole or not at all; an older one in `folder` is replaced.

    `description` becomes `model.json` and needs `name`, `architecture`, `arguments`, `front_end` and `pooling`.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".bundle-") as temporary:
        fresh = Path(temporary) / folder.name
        fresh.mkdir()
        halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
        save_file({name: tensor.contiguous().cpu() for name, tensor in halves.items()}, fresh / "weights.safetensors")
        _write_json(fresh / "model.json", description)
        _write_json(fresh / "scaler.json", {part: _numbers(values) for part, values in asdict(scaler).items()})
        _write_json(fresh / "id2tag.json", {str(index): tag for index, tag in enumerate(vocabulary)})
        _write_json(fresh / "calibration.json", {part: _numbers(values) for part, values in asdict(calibration).items()})
        _write_json(fresh / "metrics.json", metrics)
        (fresh / "weights.safetensors").chmod(0o644)  # safetensors writes private files
        load(fresh).network()
        if folder.exists():
            os.rename(folder, Path(temporary) / "older")
        os.rename(fresh, folder)
    return load(folder)


def copy(bundle: Bundle, folder: Path) -> None:
    """Copy exactly the bundle's files into a new `folder`."""
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copyfile(bundle.folder / name, folder / name)


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads((folder / name).read_text("utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"The model in {folder.name} lacks {name}.") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"The model in {folder.name} has an unreadable {name}: {error}.") from error
    if not isinstance(value, dict):
        raise BundleError(f"The model in {folder.name} has no object in {name}.")
    return value


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def _floats(values: list[float]) -> np.ndarray:
    return np.array(values, np.float32).reshape(-1)


def _numbers(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in values]
