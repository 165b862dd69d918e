"""What a tagger suggests for sounds that it does not know, source by source.

Two questions are asked of each other sound. Is one of the own tags suggested that its labels do not
name? And is any tag suggested that is not in the list of what may be said of a sound of its
category (`allowed_tags.tsv`)? That list was written before any answer was seen.
"""

import logging
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.model.efficientat import AudioSetNetwork
from core.model.metrics_types import UnknownShares
from training.datasets.clips import Clip
from training.fine_tuning.data import TagSpace
from training.fine_tuning.material import FineTuningData
from training.fine_tuning.tagger import train_tagger

logger = logging.getLogger(__name__)

ALLOWED_TAGS = Path(__file__).parent.parent / "datasets" / "allowed_tags.tsv"
NOT_JUDGED = "?"


@dataclass(frozen=True)
class UnknownSounds:
    """Counts of sounds.

    Attributes:
        sounds: All.
        with_wrong_own_tag: Those with a suggestion among the own tags that their labels lack.
        judged: Those whose category says what is allowed.
        with_wrong_tag: Of the judged ones, those with a suggestion that is not allowed.
        without_suggestion: Those with none.
    """

    sounds: int = 0
    with_wrong_own_tag: int = 0
    judged: int = 0
    with_wrong_tag: int = 0
    without_suggestion: int = 0

    def __add__(self, other: "UnknownSounds") -> "UnknownSounds":
        """Return the sum."""
        return UnknownSounds(
            self.sounds + other.sounds,
            self.with_wrong_own_tag + other.with_wrong_own_tag,
            self.judged + other.judged,
            self.with_wrong_tag + other.with_wrong_tag,
            self.without_suggestion + other.without_suggestion,
        )

    @property
    def fractions(self) -> UnknownShares:
        """Return the number of sounds, and shares of them; None of nothing."""

        def share(part: int, whole: int) -> float | None:
            return round(part / whole, 4) if whole else None

        return {
            "sounds": self.sounds,
            "wrong_own_tag": share(self.with_wrong_own_tag, self.sounds),
            "wrong_tag": share(self.with_wrong_tag, self.judged),
            "no_suggestion": share(self.without_suggestion, self.sounds),
        }

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the number of sounds, and shares in percent."""
        parts_of_wholes = (
            (self.with_wrong_own_tag, self.sounds),
            (self.with_wrong_tag, self.judged),
            (self.without_suggestion, self.sounds),
        )
        return str(self.sounds), *(f"{part / max(1, whole):.1%}" for part, whole in parts_of_wholes)


def leave_sources_out(
    material: FineTuningData, published: AudioSetNetwork, run: Path, seed: int
) -> list[UnknownSounds]:
    """Train a tagger without each part of the other sounds, and count what it suggests for them.

    Args:
        material: Clips and other sounds, in parts by source.
        published: Where to begin.
        run: Folder for checkpoints, one below it for each part.
        seed: Of all random numbers.
    """
    counts = []
    for part in range(material.other_parts.max() + 1):
        is_part = material.other_parts == part
        others = material.of_others(np.flatnonzero(~is_part))
        tagger = train_tagger(others, published, run / f"without-part-{part + 1}", seed)
        left_out = material.of_others(np.flatnonzero(is_part))
        suggested = tagger.suggests(tagger.logits(left_out.other_sounds.frames))
        counts.append(count(suggested, left_out.others, material.space))
        logger.info("unknown sounds part=%d %s", part + 1, counts[-1])
    return counts


def count(suggested: NDArray[np.bool_], sounds: list[Clip], space: TagSpace) -> UnknownSounds:
    """Count what was suggested.

    Args:
        suggested: Tags of the whole vocabulary, [sounds, tags].
        sounds: With their labels and categories.
        space: The vocabulary.
    """
    rules, total = read_allowed_tags(), UnknownSounds()
    for row, sound in zip(suggested, sounds, strict=True):
        tags = {tag for tag, is_suggested in zip(space.tags, row, strict=True) if is_suggested}
        allowed = allowed_tags(sound, rules)
        total += UnknownSounds(
            1,
            int(bool((tags & set(space.own)) - sound.tags)),
            int(allowed is not None),
            int(allowed is not None and bool(tags - allowed)),
            int(not tags),
        )
    return total


def allowed_tags(sound: Clip, rules: list[tuple[str, frozenset[str]]]) -> frozenset[str] | None:
    """Return what may be suggested for a sound, or None where nobody knows."""
    fitting = [tags for pattern, tags in rules if fnmatchcase(sound.category, pattern)]
    allowed = sound.tags.union(*fitting)
    return None if NOT_JUDGED in allowed else allowed


def read_allowed_tags(path: Path = ALLOWED_TAGS) -> list[tuple[str, frozenset[str]]]:
    """Return patterns of categories, each with the tags that are allowed."""
    lines = path.read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line.strip() and not line.startswith("#")]
    return [(pattern, frozenset(tags.split())) for pattern, tags in rows]
