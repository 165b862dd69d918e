"""COALA: 189,896 patches of Freesound sounds with their uploaders' tags (Favory et al. 2020).

Published are two HDF5 files (Zenodo record 3887261), and a vocabulary and a scaler in the authors'
repository. The patches are scaled to 0..1 by a minimum and maximum per *time column*; the converted
set holds them as log-mel again, in half precision and in one file that is mapped into memory:
3.5 GB instead of 7.0, each value within `MAX_ROUNDING_ERROR`.
"""

import json
import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.model.bundle import Scaler
from core.tags import display_tags
from training.datasets.download import ZENODO, RemoteFile, fetch, zenodo_files
from training.datasets.types import (
    DataDescription,
    Frames,
    Labels,
    Subset,
    TrainingData,
    fit_scaler,
)
from training.errors import CoalaError

RECORD = "3887261"
REPOSITORY = "https://raw.githubusercontent.com/xavierfav/coala/master"
TRAIN, TEST = "spec_tags_top_1000", "spec_tags_top_1000_val"
HDF5_SUFFIXES = ("", ".hdf5", ".h5")
VOCABULARY = "id2token_top_1000.json"
SCALERS = ("scaler_top_1000.json", "scaler_top_1000.pkl")
BANDS, PATCH_FRAMES = 96, 96
FORMAT = 1
MAX_ROUNDING_ERROR = 2.0**-8
"""Nepers (0.034 dB): half-precision numbers between 8 and 16 are 2^-7 apart."""
MAX_VALIDATION_PATCHES = 8000
"""Scored after every epoch, and as many others calibrate: 1,000 tags on 51,000 patches take a
quarter of an hour to fit, on 8,000 two minutes."""
PROVENANCE = (
    "COALA (Favory et al. 2020, Zenodo record 3887261): patches of Freesound sounds with their "
    "uploaders' tags, singularised"
)
Column = NDArray[np.float32]
"""float32 [frames], a number for each time column of a patch."""


@dataclass(frozen=True)
class ColumnScaler:
    """COALA's scaling of a patch: x * `scale` + `offset`, per time column."""

    scale: Column
    offset: Column

    def __call__(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale log-mels [..., bands, frames] to about 0..1."""
        return patches * self.scale + self.offset

    def undo(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the log-mels, natural log of magnitude, of published patches."""
        return (patches - self.offset) / self.scale


@dataclass(frozen=True)
class PublishedFiles:
    """Paths of the published files."""

    train: Path
    test: Path
    vocabulary: Path
    scaler: Path

    @property
    def identities(self) -> list[list[Any]]:
        """Return name, size and time of change of each file."""
        paths = (self.train, self.test, self.vocabulary, self.scaler)
        facts = [(path.name, path.stat()) for path in paths]
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in facts]


def download(folder: Path, host: str = ZENODO, repository: str = REPOSITORY) -> PublishedFiles:
    """Download what `folder` lacks, going on where an earlier run stopped.

    Raises:
        DownloadError: A file cannot be had.
        CoalaError: The hosts have something else.
    """
    try:
        return find(folder)
    except CoalaError:
        pass  # something is missing, which is downloaded now
    expected = [name + suffix for name in (TRAIN, TEST) for suffix in HDF5_SUFFIXES]
    for remote in zenodo_files(RECORD, host):
        if remote.name in expected:
            fetch(remote, folder / remote.name)
    base = repository.rstrip("/")
    _fetch_checked(f"{base}/json/{VOCABULARY}", folder / VOCABULARY, read_vocabulary)
    _fetch_checked(f"{base}/{SCALERS[1]}", folder / SCALERS[1], read_scaler)
    return find(folder)


def _fetch_checked(url: str, path: Path, read: Callable[[Path], object]) -> None:
    """Download a file without a published checksum; keep it only if it can be read."""
    fetch(RemoteFile(path.name, url), path)
    try:
        read(path)
    except CoalaError as error:
        path.unlink()
        raise CoalaError(f"{url} sent something else than {path.name}; it was not kept.") from error


