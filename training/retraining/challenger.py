"""A challenger for an `efficientat_mn`: its head trained further, with corrections."""

import copy
import importlib.metadata
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from core.model.bundle import Bundle, Calibration
from core.model.efficientat import LABELS, TagHead
from core.model.metrics import BundleMetrics
from core.model.networks import EfficientAT
from core.model.pooling import Pooling
from core.model.saving import save_bundle
from training import evaluate, progress
from training.datasets.audioset import label_tags
from training.datasets.clips import Clip, multi_hot
from training.datasets.corrections import Correction, clips_by_sound_id, correction_labels
from training.datasets.types import Frames, Labels, Subset, trained_facts
from training.evaluate import Logits
from training.fine_tuning.data import CHANGES, few_of_each_recording, parts_by_source, unchanged
from training.fine_tuning.head import OTHER_SOUNDS_WEIGHT
from training.fine_tuning.material import PARTS
from training.fine_tuning.pipeline import NOT_SCORED
from training.fine_tuning.tagger import rounded_to_half
from training.fine_tuning.thresholds import calibrate_own
from training.retraining.comparison import Answers
from training.retraining.features import Windows, audio_of, load_windows
from training.retraining.head import Examples, all_logits, fit_head, label_logits, own_logits
from training.retraining.material import BaseData, CorrectedSounds

logger = logging.getLogger(__name__)

CORRECTION_WEIGHT = 3.0
"""Of a corrected sound in the loss, beside a clip all of whose labels are known: a decision was
made about this sound by a person, and there are few of them."""


@dataclass(frozen=True)
class Champion:
    """The network that a challenger starts from.

    Attributes:
        bundle: Its bundle.
        network: With its weights.
        own: Tags of the head, in the order of its outputs.
    """

    bundle: Bundle
    network: EfficientAT
    own: tuple[str, ...]

    @property
    def columns(self) -> list[int]:
        """Return the positions of `own` in the vocabulary."""
        return [self.bundle.vocabulary.index(tag) for tag in self.own]

    @classmethod
    def of(cls, bundle: Bundle) -> "Champion":
        """Read the network of a bundle.

        Raises:
            InvalidBundle: It does not fit the description.
        """
        network = cast(EfficientAT, bundle.network())
        sources = cast(list[list[int]], bundle.arguments["sources"])
        outputs = {
            source[0] - LABELS: tag
            for tag, source in zip(bundle.vocabulary, sources, strict=True)
            if len(source) == 1 and source[0] >= LABELS
        }
        return cls(bundle, network, tuple(outputs[index] for index in sorted(outputs)))


@dataclass(frozen=True)
class LoadedData:
    """Base data and corrections as the head takes them.

    Attributes:
        base: The clips.
        clips: Features of the clips, and of their changed copies where those are used.
        others: Features of the other sounds, likewise.
        corrected: Features of the corrected sounds to learn from, likewise.
        held_back: Features of those that are held back.
        targets: Labels of `clips`.
        other_targets: Of the other sounds: what they surely have.
        corrections: The corrected sounds.
    """

    base: BaseData
    clips: list[Windows]
    others: list[Windows]
    corrected: list[Windows]
    held_back: Windows | None
    targets: Labels
    other_targets: Labels
    corrections: CorrectedSounds


def load_data(
    champion: Champion,
    base: BaseData,
    corrections: CorrectedSounds,
    cache: Path,
    *,
    with_copies: bool,
) -> LoadedData:
    """Compute the features of everything, or read them from `cache`.

    Args:
        champion: Its body gives the features.
        base: Clips and other sounds.
        corrections: Corrected sounds.
        cache: Where features are kept.
        with_copies: Learn from softer, clipped, slower and faster copies, too.

    Raises:
        AudioError: A sound cannot be decoded.
    """
    changes = (unchanged, *CHANGES) if with_copies else (unchanged,)

    def features(paths: Sequence[Path]) -> list[Windows]:
        if not paths:
            return []
        sounds, spec = audio_of(paths), champion.bundle.front_end
        return [load_windows(sounds, champion.network, spec, cache, change) for change in changes]

    held_back = [item.path for item in corrections.held_back]
    targets = _corrected(multi_hot(base.clips, champion.own), base, corrections, champion.own)
    return LoadedData(
        base,
        features([clip.path for clip in base.clips]),
        features([clip.path for clip in base.others]),
        features([item.path for item in corrections.trained]),
        features(held_back)[0] if held_back else None,
        targets,
        multi_hot(base.others, champion.own),
        corrections,
    )


