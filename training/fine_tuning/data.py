"""Sounds that the fine-tuning learns from: clips with our tags, others with tags that are sure.

The front-end brings every sound to one peak level. Copies of it are what recordings at a
wrong level are: rounded to 16 bits when it was 40 dB softer, and clipped when it was 20 dB louder.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.audio.decode import decode
from core.model.bundle import Scaler
from core.model.front_end import network_frames
from core.model.logmel import AUDIOSET
from training.datasets.audioset import LabelTags, label_tags
from training.datasets.clips import Clip, multi_hot
from training.datasets.types import Frames, Labels

SOFT_PEAK = 0.01
"""-40 dB: the peak at which the soft copies were rounded."""
CLIPPED_PEAK = 10.0
"""+20 dB: the peak from which the clipped copies lost what is above full scale."""
STEPS_OF_16_BITS = 32_767
MAX_CLIPS_OF_RECORDING = 4
SCALER = Scaler(np.array([-4.5], np.float32), np.array([5.0], np.float32))
"""What the published weights expect."""


@dataclass(frozen=True)
class TagSpace:
    """The vocabulary, and what each tag's probability comes from.

    Attributes:
        tags: All tags in alphabetical order.
        own: Tags that the head learns from clips, in the order of its outputs.
        labels: AudioSet's labels and what they imply.
    """

    tags: tuple[str, ...]
    own: tuple[str, ...]
    labels: LabelTags

    @property
    def implications(self) -> NDArray[np.bool_]:
        """Return which label implies which tag, [labels, tags]."""
        return self.labels.implications(self.tags)

    @property
    def own_columns(self) -> NDArray[np.int64]:
        """Return the positions of `own` in `tags`."""
        return np.array([self.tags.index(tag) for tag in self.own])

    @property
    def sources(self) -> list[list[int]]:
        """Return for each tag its head output, else its labels, as `EfficientAT` takes them."""
        implied = self.implications
        heads = {tag: len(implied) + index for index, tag in enumerate(self.own)}
        return [
            [heads[tag]] if tag in heads else np.flatnonzero(implied[:, column]).tolist()
            for column, tag in enumerate(self.tags)
        ]


@dataclass(frozen=True)
class Sounds:
    """Clips as the network takes them.

    Attributes:
        frames: Log-mels.
        soft: Log-mels of the soft copies.
        clipped: Log-mels of the clipped copies.
        targets: Probability of each own tag, float32 [clips, own].
        recordings: Of each clip, str [clips].
    """

    frames: Frames
    soft: Frames
    clipped: Frames
    targets: Labels
    recordings: NDArray[np.str_]

    def rows(self, rows: NDArray[np.int64]) -> "Sounds":
        """Return the clips of these rows."""
        return Sounds(
            _selected(self.frames, rows),
            _selected(self.soft, rows),
            _selected(self.clipped, rows),
            self.targets[rows],
            self.recordings[rows],
        )

    def followed_by(self, other: "Sounds") -> "Sounds":
        """Return these clips and then the `other` ones."""
        return Sounds(
            self.frames.followed_by(other.frames),
            self.soft.followed_by(other.soft),
            self.clipped.followed_by(other.clipped),
            np.concatenate([self.targets, other.targets]),
            np.concatenate([self.recordings, other.recordings]),
        )


def tag_space(own: tuple[str, ...], labels: LabelTags | None = None) -> TagSpace:
    """Return AudioSet's tags and our own together."""
    labels = labels or label_tags()
    return TagSpace(tuple(sorted({*labels.vocabulary, *own})), own, labels)


def load_sounds(clips: Sequence[Clip], own: tuple[str, ...], cache: Path) -> Sounds:
    """Return clips with their labels; log-mels are computed once and kept in `cache`.

    Raises:
        AudioError: A clip cannot be decoded.
    """
    frames, soft, clipped = (_load_frames(clips, cache, change) for change in CHANGES)
    recordings = np.array([clip.recording for clip in clips])
    return Sounds(frames, soft, clipped, multi_hot(clips, own), recordings)


def few_of_each_recording(
    rows: NDArray[np.int64], recordings: NDArray[np.str_], random: np.random.Generator
) -> NDArray[np.int64]:
    """Return at most `MAX_CLIPS_OF_RECORDING` of the rows of each recording."""
    kept: dict[str, list[int]] = {}
    for row in random.permutation(rows).tolist():
        kept_rows = kept.setdefault(str(recordings[row]), [])
        if len(kept_rows) < MAX_CLIPS_OF_RECORDING:
            kept_rows.append(row)
    return np.array(sorted(row for kept_rows in kept.values() for row in kept_rows), np.int64)


def split_off(
    recordings: NDArray[np.str_], share: float, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows of most recordings, and rows of a `share` of them."""
    names = random.permutation(np.unique(recordings))
    is_held = np.isin(recordings, names[: int(len(names) * share)])
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def at_peak(samples: NDArray[np.float32], peak: float) -> NDArray[np.float32]:
    """Return a sound whose loudest sample has this size; silence stays silent."""
    loudest = float(np.abs(samples).max(initial=0))
    return samples * np.float32(peak / loudest) if loudest else samples


def softened(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a sound as 16 bits hold it at -40 dB."""
    steps = np.round(at_peak(samples, SOFT_PEAK) * STEPS_OF_16_BITS)
    return np.asarray(steps / STEPS_OF_16_BITS, np.float32)


def clipped(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a sound as it is after +20 dB, without what is above full scale."""
    return at_peak(samples, CLIPPED_PEAK).clip(-1, 1)


def unchanged(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a sound as it is."""
    return samples


CHANGES: tuple[Callable[[NDArray[np.float32]], NDArray[np.float32]], ...] = (
    unchanged,
    softened,
    clipped,
)
"""From a sound to its copies, in the order of `Sounds`."""


def _load_frames(
    clips: Sequence[Clip],
    cache: Path,
    change: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> Frames:
    """Return log-mels of copies of clips, kept under a name that depends on the files."""
    levels = (SOFT_PEAK, CLIPPED_PEAK)
    key = hashlib.sha256(repr((AUDIOSET, levels, change.__name__)).encode())
    for clip in clips:
        facts = clip.path.stat()
        key.update(f"{clip.path.resolve()} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    path = cache / f"fine-tuning-{key.hexdigest()[:16]}.npz"
    if not path.exists():
        sounds = (change(decode(clip.path, rate=AUDIOSET.rate).samples) for clip in clips)
        frames = Frames.joined([network_frames(sound, AUDIOSET) for sound in sounds])
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, data=frames.data, offsets=frames.offsets)
        partial.replace(path)
    with np.load(path, allow_pickle=False) as stored:
        return Frames(stored["data"], stored["offsets"])


def _selected(frames: Frames, rows: NDArray[np.int64]) -> Frames:
    """Return the frames of some clips."""
    lengths = np.diff(frames.offsets)[rows]
    parts = [frames.data[frames.offsets[row] : frames.offsets[row + 1]] for row in rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Frames(np.concatenate(parts).astype(np.float16, copy=False), offsets)
