"""The Broad Sound Taxonomy, as Freesound asks for it with every upload, and a category for a sound.

Codes and names are Freesound's (second level only: a top-level code is refused). Descriptions are
ours. The category is predicted by a table of words and a few rules about context, not by a model: a
person sees which tags led to it, and can choose another.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.publishing.errors import UnknownCategory


@dataclass(frozen=True)
class Category:
    """A second-level category.

    Attributes:
        code: As Freesound spells it, such as `fx-a`.
        top: Name of the first level.
        name: Name of the second level.
        description: The sounds that belong to it, in one sentence.
    """

    code: str
    top: str
    name: str
    description: str

    @property
    def label(self) -> str:
        """Both levels in words, as a menu shows them."""
        return f"{self.top}: {self.name}"


@dataclass(frozen=True)
class CategoryGuess:
    """A predicted category.

    Attributes:
        code: The category.
        score: Its share of all evidence, 0 to 1.
        tags: The tags, as they were given, that led to it.
    """

    code: str
    score: float
    tags: tuple[str, ...]


_FOLDER = Path(__file__).parent
_TOP_NAMES = {
    "m": "Music",
    "is": "Instrument samples",
    "sp": "Speech",
    "fx": "Sound effects",
    "ss": "Soundscapes",
}
_WEIGHTS = {"named": 1.0, "associated": 0.4, "last resort": 0.1}
"""A tag may name a source of sound, only belong to one, or decide where nothing else does."""


def _read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of a data file beside this module."""
    with (_FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _read_categories() -> dict[str, Category]:
    rows = _read_table("categories.tsv")
    return {
        row["code"]: Category(
            code=row["code"],
            top=_TOP_NAMES[row["code"].split("-")[0]],
            name=row["name"],
            description=row["description"],
        )
        for row in rows
    }


def _read_words() -> dict[str, dict[str, float]]:
    """Return weights by code for each word; words are without their hyphens.

    A later row replaces an earlier one of the same word and code, so stronger rows come last.
    """
    table: dict[str, dict[str, float]] = defaultdict(dict)
    for row in _read_table("category_words.tsv"):
        table[row["word"].replace("-", "")][row["code"]] = _WEIGHTS[row["strength"]]
    return dict(table)


CATEGORIES = _read_categories()
"""All second-level categories by code, in Freesound's order."""

_WORDS = _read_words()
_RANKS = {code: rank for rank, code in enumerate(CATEGORIES)}

_SCENE = (
    "ambience ambiance ambient atmosphere atmos soundscape background environment environmental "
    "background-noise binaural soundwalk"
)
_MUSIC = (
    "loop music bpm melody melodic song tune riff beat groove track solo jam improvisation "
    "improvised rhythm tempo band looping"
)
_MACHINE = (
    "robot robotic processed synthetic vocoder synthesized effect effects alien cyborg distorted "
    "android glitch texttospeech"
)
_CUES = {
    "scene": _SCENE,
    "field": "field-recording phonography",
    "music": _MUSIC,
    "machine": _MACHINE,
    "music-as-mood": "music song melody beat bpm",
}
_CUE_WORDS = {
    cue: frozenset(word.replace("-", "") for word in words.split()) for cue, words in _CUES.items()
}
"""Words that set a context for the other tags."""

_MOVES = {
    "scene": {
        "fx-a": "ss-n",
        "fx-n": "ss-n",
        "fx-v": "ss-u",
        "fx-m": "ss-u",
        "fx-o": "ss-i",
        "sp-c": "ss-i",
        "fx-h": "ss-i",
        "fx-el": "ss-s",
        "fx-ex": "ss-s",
        "is-e": "ss-s",
    },
    "music": {
        "is-p": "m-sp",
        "is-s": "m-si",
        "is-w": "m-si",
        "is-k": "m-si",
        "is-e": "m-si",
        "is-other": "m-other",
    },
    "machine": {"sp-s": "sp-p"},
}
"""Where evidence for a category goes in a context."""

_BPM = re.compile(r"[0-9]{2,3}-?bpm")
_JOINTS = re.compile(r"[-_ ]+")
_ENDINGS = (("ies", ("y",)), ("es", ("", "e")), ("s", ("",)), ("ing", ("", "e")), ("ed", ("", "e")))
"""Of plurals, gerunds and participles, with the endings of their base forms."""
_MIN_FAMILIES = 2
"""Families of instruments that make music of several instruments."""
_MIN_INSTRUMENT_WEIGHT = 0.2


def category(code: str) -> Category:
    """Return the category of a second-level code.

    Raises:
        UnknownCategory: There is no such code.
    """
    if code not in CATEGORIES:
        raise UnknownCategory(
            f"“{code}” is no category of Freesound's; please choose one from the list."
        )
    return CATEGORIES[code]


def predict_category(
    tags: Iterable[str], probabilities: Mapping[str, float] | None = None
) -> list[CategoryGuess]:
    """Predict a sound's category from its tags.

    Context shifts evidence: birds with `ambience` are a soundscape, a drum with `loop` is music, a
    `robot` voice is processed.

    Args:
        tags: Tags of the sound.
        probabilities: A model's probabilities by tag, 0 to 1; a tag without one was a person's and
            counts in full.

    Returns:
        Categories with some evidence, best first; ties in the taxonomy's order. Empty if no tag is
        known.
    """
    weights = probabilities or {}
    given = dict.fromkeys(tag.strip() for tag in tags if tag.strip())
    evidence = [
        _Evidence(tag, code, weight * weights.get(tag, 1.0))
        for tag in given
        for code, weight in _codes(tag.lower()).items()
    ]
    return _ranked(_in_context(evidence, _cues(given)))


@dataclass(frozen=True)
class _Evidence:
    """A tag's weight for a category."""

    tag: str
    code: str
    weight: float


def _codes(tag: str) -> dict[str, float]:
    """Return a tag's weights by code.

    A compound that is not in the table has those of its parts, shared between them.
    """
    for form in _forms(tag):
        if form in _WORDS:
            return _WORDS[form]
    parts = [part for part in _JOINTS.split(tag) if part]
    total: dict[str, float] = defaultdict(float)
    for part in parts if len(parts) > 1 else ():
        for code, weight in _codes(part).items():
            total[code] += weight / len(parts)
    return total


def _forms(tag: str) -> Iterator[str]:
    """Yield the tag without joints, then its possible base forms, likeliest first."""
    plain = _JOINTS.sub("", tag)
    yield plain
    for ending, base_endings in _ENDINGS:
        stem = plain.removesuffix(ending)
        if stem != plain and len(stem) > 2:
            yield from (stem + base_ending for base_ending in base_endings)
            if stem[-1] == stem[-2]:
                yield stem[:-1]


def _cues(tags: Iterable[str]) -> dict[str, list[str]]:
    """Return the tags of each context that is present."""
    cues: dict[str, list[str]] = defaultdict(list)
    for tag in tags:
        words = {next(_forms(tag.lower())), *_JOINTS.split(tag.lower())}
        for cue, cue_words in _CUE_WORDS.items():
            is_tempo = cue.startswith("music") and _BPM.fullmatch(tag.lower())
            if words & cue_words or is_tempo:
                cues[cue].append(tag)
    return cues


def _in_context(evidence: list[_Evidence], cues: Mapping[str, list[str]]) -> list[_Evidence]:
    """Return the evidence after the moves of the contexts that are present."""
    moved = evidence
    if "music" in cues:
        moved = _moved(moved, _music_moves(evidence), cues["music"])
    if "machine" in cues:
        moved = _moved(moved, _MOVES["machine"], cues["machine"])
    field = cues.get("field", []) if _names_place(evidence) else []
    scene = [*cues.get("scene", []), *field]
    if scene and "music-as-mood" not in cues:  # "ambient music" is music, not a place
        moved = _moved(moved, _MOVES["scene"], scene)
    return moved


def _names_place(evidence: list[_Evidence]) -> bool:
    """Return True if a tag names a place.

    Only then a field recording is of the place, and not of the single thing that other tags name.
    """
    return any(item.code.startswith("ss-") and item.code != "ss-other" for item in evidence)


def _music_moves(evidence: list[_Evidence]) -> dict[str, str]:
    """Return the moves of instruments that play: alone, or together where there are several."""
    families = {
        item.code
        for item in evidence
        if item.code.startswith("is-")
        and item.code != "is-other"
        and item.weight > _MIN_INSTRUMENT_WEIGHT
    }
    moves = _MOVES["music"]
    return dict.fromkeys(moves, "m-m") if len(families) >= _MIN_FAMILIES else moves


def _moved(
    evidence: list[_Evidence], moves: Mapping[str, str], cue_tags: list[str]
) -> list[_Evidence]:
    """Return the evidence with its codes moved.

    The tags that set the context stand beside what they moved, with no weight of their own.
    """
    moved = [_Evidence(item.tag, moves.get(item.code, item.code), item.weight) for item in evidence]
    targets = dict.fromkeys(moves[item.code] for item in evidence if item.code in moves)
    return moved + [_Evidence(tag, code, 0.0) for code in targets for tag in cue_tags]


def _ranked(evidence: list[_Evidence]) -> list[CategoryGuess]:
    scores: dict[str, float] = defaultdict(float)
    tags: dict[str, dict[str, None]] = defaultdict(dict)
    for item in evidence:
        scores[item.code] += item.weight
        tags[item.code][item.tag] = None
    total = sum(scores.values())
    codes = sorted(scores, key=lambda code: (-scores[code], _RANKS[code]))
    return [
        CategoryGuess(code, scores[code] / total, tuple(tags[code]))
        for code in codes
        if scores[code] > 0
    ]
