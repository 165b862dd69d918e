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
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, Field, FiniteFloat, ValidationError, field_validator

from core.errors import EarmarkError
from core.model.logmel import LogMelSpec

if TYPE_CHECKING:
    import torch

    from core.model.networks import Network

FILES = ("weights.safetensors", "model.json", "scaler.json", "id2tag.json", "calibration.json", "metrics.json")
STARTER = Path(__file__).parents[1] / "starter"
NAME_PATTERN = re.compile(r"^[a-z0-9_]+$")  # also what the Hopsworks registry accepts
Pooling = Literal["mean", "max", "top_half"]


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
        return 1 / (1 + np.exp(-np.clip(self.slope * logits + self.offset, -60, 60)))


@dataclass(frozen=True)
class Bundle:
    """The parts of a model that are small enough to keep in memory, and the `folder` that its weights lie in.

    `vocabulary`: the tags to show and publish, in the order of the logits; `spelled`: the same as the training data spell them.
    """

    folder: Path
    name: str
    architecture: str
    arguments: dict[str, Any]
    front_end: LogMelSpec
    pooling: Pooling
    scaler: Scaler
    vocabulary: tuple[str, ...]
    spelled: tuple[str, ...] = field(repr=False)
    calibration: Calibration
    metrics: dict[str, Any] = field(repr=False)
    description: dict[str, Any] = field(repr=False)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the bytes of all files: two bundles with the same fingerprint are the same model."""
        return fingerprint(self.folder)

    def network(self) -> "Network":
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
        except (TypeError, ValueError) as error:
            raise BundleError(f"{self.folder.name}: model.json has arguments that {self.architecture} does not take.") from error
        except (RuntimeError, SafetensorError, OSError) as error:
            raise BundleError(f"{self.folder.name}: weights.safetensors is damaged or of another network than model.json says.") from error
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
    described = _checked(folder, "model.json", _Model, model)
    numbers = _checked(folder, "calibration.json", _Calibration, calibration)
    scaling = _checked(folder, "scaler.json", _Scaler, scaler)
    metrics = _json(folder, "metrics.json")
    _checked(folder, "metrics.json", _Metrics, metrics)
    vocabulary, spelled = _vocabulary(folder, tags)
    bundle = Bundle(
        folder=folder,
        name=described.name,
        architecture=described.architecture,
        arguments=described.arguments,
        front_end=described.front_end,
        pooling=described.pooling,
        scaler=Scaler(_floats(scaling.mean), _floats(scaling.std)),
        vocabulary=vocabulary,
        spelled=spelled,
        calibration=Calibration(_floats(numbers.slope), _floats(numbers.offset), _floats(numbers.threshold)),
        metrics=metrics,
        description=model,
    )
    _check_that_parts_fit(bundle)
    return bundle


class _Model(BaseModel):
    """What `model.json` must say; it may say more."""

    name: Annotated[str, Field(pattern=NAME_PATTERN.pattern)]
    architecture: str
    arguments: dict[str, Any]
    front_end: LogMelSpec
    pooling: Pooling

    @field_validator("front_end", mode="before")
    @classmethod
    def _no_unknown_parameter(cls, value: Any) -> Any:
        for name in value if isinstance(value, dict) else ():
            if name not in LogMelSpec.__dataclass_fields__:
                raise ValueError(f"{name} is no parameter of the front-end")
        return value


class _Scaler(BaseModel):
    mean: list[FiniteFloat]
    std: list[Annotated[FiniteFloat, Field(gt=0)]]


class _Calibration(BaseModel):
    slope: list[FiniteFloat]
    offset: list[FiniteFloat]
    threshold: list[Annotated[float, Field(ge=0, le=1)]]


class _Metrics(BaseModel):
    """What `metrics.json` must say; it may say more."""

    overall: dict[str, FiniteFloat | None]
    per_tag: dict[str, dict[str, Any]]
    clips: int
    recordings: int
    split: str


_Part = TypeVar("_Part", bound=BaseModel)


def _checked(folder: Path, name: str, kind: type[_Part], value: dict[str, Any]) -> _Part:
    try:
        return kind.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BundleError(f"The model in {folder.name} has a wrong {name}: {place}: {first['msg']}.") from error


def _vocabulary(folder: Path, tags: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tags in order of their index, each a word, none twice: (as they are shown, as the training data spell them)."""
    shown = tags.get("shown", {})
    count = len(tags) - ("shown" in tags)
    spelled = tuple(tags.get(str(index)) for index in range(count))
    words = tuple(shown.get(str(index), word) for index, word in enumerate(spelled)) if isinstance(shown, dict) else ()
    known = {str(index) for index in range(count)}
    if not words or not set(shown) <= known or not all(all(map(_is_word, some)) and len(set(some)) == count for some in (words, spelled)):
        raise BundleError(f"The model in {folder.name} has a wrong id2tag.json: it must name a different tag for each index from 0.")
    return words, spelled  # type: ignore[return-value]


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and len(value.split()) == 1


def _check_that_parts_fit(bundle: Bundle) -> None:
    """Raise `BundleError` if the parts do not fit each other."""
    where, tags, bands = bundle.folder.name, len(bundle.vocabulary), bundle.front_end.bands
    for part, values in asdict(bundle.calibration).items():
        if values.shape != (tags,):
            raise BundleError(f"The model in {where} has {len(values)} values of {part} in calibration.json for {tags} tags.")
    if set(bundle.metrics["per_tag"]) != set(bundle.vocabulary):
        raise BundleError(f"The model in {where} has scores in metrics.json for other tags than its own.")
    if bundle.scaler.mean.shape not in ((bands,), (1,)) or bundle.scaler.std.shape != bundle.scaler.mean.shape:
        raise BundleError(f"The model in {where} has a scaler.json that does not fit {bands} mel bands.")


def save(
    folder: Path,
    *,
    description: dict[str, Any],
    weights: dict[str, "torch.Tensor"],
    scaler: Scaler,
    vocabulary: tuple[str, ...],
    calibration: Calibration,
    metrics: dict[str, Any],
    spelled: tuple[str, ...] | None = None,
) -> Bundle:
    """Write a bundle, weights in half precision, and check it before it takes the place of an older one in `folder`.

    `description` becomes `model.json` and needs `name`, `architecture`, `arguments`, `front_end` and `pooling`. `vocabulary` is what
    people see; where the training data spell it otherwise, `spelled` says how.
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
        _write_json(fresh / "id2tag.json", _id2tag(vocabulary, spelled or vocabulary))
        _write_json(fresh / "calibration.json", {part: _numbers(values) for part, values in asdict(calibration).items()})
        _write_json(fresh / "metrics.json", metrics)
        (fresh / "weights.safetensors").chmod(0o644)  # safetensors writes private files
        load(fresh).network()
        _replace(folder, fresh, Path(temporary) / "older")
    return load(folder)


def _id2tag(vocabulary: tuple[str, ...], spelled: tuple[str, ...]) -> dict[str, Any]:
    shown = {str(index): word for index, (word, own) in enumerate(zip(vocabulary, spelled, strict=True)) if word != own}
    return {str(index): tag for index, tag in enumerate(spelled)} | ({"shown": shown} if shown else {})


def _replace(folder: Path, fresh: Path, older: Path) -> None:
    """Put `fresh` in the place of `folder`; if that fails, what was there is there again."""
    if folder.exists():
        os.rename(folder, older)
    try:
        os.rename(fresh, folder)
    except OSError:
        if older.exists():
            os.rename(older, folder)
        raise


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
