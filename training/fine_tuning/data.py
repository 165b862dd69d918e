"""Sounds that the fine-tuning learns from: clips with our tags, others with tags that are sure.

The front-end brings every sound to one peak level. Copies of it are what recordings at a wrong
level are: rounded to 16 bits when it was 40 dB softer, and clipped when it was 20 dB louder.
Further copies are played slower and faster, so that there are more kinds of sounds. The last one
is the loudest second alone.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
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
GAIN = 10.0
"""+20 dB: the clipped copies lost what it brings above full scale."""
SLOW, FAST = 0.8, 1.25
"""Speed, and with it pitch, of copies."""
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
        copies: Log-mels of the clips as they are, and of each of `CHANGES`.
        targets: Probability of each own tag, float32 [clips, own].
        recordings: Of each clip, str [clips].
    """

    copies: tuple[Frames, ...]
    targets: Labels
    recordings: NDArray[np.str_]

    @property
    def frames(self) -> Frames:
        """Return the log-mels of the clips as they are."""
        return self.copies[0]

    def rows(self, rows: NDArray[np.int64]) -> "Sounds":
        """Return the clips of these rows."""
        copies = tuple(_selected(frames, rows) for frames in self.copies)
        return Sounds(copies, self.targets[rows], self.recordings[rows])


def tag_space(own: tuple[str, ...], labels: LabelTags | None = None) -> TagSpace:
    """Return AudioSet's tags and our own together."""
    labels = labels or label_tags()
    return TagSpace(tuple(sorted({*labels.vocabulary, *own})), own, labels)


def load_sounds(clips: Sequence[Clip], own: tuple[str, ...], cache: Path) -> Sounds:
    """Return clips with their labels; log-mels are computed once and kept in `cache`.

    Raises:
        AudioError: A clip cannot be decoded.
    """
    copies = tuple(load_frames(clips, cache, change) for change in (unchanged, *CHANGES))
    recordings = np.array([clip.recording for clip in clips])
    return Sounds(copies, multi_hot(clips, own), recordings)


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


def parts_by_source(sources: NDArray[np.str_], count: int) -> NDArray[np.int64]:
    """Divide sounds into parts of about the same size, none of which shares a source.

    Args:
        sources: Of each sound, [sounds].
        count: Of parts.

    Returns:
        Each sound's part from 0, int [sounds]; fewer parts than `count` if there are fewer sources.
    """
    names, numbers = np.unique(sources, return_counts=True)
    part_of, sizes = np.zeros(len(names), np.int64), np.zeros(count, np.int64)
    for index in np.argsort(-numbers, kind="stable"):
        part_of[index] = np.argmin(sizes)
        sizes[part_of[index]] += numbers[index]
    parts: NDArray[np.int64] = part_of[np.searchsorted(names, sources)]
    return parts


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
    return (samples * np.float32(GAIN)).clip(-1, 1)


def slower(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a sound played at `SLOW` speed."""
    return _at_speed(samples, SLOW)


def faster(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a sound played at `FAST` speed."""
    return _at_speed(samples, FAST)


def _at_speed(samples: NDArray[np.float32], speed: float) -> NDArray[np.float32]:
    resampled = soxr.resample(samples, AUDIOSET.rate * speed, AUDIOSET.rate)
    return np.asarray(resampled, np.float32)


def loudest_second(samples: NDArray[np.float32], rate: int = AUDIOSET.rate) -> NDArray[np.float32]:
    """Return the second of a sound with the most energy."""
    if len(samples) <= rate:
        return samples
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    start = int(np.argmax(energy[rate:] - energy[:-rate]))
    return samples[start : start + rate]


def unchanged(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a sound as it is."""
    return samples


Change = Callable[[NDArray[np.float32]], NDArray[np.float32]]
CHANGES: tuple[Change, ...] = (softened, clipped, slower, faster, loudest_second)
"""From a sound to its copies, in the order of `Sounds.copies` after the first."""


def load_frames(clips: Sequence[Clip], cache: Path, change: Change = unchanged) -> Frames:
    """Return log-mels of clips after a change, kept under a name that depends on the files.

    Raises:
        AudioError: A clip cannot be decoded.
    """
    constants = (SOFT_PEAK, GAIN, SLOW, FAST)
    key = hashlib.sha256(repr((AUDIOSET, constants, change.__name__)).encode())
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
