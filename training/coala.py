"""COALA, the large training set: 189,896 patches of Freesound sounds with their uploaders' tags (Favory et al. 2020).

What is published: two HDF5 files (Zenodo record 3887261) with `dataset/data` float32 [patches, bands, frames], `dataset/label`
int16 [patches, tags] and `dataset/id` int32 [patches, 1]; the vocabulary and a scaler in the authors' repository. The patches are
scaled to 0..1 by a minimum and maximum per *time column*; here they become log-mel again, once, in half precision and in one
file that training maps into memory: 3.5 GB instead of 7.0, each value within `HALF_PRECISION_ERROR` of the published one.
"""

import json
import os
import pickletools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from core.errors import EarmarkError
from core.files import write_atomic
from training import archives
from training.datasets import Frames
from training.download import ZENODO, Remote, fetch, zenodo_files

if TYPE_CHECKING:
    import h5py

RECORD = "3887261"
REPOSITORY = "https://raw.githubusercontent.com/xavierfav/coala/master"
TRAIN, TEST = "spec_tags_top_1000", "spec_tags_top_1000_val"
HDF5_ENDINGS = ("", ".hdf5", ".h5")
VOCABULARY = "id2token_top_1000.json"
SCALERS = ("scaler_top_1000.json", "scaler_top_1000.pkl")
PATCH = (96, 96)
"""Mel bands and frames of a patch."""
VALIDATION_SHARE = 0.3
SPLIT_SEED = 0
AT_ONCE = 1024
FORMAT = 1
HALF_PRECISION_ERROR = 2.0**-8
"""Nepers (0.034 dB): halves between 8 and 16 in size, where the quietest log-mel values lie, are 2^-7 apart."""
PLAUSIBLE = (-0.5, 1.5)
"""Published patches lie in 0..1; the test patches may stand out a little."""


class CoalaError(EarmarkError):
    """COALA data that are missing, damaged or something else."""


@dataclass(frozen=True)
class ColumnScaler:
    """COALA's scaling of a patch: x * `scale` + `offset`, each float32 [frames], one pair per time column."""

    scale: np.ndarray
    offset: np.ndarray

    def __call__(self, patches: np.ndarray) -> np.ndarray:
        """Log-mel float32 [..., bands, frames] -> about 0..1."""
        return patches * self.scale + self.offset

    def undo(self, patches: np.ndarray) -> np.ndarray:
        """As published, float32 [..., bands, frames] -> log-mel, natural log of magnitude."""
        return (patches - self.offset) / self.scale


@dataclass(frozen=True)
class Published:
    """Where the published files lie."""

    train: Path
    test: Path
    vocabulary: Path
    scaler: Path


def download(folder: Path, host: str = ZENODO, repository: str = REPOSITORY) -> Published:
    """Fetch what is not yet in `folder`, going on where an earlier run stopped. Raises `DownloadError`, `ArchiveError` or `CoalaError`."""
    try:
        return find(folder)
    except CoalaError:
        pass  # something is missing, which is why we are here
    for remote in zenodo_files(RECORD, host):
        if _is_hdf5(PurePosixPath(remote.name)):
            fetch(remote, folder / remote.name)
        elif archives.is_archive(remote.name):
            archives.unpack(fetch(remote, folder / remote.name), folder, _is_hdf5)
    _fetch_small(f"{repository.rstrip('/')}/json/{VOCABULARY}", folder / VOCABULARY, read_vocabulary)
    _fetch_small(f"{repository.rstrip('/')}/{SCALERS[1]}", folder / SCALERS[1], read_scaler)
    return find(folder)


def _fetch_small(url: str, path: Path, read: Callable[[Path], object]) -> None:
    """Fetch a file that nobody publishes a checksum of; it is kept only if it can be read."""
    fetch(Remote(path.name, url), path)
    try:
        read(path)
    except CoalaError as error:
        path.unlink()
        raise CoalaError(f"What {url} sent is not what belongs there; it was not kept.") from error


def _is_hdf5(path: PurePosixPath) -> bool:
    return path.name in [name + ending for name in (TRAIN, TEST) for ending in HDF5_ENDINGS]


def find(folder: Path) -> Published:
    """The published files in `folder` or its subfolders. Raises `CoalaError` naming the first that is missing."""
    hdf5 = [[name + ending for ending in HDF5_ENDINGS] for name in (TRAIN, TEST)]
    return Published(*(_one_of(folder, names) for names in (*hdf5, (VOCABULARY,), SCALERS)))


