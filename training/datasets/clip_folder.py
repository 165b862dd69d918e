"""Training data from a folder of labelled clips, with people's corrections where asked for."""

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from training.datasets import corrections
from training.datasets.clips import (
    MIN_RECORDINGS,
    load_frames,
    read_clips,
    read_split,
    split_by_recording,
    subsets,
    vocabulary,
)
from training.datasets.types import (
    SUBSETS,
    DataDescription,
    Subset,
    TrainingData,
    fit_scaler,
)
from training.errors import DatasetError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClipSource:
    """A folder of labelled clips, and the way to split it.

    Attributes:
        folder: Holds clips.csv.
        cache: Where log-mels are kept.
        split: JSON list of recordings for each subset; without it, the seed decides.
        min_recordings: Rarer tags stay out of the vocabulary.
        corrections: Folder of a workspace whose corrections join the training part.
        provenance: What the data are, for the bundle.
        license: Condition of use, for the bundle.
    """

    folder: Path
    cache: Path
    split: Path | None = None
    min_recordings: int = MIN_RECORDINGS
    corrections: Path | None = None
    provenance: str = ""
    license: str = ""


def load_training_data(source: ClipSource, seed: int) -> TrainingData:
    """Read a clip folder, split it by recording and compute its log-mels.

    Raises:
        DatasetError: The folder cannot be used.
        CorrectionsError: There is no workspace where corrections were asked for.
        AudioError: A clip cannot be decoded.
    """
    clips = read_clips(source.folder)
    subset_of = read_split(source.split, clips) if source.split else split_by_recording(clips, seed)
    in_training = [clip for clip, subset in zip(clips, subset_of, strict=True) if subset == 0]
    tags = vocabulary(in_training, source.min_recordings)
    train, validation, test = subsets(clips, subset_of, tags, load_frames(clips, source.cache))
    for name, subset in zip(SUBSETS, (train, validation, test), strict=True):
        _check_scorable(name, subset)
        logger.info(
            "subset name=%s clips=%d recordings=%d", name, len(subset.clips), subset.recording_count
        )
    how = f"the list {source.split.name}" if source.split else f"seed {seed}"
    description = DataDescription(
        source.provenance,
        source.license,
        "test: recordings held out from training and from every choice "
        f"(iterative stratification, {how})",
        {"test_recordings": sorted(set(test.recordings.tolist()), key=lambda id: (len(id), id))},
    )
    scaler = fit_scaler(train)
    if source.corrections:
        workspace = corrections.open_workspace(source.corrections)
        train, counts = corrections.join(train, clips, subset_of, workspace, tags, source.cache)
        description = replace(description, corrections=asdict(counts))
        logger.info("corrections %s", " ".join(f"{k}={v}" for k, v in asdict(counts).items()))
    return TrainingData(train, validation, validation, test, tags, tags, scaler, description)


def _check_scorable(name: str, subset: Subset) -> None:
    """Raise `DatasetError` if a subset cannot tell a good network from a bad one."""
    if not (subset.labels.any(axis=0) & ~subset.labels.all(axis=0)).any():
        raise DatasetError(
            f"In the {name} part every tag is on all clips or on none; "
            "more varied recordings are needed."
        )
