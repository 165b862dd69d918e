"""What the network learns from. A clip folder is audio files beside a `clips.csv` with at least file, freesound_id and tags."""

import csv
import hashlib
import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from core.errors import EarmarkError
from core.model import audio
from core.model.logmel import COALA, LogMelSpec, log_mel

COLUMNS = ("file", "freesound_id", "tags")
SPLITS = ("train", "validation", "test")
SHARES = (0.65, 0.15, 0.20)
LEAST_RECORDINGS = 8


class DatasetError(EarmarkError):
    """Training data that cannot be used."""


@dataclass(frozen=True)
class Clip:
    """One labelled file; `recording` is the Freesound id that it was cut from."""

    path: Path
    recording: str
    tags: frozenset[str]


@dataclass(frozen=True)
class Frames:
    """Log-mel frames of many clips, end to end: `data` float16 [frames, bands], clip i at `offsets[i]:offsets[i + 1]`."""

    data: np.ndarray
    offsets: np.ndarray

    @classmethod
    def joined(cls, clips: list[np.ndarray]) -> "Frames":
        """Of log-mels float32 [bands, time] each."""
        return cls(np.concatenate([clip.T for clip in clips]).astype(np.float16), np.cumsum([0, *(clip.shape[1] for clip in clips)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def clip(self, index: int) -> np.ndarray:
        """float32 [bands, time]."""
        return self.data[self.offsets[index] : self.offsets[index + 1]].astype(np.float32).T


def read_clips(folder: Path) -> list[Clip]:
    """The clips that `folder/clips.csv` lists.

    Raises `DatasetError` if the list is missing, lacks a column, names a file that is not there, escapes the folder, or is empty.
    """
    table = folder / "clips.csv"
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
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
    if any(not (row[column] or "").strip() for column in COLUMNS):
        raise DatasetError(f"Line {line} of {folder / 'clips.csv'} has an empty file, freesound_id or tags.")
    path = folder / row["file"]
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise DatasetError(f"Line {line} of {folder / 'clips.csv'} names {row['file']}, which is not in the folder.")
    return Clip(path, row["freesound_id"], frozenset(row["tags"].split()))


def split_by_recording(clips: list[Clip], seed: int, shares: tuple[float, float, float] = SHARES) -> np.ndarray:
    """Which part each clip belongs to: int [clips], 0 train, 1 validation, 2 test.

    All clips of a recording go the same way. Iterative stratification (Sechidis et al., 2011) over recordings: the rarest tag
    first, each of its recordings to the part that still lacks it most, so that every part hears every tag that can be shared.
    Raises `DatasetError` if there are too few recordings to give every part one.
    """
    tags_of: dict[str, frozenset[str]] = {}
    for clip in clips:
        tags_of[clip.recording] = tags_of.get(clip.recording, frozenset()) | clip.tags
    random = np.random.default_rng(seed)
    waiting = sorted(tags_of)
    random.shuffle(waiting)
    support = Counter(tag for tags in tags_of.values() for tag in tags)
    wanted = {tag: np.array(shares) * count for tag, count in support.items()}
    room = np.array(shares) * len(waiting)
    part_of: dict[str, int] = {}
    while waiting:
        left = Counter(tag for recording in waiting for tag in tags_of[recording])
        rarest = min(left, key=lambda tag: (left[tag], tag))
        for recording in [one for one in waiting if rarest in tags_of[one]]:
            part = max(range(3), key=lambda p: (round(float(wanted[rarest][p]), 6), round(float(room[p]), 6), -p))
            part_of[recording] = part
            room[part] -= 1
            for tag in tags_of[recording]:
                wanted[tag][part] -= 1
        waiting = [one for one in waiting if one not in part_of]
    if missing := [name for part, name in enumerate(SPLITS) if part not in part_of.values()]:
        raise DatasetError(f"{len(part_of)} recordings are too few: none is left for {' and '.join(missing)}.")
    return np.array([part_of[clip.recording] for clip in clips])


def read_split(path: Path, clips: list[Clip]) -> np.ndarray:
    """Which part each clip belongs to, as `split_by_recording`, from a JSON file that names every recording once.

    Raises `DatasetError` if the file is none of that kind, names a recording twice, or lacks one.
    """
    try:
        named = json.loads(path.read_text("utf-8"))
        pairs = [(str(recording), part) for part, name in enumerate(SPLITS) for recording in named[name]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is no list of recordings for {', '.join(SPLITS)}.") from error
    part_of = dict(pairs)
    if len(part_of) < len(pairs):
        raise DatasetError(f"{path} names a recording more than once.")
    if unknown := sorted({clip.recording for clip in clips} - part_of.keys()):
        raise DatasetError(f"{path} does not say which part recording {unknown[0]} belongs to.")
    return np.array([part_of[clip.recording] for clip in clips])


def vocabulary(clips: list[Clip], least_recordings: int = LEAST_RECORDINGS) -> tuple[str, ...]:
    """The tags heard in at least so many different recordings, in alphabetical order.

    Counted in recordings, not clips: 240 clips cut from ten recordings teach ten examples of a tag.
    """
    recordings: dict[str, set[str]] = {}
    for clip in clips:
        for tag in clip.tags:
            recordings.setdefault(tag, set()).add(clip.recording)
    kept = tuple(sorted(tag for tag, found in recordings.items() if len(found) >= least_recordings))
    if not kept:
        raise DatasetError(f"No tag is heard in at least {least_recordings} recordings.")
    return kept


def multi_hot(clips: list[Clip], tags: tuple[str, ...]) -> np.ndarray:
    """float32 [clips, tags], 1 where the clip has the tag."""
    return np.array([[tag in clip.tags for tag in tags] for clip in clips], np.float32).reshape(len(clips), len(tags))


def load_frames(clips: list[Clip], cache: Path, spec: LogMelSpec = COALA) -> Frames:
    """Log-mels of all clips, computed once and kept in `cache` under a name that depends on the files and the front-end."""
    key = hashlib.sha256(repr(sorted(asdict(spec).items())).encode())
    for clip in clips:
        facts = clip.path.stat()
        key.update(f"{clip.path.resolve()} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    path = cache / f"logmel-{key.hexdigest()[:16]}.npz"
    if not path.exists():
        _compute_frames(clips, path, spec)
    with np.load(path, allow_pickle=False) as stored:
        return Frames(stored["data"], stored["offsets"])


def _compute_frames(clips: list[Clip], path: Path, spec: LogMelSpec) -> None:
    def frames(clip: Clip) -> np.ndarray:
        return log_mel(audio.load(clip.path, rate=spec.rate).samples, spec).T.astype(np.float16)

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # decoding, resampling and Fourier transforms all let other threads run
        parts = list(track(threads.map(frames, clips), "Log-mel frames", total=len(clips)))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial.npz")  # processes of one run may all find that it is missing
    np.savez(partial, data=np.concatenate(parts), offsets=np.cumsum([0, *map(len, parts)]))
    partial.replace(path)