def _one_of(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        for path in sorted(folder.rglob(name)):
            if path.is_file():
                return path
    raise CoalaError(f"There is no {names[0]} in {folder}; COALA's files are at zenodo.org/record/{RECORD} and github.com/xavierfav/coala.")


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """The tags in the order of the label columns, as COALA spells them. Raises `CoalaError`."""
    try:
        found = json.loads(path.read_text("utf-8"))
        tags = tuple(found[str(index)] for index in range(len(found)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoalaError(f"{path} does not list COALA's tags by their index from 0.") from error
    if not tags or not all(isinstance(tag, str) and tag for tag in tags) or len(set(tags)) != len(tags):
        raise CoalaError(f"{path} must name a different tag for each index.")
    return tags


def read_scaler(path: Path) -> ColumnScaler:
    """COALA's scaler, as JSON with `scale` and `min` or as the authors' own file. Raises `CoalaError`."""
    try:
        found = json.loads(path.read_text("utf-8")) if path.suffix == ".json" else _numbers_inside(path.read_bytes())
        scale, offset = (np.array(found[name], np.float64) for name in ("scale", "min"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoalaError(f"{path} is not COALA's scaler: numbers named scale and min are wanted.") from error
    if scale.shape != PATCH[1:] or offset.shape != PATCH[1:] or not (np.isfinite(offset).all() and (scale > 0).all()):
        raise CoalaError(f"{path} is not COALA's scaler: {PATCH[1]} positive scales and as many minima are wanted.")
    return ColumnScaler(scale.astype(np.float32), offset.astype(np.float32))


def _numbers_inside(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of a pickled scikit-learn MinMaxScaler, float64 [frames] each, without running what it says.

    The instructions are only listed: an attribute's name, then the bytes of its array. That the four arrays fit each other
    shows that they were read right. Raises `ValueError` if they do not.
    """
    found: dict[str, np.ndarray] = {}
    name = ""
    for _, value, _ in pickletools.genops(data):
        if isinstance(value, str) and value in ("scale_", "min_", "data_min_", "data_max_"):
            name = value.rstrip("_")
        elif isinstance(value, bytes | bytearray) and name and len(value) == 8 * PATCH[1]:
            found[name], name = np.frombuffer(value, "<f8"), ""
    lowest, highest = found["data_min"], found["data_max"]
    if not (np.allclose(found["scale"] * (highest - lowest), 1) and np.allclose(found["min"], -lowest * found["scale"])):
        raise ValueError("minima, maxima and scales contradict each other")
    return found


@dataclass(frozen=True)
class Coala:
    """The converted set. Patches 0..`published_training` come from the published training file, the rest from its validation file.

    `frames`: log-mel, one clip of 96 frames per patch. `tags` as COALA spells them. `ids`: Freesound ids, int32 [patches].
    `part_of`: int8 [patches], 0 training, 1 validation, 2 test, -1 left out because the sound is in the test part too.
    """

    folder: Path
    frames: Frames
    tags: tuple[str, ...]
    scaler: ColumnScaler
    ids: np.ndarray
    part_of: np.ndarray
    packed: np.ndarray

    def labels(self, patches: np.ndarray) -> np.ndarray:
        """Multi-hot float32 [patches, tags] of these patches."""
        return np.unpackbits(self.packed[patches], axis=1, count=len(self.tags)).astype(np.float32)

    def part(self, number: int) -> np.ndarray:
        """The patches of a part, int [n]."""
        return np.flatnonzero(self.part_of == number)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the conversion noted about itself."""
        return json.loads((self.folder / "coala.json").read_text("utf-8"))


def prepare(published: Published, folder: Path, at_once: int = AT_ONCE) -> Coala:
    """The converted set in `folder`: converted now, `at_once` patches at a time, from where an earlier run stopped, or as it is there.

    Raises `CoalaError`, with one sentence, if the published files are damaged or do not fit each other, if the disk is full, or
    if `folder` holds something else; what is in `folder` is never overwritten.
    """
    if not (folder / "coala.json").exists():
        if folder.exists() and any(folder.iterdir()):
            raise CoalaError(f"{folder} holds something else than a converted COALA; choose another folder.")
        _Conversion(published, folder, at_once).run()
    data = load(folder)
    if [one[:2] for one in data.facts["source"]] != [_identity(path)[:2] for path in _files(published)]:
        raise CoalaError(f"{folder} was converted from other files than {published.train.parent} holds; choose another folder.")
    return data


def load(folder: Path) -> Coala:
    """Open a converted set. Raises `CoalaError` if it is damaged."""
    try:
        facts = json.loads((folder / "coala.json").read_text("utf-8"))
        if facts["format"] != FORMAT:
            raise CoalaError(f"{folder} was converted by another version of Earmark; convert COALA again, into another folder.")
        count, tags = facts["patches"], tuple(facts["tags"])
        bands, width = PATCH
        data = np.memmap(folder / "patches.f16", np.float16, "r", shape=(count * width, bands))
        packed = np.memmap(folder / "labels.bits", np.uint8, "r", shape=(count, -(-len(tags) // 8)))
        ids = np.fromfile(folder / "ids.i32", np.int32)
        validation = np.array(json.loads((folder / "split.json").read_text("utf-8"))["validation"], np.int32)
        scaler = ColumnScaler(*(np.array(facts["scaler"][name], np.float32) for name in ("scale", "offset")))
        if len(ids) != count:
            raise ValueError("ids are missing")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoalaError(f"The converted COALA in {folder} is damaged; remove the folder to convert it again.") from error
    frames = Frames(data, np.arange(0, (count + 1) * width, width))
    return Coala(folder, frames, tags, scaler, ids, _parts(ids, facts["published_training"], validation), packed)


def split_ids(ids: np.ndarray, seed: int = SPLIT_SEED) -> np.ndarray:
    """The sounds of the validation part: 30 % of the published training file's, sorted. All patches of a sound go the same way."""
    sounds = np.unique(ids)
    return np.sort(np.random.default_rng(seed).permutation(sounds)[: round(VALIDATION_SHARE * len(sounds))])


def _parts(ids: np.ndarray, published_training: int, validation: np.ndarray) -> np.ndarray:
    part_of = np.isin(ids, validation).astype(np.int8)
    part_of[np.isin(ids, ids[published_training:])] = -1
    part_of[published_training:] = 2
    return part_of


class _Conversion:
    """One conversion on its way: written into `folder`.partial, which becomes `folder` when it is whole."""

    def __init__(self, published: Published, folder: Path, at_once: int) -> None:
        self.at_once = at_once
        self.published, self.folder, self.partial = published, folder, folder.with_name(folder.name + ".partial")
        self.tags, self.scaler = read_vocabulary(published.vocabulary), read_scaler(published.scaler)
        self.source = [_identity(path) for path in _files(published)]

    def run(self) -> None:
        with _opened(self.published.train) as train, _opened(self.published.test) as test:
            groups = [(train, self.published.train), (test, self.published.test)]
            sizes = [self._check_layout(group, path) for group, path in groups]
            try:
                self._start()
                self._convert(groups, sizes)
                self._finish(sizes)
            except OSError as error:
                raise CoalaError(
                    f"{self.partial} cannot be written ({error.strerror}); the same command goes on from here when there is room."
                ) from error

    def _check_layout(self, group: "h5py.File", path: Path) -> int:
        """How many patches the file has. Raises `CoalaError` if it is not laid out as COALA's."""
        import h5py

        wanted = {"data": PATCH, "label": (len(self.tags),), "id": (1,)}
        sizes = set()
        for name, shape in wanted.items():
            found = group.get(f"dataset/{name}")
            if not isinstance(found, h5py.Dataset):
                raise CoalaError(f"{path} has no dataset/{name}; it is not one of COALA's files.")
            if found.shape[1:] != shape:
                what = f"{len(self.tags)} columns, one per tag of the vocabulary" if name == "label" else " x ".join(map(str, shape))
                raise CoalaError(f"dataset/{name} in {path} has the shape {found.shape}; (patches) x {what} is wanted.")
            if found.dtype.kind not in "fiu" or (name == "data" and found.dtype.kind != "f"):
                raise CoalaError(f"dataset/{name} in {path} holds {found.dtype}, which is not what COALA's files hold.")
            sizes.add(len(found))
        if len(sizes) != 1 or sizes == {0}:
            raise CoalaError(f"data, label and id in {path} are of different lengths, or empty.")
        return sizes.pop()

    def _start(self) -> None:
        """Keep what an earlier run has done of the same files; begin anew if they are others."""
        self.done = 0
        try:
            progress = json.loads((self.partial / "progress.json").read_text("utf-8"))
            if progress["source"] == self.source:
                self.done = int(progress["done"])
                Console(stderr=True).print(f"Going on after {self.done:,} patches.")
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError):
            self.done = 0  # a torn note: nothing of it can be trusted
        self.partial.mkdir(parents=True, exist_ok=True)

    def _convert(self, groups: list[tuple["h5py.File", Path]], sizes: list[int]) -> None:
        bands, width = PATCH
        rows = {"patches.f16": 2 * bands * width, "labels.bits": -(-len(self.tags) // 8), "ids.i32": 4}
        columns = (TextColumn("Converting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("", total=sum(sizes), completed=self.done)
            for (group, path), size, first in zip(groups, sizes, (0, sizes[0]), strict=True):
                for start in range(max(0, self.done - first), size, self.at_once):
                    parts = self._block(group, path, start)
                    for (name, row), data in zip(rows.items(), parts, strict=True):
                        _write_at(self.partial / name, row * self.done, data)
                    self.done += len(parts[2]) // 4
                    self._note()
                    progress.update(task, completed=self.done)

    def _note(self) -> None:
        """What a later run may trust of what is there."""
        write_atomic(self.partial / "progress.json", json.dumps({"source": self.source, "done": self.done}).encode())

    def _block(self, group: "h5py.File", path: Path, start: int) -> tuple[bytes, bytes, bytes]:
        """The patches from `start`: their log-mels [n, frames, bands] as halves, labels as bits, ids. Raises `CoalaError`."""
        rows = slice(start, start + self.at_once)
        try:
            data, labels, ids = (np.asarray(group[f"dataset/{name}"][rows]) for name in ("data", "label", "id"))
        except OSError as error:
            raise CoalaError(f"{path} is damaged or cut off near patch {start:,}; please fetch it again.") from error
        data = data.astype(np.float32)
        wrong = ~((data >= PLAUSIBLE[0]) & (data <= PLAUSIBLE[1])).all(axis=(1, 2))  # NaN compares as wrong
        if wrong.any():
            first = int(np.argmax(wrong))
            kind = "values that are no numbers" if not np.isfinite(data[first]).all() else "values far outside of 0..1"
            raise CoalaError(
                f"Patch {start + first:,} of {path} (sound {int(ids[first, 0])}) has {kind}; the file is damaged or another one."
            )
        if not np.isin(labels, (0, 1)).all():
            raise CoalaError(f"The labels near patch {start:,} of {path} are not all 0 or 1; the file is damaged or another one.")
        halves = self.scaler.undo(data).transpose(0, 2, 1).astype(np.float16)
        return halves.tobytes(), np.packbits(labels.astype(bool), axis=1).tobytes(), ids[:, 0].astype(np.int32).tobytes()

    def _finish(self, sizes: list[int]) -> None:
        """Note the split and what was done, then give the folder its name."""
        ids = np.fromfile(self.partial / "ids.i32", np.int32, sizes[0])
        split = {"seed": SPLIT_SEED, "share": VALIDATION_SHARE, "validation": split_ids(ids).tolist()}
        write_atomic(self.partial / "split.json", json.dumps(split).encode())
        facts = {
            "format": FORMAT, "patches": sum(sizes), "published_training": sizes[0], "tags": self.tags, "source": self.source,
            "scaler": {name: values.tolist() for name, values in asdict(self.scaler).items()},
            "largest_rounding_error": HALF_PRECISION_ERROR,
        }  # fmt: skip
        write_atomic(self.partial / "coala.json", json.dumps(facts).encode())
        (self.partial / "progress.json").unlink()
        if self.folder.exists():
            self.folder.rmdir()  # empty, or `prepare` would have refused it
        self.partial.rename(self.folder)


def _files(published: Published) -> tuple[Path, ...]:
    return published.train, published.test, published.vocabulary, published.scaler


def _identity(path: Path) -> list[Any]:
    facts = path.stat()
    return [path.name, facts.st_size, facts.st_mtime_ns]


def _write_at(path: Path, position: int, data: bytes) -> None:
    """Write `data` at `position`; what an interrupted run left behind it is cut off. (A full disk under a memory map would kill us.)"""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.truncate(position)
        file.seek(position)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # before the note that says it is there


@contextmanager
def _opened(path: Path) -> Iterator["h5py.File"]:
    """An HDF5 file to read. Raises `CoalaError` if it is none or is cut off."""
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise CoalaError(f"{path} is not a whole HDF5 file; it may have been cut off on its way, please fetch it again.") from error
    with file:
        yield file
