"""The encoding of texts that do not name it, as in RIFF, AIFF and ID3v1."""

import codecs
import re
import unicodedata
from collections.abc import Iterable

MAX_GUESSED_BYTES = 1000
_SCRIPTS = {
    "cp1252": "LATIN",
    "cp1251": "CYRILLIC",
    "cp932": "",
    "gbk": "",
    "euc_kr": "",
    "big5": "",
    "cp1250": "LATIN",
    "cp1253": "GREEK",
    "koi8_r": "CYRILLIC",
}
"""Encodings by how often files have them, with the script of their letters; empty for those of
East Asia."""
_FREQUENT_LEADS = {
    "cp932": (0x81, 0x98),
    "gbk": (0xB0, 0xD7),
    "euc_kr": (0xB0, 0xC8),
    "big5": (0xA1, 0xC6),
}
"""First bytes of the characters that texts are mostly written in."""
_WORD = re.compile(r"[^\W\d_]+")
_CASE_CHANGE = re.compile(r"(?=([^\W\d_])([^\W\d_]))")
_BEFORE_LETTERS, _AFTER_LETTERS = set("“„«¿¡‘’´©°"), set("”»’…°®™´“‘€")
_BETWEEN_WORDS = set("–—·•©®°§€£×±¼½¾²³№“”„«»‘’…\xa0")


def decode_texts(raw: Iterable[bytes]) -> list[str]:
    """Return a file's texts: those in UTF-8, the others in the encoding that they look like.

    All of these count together, as one title is short.
    """
    texts = list(raw)
    others = b"\n".join(text for text in texts if not _is_utf_8(text))
    encoding = guess_encoding(others) if others else "utf-8"
    return [text.decode("utf-8" if _is_utf_8(text) else encoding, "replace") for text in texts]


def guess_encoding(raw: bytes) -> str:
    """Return the encoding in which a text that is not UTF-8 has the fewest odd places."""
    costs: dict[str, float] = {}
    for encoding in _SCRIPTS:
        try:
            decoder = codecs.getincrementaldecoder(encoding)()
            text = decoder.decode(raw[:MAX_GUESSED_BYTES], final=len(raw) <= MAX_GUESSED_BYTES)
            costs[encoding] = _oddity(text, encoding)
        except UnicodeDecodeError:
            continue
    return min(costs, key=costs.__getitem__, default="latin-1")


def _is_utf_8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _oddity(text: str, encoding: str) -> float:
    """Return how odd a text is in this encoding; 0 for what somebody may have written."""
    if not _SCRIPTS[encoding]:
        return _oddity_of_east_asian(text, encoding)
    places = sum(
        _is_odd_symbol(text[max(0, at - 1) : at], character, text[at + 1 : at + 2])
        for at, character in enumerate(text)
        if not character.isascii() and not character.isalpha()
    )
    return places + sum(_oddity_of_word(word, _SCRIPTS[encoding]) for word in _WORD.findall(text))


def _is_odd_symbol(before: str, symbol: str, after: str) -> bool:
    """Return True for a symbol that does not stand at this side of a letter, or hardly anywhere."""
    if before.isalpha() and after.isalpha():
        return symbol != "’"
    if after.isalpha():
        return symbol not in _BEFORE_LETTERS
    if before.isalpha():
        return symbol not in _AFTER_LETTERS
    return symbol not in _BETWEEN_WORDS


def _oddity_of_word(word: str, script: str) -> float:
    """Return how odd a word is: two scripts, a capital in its middle, most letters accented."""
    foreign = [letter for letter in word if not letter.isascii() and letter not in "µªº"]
    mixed = script != "LATIN" and 0 < len(foreign) < len(word)
    capitals: int = sum(
        first.islower() and second.isupper() and not (first + second).isascii()
        for first, second in _CASE_CHANGE.findall(word)
    )
    wrong = sum(not unicodedata.name(letter, "").startswith(script) for letter in foreign)
    accented = len(foreign) - (len(word) + 1) // 2 if script == "LATIN" else 0
    return mixed + capitals + wrong + max(0, accented) / 2


def _oddity_of_east_asian(text: str, encoding: str) -> float:
    """Return how odd a text is in an encoding of two bytes for each character."""
    oddity = 0.0
    leads: list[int] = []
    lowest, highest = _FREQUENT_LEADS[encoding]
    for before, character in zip(" " + text, text, strict=False):
        if character.isascii():
            continue
        code = character.encode(encoding, "replace")
        if len(code) == 1:  # Katakana of half width, which two Western letters look like
            oddity += 0.4
        elif unicodedata.category(character) == "Co":
            oddity += 2
        elif not lowest <= code[0] <= highest and not _is_punctuation(character):
            oddity += 0.7
        oddity += 0.6 * (before.isascii() and before.isalpha())
        leads.append(code[0])
    looks_korean = len(leads) > 2 and max(leads) <= _FREQUENT_LEADS["euc_kr"][1]
    return oddity + 0.3 * (encoding == "gbk" and looks_korean)


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] in "PZS"
