"""The data of a fine-tuning: clips with our tags, split, and other sounds, in parts by source."""

import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.datasets.clips import (
    MIN_RECORDINGS,
    Clip,
    read_clips,
    read_split,
    split_by_recording,
    vocabulary,
)
from training.errors import DatasetError
from training.fine_tuning.data import (
    Sounds,
    TagSpace,
    few_of_each_recording,
    load_sounds,
    parts_by_source,
    tag_space,
)

logger = logging.getLogger(__name__)

PARTS = 5
"""Of the other sounds, by source: each is scored by a head that was trained on the others."""


LEFT_OUT = -1


@dataclass(frozen=True)
class Source:
    """The data and the settings of a fine-tuning.

    Attributes:
        clips: Folder of clips with our tags.
        others: Folder of other sounds; their tags are surely there, others may be.
        weights: Published weights, converted.
        run: Checkpoints and log-mels; the same again goes on.
        split: JSON list of recordings for each subset; without it, the seed decides.
        min_recordings: Rarer tags have no head output.
        seed: Of all random numbers.
        commercial: Leave out training and validation clips that may not be used commercially.
        provenance: What the data are, for the bundle.
        license: Condition of use, for the bundle.
    """

    clips: Path
    others: Path
    weights: Path
    run: Path
    split: Path | None = None
    min_recordings: int = MIN_RECORDINGS
    seed: int = 1
    commercial: bool = False
    provenance: str = ""
    license: str = ""


@dataclass(frozen=True)
class FineTuningData:
    """The data of a fine-tuning.

    Attributes:
        space: The vocabulary.
        clips: With our tags.
        sounds: The same clips as the network takes them.
        subset_of: 0 train, 1 validation, 2 test, -1 left out, [clips].
        train: Rows of `clips` to train on: few of each recording.
        others: Other sounds.
        other_sounds: The same as the network takes them; targets hold only their own tags.
        other_parts: Each other sound's part; no source is in two, int [others].
    """

    space: TagSpace
    clips: list[Clip]
    sounds: Sounds
    subset_of: NDArray[np.int64]
    train: NDArray[np.int64]
    others: list[Clip]
    other_sounds: Sounds
    other_parts: NDArray[np.int64]

    def rows(self, subset: int) -> NDArray[np.int64]:
        """Return the rows of a subset."""
        return np.flatnonzero(self.subset_of == subset)

    def of_others(self, rows: NDArray[np.int64]) -> "FineTuningData":
        """Return the same with only some of the other sounds."""
        others = [self.others[row] for row in rows]
        parts = np.unique(self.other_parts[rows], return_inverse=True)[1]
        sounds = self.other_sounds.rows(rows)
        return replace(self, others=others, other_sounds=sounds, other_parts=parts)

    def split_as(self, subset_of: NDArray[np.int64], seed: int) -> "FineTuningData":
        """Return the same with another split of the clips."""
        recordings, random = self.sounds.recordings, np.random.default_rng(seed)
        train = few_of_each_recording(np.flatnonzero(subset_of == 0), recordings, random)
        return replace(self, subset_of=subset_of, train=train)


def load_data(source: Source) -> FineTuningData:
    """Read and split the clips and the other sounds.

    Raises:
        DatasetError: A folder cannot be used.
        AudioError: A clip cannot be decoded.
    """
    clips, others = read_clips(source.clips), read_clips(source.others)
    if source.split:
        subset_of = read_split(source.split, clips)
    else:
        subset_of = split_by_recording(clips, source.seed)
    if source.commercial:
        refused = np.array([is_noncommercial(clip.license) for clip in clips])
        subset_of[refused & (subset_of != 2)] = LEFT_OUT
    in_training = [clip for clip, subset in zip(clips, subset_of, strict=True) if subset == 0]
    own = vocabulary(in_training, source.min_recordings)
    sounds = load_sounds(clips, own, source.run)
    other_sounds = load_sounds(others, own, source.run)
    random = np.random.default_rng(source.seed)
    train = few_of_each_recording(np.flatnonzero(subset_of == 0), sounds.recordings, random)
    parts = parts_by_source(np.array([clip.source or clip.recording for clip in others]), PARTS)
    if parts.max() < 1:
        raise DatasetError(f"{source.others} has sounds of one source only; two are needed.")
    logger.info("fine-tuning clips=%d others=%d tags=%d", len(train), len(others), len(own))
    return FineTuningData(
        tag_space(own), clips, sounds, subset_of, train, others, other_sounds, parts
    )


def is_noncommercial(license_name: str) -> bool:
    """Return True for the Creative Commons licenses that do not allow every commercial use.

    Args:
        license_name: As clips.csv has it, such as `CC-BY-NC` or `CC-Sampling+`.
    """
    words = re.split(r"[^a-z+]+", license_name.lower())
    return "nc" in words or "noncommercial" in words or any("sampling" in word for word in words)