@dataclass(frozen=True)
class Challenger:
    """A head, and its calibration for the own tags."""

    head: TagHead
    own: Calibration

    @classmethod
    def unchanged(cls, champion: Champion) -> "Challenger":
        """Return the champion's own head and calibration."""
        whole, columns = champion.bundle.calibration, champion.columns
        parts = whole.slope[columns], whole.offset[columns], whole.threshold[columns]
        return cls(champion.network.head, Calibration(*parts))

    def answers(self, windows: Windows, pooling: Pooling) -> Answers:
        """Return what it says of clips about the own tags."""
        logits = own_logits(self.head, windows, pooling)
        return Answers(self.own.probabilities(logits), self.own.threshold)


def train_challenger(
    champion: Champion,
    data: LoadedData,
    seed: int,
    *,
    from_scratch: bool = False,
    calibrate_on_others: bool = True,
) -> Challenger:
    """Train the champion's head further on base data and corrections, and calibrate it.

    Args:
        champion: Where to begin.
        data: What to learn from.
        seed: Of all random numbers.
        from_scratch: Begin with a new head instead.
        calibrate_on_others: Choose thresholds on other sounds too, which takes a head for each of
            their parts.
    """
    random = np.random.default_rng(seed)
    recordings = np.array([clip.recording for clip in data.base.clips])
    train = few_of_each_recording(data.base.rows(0), recordings, random)
    known = [_of_clips(copy.rows(train), data.targets[train]) for copy in data.clips]
    parts = [*known, *_of_corrections(data.corrected, data.corrections.trained, champion.own)]
    answers = targets_of_others(data, champion.own)
    others = [_of_others(copy, answers) for copy in data.others]
    start = None if from_scratch else champion.network.head
    progress.report(0, 0, "Training the head")
    head = rounded_to_half(fit_head(Examples.joined([*parts, *others]), seed, start))
    validation = data.base.rows(1)
    logits = own_logits(head, data.clips[0].rows(validation), champion.bundle.pooling)
    if not data.others or not calibrate_on_others:
        return Challenger(head, evaluate.calibrate(logits, data.targets[validation]))
    unknown = _out_of_source(champion, data, parts, answers, seed)
    own = calibrate_own(logits, data.targets[validation], unknown, data.other_targets)
    return Challenger(head, own)


def write_bundle(
    champion: Champion,
    challenger: Challenger,
    data: LoadedData,
    out: Path,
    seed: int,
    provenance: str = "",
    retrained: str = "head",
) -> Bundle:
    """Write the challenger as a scored bundle of the champion's name.

    Args:
        champion: What it started from.
        challenger: Trained.
        data: What it learned from.
        out: Folder of the bundle.
        seed: Of the random numbers.
        provenance: What the data are; else as the champion says.
        retrained: Which part of the network.

    Raises:
        BundleError: The bundle cannot be written.
    """
    network = network_of(champion, challenger)
    return save_bundle(
        out,
        description=_description(champion, data, seed, provenance, retrained),
        weights=network.state_dict(),
        scaler=champion.bundle.scaler,
        vocabulary=champion.bundle.vocabulary,
        spelled=champion.bundle.spelled,
        calibration=calibration_of(champion, challenger),
        metrics=_metrics(champion, challenger, network, data),
    )


def network_of(champion: Champion, challenger: Challenger) -> EfficientAT:
    """Return the champion's network with the challenger's head."""
    network = copy.deepcopy(champion.network)
    network.head.load_state_dict(challenger.head.state_dict())
    return network.eval()


def calibration_of(champion: Champion, challenger: Challenger) -> Calibration:
    """Return the champion's calibration with that of the own tags replaced."""
    whole, own, columns = champion.bundle.calibration, challenger.own, champion.columns
    slope, offset, threshold = whole.slope.copy(), whole.offset.copy(), whole.threshold.copy()
    slope[columns], offset[columns], threshold[columns] = own.slope, own.offset, own.threshold
    return Calibration(slope, offset, threshold)


def _out_of_source(
    champion: Champion, data: LoadedData, parts: list[Examples], answers: Labels, seed: int
) -> Logits:
    """Return logits of the other sounds by new heads that do not know their source."""
    sources = np.array([clip.source or clip.recording for clip in data.base.others])
    part_of = parts_by_source(sources, PARTS)
    logits = np.zeros(data.other_targets.shape, np.float32)
    for part in range(part_of.max() + 1):
        progress.report(part, int(part_of.max()) + 1, "Choosing thresholds")
        kept, left_out = np.flatnonzero(part_of != part), np.flatnonzero(part_of == part)
        others = [_of_others(copy.rows(kept), answers[kept]) for copy in data.others]
        # a new head: that of the champion knows all sources
        head = rounded_to_half(fit_head(Examples.joined([*parts, *others]), seed))
        pooling = champion.bundle.pooling
        logits[left_out] = own_logits(head, data.others[0].rows(left_out), pooling)
    return logits


