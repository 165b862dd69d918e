"""Which of the tags that reach their thresholds are suggested, so that none repeats another.

A model with hundreds of tags answers a barking dog with *bark*, *dog* and *animal*, which is fine,
and a street with eight kinds of vehicle, which is not. `related_tags.tsv` says which tag is wider
than which, and which are words for the same.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TABLE = Path(__file__).with_name("related_tags.tsv")
KINDS_SHARE, FAMILY_SHARE = 0.4, 0.6
"""Most tags that may have their nearest wider tag in common, and any: shares of all that may be
suggested."""


@dataclass(frozen=True)
class RelatedTags:
    """Relations between tags; a tag that is not in them is related to none.

    Attributes:
        wider: By tag, what every sound with it has too, from the nearest to the widest.
        same: By tag, the one of its synonyms that stands first in the table.
    """

    wider: dict[str, tuple[str, ...]] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)

    def wider_than(self, tag: str) -> tuple[str, ...]:
        """Return the wider tags of a tag, from the nearest to the widest."""
        return self.wider.get(tag, ())

    def meaning(self, tag: str) -> str:
        """Return the most usual of a tag's synonyms, which may be the tag itself."""
        return self.same.get(tag, tag)


@lru_cache
def related_tags(table: Path = TABLE) -> RelatedTags:
    """Read the table: tag, wider tags and synonyms, separated by tabs.

    Raises:
        ValueError: A line is malformed.
    """
    wider: dict[str, tuple[str, ...]] = {}
    same: dict[str, str] = {}
    for number, line in enumerate(table.read_text("utf-8").splitlines(), 1):
        if line[:1] == "#":
            continue
        tag, *columns = line.split("\t")
        words = [tuple(column.split()) for column in columns]
        if not 1 <= len(words) <= 2 or tag.split() != [tag] or tag in wider:
            raise ValueError(f"{table.name}, line {number}: a tag, a tab and its wider tags.")
        wider[tag] = words[0]
        for synonym in words[1] if len(words) == 2 else ():
            same[synonym] = same[tag] = tag
    return RelatedTags(wider, same)


@dataclass(frozen=True)
class Ranking:
    """Indices of tags, the most probable first.

    Attributes:
        suggested: What is suggested.
        guesses: Tags below their thresholds, those that repeat a better guess last.
    """

    suggested: list[int]
    guesses: list[int]


def rank(
    vocabulary: Sequence[str],
    probabilities: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    limit: int,
    related: RelatedTags | None = None,
) -> Ranking:
    """Choose what to suggest of what reaches its threshold, and order the rest.

    First the surest tag; then those of which nothing more special is there, few of one kind; then
    their wider tags, as long as there is room.

    Args:
        vocabulary: The tags.
        probabilities: Of each, float32 [tags].
        thresholds: Of each, float32 [tags].
        limit: Most tags to suggest.
        related: Relations between tags; by default those of the table.
    """
    related = related or related_tags()
    reached = probabilities >= thresholds
    # Several tags of one label are equally probable: special ones and common words come first.
    preference = [
        (-len(related.wider_than(tag)), related.meaning(tag) != tag) for tag in vocabulary
    ]
    order = sorted(
        range(len(vocabulary)), key=lambda index: (-probabilities[index], preference[index])
    )
    tags = _selected([vocabulary[index] for index in order if reached[index]], limit, related)
    suggested = [index for index in order if vocabulary[index] in tags]
    unsure = [index for index in order if not reached[index]]
    return Ranking(suggested, _repetitions_last(unsure, vocabulary, related))


def _selected(tags: list[str], limit: int, related: RelatedTags) -> set[str]:
    """Return at most `limit` of the tags, which are in the order of their probability."""
    different = _one_of_synonyms(tags, related)
    covered = {wider for tag in different for wider in related.wider_than(tag)}
    special = _few_of_a_kind([tag for tag in different if tag not in covered], limit, related)
    present = [
        [wider for wider in related.wider_than(tag) if wider in different] for tag in special
    ]
    nearest = [wider[0] for wider in present if wider]
    others = [tag for tag in different if any(tag in wider for wider in present)]
    return set(list(dict.fromkeys([*different[:1], *special, *nearest, *others]))[:limit])


def _one_of_synonyms(tags: list[str], related: RelatedTags) -> list[str]:
    """Return the tags without those that mean the same as an earlier one."""
    first: dict[str, str] = {}
    for tag in tags:
        first.setdefault(related.meaning(tag), tag)
    return list(first.values())


def _few_of_a_kind(tags: list[str], limit: int, related: RelatedTags) -> list[str]:
    """Return the tags without those of whose kind there are enough earlier ones."""
    kinds, families = Counter[str](), Counter[str]()
    most_of_kind, most_of_family = _share(KINDS_SHARE, limit), _share(FAMILY_SHARE, limit)
    kept = []
    for tag in tags:
        wider = related.wider_than(tag)
        of_kind = kinds[wider[0]] if wider else 0
        of_family = max((families[each] for each in wider), default=0)
        if of_kind < most_of_kind and of_family < most_of_family:
            kept.append(tag)
            kinds.update(wider[:1])
            families.update(wider)
    return kept


def _share(share: float, limit: int) -> int:
    return max(1, round(share * limit))


def _repetitions_last(
    indices: list[int], vocabulary: Sequence[str], related: RelatedTags
) -> list[int]:
    """Return tags with those last that an earlier one of the list implies or means too."""
    implied: set[str] = set()
    news: list[int] = []
    repetitions: list[int] = []
    for index in indices:
        meaning = related.meaning(vocabulary[index])
        (repetitions if meaning in implied else news).append(index)
        implied.add(meaning)
        implied.update(map(related.meaning, related.wider_than(vocabulary[index])))
    return [*news, *repetitions]
