"""The site's search language: the part of Solr's filters that the API's documentation names."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.servers.freesound.state import DAY_S, Sound

Predicate = Callable[[Sound], bool]


class BadFilter(Exception):
    """A filter that the search engine does not understand; the message is its own."""


NUMBER_FIELDS = (
    "id duration samplerate bitrate bitdepth channels filesize num_downloads num_ratings "
    "num_comments avg_rating"
).split()
WORD_FIELDS = ("name", "description", "pack")
EXACT_FIELDS = (
    "license type md5 gen_ai_preference category subcategory is_explicit is_geotagged".split()
)
FIELD_KINDS = {
    **dict.fromkeys(NUMBER_FIELDS, "number"),
    "created": "date",
    "tag": "tag",
    "username": "letters",
    **dict.fromkeys(WORD_FIELDS, "words"),
    **dict.fromkeys(EXACT_FIELDS, "exact"),
}
SPECIAL_VALUES: dict[str, Callable[[Sound], object]] = {
    "avg_rating": lambda sound: 2 * sound.avg_rating if sound.num_ratings >= 3 else 0,
    "tag": lambda sound: sound.tags,
    "category": lambda sound: sound.category[0],
    "subcategory": lambda sound: sound.category[1],
    "is_explicit": lambda sound: str(sound.is_explicit).lower(),
    "is_geotagged": lambda sound: str(sound.geotag is not None).lower(),
}
TOKEN = re.compile(
    r"\s*(?:(?P<bracket>[()])|(?P<word>OR|AND)(?=[\s(]|$)|(?P<sign>[-+])(?=[A-Za-z(])"
    r'|(?P<name>[A-Za-z_]\w*):|(?P<value>"[^"]*"|[\[{][^\]}]*[\]}]|[^\s()\[\]{}"]+))'
)
DATE = re.compile(r"(NOW|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)((?:[-+]\d+[A-Z]+|/[A-Z]+)*)")
UNITS_S = {
    "YEAR": 365 * DAY_S,
    "MONTH": 30 * DAY_S,
    "WEEK": 7 * DAY_S,
    "DAY": DAY_S,
    "HOUR": 3600,
    "MINUTE": 60,
    "SECOND": 1,
}


def parse_filter(text: str, now: float) -> Predicate:
    """Return a filter as a question to a sound.

    Args:
        text: The filter as a client sends it.
        now: The moment that `NOW` stands for, in seconds.

    Raises:
        BadFilter: The text is no filter.
    """
    return _Parser(text, now).parse()


def accepts_query(query: str, sound: Sound) -> bool:
    """Tell if a sound has all words and phrases of a query in its name, tags or description.

    A word after a minus sign must stand nowhere. Words are not stemmed.
    """
    text = "  \0 ".join([sound.name, *sound.tags, sound.description])
    for sign, phrase, word in re.findall(r'([-+]?)(?:"([^"]*)"|(\S+))', query):
        words = split_words(phrase or word)
        if words and has_phrase(words, text) == (sign == "-"):
            return False
    return True


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r"\w+", text.lower())


def has_phrase(phrase: list[str], text: str) -> bool:
    """Tell if these words follow each other in a text."""
    words = split_words(text)
    starts = range(len(words) - len(phrase) + 1)
    return any(words[start : start + len(phrase)] == phrase for start in starts)


def parse_date(text: str, now: float) -> float:
    """Return a moment that is written as `NOW`, `NOW-30DAY`, `NOW/DAY`, `2026-01-01T00:00:00Z`.

    Raises:
        BadFilter: The text is no such moment.
    """
    match = DATE.fullmatch(text)
    if not match:
        raise BadFilter(f"Invalid Date String:'{text}'")
    moment = now if match[1] == "NOW" else datetime.fromisoformat(match[1]).timestamp()
    for sign, count, unit in re.findall(r"([-+/])(\d*)([A-Z]+)", match[2]):
        seconds = UNITS_S.get(unit) or UNITS_S.get(unit.removesuffix("S"))
        if not seconds:
            raise BadFilter(f"Invalid Date Math String:'{text}'")
        if sign == "/":
            moment = moment // seconds * seconds
        else:
            moment += int(sign + count) * seconds
    return moment


def _value(sound: Sound, name: str) -> Any:
    """Return a sound's value of a field as the search engine has it."""
    if name in SPECIAL_VALUES:
        return SPECIAL_VALUES[name](sound)
    value = getattr(sound, name)
    return value or "" if name in WORD_FIELDS else value