def _of_clips(windows: Windows, targets: Labels) -> Examples:
    known = np.ones(targets.shape, np.bool_)
    return Examples(windows, targets, known, np.ones(len(targets), np.float32))


def _of_others(windows: Windows, targets: Labels) -> Examples:
    weights = np.full(len(targets), OTHER_SOUNDS_WEIGHT, np.float32)
    return Examples(windows, targets, np.ones(targets.shape, np.bool_), weights)


def _of_corrections(
    copies: list[Windows], corrections: Sequence[Correction], own: tuple[str, ...]
) -> list[Examples]:
    """Return the corrected sounds, of which only the decided tags are known."""
    labels, known = correction_labels(corrections, own)
    weights = np.full(len(labels), CORRECTION_WEIGHT, np.float32)
    return [Examples(copy, labels, known, weights) for copy in copies]


def _corrected(
    targets: Labels, base: BaseData, corrections: CorrectedSounds, own: tuple[str, ...]
) -> Labels:
    """Return the clips' labels with people's decisions about the very same files."""
    row_of = clips_by_sound_id(base.clips, corrections.trained)
    labels, known = correction_labels(corrections.trained, own)
    for correction, values, mask in zip(corrections.trained, labels, known, strict=True):
        row = row_of.get(correction.sound_id)
        if row is not None:
            targets[row, mask] = values[mask]
    return targets


def targets_of_others(data: LoadedData, own: tuple[str, ...]) -> Labels:
    """Return targets of the other sounds: their tags, else what AudioSet's labels say."""
    if not data.others:
        return data.other_targets
    implied = label_tags().implications(own)
    labels = torch.sigmoid(label_logits(data.others[0])).numpy()
    answers = [labels[:, implied[:, tag]].max(axis=1, initial=0) for tag in range(len(own))]
    expected = np.maximum(data.other_targets, np.stack(answers, axis=1))
    return np.asarray(expected, np.float32)


def _metrics(
    champion: Champion, challenger: Challenger, network: EfficientAT, data: LoadedData
) -> BundleMetrics:
    """Return the contents of metrics.json: the own tags on test."""
    test, validation = data.base.rows(2), data.base.rows(1)
    pooling, own = champion.bundle.pooling, champion.own
    recordings = np.array([data.base.clips[row].recording for row in test])
    scored = Subset(_no_frames(), test, data.targets[test], recordings)
    logits = all_logits(network, data.clips[0], pooling)[:, champion.columns]
    split = str(champion.bundle.metrics["split"])
    metrics = evaluate.score(logits[test], scored, challenger.own, own, split)
    vocabulary = champion.bundle.vocabulary
    metrics["per_tag"] = {tag: metrics["per_tag"].get(tag, NOT_SCORED) for tag in vocabulary}
    probabilities = challenger.own.probabilities(logits[validation])
    precise = evaluate.thresholds_for_precision(probabilities, data.targets[validation], own)
    metrics["thresholds"] = {
        name: {tag: row.get(tag) for tag in vocabulary} for name, row in precise.items()
    }
    if "baseline" in champion.bundle.metrics:
        metrics["baseline"] = champion.bundle.metrics["baseline"]
    return metrics


def _no_frames() -> Frames:
    return Frames(np.zeros((0, 1), np.float16), np.zeros(1, np.int64))


def _description(
    champion: Champion, data: LoadedData, seed: int, provenance: str, retrained: str
) -> dict[str, Any]:
    """Return the contents of model.json: the champion's, and what the challenger learned from."""
    facts, clips = trained_facts(champion.bundle), data.base.clips
    trained = facts | {
        "seed": seed,
        "started_from": {"name": champion.bundle.name, "fingerprint": champion.bundle.fingerprint},
        "retrained": retrained,
        "clips": _numbers(data.base, lambda clip: clip.path.name),
        "recordings": _numbers(data.base, lambda clip: clip.recording),
        "other_sounds": len(data.base.others),
        "test_recordings": _recordings(clips, data.base, 2),
        "validation_recordings": _recordings(clips, data.base, 1),
        "corrections": data.corrections.described(champion.own),
    }
    return champion.bundle.description | {
        "trained": trained,
        "data": provenance or champion.bundle.data,
        "libraries": {
            package: importlib.metadata.version(package)
            for package in ("torch", "numpy", "safetensors")
        },
    }


def _numbers(base: BaseData, name: Any) -> dict[str, int]:
    """Return how many different names the clips of each subset have."""
    return {
        key: len({name(base.clips[row]) for row in base.rows(number)})
        for number, key in enumerate(("train", "validation", "test"))
    }


def _recordings(clips: Sequence[Clip], base: BaseData, subset: int) -> list[str]:
    names = {clips[row].recording for row in base.rows(subset)}
    return sorted(names, key=lambda name: (len(name), name))
