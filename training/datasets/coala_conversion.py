"""Conversion of COALA's published files, once, into memory-mapped log-mel patches."""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from training.datasets import coala
from training.datasets.coala import BANDS, FORMAT, MAX_ROUNDING_ERROR, PATCH_FRAMES, PublishedFiles
from training.errors import CoalaError

if TYPE_CHECKING:
    import h5py

logger = logging.getLogger(__name__)

BATCH_SIZE = 1024
VALIDATION_SHARE = 0.3
SPLIT_SEED = 0
MIN_VALUE, MAX_VALUE = -0.5, 1.5
"""Published patches lie in 0..1; the test patches may stand out a little."""
FILES = ("patches.f16", "labels.bits", "ids.i32")
Block = tuple[bytes, bytes, bytes]
"""Log-mels float16 [n, frames, bands], labels as bits and ids of some patches, for `FILES`."""


def convert(published: PublishedFiles, folder: Path, batch_size: int = BATCH_SIZE) -> coala.Coala:
    """Convert the published files, or open what was converted before.

    Args:
        published: The files.
        folder: Of the converted set; nothing in it is ever overwritten.
        batch_size: Patches at a time.

    Raises:
        CoalaError: The files are damaged or do not fit each other, the disk is full, or `folder`
            holds something else.
    """
    if not (folder / "coala.json").exists():
        if folder.exists() and any(folder.iterdir()):
            what = f"{folder} holds something else than a converted COALA"
            raise CoalaError(f"{what}; choose another folder.")
        _convert(published, folder, batch_size)
    converted = coala.load(folder)
    facts = json.loads((folder / "coala.json").read_text("utf-8"))
    source = [identity[:2] for identity in facts["source"]]
    if source != [identity[:2] for identity in published.identities]:
        what = f"{folder} was converted from other files than {published.train.parent} holds"
        raise CoalaError(f"{what}; choose another folder.")
    return converted


def validation_ids(ids: NDArray[np.int32], seed: int = SPLIT_SEED) -> NDArray[np.int32]:
    """Return the sounds of the validation part, sorted: 30 % of the published training file's."""
    sounds = np.unique(ids)
    shuffled = np.random.default_rng(seed).permutation(sounds)
    return np.sort(shuffled[: round(VALIDATION_SHARE * len(sounds))])


def _convert(published: PublishedFiles, folder: Path, batch_size: int) -> None:
    """Convert into `folder`.partial, which gets its name when it is whole."""
    tags = coala.read_vocabulary(published.vocabulary)
    scaler = coala.read_scaler(published.scaler)
    partial = folder.with_name(folder.name + ".partial")
    paths = (published.train, published.test)
    with ExitStack() as stack:
        files = [stack.enter_context(_open_hdf5(path)) for path in paths]
        counts = [_patch_count(file, path, tags) for file, path in zip(files, paths, strict=True)]
        logger.info("conversion start folder=%s patches=%d", folder, sum(counts))
        try:
            sources = list(zip(files, paths, counts, strict=True))
            _write_patches(partial, sources, scaler, batch_size)
            _describe(partial, published, tags, scaler, counts)
            if folder.exists():
                folder.rmdir()  # it is empty
            partial.rename(folder)
        except OSError as error:
            what = f"{partial} cannot be written ({error.strerror})"
            raise CoalaError(f"{what}; make room and run the same command again.") from error
    logger.info("conversion end folder=%s", folder)


