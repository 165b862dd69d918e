"""A clip folder: audio files beside a `clips.csv` with at least file, freesound_id and tags."""

import csv
import hashlib
import json
import logging
import math
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from core.audio.decode import decode
from core.model.front_end import network_frames
from core.model.logmel import COALA, LogMelSpec
from training.datasets.types import (
    SUBSETS,
    Frames,
    Labels,
    Subset,
)
from training.errors import DatasetError

logger = logging.getLogger(__name__)

COLUMNS = ("file", "freesound_id", "tags")
OPTIONAL = ("dataset", "category", "license", "fold")
SPLIT_PROPORTIONS = (0.65, 0.15, 0.20)
MIN_RECORDINGS = 8


@dataclass(frozen=True)
class Clip:
    """A labelled file.

    Attributes:
        path: Of the file.
        recording: The Freesound id that it was cut from.
        tags: What it has.
        source: The data set that it came with; empty where clips.csv does not say.
        category: Its class there; likewise.
        license: Its condition of use; likewise.
        fold: The part that the data set puts it in; likewise.
        start_s: From where in the recording it was cut, in seconds; None where that is unknown.
    """

    path: Path
    recording: str
    tags: frozenset[str]
    source: str = ""
    category: str = ""
    license: str = ""
    fold: str = ""
    start_s: float | None = None


def subsets(
    clips: Sequence[Clip], subset_of: NDArray[np.int64], tags: tuple[str, ...], frames: Frames
) -> list[Subset]:
    """Return the training, validation and test subset."""
    labels = multi_hot(clips, tags)
    recordings = np.array([clip.recording for clip in clips])
    rows = [np.flatnonzero(subset_of == number) for number in range(len(SUBSETS))]
    return [Subset(frames, index, labels[index], recordings[index]) for index in rows]


def read_clips(folder: Path) -> list[Clip]:
    """Read `clips.csv`.

    Raises:
        DatasetError: It is missing, empty, lacks a column, or names a file that is not in the
            folder.
    """
    table = folder / "clips.csv"
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            rows = list(reader)
    except FileNotFoundError as error:
        raise DatasetError(f"There is no clips.csv in {folder}.") from error
    except OSError as error:
        raise DatasetError(f"{table} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table} is not a UTF-8 CSV file: {error}.") from error
    if missing:
        raise DatasetError(f"{table} lacks the column {', '.join(missing)}.")
    if not rows:
        raise DatasetError(f"{table} lists no clips.")
    return [_clip(folder, row, line) for line, row in enumerate(rows, start=2)]


def _clip(folder: Path, row: dict[str, str], line: int) -> Clip:
    """Return the clip of a line of clips.csv."""
    where = f"Line {line} of {folder / 'clips.csv'}"
    if any(not (row[column] or "").strip() for column in COLUMNS):
        raise DatasetError(f"{where} has an empty file, freesound_id or tags.")
    path = folder / row["file"]
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise DatasetError(f"{where} names {row['file']}, which is not in the folder.")
    source, category, terms, fold = ((row.get(name) or "").strip() for name in OPTIONAL)
    tags, start_s = frozenset(row["tags"].split()), _seconds(row.get("start_s"))
    return Clip(path, row["freesound_id"], tags, source, category, terms, fold, start_s)


def _seconds(text: str | None) -> float | None:
    """Return a time of clips.csv; None where it is absent or no time."""
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def split_by_recording(
    clips: Sequence[Clip], seed: int, proportions: tuple[float, float, float] = SPLIT_PROPORTIONS
) -> NDArray[np.int64]:
    """Split clips so that all clips of a recording are in the same subset.

    Iterative stratification (Sechidis et al., 2011) over recordings: the rarest tag first, each of
    its recordings to the subset that lacks it most.

    Args:
        clips: To split.
        seed: Decides between equal recordings.
        proportions: Of training, validation and test.

    Returns:
        Each clip's subset, int [clips]: 0 train, 1 validation, 2 test.

    Raises:
        DatasetError: There are too few recordings to give every subset one.
    """
    tags_of: dict[str, frozenset[str]] = {}
    for clip in clips:
        tags_of[clip.recording] = tags_of.get(clip.recording, frozenset()) | clip.tags
    pending = sorted(tags_of)
    np.random.default_rng(seed).shuffle(pending)
    support = Counter(tag for tags in tags_of.values() for tag in tags)
    lacking = {tag: np.array(proportions) * count for tag, count in support.items()}
    room = np.array(proportions) * len(pending)
    subset_of: dict[str, int] = {}
    while pending:
        counts = Counter(tag for recording in pending for tag in tags_of[recording])
        rarest = min(counts, key=lambda tag: (counts[tag], tag))
        for recording in [name for name in pending if rarest in tags_of[name]]:
            needs = [(round(lacking[rarest][n], 6), round(room[n], 6), -n) for n in range(3)]
            subset = needs.index(max(needs))
            subset_of[recording] = subset
            room[subset] -= 1
            for tag in tags_of[recording]:
                lacking[tag][subset] -= 1
        pending = [recording for recording in pending if recording not in subset_of]
    if missing := [name for n, name in enumerate(SUBSETS) if n not in subset_of.values()]:
        raise DatasetError(
            f"{len(subset_of)} recordings are too few: none is left for {' and '.join(missing)}."
        )
    return np.array([subset_of[clip.recording] for clip in clips])


