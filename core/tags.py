"""Freesound's tag rules, and ours in front of them.

Ours turn what a person types into tags that mean what they typed: `Field Recording` becomes
`field-recording`, `café` becomes `cafe`. Freesound's own rules (utils/tags.py of its server) then
decide what is really stored; they alone would store `Field` and `Recording`, and `caf`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anyascii import anyascii

MIN_TAGS, MAX_TAGS = 3, 30
"""Tags that Freesound asks for when a sound is described."""
MAX_TAG_LENGTH = 100
MAX_TAGS_LENGTH = 512
"""Characters of all tags together, joined by spaces."""

STOP_WORDS = frozenset(
    "the of to and an in is it you that he was for on are with as i his they be at".split()
)
REAL_WORDS = {
    "bas": "bass",
    "bos": "boss",
    "bras": "brass",
    "bu": "bus",
    "contrabas": "contrabass",
    "datum": "data",
    "ga": "gas",
    "glas": "glass",
    "gros": "gross",
    "his": "hiss",
    "netherland": "netherlands",
    "pres": "press",
    "synthesi": "synthesis",
    "viru": "virus",
}
"""The words that people typed, by what a blind singulariser made of them in COALA's vocabulary."""
_SEPARATORS = re.compile(r"[,;\n\r\t]+")
_APOSTROPHES = re.compile(r"['`´‘’ʼ]")
_NOT_TAG = re.compile(r"[^a-z0-9]+")
_NOT_STORED = re.compile(r"[^a-zA-Z0-9 -]")
_HYPHENS = re.compile(r"-+")


@dataclass(frozen=True)
class CleanTags:
    """Typed tags after cleaning.

    Attributes:
        tags: As they will be stored, in the order typed.
        dropped: (text, reason) of each thing typed of which nothing remains.
    """

    tags: tuple[str, ...]
    dropped: tuple[tuple[str, str], ...]


def display_tags(vocabulary: Sequence[str]) -> tuple[str, ...]:
    """Return the words to show and publish for a vocabulary as the training data spell it.

    Args:
        vocabulary: Words, a few of them stumps such as `bas`.

    Returns:
        As many words, with the real word for each stump. A stump stays where the real word is in
        the vocabulary already: two indices never share a word.
    """
    spelled = set(vocabulary)
    return tuple(
        word if REAL_WORDS.get(word, word) in spelled else REAL_WORDS[word] for word in vocabulary
    )


def freesound_tags(text: str) -> list[str]:
    """Return the tags that Freesound stores, in order of appearance.

    Anything but a-z, A-Z, 0-9, hyphen and space separates; hyphens are collapsed and stripped; stop
    words in lower case are dropped; duplicates are distinguished by case.

    Args:
        text: The `tags` field as a client sends it.
    """
    words = (_HYPHENS.sub("-", word).strip("-") for word in _NOT_STORED.sub(" ", text).split(" "))
    return list(dict.fromkeys(word for word in words if word and word not in STOP_WORDS))


def clean(typed: Iterable[str]) -> CleanTags:
    """Apply our rules and then Freesound's.

    Transliterated to ASCII, lower-cased, words joined by hyphens, duplicates and stop words
    dropped, `MAX_TAG_LENGTH` characters at most.

    Args:
        typed: Texts; a comma, semicolon or line break in them separates tags.
    """
    tags: dict[str, None] = {}
    dropped: list[tuple[str, str]] = []
    for piece in (piece.strip() for text in typed for piece in _SEPARATORS.split(text)):
        if not piece:
            continue
        tag = _hyphenated(piece)
        stored = freesound_tags(tag)
        if len(tag) > MAX_TAG_LENGTH:
            dropped.append((piece, f"is longer than {MAX_TAG_LENGTH} characters"))
        elif stored:
            tags.update(dict.fromkeys(stored))
        elif tag:
            dropped.append((piece, "is a word that Freesound drops"))
        else:
            dropped.append((piece, "has no letter or digit in it"))
    return CleanTags(tuple(tags), tuple(dropped))


def _hyphenated(piece: str) -> str:
    """Return a typed piece as a hyphenated ASCII tag."""
    ascii_text = anyascii(_APOSTROPHES.sub("", piece)).lower()
    return _NOT_TAG.sub("-", _APOSTROPHES.sub("", ascii_text)).strip("-")
