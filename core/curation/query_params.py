"""A choice of sounds as the parameters of a page's address, and back.

The command line takes the same spelling: `state=reviewed&tag=rain`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

from core.curation.errors import InvalidFilter
from core.events.query import Agreement, Order, Query, Show
from core.events.types import MAX_TAG_LENGTH
from core.untrusted import clean_text, has_controls, shortened

MAX_TEXT_LENGTH = 200
STATES: tuple[Show, ...] = ("all", "to review", "partly", "reviewed", "not sure", "untaggable")
AGREEMENTS: tuple[Agreement, ...] = ("same", "some", "none", "no uploader tags")
ORDERS: tuple[Order, ...] = ("newest", "most uncertain", "most informative", "most disputed")
DEFAULT_ORDER: Order = "newest"
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_NUMBER = re.compile(r"[01]|0?\.[0-9]{1,6}|1\.0{1,6}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class ParsedParams:
    """A choice of sounds, its order, and a sentence where a parameter cannot be used, else ""."""

    query: Query
    order: Order
    problem: str = ""


def query_to_params(query: Query, order: Order = DEFAULT_ORDER) -> dict[str, str]:
    """Return the parameters of a page's address; what is as by default is left out.

    `query_from_params` reads them back to the same choice.
    """
    params = {
        "state": "" if query.show == "all" else _dashed(query.show),
        "tag": query.tag or "",
        "min": _number_text(query.min_probability),
        "max": _number_text(query.max_probability),
        "agreement": _dashed(query.agreement or ""),
        "license": query.license or "",
        "uploader": query.uploader or "",
        "since": query.since.isoformat() if query.since else "",
        "until": query.until.isoformat() if query.until else "",
        "run": query.run or "",
        "explicit": "" if query.explicit is None else "yes" if query.explicit else "no",
        "q": query.text,
        "order": "" if order == DEFAULT_ORDER else _dashed(order),
    }
    return {name: value for name, value in params.items() if value}


def query_from_params(params: Mapping[str, str]) -> ParsedParams:
    """Read the parameters of a page's address; others than ours are the page's own.

    Args:
        params: As they came: anybody can write anything in an address.

    Returns:
        The choice of sounds. A parameter that cannot be used counts as absent; `problem` then says
        which and why.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, (field, read) in _READERS.items():
        text = params.get(name)
        if not text:
            continue
        try:
            values[field] = read(text)
        except ValueError as error:
            problems.append(f"{name}={shortened(text)} ({error})")
    problems += _drop_empty_ranges(values)
    order = cast(Order, values.pop("order", DEFAULT_ORDER))
    return ParsedParams(Query(**values), order, _sentence(problems))


def parse_filter(text: str) -> ParsedParams:
    """Read a choice of sounds that somebody typed, such as `state=reviewed&tag=rain`.

    Raises:
        InvalidFilter: A part of it is unknown or cannot be used: a slip must not choose all sounds.
    """
    pairs = parse_qsl(text.removeprefix("?"), keep_blank_values=True)
    params = dict(pairs)
    unknown = [name for name in params if name not in _READERS]
    if (text and not pairs) or unknown:
        name = shortened(unknown[0] if unknown else text)
        known = ", ".join(_READERS)
        raise InvalidFilter(f"The filter {name} is unknown; there are {known}.")
    if len(params) < len(pairs):
        raise InvalidFilter("The filter names a parameter twice; please name each once.")
    parsed = query_from_params(params)
    if parsed.problem:
        raise InvalidFilter(parsed.problem)
    return parsed


def params_text(params: Mapping[str, str]) -> str:
    """Return parameters as they stand in an address, without the question mark."""
    return urlencode(params)


def _dashed(words: str) -> str:
    """Return a value as an address shows it: `most uncertain` is `most-uncertain`."""
    return words.replace(" ", "-")


def _number_text(number: float | None) -> str:
    """Return a probability with at most four decimals; empty for none."""
    return "" if number is None else f"{number:.4f}".rstrip("0").rstrip(".")


def _choice(options: Iterable[str]) -> Callable[[str], str]:
    """Return a reader of one of some values, with dashes or spaces."""
    by_spelling = {_dashed(option): option for option in options}

    def read(text: str) -> str:
        option = by_spelling.get(_dashed(text))
        if option is None:
            raise ValueError("it is one of " + ", ".join(by_spelling))
        return option

    return read


def _tag(text: str) -> str:
    """Return a tag; refuse what no tag can be."""
    if len(text) > MAX_TAG_LENGTH or has_controls(text) or not text.strip():
        raise ValueError("it is no tag")
    return text


def _probability(text: str) -> float:
    """Return a probability, rounded to four decimals as they are compared."""
    if not _NUMBER.fullmatch(text):
        raise ValueError("a number from 0 to 1 is needed")
    return round(float(text), 4)


def _date(text: str) -> date:
    """Return a date; refuse any other spelling than that of the address."""
    if not _DATE.fullmatch(text):
        raise ValueError("a date such as 2026-11-30 is needed")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("there is no such day") from error


def _run(text: str) -> str:
    """Return a run's id."""
    if not _RUN_ID.fullmatch(text):
        raise ValueError("it is no run")
    return text


def _yes_or_no(text: str) -> bool:
    """Return True for yes."""
    if text not in ("yes", "no"):
        raise ValueError("it is yes or no")
    return text == "yes"


def _name(text: str) -> str:
    """Return a name from outside, which must match exactly."""
    if len(text) > MAX_TEXT_LENGTH or has_controls(text):
        raise ValueError("it is too long or has control characters in it")
    return text


def _free_text(text: str) -> str:
    """Return words to search for; control characters separate words."""
    return " ".join(clean_text(text, MAX_TEXT_LENGTH).split())


def _drop_empty_ranges(values: dict[str, Any]) -> list[str]:
    """Remove ranges that end before they begin; return what is wrong with them."""
    problems = []
    ends = (("min_probability", "max_probability", "min"), ("since", "until", "since"))
    for low, high, name in ends:
        if low in values and high in values and values[low] > values[high]:
            problems.append(f"{name}={values.pop(low)} (it lies behind {values.pop(high)})")
    return problems


def _sentence(problems: list[str]) -> str:
    """Return one sentence for all of them; empty for none."""
    if not problems:
        return ""
    return f"This part of the address was ignored: {'; '.join(problems)}."


_READERS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "state": ("show", _choice(STATES)),
    "tag": ("tag", _tag),
    "min": ("min_probability", _probability),
    "max": ("max_probability", _probability),
    "agreement": ("agreement", _choice(AGREEMENTS)),
    "license": ("license", _name),
    "uploader": ("uploader", _name),
    "since": ("since", _date),
    "until": ("until", _date),
    "run": ("run", _run),
    "explicit": ("explicit", _yes_or_no),
    "q": ("text", _free_text),
    "order": ("order", _choice(ORDERS)),
}
"""The field of `Query` that a parameter sets, and how it is read."""
