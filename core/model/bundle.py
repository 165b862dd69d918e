"""A trained model as a folder of plain files, for training, registry and predictor alike.

weights.safetensors   model.json   scaler.json   id2tag.json   calibration.json   metrics.json
model.onnx

Bundles of version 0.1 lack model.onnx, which is made of their weights where they are used.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, FiniteFloat, ValidationError, field_validator

from core.model.errors import IncompleteBundle, InvalidBundle
from core.model.logmel import LogMelSpec
from core.model.metrics import BundleMetrics
from core.model.pooling import Pooling, segment_windows
from core.model.windows import DEFAULT_HOP, DEFAULT_WINDOW, MAX_CLIP_FRAMES
from core.untrusted import load_json

if TYPE_CHECKING:
    from core.model.networks import Network

WEIGHTS = "weights.safetensors"
NETWORK = "model.onnx"
NEEDED_FILES = (
    WEIGHTS,
    "model.json",
    "scaler.json",
    "id2tag.json",
    "calibration.json",
    "metrics.json",
)
FILES = (*NEEDED_FILES, NETWORK)
DEFAULT_BUNDLE = Path(__file__).parent / "default"
NAME_PATTERN = re.compile(r"^[a-z0-9_]+$")
"""Names of models; the Hopsworks registry accepts no others."""
MAX_JSON_BYTES = 16_000_000
"""More than any bundle needs; a larger file is not read."""
MAX_FRAMES = 100_000
"""In a window; digital silence fills it up."""
MAX_RATE_HZ, MAX_N_FFT, MAX_BANDS = 192_000, 1 << 16, 1024
FORMER_ARCHITECTURES = {"seed_cnn": "prototype_cnn", "seed_cnn_columns": "prototype_cnn_columns"}
"""Names of architectures in bundles of version 0.1 -> the names that they have now."""


@dataclass(frozen=True)
class Scaler:
    """Standardisation of log-mel frames: (frames - `mean`) / `std`.

    Attributes:
        mean: float32 [bands], or [1] for all bands.
        std: The same shape, positive.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def __call__(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale float32 [bands, time]."""
        scaled: NDArray[np.float32] = (frames - self.mean[:, None]) / self.std[:, None]
        return scaled


@dataclass(frozen=True)
class Calibration:
    """From logits to probabilities, per tag: sigmoid(`slope` * logit + `offset`).

    Attributes:
        slope: float32 [tags].
        offset: float32 [tags].
        threshold: float32 [tags], the probability from which a tag is suggested.
    """

    slope: NDArray[np.float32]
    offset: NDArray[np.float32]
    threshold: NDArray[np.float32]

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities for logits float32 [..., tags], the same shape."""
        exponents = np.clip(self.slope * logits + self.offset, -60, 60)
        probabilities: NDArray[np.float32] = 1 / (1 + np.exp(-exponents))
        return probabilities


@dataclass(frozen=True)
class Bundle:
    """The parts of a model that are small enough to keep in memory.

    Attributes:
        folder: Where its files are, weights included.
        name: The model's name in a registry.
        architecture: A name in `networks.ARCHITECTURES`.
        arguments: Of the architecture.
        front_end: Parameters of the log-mel.
        pooling: From windows to the recording.
        scaler: Of log-mel frames.
        vocabulary: The tags to show and publish, in the order of the logits.
        spelled: The same tags as the training data spell them.
        calibration: From logits to probabilities and thresholds.
        metrics: The contents of metrics.json.
        description: The contents of model.json.
    """

    folder: Path
    name: str
    architecture: str
    arguments: dict[str, object]
    front_end: LogMelSpec
    pooling: Pooling
    scaler: Scaler
    vocabulary: tuple[str, ...]
    spelled: tuple[str, ...] = field(repr=False)
    calibration: Calibration
    metrics: BundleMetrics = field(repr=False)
    description: dict[str, object] = field(repr=False)

    @cached_property
    def fingerprint(self) -> str:
        """Return SHA-256 over the bytes of all files: the same for the same model only."""
        return fingerprint(self.folder)

    @property
    def window(self) -> int:
        """Return the number of frames in a window."""
        return cast(int, self.arguments.get("window", DEFAULT_WINDOW))

    @property
    def hop(self) -> int:
        """Return the number of frames between the starts of two windows."""
        return cast(int, self.arguments.get("hop", DEFAULT_HOP))

    @property
    def loop_frames(self) -> int:
        """Return the number of frames up to which a shorter recording is repeated."""
        return cast(int, self.arguments.get("loop_frames", 0))

    @property
    def segment(self) -> int:
        """Return the number of windows in a segment of a long recording."""
        if self.architecture == "efficientat_mn":
            return 1  # its windows are nearly as long as a segment
        return segment_windows(self.front_end, self.window, self.hop)

    def with_thresholds(self, thresholds: Mapping[str, float]) -> "Bundle":
        """Return the same model with other thresholds.

        Args:
            thresholds: By tag; other tags keep theirs, unknown ones are ignored.
        """
        own = self.calibration.threshold.tolist()
        new = [thresholds.get(tag, own[index]) for index, tag in enumerate(self.vocabulary)]
        calibration = replace(self.calibration, threshold=np.array(new, np.float32))
        return replace(self, calibration=calibration)

    def network_input(self, log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale log-mel frames, float32 [bands, time]; digital silence fills the first window."""
        missing = max(0, self.window - log_mel.shape[1])
        filled = np.pad(log_mel, ((0, 0), (0, missing)), constant_values=self.front_end.floor)
        return self.scaler(filled)

    @property
    def license(self) -> str:
        """Return the condition of use; empty if it is not stated."""
        former = self.description.get("licence", "")  # the key of version 0.1
        return str(self.description.get("license", former))

    @property
    def data(self) -> str:
        """Return the description of the training data; empty if it is not stated."""
        return str(self.description.get("data", ""))

    @property
    def origin(self) -> str:
        """Return what the training started from; empty if that were random weights."""
        trained = self.description.get("trained")
        return str(trained.get("from", "")) if isinstance(trained, dict) else ""

    def network(self) -> "Network":
        """Return the network with its weights, in eval mode.

        Raises:
            InvalidBundle: The weights do not fit the description.
        """
        from core.model.networks import build

        where = self.folder.name
        try:
            network = build(self.architecture, len(self.vocabulary), self.arguments)
        except KeyError as error:
            reason = f"the architecture {error} is not known to this version of Earmark"
            raise InvalidBundle(f"{where}: {reason}.") from error
        except (TypeError, ValueError) as error:
            reason = f"model.json has arguments that {self.architecture} does not take"
            raise InvalidBundle(f"{where}: {reason}.") from error
        _load_weights(network, self.folder)
        if network.bands != self.front_end.bands:
            bands = f"{network.bands} bands, the front-end makes {self.front_end.bands}"
            raise InvalidBundle(f"{where}: the network takes {bands}.")
        return network.eval()


def load(folder: Path = DEFAULT_BUNDLE) -> Bundle:
    """Read and check a bundle's descriptions; its network is read where it is used.

    Raises:
        IncompleteBundle: A file is missing.
        InvalidBundle: A file is damaged or does not fit the others.
    """
    folder = Path(folder)
    files = {name: _read_json(folder, name) for name in NEEDED_FILES if name != WEIGHTS}
    if not (folder / WEIGHTS).is_file():
        raise IncompleteBundle(f"The model in {folder.name} lacks {WEIGHTS}.")
    model = _validated(folder, "model.json", _Model, files)
    scaler = _validated(folder, "scaler.json", _Scaler, files)
    calibration = _validated(folder, "calibration.json", _Calibration, files)
    _validated(folder, "metrics.json", _Metrics, files)
    vocabulary, spelled = _vocabulary(folder, files["id2tag.json"])
    bundle = Bundle(
        folder=folder,
        name=model.name,
        architecture=FORMER_ARCHITECTURES.get(model.architecture, model.architecture),
        arguments=model.arguments,
        front_end=model.front_end,
        pooling=model.pooling,
        scaler=Scaler(_floats(scaler.mean), _floats(scaler.std)),
        vocabulary=vocabulary,
        spelled=spelled,
        calibration=Calibration(
            _floats(calibration.slope), _floats(calibration.offset), _floats(calibration.threshold)
        ),
        metrics=cast(BundleMetrics, files["metrics.json"]),
        description=files["model.json"],
    )
    _check_that_parts_fit(bundle)
    return bundle


def copy(bundle: Bundle, folder: Path) -> None:
    """Copy exactly the bundle's files into a new folder.

    Raises:
        OSError: The folder exists, or the files cannot be read or written.
    """
    folder.mkdir(parents=True)
    for name in files(bundle.folder):
        shutil.copyfile(bundle.folder / name, folder / name)


def files(folder: Path) -> tuple[str, ...]:
    """Return the names of a bundle's files: with model.onnx, unless it is of version 0.1."""
    return FILES if (folder / NETWORK).exists() else NEEDED_FILES


def fingerprint(folder: Path) -> str:
    """Return SHA-256 over names and bytes of a bundle's files.

    Of a bundle without model.onnx it is what it was in version 0.1.

    Raises:
        IncompleteBundle: A file is missing or cannot be read.
    """
    digest = hashlib.sha256()
    for name in files(folder):
        try:
            data = (folder / name).read_bytes()
        except OSError as error:
            raise IncompleteBundle(f"The model in {folder.name} lacks {name}.") from error
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()


class _Model(BaseModel):
    """The entries that `model.json` must have; it may have more."""

    name: Annotated[str, Field(pattern=NAME_PATTERN.pattern)]
    architecture: str
    arguments: dict[str, object]
    front_end: LogMelSpec
    pooling: Pooling

    @field_validator("arguments")
    @classmethod
    def _whole_windows(cls, arguments: dict[str, object]) -> dict[str, object]:
        for name in ("window", "hop"):
            value = arguments.get(name, 1)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number of frames")
            if value > MAX_FRAMES:
                raise ValueError(f"{name} must be at most {MAX_FRAMES:,} frames")
        loop_frames = arguments.get("loop_frames", 0)
        if type(loop_frames) is not int or not 0 <= loop_frames <= MAX_CLIP_FRAMES:
            raise ValueError(f"loop_frames must be a number of frames up to {MAX_CLIP_FRAMES}")
        return arguments

    @field_validator("front_end")
    @classmethod
    def _plausible(cls, spec: LogMelSpec) -> LogMelSpec:
        limits = {"rate": MAX_RATE_HZ, "n_fft": MAX_N_FFT, "bands": MAX_BANDS, "hop": MAX_N_FFT}
        for name, limit in limits.items():
            if getattr(spec, name) > limit:
                raise ValueError(f"{name} must be at most {limit:,}")
        return spec

    @field_validator("front_end", mode="before")
    @classmethod
    def _no_unknown_parameter(cls, value: object) -> object:
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
    """The entries that `metrics.json` must have; it may have more."""

    overall: dict[str, FiniteFloat | None]
    per_tag: dict[str, dict[str, object]]
    clips: int
    recordings: int
    split: str


_Part = TypeVar("_Part", bound=BaseModel)


def _read_json(folder: Path, name: str) -> dict[str, object]:
    """Return a file's JSON object.

    Raises:
        BundleError: The file is missing or something else.
    """
    try:
        with (folder / name).open("rb") as file:
            data = file.read(MAX_JSON_BYTES + 1)
        if len(data) > MAX_JSON_BYTES:
            raise ValueError(f"it is larger than {MAX_JSON_BYTES / 1e6:g} MB")
        value = load_json(data)
    except FileNotFoundError as error:
        raise IncompleteBundle(f"The model in {folder.name} lacks {name}.") from error
    except (OSError, ValueError) as error:
        reason = f"The model in {folder.name} has an unreadable {name}: {error}."
        raise InvalidBundle(reason) from error
    if not isinstance(value, dict):
        raise InvalidBundle(f"The model in {folder.name} has no object in {name}.")
    return value


def _validated(
    folder: Path, name: str, kind: type[_Part], files: Mapping[str, Mapping[str, object]]
) -> _Part:
    """Return a file's entries, checked.

    Raises:
        InvalidBundle: An entry is missing or wrong.
    """
    try:
        return kind.model_validate_json(json.dumps(files[name]), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(map(str, first["loc"]))
        reason = f"The model in {folder.name} has a wrong {name}: {entry}: {first['msg']}."
        raise InvalidBundle(reason) from error


def _vocabulary(
    folder: Path, entries: Mapping[str, object]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the tags by index: as they are shown, and as the training data spell them.

    Raises:
        InvalidBundle: An index is missing, or a tag is no word or there twice.
    """
    shown = entries.get("shown", {})
    indices = [str(index) for index in range(len(entries) - ("shown" in entries))]
    spelled = [entries.get(index) for index in indices]
    if isinstance(shown, dict) and indices and shown.keys() <= set(indices):
        pairs = zip(indices, spelled, strict=True)
        vocabulary = [shown.get(index, spelling) for index, spelling in pairs]
        if _are_distinct_words(vocabulary) and _are_distinct_words(spelled):
            return tuple(map(str, vocabulary)), tuple(map(str, spelled))
    reason = "it must name a different tag for each index from 0"
    raise InvalidBundle(f"The model in {folder.name} has a wrong id2tag.json: {reason}.")


def _are_distinct_words(values: Iterable[object]) -> bool:
    words = list(values)
    if not all(isinstance(word, str) and len(word.split()) == 1 for word in words):
        return False
    return len(set(words)) == len(words)


def _check_that_parts_fit(bundle: Bundle) -> None:
    """Compare the sizes of the parts.

    Raises:
        InvalidBundle: They do not fit each other.
    """
    model, tags = f"The model in {bundle.folder.name}", len(bundle.vocabulary)
    for part, values in asdict(bundle.calibration).items():
        if values.shape != (tags,):
            count = f"{len(values)} values of {part} in calibration.json for {tags} tags"
            raise InvalidBundle(f"{model} has {count}.")
    if set(bundle.metrics["per_tag"]) != set(bundle.vocabulary):
        raise InvalidBundle(f"{model} has scores in metrics.json for other tags than its own.")
    mean, std, bands = bundle.scaler.mean, bundle.scaler.std, bundle.front_end.bands
    if mean.shape not in ((bands,), (1,)) or std.shape != mean.shape:
        raise InvalidBundle(f"{model} has a scaler.json that does not fit {bands} mel bands.")


def _load_weights(network: "Network", folder: Path) -> None:
    """Read the weights into a network.

    Raises:
        InvalidBundle: They are damaged or of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = {name: values.float() for name, values in load_file(folder / WEIGHTS).items()}
        network.load_state_dict(weights)
    except (RuntimeError, SafetensorError, OSError) as error:
        reason = f"{WEIGHTS} is damaged or of another network than model.json says"
        raise InvalidBundle(f"{folder.name}: {reason}.") from error


def _floats(values: list[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(-1)