def read_split(path: Path, clips: Sequence[Clip]) -> NDArray[np.int64]:
    """Return each clip's subset from a JSON file that names every recording once.

    Raises:
        DatasetError: The file is not of that kind, names a recording twice, or lacks one.
    """
    try:
        listed = json.loads(path.read_text("utf-8"))
        pairs = [(str(name), number) for number, key in enumerate(SUBSETS) for name in listed[key]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        kinds = ", ".join(SUBSETS)
        raise DatasetError(f"{path} is not a list of recordings for {kinds}.") from error
    subset_of = dict(pairs)
    if len(subset_of) < len(pairs):
        raise DatasetError(f"{path} names a recording more than once.")
    if unknown := sorted({clip.recording for clip in clips} - subset_of.keys()):
        raise DatasetError(f"{path} does not say which part recording {unknown[0]} belongs to.")
    return np.array([subset_of[clip.recording] for clip in clips])


def vocabulary(clips: Sequence[Clip], min_recordings: int = MIN_RECORDINGS) -> tuple[str, ...]:
    """Return the tags of at least `min_recordings` recordings, in alphabetical order.

    Recordings count, not clips: 240 clips cut from ten recordings are ten examples of a tag.

    Raises:
        DatasetError: No tag is frequent enough.
    """
    recordings: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        for tag in clip.tags:
            recordings[tag].add(clip.recording)
    kept = tuple(sorted(tag for tag, ids in recordings.items() if len(ids) >= min_recordings))
    if not kept:
        raise DatasetError(f"No tag is on clips of at least {min_recordings} recordings.")
    return kept


def multi_hot(clips: Sequence[Clip], tags: tuple[str, ...]) -> Labels:
    """Return float32 [clips, tags], 1 where the clip has the tag."""
    rows = [[tag in clip.tags for tag in tags] for clip in clips]
    return np.array(rows, np.float32).reshape(len(clips), len(tags))


def load_frames(clips: Sequence[Clip], cache: Path, spec: LogMelSpec = COALA) -> Frames:
    """Return the log-mels of all clips, computed once.

    Args:
        clips: Labelled files.
        cache: Folder to keep them in, under a name that depends on the files and the front-end.
        spec: The front-end.

    Raises:
        AudioError: A clip cannot be decoded.
    """
    key = hashlib.sha256(repr(sorted(asdict(spec).items())).encode())
    for clip in clips:
        facts = clip.path.stat()
        key.update(f"{clip.path.resolve()} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    path = cache / f"logmel-{key.hexdigest()[:16]}.npz"
    if not path.exists():
        _compute_frames(clips, path, spec)
    with np.load(path, allow_pickle=False) as stored:
        return Frames(stored["data"], stored["offsets"])


def _compute_frames(clips: Sequence[Clip], path: Path, spec: LogMelSpec) -> None:
    """Write the log-mels of all clips to `path`."""

    def compute(clip: Clip) -> NDArray[np.float32]:
        return network_frames(decode(clip.path, rate=spec.rate).samples, spec)

    # Decoding, resampling and Fourier transforms release the interpreter lock.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        progress = track(threads.map(compute, clips), "Log-mel frames", total=len(clips))
        frames = Frames.joined(list(progress))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial.npz")  # processes may compute it at once
    np.savez(partial, data=frames.data, offsets=frames.offsets)
    partial.replace(path)