def _equals(kind: str, value: Any, text: str) -> bool:
    """Tell if a value of a text field is the one that a filter asks for."""
    if kind == "tag":
        return text.lower() in [tag.lower() for tag in value]
    if kind == "letters":  # digits do not count, as on the site
        return re.findall("[a-z]+", value.lower()) == re.findall("[a-z]+", text.lower())
    if kind == "words":
        return has_phrase(split_words(text), value)
    return bool(value == text)


class _Parser:
    """Reads a filter from left to right; `tokens` are those that are left."""

    def __init__(self, text: str, now: float) -> None:
        self.text, self.now = text, now
        self.tokens: list[tuple[str, str]] = []
        position = 0
        while text[position:].strip():
            match = TOKEN.match(text, position)
            if not match or not match.lastgroup:
                raise BadFilter(f"Cannot parse '{text}'")
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()

    def parse(self) -> Predicate:
        """Return the whole filter."""
        predicate = self.alternatives(self.clause)
        if self.tokens:
            raise BadFilter(f"Cannot parse '{self.text}'")
        return predicate

    def alternatives(self, item: Callable[[], Predicate]) -> Predicate:
        """Return groups of items that are joined by OR; inside a group all must hold."""
        groups: list[list[Predicate]] = [[]]
        while self.tokens and self.tokens[0] != ("bracket", ")"):
            if self.tokens[0][0] == "word":
                if self.tokens.pop(0)[1] == "OR":
                    groups.append([])
            else:
                groups[-1].append(item())
        if not all(groups):
            raise BadFilter("Cannot parse an empty clause")
        return lambda sound: any(all(test(sound) for test in group) for group in groups)

    def bracketed(self, item: Callable[[], Predicate]) -> Predicate:
        """Return the alternatives up to the closing bracket."""
        inner = self.alternatives(item)
        if not self.tokens:
            raise BadFilter("Cannot parse: a bracket is open")
        self.tokens.pop(0)
        return inner

    def clause(self) -> Predicate:
        """Return a field with its value, a bracket, or either after a sign."""
        kind, text = self.tokens.pop(0)
        if kind == "sign":
            if not self.tokens:
                raise BadFilter("Cannot parse a lone sign")
            inner = self.clause()
            return inner if text == "+" else lambda sound: not inner(sound)
        if kind == "bracket":
            return self.bracketed(self.clause)
        if kind != "name":
            raise BadFilter("undefined field text")
        if text not in FIELD_KINDS:
            raise BadFilter(f"undefined field {text}")
        if self.tokens and self.tokens[0] == ("bracket", "("):
            self.tokens.pop(0)
            return self.bracketed(lambda: self.field(text))
        return self.field(text)

    def field(self, name: str) -> Predicate:
        """Return the test of a field against the value that follows."""
        if not self.tokens or self.tokens[0][0] != "value":
            raise BadFilter(f"Cannot parse the value of '{name}'")
        text = self.tokens.pop(0)[1]
        kind = FIELD_KINDS[name]
        if text[0] in "[{":
            return self.span(kind, name, text)
        text = text.strip('"')
        if text == "*":
            return lambda sound: bool(_value(sound, name))
        if kind in ("number", "date"):
            point = self.point(kind, text)
            return lambda sound: bool(_value(sound, name) == point)
        return lambda sound: _equals(kind, _value(sound, name), text)

    def point(self, kind: str, text: str) -> float:
        """Return a number or a date."""
        if kind == "date":
            return parse_date(text, self.now)
        try:
            return float(text)
        except ValueError:
            raise BadFilter(f'For input string: "{text}"') from None

    def span(self, kind: str, name: str, text: str) -> Predicate:
        """Return the test for a span such as `[1 TO 5}`: a brace leaves the end itself out."""
        ends = text[1:-1].strip().split(" TO ")
        if len(ends) != 2 or kind not in ("number", "date"):
            raise BadFilter(f"Cannot parse '{text}'")
        low, high = (None if end.strip() == "*" else self.point(kind, end.strip()) for end in ends)

        def inside(sound: Sound) -> bool:
            value = _value(sound, name)
            if value is None:
                return False
            above = low is None or (value >= low if text[0] == "[" else value > low)
            below = high is None or (value <= high if text[-1] == "]" else value < high)
            return bool(above and below)

        return inside