def find(folder: Path) -> PublishedFiles:
    """Find the published files in `folder` or its subfolders.

    Raises:
        CoalaError: A file is missing.
    """
    train, test = ([name + suffix for suffix in HDF5_SUFFIXES] for name in (TRAIN, TEST))
    paths = (_find_first(folder, names) for names in (train, test, (VOCABULARY,), SCALERS))
    return PublishedFiles(*paths)


def _find_first(folder: Path, names: Sequence[str]) -> Path:
    """Return the file of the first of these names that exists."""
    for name in names:
        for path in sorted(folder.rglob(name)):
            if path.is_file():
                return path
    where = f"zenodo.org/record/{RECORD} and github.com/xavierfav/coala"
    raise CoalaError(f"There is no {names[0]} in {folder}; COALA's files are at {where}.")


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """Return the tags in the order of the label columns, as COALA spells them.

    Raises:
        CoalaError: The file is not a list of tags by index.
    """
    try:
        listed = json.loads(path.read_text("utf-8"))
        tags = tuple(listed[str(index)] for index in range(len(listed)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoalaError(f"{path} does not list COALA's tags by their index from 0.") from error
    if not tags or "" in tags or len(set(map(str, tags))) != len(tags):
        raise CoalaError(f"{path} must name a different tag for each index.")
    return tags


def read_scaler(path: Path) -> ColumnScaler:
    """Return COALA's scaler, from JSON with `scale` and `min` or from the authors' own file.

    Raises:
        CoalaError: The file is something else.
    """
    try:
        is_json = path.suffix == ".json"
        values = json.loads(path.read_text("utf-8")) if is_json else _arrays_in_pickle(path)
        scale, offset = (np.array(values[name], np.float32) for name in ("scale", "min"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{path} is not COALA's scaler"
        raise CoalaError(f"{what}: it must have numbers named scale and min.") from error
    is_whole = scale.shape == offset.shape == (PATCH_FRAMES,)
    if not is_whole or not (np.isfinite(offset).all() and (scale > 0).all()):
        expected = f"{PATCH_FRAMES} positive scales and as many minima"
        raise CoalaError(f"{path} is not COALA's scaler: it must have {expected}.")
    return ColumnScaler(scale, offset)


def _arrays_in_pickle(path: Path) -> dict[str, NDArray[np.float64]]:
    """Return the arrays of a pickled scikit-learn MinMaxScaler without executing the pickle.

    Its instructions are listed only: an attribute's name, then the bytes of its array. That the
    four arrays agree shows that they were read right; `ValueError` if they do not.
    """
    arrays: dict[str, NDArray[np.float64]] = {}
    name = ""
    for _, value, _ in pickletools.genops(path.read_bytes()):
        if isinstance(value, str) and value in ("scale_", "min_", "data_min_", "data_max_"):
            name = value.rstrip("_")
        elif isinstance(value, bytes | bytearray) and name and len(value) == 8 * PATCH_FRAMES:
            arrays[name], name = np.frombuffer(value, "<f8"), ""
    lowest, highest, scale = arrays["data_min"], arrays["data_max"], arrays["scale"]
    fits = np.allclose(scale * (highest - lowest), 1) and np.allclose(
        arrays["min"], -lowest * scale
    )
    if not fits:
        raise ValueError("minima, maxima and scales contradict each other")
    return arrays


@dataclass(frozen=True)
class Coala:
    """The converted set.

    The first patches come from the published training file, the others from its validation file.

    Attributes:
        folder: Holds it.
        frames: Log-mel, a clip of 96 frames per patch.
        tags: As COALA spells them.
        scaler: Of the published patches.
        ids: Freesound ids, int32 [patches].
        subset_of: int8 [patches]: 0 training, 1 validation, 2 test, -1 left out because the sound
            is in the test part too.
        label_bits: Labels, eight to a byte.
    """

    folder: Path
    frames: Frames
    tags: tuple[str, ...]
    scaler: ColumnScaler
    ids: NDArray[np.int32]
    subset_of: NDArray[np.int8]
    label_bits: NDArray[np.uint8]

    def labels(self, patches: NDArray[np.int64] | Sequence[int]) -> Labels:
        """Return float32 [patches, tags]."""
        bits = np.unpackbits(self.label_bits[patches], axis=1, count=len(self.tags))
        return bits.astype(np.float32)

    def patches(self, subset: int) -> NDArray[np.int64]:
        """Return the indices of a subset's patches."""
        return np.flatnonzero(self.subset_of == subset)

    def subset(self, number: int) -> Subset:
        """Return the training (0), validation (1) or test (2) subset."""
        patches = self.patches(number)
        recordings = self.ids[patches].astype(str)
        return Subset(self.frames, patches, self.labels(patches), recordings)


def load(folder: Path) -> Coala:
    """Open a converted set.

    Raises:
        CoalaError: It is damaged, or of another version.
    """
    try:
        facts = json.loads((folder / "coala.json").read_text("utf-8"))
        if facts["format"] != FORMAT:
            advice = "convert COALA again, into another folder"
            raise CoalaError(f"{folder} was converted by another version of Earmark; {advice}.")
        count, tags = facts["patches"], tuple(facts["tags"])
        shape = (count * PATCH_FRAMES, BANDS)
        data = np.memmap(folder / "patches.f16", np.float16, "r", shape=shape)
        bits = np.memmap(folder / "labels.bits", np.uint8, "r", shape=(count, -(-len(tags) // 8)))
        ids = np.fromfile(folder / "ids.i32", np.int32)
        validation = json.loads((folder / "split.json").read_text("utf-8"))["validation"]
        columns = (np.array(facts["scaler"][name], np.float32) for name in ("scale", "offset"))
        scaler = ColumnScaler(*columns)
        if len(ids) != count:
            raise ValueError("ids are missing")
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"The converted COALA in {folder} is damaged"
        raise CoalaError(f"{what}; remove the folder to convert it again.") from error
    frames = Frames(data, np.arange(0, (count + 1) * PATCH_FRAMES, PATCH_FRAMES))
    subset_of = np.isin(ids, validation).astype(np.int8)
    subset_of[np.isin(ids, ids[facts["published_training"] :])] = -1
    subset_of[facts["published_training"] :] = 2
    return Coala(folder, frames, tags, scaler, ids, subset_of, bits)


def training_data(coala: Coala, *, scale_bands: bool) -> TrainingData:
    """Return the converted set as the training takes it.

    Args:
        coala: The set.
        scale_bands: Standardise each mel band. If False, log-mels stay as they are: the network
            scales them by time column itself.
    """
    train, whole_validation, test = (coala.subset(number) for number in range(3))
    validation, calibration = divide_validation(whole_validation, MAX_VALIDATION_PATCHES)
    unscaled = Scaler(np.zeros(1, np.float32), np.ones(1, np.float32))
    split = f"test: COALA's published validation file, {len(test.clips):,} patches"
    trained = {
        "test_recordings": [],  # 19,000 ids; the split is the published one
        "split": "COALA's published files, the first one 70/30 by sound",
        "scaling": "restored log-mel, each band standardised"
        if scale_bands
        else "per time column, as published",
        "left_out": int((coala.subset_of < 0).sum()),
    }
    description = DataDescription(
        PROVENANCE,
        "see the license of each sound on Freesound",
        f"{split}; it took no part in training or any choice",
        trained,
    )
    return TrainingData(
        train=train,
        validation=validation,
        calibration=calibration,
        test=test,
        tags=display_tags(coala.tags),
        spelled=coala.tags,
        scaler=fit_scaler(train) if scale_bands else unscaled,
        description=description,
    )


def divide_validation(validation: Subset, max_patches: int) -> tuple[Subset, Subset]:
    """Return patches to score after every epoch, and others to calibrate with.

    Both are the whole subset where there are too few for two.
    """
    if len(validation.clips) <= 2 * max_patches:
        return validation, validation
    order = np.random.default_rng(0).permutation(len(validation.clips))
    first, second = order[:max_patches], order[max_patches : 2 * max_patches]
    return validation.rows(np.sort(first)), validation.rows(np.sort(second))
