"""From the data of a fine-tuning to a tagger: body, head, and calibration."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from core.model.bundle import Calibration
from core.model.efficientat import AudioSetNetwork, Features, TagHead
from core.model.related_tags import rank
from training.datasets.types import Frames, Labels
from training.evaluate import Logits
from training.fine_tuning import body as tuning
from training.fine_tuning.data import Sounds, TagSpace
from training.fine_tuning.head import (
    OTHER_SOUNDS_WEIGHT,
    Examples,
    clip_examples,
    head_logits,
    label_probabilities,
    loud_columns,
    train_head,
    whole_clips,
)
from training.fine_tuning.material import FineTuningData
from training.fine_tuning.thresholds import calibrate_own, joined, label_thresholds

logger = logging.getLogger(__name__)

MAX_TAGS = 5
"""That are suggested of a clip of ten seconds or less."""
Part = TypeVar("Part", AudioSetNetwork, TagHead)


@dataclass(frozen=True)
class Tagger:
    """A trained body and head, calibrated.

    Attributes:
        body: Gives features and AudioSet's labels.
        head: Gives the own tags.
        space: The vocabulary.
        own: Calibration of the own tags.
        calibration: Of the whole vocabulary.
    """

    body: AudioSetNetwork
    head: TagHead
    space: TagSpace
    own: Calibration
    calibration: Calibration

    def logits(self, frames: Frames) -> Logits:
        """Return logits of whole clips for the whole vocabulary, [clips, tags]."""
        features = whole_clips(self.body, frames)
        probabilities = label_probabilities(features.labels, self.space).clip(1e-6, 1 - 1e-6)
        logits = np.log(probabilities / (1 - probabilities))
        logits[:, self.space.own_columns] = head_logits(self.head, features.rows(all_of(frames)))
        return np.asarray(logits, np.float32)

    def suggests(self, logits: Logits) -> NDArray[np.bool_]:
        """Return which tags are suggested of short clips, as the product does, [clips, tags]."""
        probabilities = self.calibration.probabilities(logits)
        suggested = np.zeros(probabilities.shape, bool)
        for row, values in zip(suggested, probabilities, strict=True):
            row[rank(self.space.tags, values, self.calibration.threshold, MAX_TAGS).suggested] = (
                True
            )
        return suggested


def train_tagger(
    material: FineTuningData, published: AudioSetNetwork, run: Path, seed: int
) -> Tagger:
    """Train the head, then every layer, then the head again; calibrate on validation.

    Args:
        material: What to train on.
        published: Where to begin.
        run: Folder for checkpoints; the same again goes on.
        seed: Of all random numbers.

    Raises:
        CheckpointError: `run` holds something else, or cannot be written.
    """
    body, head, data = train_network(material, published, run, seed)
    return calibrated(body, head, material, out_of_source_logits(data, material, seed))


def train_network(
    material: FineTuningData, published: AudioSetNetwork, run: Path, seed: int
) -> tuple[AudioSetNetwork, TagHead, "HeadData"]:
    """Do the work of `train_tagger` without calibration; also return what the head learned from.

    Raises:
        CheckpointError: `run` holds something else, or cannot be written.
    """
    others = with_answers(material.other_sounds, published, material.space)
    whole = HeadData.of_whole_clips(published, material, others)
    tuned = tuning.FineTuning(published, whole.fit(seed), run, seed)
    tuned.run(material.sounds.rows(material.train), others)
    body = rounded_to_half(tuned.body)
    data = HeadData.of(body, material, others)
    return body, rounded_to_half(data.fit(seed)), data


def calibrated(
    body: AudioSetNetwork, head: TagHead, material: FineTuningData, unknown: Logits
) -> Tagger:
    """Calibrate on validation and on other sounds.

    Args:
        body: Trained.
        head: Trained on its features.
        material: Clips and other sounds.
        unknown: Logits of the other sounds, by heads that do not know their source.
    """
    space, validation = material.space, material.rows(1)
    known = whole_clips(body, material.sounds.frames)
    own = calibrate_own(
        head_logits(head, known.rows(validation)),
        material.sounds.targets[validation],
        unknown,
        material.other_sounds.targets,
    )
    seen = np.concatenate([material.train, validation])
    others = whole_clips(body, material.other_sounds.frames)
    labels = torch.cat([known.labels[torch.from_numpy(seen)], others.labels])
    tags = [clip.tags for clip in (*(material.clips[row] for row in seen), *material.others)]
    of_labels = label_thresholds(label_probabilities(labels, space), tags, space)
    return Tagger(body, head, space, own, joined(own, of_labels, space))


def with_answers(others: Sounds, published: AudioSetNetwork, space: TagSpace) -> Sounds:
    """Return other sounds whose targets are their tags, else what the published network says.

    Nobody knows which tags they lack; that network's own answer is the best guess.
    """
    answers = label_probabilities(whole_clips(published, others.frames).labels, space)
    targets = np.maximum(others.targets, answers[:, space.own_columns]).astype(np.float32)
    return Sounds(others.copies, targets, others.recordings)


@dataclass(frozen=True)
class HeadData:
    """Features that a head is trained on: of whole clips, of their copies and of loud columns.

    Attributes:
        clips: Of training clips; first of the clips as they are.
        others: Of other sounds, likewise.
        targets: Of the training clips.
        other_targets: Of the other sounds.
    """

    clips: list[Examples]
    others: list[Examples]
    targets: Labels
    other_targets: Labels

    @classmethod
    def of(cls, body: AudioSetNetwork, material: FineTuningData, others: Sounds) -> "HeadData":
        """Compute the features of everything."""
        clips = material.sounds.rows(material.train)
        return cls(
            _all_examples(body, clips), _all_examples(body, others), clips.targets, others.targets
        )

    @classmethod
    def of_whole_clips(
        cls, body: AudioSetNetwork, material: FineTuningData, others: Sounds
    ) -> "HeadData":
        """Compute the features of the clips and the other sounds as they are."""
        clips = material.sounds.rows(material.train)
        whole, other_whole = (clip_examples(body, sounds.frames) for sounds in (clips, others))
        return cls([whole], [other_whole], clips.targets, others.targets)

    def fit(self, seed: int, other_rows: NDArray[np.int64] | None = None) -> TagHead:
        """Train a head; on some of the other sounds only, where their rows are given."""
        rows = np.arange(len(self.other_targets)) if other_rows is None else other_rows
        others = [examples.of(rows) for examples in self.others]
        targets = [self.targets[examples.clips] for examples in self.clips]
        targets += [self.other_targets[examples.clips] for examples in others]
        weights = [1.0] * len(self.clips) + [OTHER_SOUNDS_WEIGHT] * len(others)
        features = [examples.features for examples in (*self.clips, *others)]
        return train_head(
            Features(*(torch.cat(part) for part in zip(*features, strict=True))),
            np.concatenate(targets),
            np.repeat(np.array(weights, np.float32), [len(part) for part in targets]),
            seed,
        )


def _all_examples(body: AudioSetNetwork, sounds: Sounds) -> list[Examples]:
    """Return sounds as they are, their copies, and loud columns of them."""
    return [
        *(clip_examples(body, frames) for frames in sounds.copies),
        loud_columns(body, sounds.frames),
    ]


def out_of_source_logits(data: HeadData, material: FineTuningData, seed: int) -> Logits:
    """Return logits of the other sounds, [others, own], by heads that do not know their source."""
    logits = np.zeros(data.other_targets.shape, np.float32)
    for part in range(material.other_parts.max() + 1):
        is_part = material.other_parts == part
        head = rounded_to_half(data.fit(seed, np.flatnonzero(~is_part)))
        rows = np.flatnonzero(is_part)
        logits[rows] = head_logits(head, data.others[0].of(rows).features)
        logger.info("other sounds part=%d sounds=%d", part + 1, len(rows))
    return logits


def rounded_to_half(module: Part) -> Part:
    """Return a module as the bundle holds it: the scores are those of the bundle."""
    return module.half().float()


def all_of(frames: Frames) -> NDArray[np.int64]:
    """Return the rows of all clips."""
    return np.arange(len(frames))
