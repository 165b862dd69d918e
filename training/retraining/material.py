"""What a challenger learns from and is scored on: base clips, other sounds, and corrections."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.model.bundle import Bundle
from core.storage.workspace import Workspace
from training.datasets.clips import Clip, read_clips, read_split, split_by_recording
from training.datasets.corrections import (
    SPLITS,
    Correction,
    CorrectionPolicy,
    clips_by_sound_id,
    correction_labels,
    held_out_ids,
    is_held_back,
    read_corrections,
)
from training.datasets.types import trained_facts
from training.errors import DatasetError
from training.retraining.errors import NothingToLearn

logger = logging.getLogger(__name__)

NO_AUDIO, NO_KNOWN_TAG, IN_TEST = "no audio", "no tag that the model knows", "test recording"


@dataclass(frozen=True)
class BaseData:
    """Labelled clips and other sounds.

    Attributes:
        clips: With our tags.
        subset_of: 0 train, 1 validation, 2 test, int [clips].
        others: Sounds that our tags do not describe; may be none.
    """

    clips: list[Clip]
    subset_of: NDArray[np.int64]
    others: list[Clip]

    def rows(self, subset: int) -> NDArray[np.int64]:
        """Return the rows of a subset."""
        return np.flatnonzero(self.subset_of == subset)


@dataclass(frozen=True)
class CorrectedSounds:
    """Corrections of a workspace, divided.

    Attributes:
        trained: To learn from.
        held_back: To compare on; no model ever learned from them.
        left_out: Numbers of sounds by reason.
    """

    trained: list[Correction]
    held_back: list[Correction]
    left_out: dict[str, int]

    def described(self, tags: Sequence[str]) -> dict[str, Any]:
        """Return counts for model.json: who taught which tags, and what was left out."""
        newest = max((c.last_event for c in (*self.trained, *self.held_back)), default=("", ""))
        return {
            **_counts(self.trained, tags),
            "last_event": {"time": newest[0], "event_id": newest[1]},
            "held_back": _counts(self.held_back, tags),
            "left_out": self.left_out,
        }


def load_base(folder: Path, others: Path | None, split: Path | None, champion: Bundle) -> BaseData:
    """Read the base data and split them as the champion's were.

    Args:
        folder: Clips with our tags.
        others: Other sounds.
        split: JSON list of recordings for each subset; else the list in `splits/` with the
            champion's test recordings, else what model.json says.
        champion: Its test recordings stay test recordings.

    Raises:
        DatasetError: A folder cannot be used, or none of its clips is a test recording.
    """
    clips = read_clips(folder)
    split = split or _split_of(champion, clips)
    subset_of = read_split(split, clips) if split else _split_as_described(champion, clips)
    missing = [name for n, name in enumerate(("train", "validation", "test")) if n not in subset_of]
    if missing:
        raise DatasetError(f"{folder} has no clips for {' and '.join(missing)} of {champion.name}.")
    return BaseData(clips, subset_of, read_clips(others) if others else [])


def divide_corrections(
    workspace: Workspace,
    base: BaseData,
    policy: CorrectionPolicy,
    tags: tuple[str, ...],
    recordings: Mapping[str, str] = MappingProxyType({}),
    published: frozenset[str] | None = None,
) -> CorrectedSounds:
    """Read a workspace's corrections, and decide which are learned from.

    Those of a base clip's recording are never held back: the champion has seen it.

    Args:
        workspace: Holds the corrections.
        base: Its test and validation recordings teach nothing.
        policy: Which sounds may be learned from.
        tags: That can be learned.
        recordings: Of sound ids, where they are known from elsewhere: what was cut from one
            recording is held back together.
        published: Test recordings beside those of `base`; by default those that all models have.
    """
    stored, no_audio = read_corrections(workspace)
    corrections = [replace(c, recording=recordings.get(c.sound_id, c.recording)) for c in stored]
    clip_of = clips_by_sound_id(base.clips, corrections)
    held_out = held_out_ids(base.clips, base.subset_of, clip_of, published)
    in_base = {clip.recording for clip in base.clips} | clip_of.keys()
    _, known = correction_labels(corrections, tags)
    trained, held_back, left_out = list[Correction](), list[Correction](), Counter[str]()
    for correction, row in zip(corrections, known, strict=True):
        names = {correction.recording, correction.sound_id}
        reason = policy.refusal(correction)
        if not reason and names & held_out:
            reason = IN_TEST
        if not reason and not row.any():
            reason = NO_KNOWN_TAG
        if reason:
            left_out[reason] += 1
        elif is_held_back(correction.recording) and not names & in_base:
            held_back.append(correction)
        else:
            trained.append(correction)
    if no_audio:
        left_out[NO_AUDIO] = no_audio
    counts = " ".join(f"{reason.replace(' ', '_')}={n}" for reason, n in left_out.items())
    logger.info("corrections trained=%d held_back=%d %s", len(trained), len(held_back), counts)
    return CorrectedSounds(trained, held_back, dict(left_out))


def check_worth_training(corrections: CorrectedSounds) -> None:
    """Check that there is something new to learn.

    Raises:
        NothingToLearn: No correction may be learned from.
    """
    if not corrections.trained:
        reasons = ", ".join(f"{n} {reason}" for reason, n in corrections.left_out.items())
        held = f"{len(corrections.held_back)} held back for the comparison"
        raise NothingToLearn(
            f"There are no corrections to learn from ({', '.join(filter(None, (held, reasons)))})."
        )


def _counts(corrections: Sequence[Correction], tags: Sequence[str]) -> dict[str, Any]:
    """Return sounds and decisions in all, by person and by tag."""
    known = set(tags)
    decisions = [
        (correction.actors.get(tag, ""), tag, is_positive)
        for correction in corrections
        for tag, is_positive in correction.decisions.items()
        if tag in known
    ]
    by_actor = Counter(actor for actor, _, _ in decisions)
    by_tag: dict[str, Mapping[str, int]] = {
        tag: {
            "yes": sum(is_positive for _, name, is_positive in decisions if name == tag),
            "no": sum(not is_positive for _, name, is_positive in decisions if name == tag),
        }
        for tag in sorted({tag for _, tag, _ in decisions})
    }
    sounds = len(corrections)
    return {
        "sounds": sounds,
        "decisions": len(decisions),
        "by_actor": dict(by_actor),
        "by_tag": by_tag,
    }


def _split_of(champion: Bundle, clips: Sequence[Clip]) -> Path | None:
    """Return the published split with the champion's test recordings, if it names all clips."""
    test = set(trained_facts(champion).get("test_recordings", ()))
    for path in sorted(SPLITS.glob("*.json")):
        parts = json.loads(path.read_text("utf-8"))
        listed = {name for key in ("train", "validation", "test") for name in parts[key]}
        if set(parts["test"]) == test and {clip.recording for clip in clips} <= listed:
            return path
    return None


def _split_as_described(champion: Bundle, clips: Sequence[Clip]) -> NDArray[np.int64]:
    """Return the champion's split; what it does not name is divided by the recording's name.

    A champion that names no test recordings was never scored on any: all are divided.
    """
    facts = trained_facts(champion)
    test, validation = facts.get("test_recordings"), facts.get("validation_recordings")
    if not test:
        return split_by_recording(clips, seed=1)
    subset = dict.fromkeys(validation or (), 1) | dict.fromkeys(test, 2)
    return np.array(
        [
            subset.get(clip.recording, int(validation is None and _in_validation(clip.recording)))
            for clip in clips
        ]
    )


def _in_validation(recording: str) -> bool:
    """Return True for one in five recordings, by name alone."""
    digest = hashlib.sha256(f"earmark validation {recording}".encode()).digest()
    return digest[0] % 5 == 0