def _write_patches(
    folder: Path,
    sources: Sequence[tuple["h5py.File", Path, int]],
    scaler: coala.ColumnScaler,
    batch_size: int,
) -> None:
    """Write all patches of the files anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        outputs = [stack.enter_context((folder / name).open("wb")) for name in FILES]
        for file, path, count in sources:
            for start in track(range(0, count, batch_size), f"Converting {path.name}"):
                block = _read_block(file, path, slice(start, start + batch_size), scaler)
                for output, data in zip(outputs, block, strict=True):
                    output.write(data)  # no memory map: a full disk under it kills


def _patch_count(file: "h5py.File", path: Path, tags: Sequence[str]) -> int:
    """Return the number of patches; raise `CoalaError` if the file is laid out differently."""
    import h5py

    kinds = {"data": "f", "label": "fiu", "id": "fiu"}
    shapes = {"data": (BANDS, PATCH_FRAMES), "label": (len(tags),), "id": (1,)}
    counts = set()
    for name, shape in shapes.items():
        dataset = file.get(f"dataset/{name}")
        if not isinstance(dataset, h5py.Dataset):
            raise CoalaError(f"{path} has no dataset/{name}; it is not one of COALA's files.")
        what = f"dataset/{name} in {path}"
        if dataset.shape[1:] != shape:
            must = f"after the patches it must be {shape}, for {len(tags)} tags"
            raise CoalaError(f"{what} has the shape {dataset.shape}; {must}.")
        if dataset.dtype.kind not in kinds[name]:
            raise CoalaError(f"{what} holds {dataset.dtype}, which COALA's files do not.")
        counts.add(len(dataset))
    if len(counts) != 1 or counts == {0}:
        raise CoalaError(f"data, label and id in {path} are of different lengths, or empty.")
    return counts.pop()


def _read_block(file: "h5py.File", path: Path, rows: slice, scaler: coala.ColumnScaler) -> Block:
    """Return the log-mels, labels and ids of some patches.

    Raises:
        CoalaError: They cannot be read, or have impossible values.
    """
    try:
        names = ("data", "label", "id")
        data, labels, ids = (np.asarray(file[f"dataset/{name}"][rows]) for name in names)
    except OSError as error:
        what = f"{path} is damaged or cut off near patch {rows.start:,}"
        raise CoalaError(f"{what}; please fetch it again.") from error
    data = data.astype(np.float32)
    possible = ((data >= MIN_VALUE) & (data <= MAX_VALUE)).all(axis=(1, 2))  # false for NaN
    if not possible.all():
        row = int(np.argmin(possible))
        is_finite = np.isfinite(data[row]).all()
        kind = "values far outside of 0..1" if is_finite else "values that are no numbers"
        where = f"Patch {rows.start + row:,} of {path} (sound {int(ids[row, 0])})"
        raise CoalaError(f"{where} has {kind}; the file is damaged or another one.")
    if not np.isin(labels, (0, 1)).all():
        where = f"The labels near patch {rows.start:,} of {path}"
        raise CoalaError(f"{where} are not all 0 or 1; the file is damaged or another one.")
    halves = scaler.undo(data).transpose(0, 2, 1).astype(np.float16)
    bits = np.packbits(labels.astype(bool), axis=1)
    return halves.tobytes(), bits.tobytes(), ids[:, 0].astype(np.int32).tobytes()


def _describe(
    folder: Path,
    published: PublishedFiles,
    tags: Sequence[str],
    scaler: coala.ColumnScaler,
    counts: Sequence[int],
) -> None:
    """Write the split and the description of a converted set."""
    validation = validation_ids(np.fromfile(folder / "ids.i32", np.int32, counts[0]))
    split = {"seed": SPLIT_SEED, "share": VALIDATION_SHARE, "validation": validation.tolist()}
    (folder / "split.json").write_text(json.dumps(split), "utf-8")
    facts = {
        "format": FORMAT,
        "patches": sum(counts),
        "published_training": counts[0],
        "tags": tags,
        "source": published.identities,
        "scaler": {name: values.tolist() for name, values in asdict(scaler).items()},
        "largest_rounding_error": MAX_ROUNDING_ERROR,
    }
    (folder / "coala.json").write_text(json.dumps(facts), "utf-8")


@contextmanager
def _open_hdf5(path: Path) -> Iterator["h5py.File"]:
    """Open an HDF5 file; raise `CoalaError` if it is not whole."""
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        what = f"{path} is not a whole HDF5 file; it may have been cut off on its way"
        raise CoalaError(f"{what}, please fetch it again.") from error
    with file:
        yield file
