"""An index of unit vectors by sound, in files that are memory-mapped and never changed.

    index.json          the segments that count, and how far the event log was read
    <random>.npy        vectors float32 [rows, size]
    <random>.ids.npy    sound ids, as many

A new index.json makes new segments count at once; nobody ever sees half an extension.
"""

import io
import json
import logging
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from core.files import write_all_atomic, write_atomic

logger = logging.getLogger(__name__)

SEGMENT_ROWS = 16_384
"""A shorter last segment is written again with what is new."""
MAX_MISSING = 10_000
"""Sounds without a vector so far that are looked for again."""
UNUSED_AFTER_S = 3600
"""Another process may still write the index.json that names a new file."""
_ID_TYPE = "S80"

Vectors = NDArray[np.float32]
Ids = NDArray[np.bytes_]


@dataclass(frozen=True)
class Manifest:
    """The content of index.json.

    Attributes:
        segments: Names of the segments.
        sequence: The last event of the log that was read.
        missing: Sounds whose vector was not on this machine.
    """

    segments: tuple[str, ...] = ()
    sequence: int = 0
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Match:
    """A sound, and the cosine of the angle between its vector and the one asked for."""

    sound_id: str
    similarity: float


@dataclass
class Segment:
    """Sound ids and their vectors; memory-mapped."""

    ids: Ids
    vectors: Vectors


_MANIFEST = TypeAdapter(Manifest)


@dataclass
class VectorIndex:
    """The index in one folder. Safe for threads and processes; the last to extend it wins."""

    folder: Path
    _open: dict[str, Segment] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def manifest(self) -> Manifest:
        """Return what the index holds; an empty one where there is none that can be read."""
        try:
            manifest = _MANIFEST.validate_json((self.folder / "index.json").read_bytes())
            list(self._segments(manifest))
        except FileNotFoundError:
            return Manifest()
        except (OSError, ValueError, EOFError) as error:
            logger.warning("damaged index folder=%s reason=%s", self.folder, error)
            return Manifest()  # it is made anew of the sidecars
        names = set(manifest.segments)
        with self._lock:
            self._open = {name: each for name, each in self._open.items() if name in names}
        return manifest

    def nearest(self, vector: Vectors, limit: int) -> list[Match]:
        """Return the sounds whose vectors point most nearly in a direction, nearest first.

        Args:
            vector: float32 [size], of any length but zero.
            limit: How many at most.
        """
        unit = normalised(vector[np.newaxis])[0]
        best: dict[str, float] = {}
        for segment in self._segments(self.manifest()):
            if segment.vectors.shape[1] != len(unit):
                continue
            scores = segment.vectors @ unit
            rows = (
                np.argpartition(scores, -limit)[-limit:]
                if len(scores) > limit
                else scores.argsort()
            )
            best |= {segment.ids[row].decode(): float(scores[row]) for row in rows}
        ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))
        return [Match(sound_id, score) for sound_id, score in ranked[:limit]]

    def add(self, ids: Sequence[str], vectors: Vectors, progress: Manifest) -> Manifest:
        """Add sounds.

        Args:
            ids: Sound ids.
            vectors: float32 [ids, size]; they get unit length.
            progress: What the index holds, with `sequence` and `missing` as they shall be.

        Returns:
            What the index holds now.

        Raises:
            OSError: It cannot be written; it is as before.
        """
        segments = list(progress.segments)
        new = Segment(np.array(ids, _ID_TYPE), normalised(vectors))
        if segments and len(ids):
            last = self._segment(segments[-1])
            if len(last.ids) < SEGMENT_ROWS and last.vectors.shape[1] == new.vectors.shape[1]:
                new = _joined(last, new)
                segments.pop()
        for start in range(0, len(new.ids), SEGMENT_ROWS):
            rows = slice(start, start + SEGMENT_ROWS)
            segments.append(self._write(Segment(new.ids[rows], new.vectors[rows])))
        return self._commit(replace(progress, segments=tuple(segments)))

    def remove(self, ids: Iterable[str], progress: Manifest) -> Manifest:
        """Remove sounds; their vectors are on the disk no longer than an hour.

        Raises:
            OSError: The index cannot be written; it is as before.
        """
        removed = np.array(sorted(ids), _ID_TYPE)
        segments: list[str] = []
        for name in progress.segments:
            segment = self._segment(name)
            kept = ~np.isin(segment.ids, removed)
            if kept.all():
                segments.append(name)
            elif kept.any():
                segments.append(self._write(Segment(segment.ids[kept], segment.vectors[kept])))
        return self._commit(replace(progress, segments=tuple(segments)))

    def _segments(self, manifest: Manifest) -> Iterator[Segment]:
        """Yield the segments that count."""
        for name in manifest.segments:
            yield self._segment(name)

    def _segment(self, name: str) -> Segment:
        """Return a segment, opened once; raises what `_load` does."""
        with self._lock:
            if name not in self._open:
                self._open[name] = _load(self.folder, name)
            return self._open[name]

    def _write(self, segment: Segment) -> str:
        """Write a segment's files; returns its name."""
        name = uuid.uuid4().hex
        files = ((f"{name}.ids.npy", segment.ids), (f"{name}.npy", segment.vectors))
        write_all_atomic((self.folder / file, _npy(array)) for file, array in files)
        return name

    def _commit(self, manifest: Manifest) -> Manifest:
        """Make a manifest count, and delete what no manifest names any more."""
        write_atomic(self.folder / "index.json", json.dumps(asdict(manifest)).encode())
        for path in self.folder.glob("*.npy"):
            is_old = time.time() - path.stat().st_mtime > UNUSED_AFTER_S
            if is_old and path.name.partition(".")[0] not in manifest.segments:
                path.unlink(missing_ok=True)
        return manifest


def _load(folder: Path, name: str) -> Segment:
    """Return a segment as it lies on the disk.

    Raises:
        OSError: A file is missing.
        ValueError: A file is damaged; EOFError where it is empty.
    """
    ids, vectors = (
        np.asarray(np.load(folder / file, mmap_mode="r", allow_pickle=False))
        for file in (f"{name}.ids.npy", f"{name}.npy")
    )
    if vectors.ndim != 2 or vectors.dtype != np.float32 or ids.shape != vectors.shape[:1]:
        raise ValueError(f"{name} does not fit its sound ids")
    return Segment(ids, vectors)


def normalised(vectors: NDArray[np.generic]) -> Vectors:
    """Return rows of unit length; what is not finite counts as zero."""
    rows = np.nan_to_num(np.asarray(vectors, np.float32), posinf=0, neginf=0)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / np.maximum(lengths, 1e-9))


def _joined(first: Segment, second: Segment) -> Segment:
    """Return the rows of two segments."""
    return Segment(
        np.concatenate([first.ids, second.ids]), np.concatenate([first.vectors, second.vectors])
    )


def _npy(array: NDArray[np.generic]) -> bytes:
    """Return an array as the contents of an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
