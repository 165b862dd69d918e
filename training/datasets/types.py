"""Log-mel frames, subsets of the data, and all data of a training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from core.model.bundle import Bundle, Scaler

Labels = NDArray[np.float32]
"""1 where a clip has a tag: float32 [clips, tags]."""
SUBSETS = ("train", "validation", "test")


@dataclass(frozen=True)
class Frames:
    """Log-mel frames of many clips, end to end.

    Attributes:
        data: float16 (or float32) [frames, bands]; may be a memory map.
        offsets: int [clips + 1]; clip i is `data[offsets[i]:offsets[i + 1]]`.
    """

    data: NDArray[np.float16] | NDArray[np.float32]
    offsets: NDArray[np.int64]

    @classmethod
    def joined(cls, clips: Sequence[NDArray[np.float32]]) -> "Frames":
        """Return the frames of log-mels float32 [bands, frames] each, in half precision."""
        data = np.concatenate([clip.T for clip in clips]).astype(np.float16)
        return cls(data, np.cumsum([0, *(clip.shape[1] for clip in clips)], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def clip(self, index: int) -> NDArray[np.float32]:
        """Return a clip's log-mel, float32 [bands, frames]."""
        return self.data[self.offsets[index] : self.offsets[index + 1]].astype(np.float32).T

    def followed_by(self, other: "Frames") -> "Frames":
        """Return these clips and then the `other` ones."""
        offsets = np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]])
        return Frames(np.concatenate([self.data, other.data]), offsets)


@dataclass(frozen=True)
class Subset:
    """The training, validation or test part of the data.

    Attributes:
        frames: Log-mels, of other clips too.
        clips: Indices of the subset's clips in `frames`, int [clips].
        labels: float32 [clips, tags].
        recordings: Freesound id of each clip's recording, str [clips].
        known: bool [clips, tags], False where nobody decided; None where all labels are known.
    """

    frames: Frames
    clips: NDArray[np.int64]
    labels: Labels
    recordings: NDArray[np.str_]
    known: NDArray[np.bool_] | None = None

    @property
    def sampling_weights(self) -> NDArray[np.float64]:
        """Return each clip's chance to be drawn.

        A recording cut into n clips counts as sqrt(n), not as n.
        """
        _, index, counts = np.unique(self.recordings, return_inverse=True, return_counts=True)
        weights = 1 / np.sqrt(counts[index])
        return np.asarray(weights / weights.sum(), np.float64)

    @property
    def recording_count(self) -> int:
        """Return the number of different recordings."""
        return len(set(self.recordings.tolist()))

    def rows(self, rows: NDArray[np.int64]) -> "Subset":
        """Return the subset of these rows."""
        known = None if self.known is None else self.known[rows]
        labels, recordings = self.labels[rows], self.recordings[rows]
        return Subset(self.frames, self.clips[rows], labels, recordings, known)


@dataclass(frozen=True)
class DataDescription:
    """The bundle's statement about its data.

    Attributes:
        provenance: What the data are and where they come from.
        license: Condition of use.
        split: How the test part was separated.
        trained: More entries for `trained` in model.json.
        corrections: Counts of people's corrections that joined the training, if any did.
    """

    provenance: str = ""
    license: str = ""
    split: str = ""
    trained: Mapping[str, Any] = field(default_factory=dict)
    corrections: Mapping[str, int] | None = None


@dataclass(frozen=True)
class TrainingData:
    """All data of a training.

    Attributes:
        train: Teaches the network.
        validation: Scored after every epoch; decides which epoch is best.
        calibration: Gives calibration and thresholds; may be `validation`.
        test: Scored at the end.
        tags: As people see them.
        spelled: As the data spell them.
        scaler: Standardisation of the log-mels, fitted on `train`.
        description: For the bundle.
    """

    train: Subset
    validation: Subset
    calibration: Subset
    test: Subset
    tags: tuple[str, ...]
    spelled: tuple[str, ...]
    scaler: Scaler
    description: DataDescription


def trained_facts(bundle: Bundle) -> dict[str, Any]:
    """Return what model.json says of the training; empty if it says nothing."""
    return cast(dict[str, Any], bundle.description.get("trained", {}))


def fit_scaler(subset: Subset) -> Scaler:
    """Return mean and standard deviation of each mel band over the subset's clips."""
    bands = subset.frames.data.shape[1]
    total, squares, count = np.zeros(bands), np.zeros(bands), 0
    for index in subset.clips:
        clip = subset.frames.clip(index).astype(np.float64)
        total, squares = total + clip.sum(axis=1), squares + np.square(clip).sum(axis=1)
        count += clip.shape[1]
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0)) + 1e-3
    return Scaler(mean.astype(np.float32), deviation.astype(np.float32))
