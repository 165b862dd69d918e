"""Text and JSON from outside: made safe to show, and read only where they can be kept."""

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

MAX_NESTING = 100
"""Levels of lists and objects; more could be read, but not written again."""
MAX_DIGITS = 300
"""Of a whole number: about as many as the largest float has."""
MAX_SHOWN = 60
"""Characters of a text from outside that an error repeats."""
MAX_TEXT_LENGTH = 200
BIDIRECTIONAL_CONTROLS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""They show text in another order than it is kept in, up to its end and beyond."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula; the last four are wide = + - @."""
BYTE_ORDER_MARK = "\ufeff"
"""At a file's beginning it tells spreadsheets that the text is UTF-8."""
_CONTROL = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029{BIDIRECTIONAL_CONTROLS}]")
_BIDIRECTIONAL = re.compile(f"[{BIDIRECTIONAL_CONTROLS}]")
_NOT_IN_TAGS = re.compile(rf"[\t\n\ud800-\udfff]|{_CONTROL.pattern}")


def clean_text(text: str, max_length: int = MAX_TEXT_LENGTH) -> str:
    """Return text that is safe to keep, print and encode.

    Args:
        text: Somebody's text, as it came.
        max_length: Characters to keep.

    Returns:
        The text without control characters, which steer terminals and turn the text around them,
        and without lone surrogates, which JSON can carry and UTF-8 cannot.
    """
    return _CONTROL.sub(" ", text[:max_length]).encode("utf-8", "replace").decode()


def without_bidirectional_controls(text: str) -> str:
    """Return text that does not turn around what stands beside it; the rest stays as it is."""
    return _BIDIRECTIONAL.sub(" ", text)


def csv_cell(value: object) -> object:
    """Return what to write in a cell of a CSV file that people open in a spreadsheet.

    Text that would be taken for a formula gets an apostrophe in front, with which spreadsheets mark
    text. Values that are no text stay as they are.
    """
    if isinstance(value, str) and value.lstrip(" ").startswith(FORMULA_STARTS):
        return f"'{value}"
    return value


class Text(Protocol):
    """A text that can be written to."""

    def write(self, text: str, /) -> object:
        """Add to it."""


class CsvWriter:
    """Writes rows of cells of which none is a formula.

    The one exception is Freesound's bulk description, which must be exact: `core.publishing.bulk`.
    """

    def __init__(self, text: Text, line_end: str = "\r\n") -> None:
        """Begin a file at the end of a text."""
        self._writer = csv.writer(text, lineterminator=line_end)

    def write(self, cells: Sequence[object]) -> None:
        """Write a row."""
        self._writer.writerow([csv_cell(cell) for cell in cells])

    def write_all(self, rows: Iterable[Sequence[object]]) -> None:
        """Write rows."""
        for row in rows:
            self.write(row)


def has_controls(tag: str) -> bool:
    """Return True for a tag with line breaks, control characters or lone surrogates in it."""
    return _NOT_IN_TAGS.search(tag) is not None


def load_json(data: str | bytes) -> object:
    """Parse JSON from outside that can be kept and written again.

    Raises:
        ValueError: The text is no JSON in UTF-8, or has a key twice in one object, numbers that are
            not finite or too long, unpaired surrogates or very deep nesting.
    """
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        value: object = _decoder.decode(text)
        if "\\u" in text or isinstance(data, str):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError(f"it is nested more than {MAX_NESTING} levels deep") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON ({error.msg} at character {error.pos + 1})") from error
    except UnicodeDecodeError as error:
        raise ValueError("it is not in UTF-8") from error
    except UnicodeEncodeError as error:
        raise ValueError("it has half of a surrogate pair in it") from error
    if text.count("[") + text.count("{") > MAX_NESTING and _is_nested_deeper(value, MAX_NESTING):
        raise ValueError(f"it is nested more than {MAX_NESTING} levels deep")
    return value


def _unique_keys(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Return an object; refuse a key that it has twice, of which the last would count."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"it has the key {shortened(ascii(key))} twice")
    return fields


def _finite(digits: str) -> float:
    """Return a number; refuse one that is too large for a float."""
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{shortened(digits)} is too large a number")
    return number


def _integer(digits: str) -> int:
    """Return a whole number; refuse one that Python would not write again."""
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"it has a number of more than {MAX_DIGITS} digits")
    return int(digits)


def _reject_constant(constant: str) -> None:
    """Refuse NaN and Infinity, for which JSON has no word."""
    raise ValueError(f"{constant} is no number")


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique_keys,
    parse_constant=_reject_constant,
    parse_float=_finite,
    parse_int=_integer,
)


def _is_nested_deeper(value: object, levels: int) -> bool:
    """Return True if lists and objects are nested in more than so many levels."""
    layer = [value]
    for _ in range(levels + 1):
        lists = [item for item in layer if isinstance(item, list)]
        objects = [item for item in layer if isinstance(item, dict)]
        layer = [item for each in lists for item in each]
        layer += [item for each in objects for item in each.values()]
        if not layer:
            return False
    return True


def shortened(text: str) -> str:
    """Return text from outside as an error may repeat it: short, without control characters."""
    printable = "".join(each if each.isprintable() else "?" for each in text[: MAX_SHOWN + 1])
    return printable if len(text) <= MAX_SHOWN else f"{printable[:MAX_SHOWN]}..."
