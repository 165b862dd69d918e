"""Search of the vocabulary by prefix, alias and near spelling, while a person types.

The browser has all tags with their aliases and ranks them itself; `search_tags` is the reference
for it.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from core.tags import REAL_WORDS

SYNONYMS = Path(__file__).parent / "tag_synonyms.tsv"
"""Lines of another word and the tag that it means; edit it freely."""
SPELLINGS = (
    *(("colour", "color"), ("grey", "gray"), ("theatre", "theater"), ("centre", "center")),
    *(("harbour", "harbor"), ("neighbour", "neighbor"), ("aeroplane", "airplane")),
    *(("tyre", "tire"), ("analogue", "analog"), ("plough", "plow"), ("humour", "humor")),
    *(("whisky", "whiskey"), ("mould", "mold"), ("armour", "armor"), ("programme", "program")),
)
"""British and American spellings of words."""
MIN_PREFIX_LENGTH = 5
"""Of a typed word that is compared with the beginnings of tags for slips, too."""
MAX_SHOWN = 20
_SEPARATORS = re.compile(r"[\s_-]+")
_EXACT, _PREFIX, _ALIAS, _INSIDE, _NEAR = range(5)


class TagEntry(NamedTuple):
    """A tag, the number of sounds that carry it, and other words for it in normal spelling."""

    tag: str
    sounds: int
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class TagMatch:
    """A tag that matches what was typed; `alias` is the word that matched in its place, else ""."""

    tag: str
    sounds: int
    alias: str = ""


def tag_entries(vocabulary: Iterable[str], counts: Mapping[str, int]) -> tuple[TagEntry, ...]:
    """Return all tags with their counts and aliases, most frequent first.

    A word that is a tag itself is nobody's alias.

    Args:
        vocabulary: Tags that may be chosen, whether or not a sound carries them.
        counts: Sounds by tag; these tags may be chosen, too.
    """
    tags = set(vocabulary) | counts.keys()
    spelled = {normalise(tag) for tag in tags}
    synonyms = read_synonyms()
    entries = (
        TagEntry(
            tag,
            counts.get(tag, 0),
            tuple(alias for alias in _aliases(tag, synonyms) if alias not in spelled),
        )
        for tag in tags
    )
    return tuple(sorted(entries, key=lambda entry: (-entry.sounds, entry.tag)))


def search_tags(
    typed: str, entries: Iterable[TagEntry], limit: int = MAX_SHOWN
) -> tuple[TagMatch, ...]:
    """Return the tags that match what a person has typed so far, best first.

    The tag itself comes first, then tags that begin with it, tags with an alias that begins with
    it, tags with it inside, and tags of near spelling; among these the nearest, and otherwise the
    most frequent first.

    Args:
        typed: Text in any spelling; empty for the most frequent tags.
        entries: All tags.
        limit: How many to return at most.
    """
    word = normalise(typed)
    ranked: list[tuple[tuple[int, int, int, str], TagMatch]] = []
    for entry in entries:
        match = _rank(word, entry)
        if match is not None:
            rank, distance, alias = match
            key = (rank, distance, -entry.sounds, entry.tag)
            ranked.append((key, TagMatch(entry.tag, entry.sounds, alias)))
    return tuple(match for _, match in sorted(ranked, key=lambda item: item[0])[:limit])


def normalise(text: str) -> str:
    """Return a word as it is compared: lower case, with one hyphen between its parts."""
    return _SEPARATORS.sub("-", text.strip().lower()).strip("-")


def distance(first: str, second: str, limit: int) -> int:
    """Return in how many letters two words differ, or `limit + 1` where they differ in more.

    Inserted, missing and exchanged letters count, and so does a swap of neighbours, as one.
    """
    if abs(len(first) - len(second)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, start=1):
        before, last, row = row, before, [i]
        for j, other in enumerate(second, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return min(row[-1], limit + 1)


def read_synonyms(path: Path = SYNONYMS) -> Mapping[str, tuple[str, ...]]:
    """Return other words by the tag that they mean, in normal spelling."""
    return _synonyms_of(path, path.stat().st_mtime_ns)


@cache
def _synonyms_of(path: Path, _changed: int) -> Mapping[str, tuple[str, ...]]:
    """Read the file of synonyms; once for each of its versions."""
    words: dict[str, list[str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if len(row) == 2 and not row[0].startswith("#"):
                words.setdefault(normalise(row[1]), []).append(normalise(row[0]))
    return {tag: tuple(aliases) for tag, aliases in words.items()}


def _rank(word: str, entry: TagEntry) -> tuple[int, int, str] | None:
    """Return class, distance and alias of a match, or None."""
    tag = normalise(entry.tag)
    if not word or tag.startswith(word):
        return _EXACT if tag == word else _PREFIX, 0, ""
    aliases = [alias for alias in entry.aliases if alias.startswith(word)]
    if aliases:
        return _ALIAS, 0, min(aliases, key=lambda alias: (len(alias), alias))
    if word in tag:
        return _INSIDE, 0, ""
    return _near(word, tag, entry.aliases)


def _near(word: str, tag: str, aliases: Sequence[str]) -> tuple[int, int, str] | None:
    """Return the match by near spelling, or None."""
    limit = _max_distance(len(word))
    if not limit:
        return None
    found_at = [
        (_slips(word, candidate, limit), number) for number, candidate in enumerate((tag, *aliases))
    ]
    slips, number = min(found_at)
    if slips > limit:
        return None
    return _NEAR, slips, aliases[number - 1] if number else ""


def _slips(word: str, candidate: str, limit: int) -> int:
    """Return the distance to a word, or to its beginning while it is still being typed."""
    slips = distance(word, candidate, limit)
    if len(word) >= MIN_PREFIX_LENGTH:
        slips = min(slips, distance(word, candidate[: len(word)], limit))
    return slips


def _max_distance(length: int) -> int:
    """Return how many slips are forgiven in a word of that length."""
    return 0 if length < 3 else 1 if length < MIN_PREFIX_LENGTH else 2


def _aliases(tag: str, synonyms: Mapping[str, Sequence[str]]) -> list[str]:
    """Return other words for a tag, each once, without the tag itself."""
    normal = normalise(tag)
    words = [*synonyms.get(normal, ()), *_spelled_otherwise(normal)]
    return [word for word in dict.fromkeys(words) if word and word != normal]


def _spelled_otherwise(tag: str) -> Iterator[str]:
    """Yield a tag in other numbers and spellings, and as one word."""
    yield from (stump for stump, word in REAL_WORDS.items() if word == tag)
    for variants in (_numbers(tag), _american_and_british(tag)):
        for variant in variants:
            yield variant
            yield variant.replace("-", "")
    yield tag.replace("-", "")


def _american_and_british(tag: str) -> Iterator[str]:
    """Yield a tag with one of its words in its other spelling."""
    words = tag.split("-")
    for pair in (*SPELLINGS, *((american, british) for british, american in SPELLINGS)):
        if pair[0] in words:
            yield "-".join(pair[1] if word == pair[0] else word for word in words)


def _numbers(tag: str) -> Iterator[str]:
    """Yield the plural and the singular of a tag's last word, by rule."""
    if len(tag) < 3 or not tag[-1].isalpha():
        return
    if tag.endswith("ies"):
        yield f"{tag[:-3]}y"
    elif tag.endswith(("shes", "ches", "xes", "sses")):
        yield tag[:-2]
    elif tag.endswith("s") and not tag.endswith(("ss", "us", "is")):
        yield tag[:-1]
    elif tag.endswith(("s", "x", "sh", "ch")):
        yield f"{tag}es"
    elif tag.endswith("y") and tag[-2] not in "aeiou":
        yield f"{tag[:-1]}ies"
    else:
        yield f"{tag}s"
