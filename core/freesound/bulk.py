"""Freesound's bulk description: one file that describes many sounds, for people who upload the audio on the website.

The file is exactly what the website reads (its server's code): nine columns in a fixed order, UTF-8 without a byte-order mark, each
row checked by itself. The website is stricter about tags than the API: a character that the API turns into a space is an error there.

Formulas: a spreadsheet may run a cell that begins with `=`, `+`, `-` or `@`. The usual cure, an apostrophe in front, would become
part of the name on Freesound, so cells are written exactly as they are; tags cannot begin like that, and `formula_cells` says which
names, descriptions or packs do, so that a page can warn before the file is opened in a spreadsheet.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO

from core.errors import EarmarkError
from core.freesound.form import (
    LICENSES,
    LONGEST_NAME,
    LONGEST_PACK,
    GeotagError,
    Problem,
    check_description,
    check_file_name,
    check_tags,
    check_text,
    parse_geotag,
)
from core.freesound.taxonomy import CATEGORIES
from core.tags import clean

COLUMNS = ("audio_filename", "name", "tags", "geotag", "description", "license", "pack_name", "is_explicit", "bst_category")
"""The header, in the order that the website insists on."""
SHORTEST_PACK = 5
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


class BulkError(EarmarkError):
    """A bulk description that cannot be written or read."""


@dataclass(frozen=True)
class BulkRow:
    """The description of one file. `tags` as typed; `name` (then the file's), `pack_name` and `geotag` may be empty."""

    audio_filename: str
    tags: tuple[str, ...]
    description: str
    license: str
    bst_category: str
    name: str = ""
    geotag: str = ""
    pack_name: str = ""
    is_explicit: bool = False

    def cells(self) -> tuple[str, ...]:
        """The row as Freesound reads it, in the order of `COLUMNS`; tags are cleaned. Raises `GeotagError` for a place that is none."""
        return (
            self.audio_filename,
            self.name.strip(),
            " ".join(clean(self.tags).tags),
            parse_geotag(self.geotag).text.replace(",", ", ") if self.geotag.strip() else "",
            _unix_lines(self.description.strip()),
            self.license,
            self.pack_name.strip(),
            "1" if self.is_explicit else "0",
            self.bst_category,
        )


def check_row(row: BulkRow) -> list[Problem]:
    """Everything that the website would refuse about this row alone, by column, in the order of the columns."""
    return [Problem(column, sentence) for column in COLUMNS for sentence in _column(row, column)]


def check_rows(rows: Iterable[BulkRow]) -> list[list[Problem]]:
    """The problems of each row; also names that stand for more than one row."""
    rows = list(rows)
    times = Counter(row.audio_filename for row in rows)
    return [
        ([Problem("audio_filename", "Another row describes a file of the same name.")] if times[row.audio_filename] > 1 else [])
        + check_row(row)
        for row in rows
    ]


def to_csv(rows: Iterable[BulkRow]) -> bytes:
    """The file for `https://freesound.org/home/describe/`. Raises `BulkError` with the first problem if a row has one."""
    rows = _checked(rows)
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells() for row in rows)
    return text.getvalue().encode("utf-8")


def to_json(rows: Iterable[BulkRow]) -> str:
    """The same as a list of objects, for other programs: tags as a list, `is_explicit` as a truth value. Raises `BulkError`."""
    return json.dumps([_object(row) for row in _checked(rows)], ensure_ascii=False, indent=2)


def from_csv(data: bytes) -> list[BulkRow]:
    """The rows of such a file, unchecked. Raises `BulkError` if it is not one: another header, a short row, not UTF-8."""
    try:
        table = list(csv.reader(StringIO(data.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BulkError("This is not a CSV file in UTF-8.") from error
    if not table or tuple(table[0]) != COLUMNS:
        raise BulkError(f"The first line has to be {','.join(COLUMNS)}.")
    return [_row(cells, number) for number, cells in enumerate(table[1:], start=2) if cells]


def formula_cells(rows: Iterable[BulkRow]) -> list[tuple[int, str]]:
    """Where a spreadsheet might take a text for a formula: (row from 0, column). Freesound itself does not mind."""
    risky = ("audio_filename", "name", "description", "pack_name")
    return [
        (number, column) for number, row in enumerate(rows) for column in risky if getattr(row, column).strip().startswith(FORMULA_SIGNS)
    ]


def _column(row: BulkRow, column: str) -> Iterator[str]:
    """What is wrong with one cell; sentences."""
    if column == "audio_filename":
        yield from check_file_name(row.audio_filename)
    elif column == "name" and row.name:
        yield from check_text(row.name, "The name", LONGEST_NAME)
    elif column == "tags":
        yield from check_tags(row.tags)
    elif column == "geotag" and row.geotag.strip():
        yield from _place(row.geotag)
    elif column == "description":
        yield from check_description(row.description)
    elif column == "license" and row.license not in LICENSES:
        yield f"Please choose one of Freesound's licences: {', '.join(one.title for one in LICENSES.values())}."
    elif column == "pack_name" and row.pack_name:
        yield from _pack(row.pack_name)
    elif column == "bst_category" and row.bst_category not in CATEGORIES:
        yield "Please choose a category."


def _place(geotag: str) -> Iterator[str]:
    try:
        parse_geotag(geotag)
    except GeotagError as error:
        yield str(error)


def _pack(pack_name: str) -> Iterator[str]:
    yield from check_text(pack_name, "The pack's name", LONGEST_PACK)
    if len(pack_name.strip()) < SHORTEST_PACK:
        yield f"The pack's name has {len(pack_name.strip())} characters; a bulk description wants {SHORTEST_PACK} at least, or none."


def _checked(rows: Iterable[BulkRow]) -> list[BulkRow]:
    rows = list(rows)
    for row, problems in zip(rows, check_rows(rows), strict=True):
        if problems:
            raise BulkError(f"{row.audio_filename}: {problems[0].sentence}")
    return rows


def _object(row: BulkRow) -> dict[str, object]:
    cells = dict(zip(COLUMNS, row.cells(), strict=True))
    return {**cells, "tags": list(clean(row.tags).tags), "is_explicit": row.is_explicit}


def _row(cells: list[str], number: int) -> BulkRow:
    if len(cells) != len(COLUMNS):
        raise BulkError(f"Line {number} has {len(cells)} columns; {len(COLUMNS)} are wanted.")
    values = dict(zip(COLUMNS, cells, strict=True))
    if values["is_explicit"] not in ("0", "1"):
        raise BulkError(f"Line {number}: is_explicit has to be 0 or 1.")
    return BulkRow(
        audio_filename=values["audio_filename"],
        tags=tuple(values["tags"].split()),
        description=values["description"],
        license=values["license"],
        bst_category=values["bst_category"],
        name=values["name"],
        geotag=values["geotag"],
        pack_name=values["pack_name"],
        is_explicit=values["is_explicit"] == "1",
    )


def _unix_lines(text: str) -> str:
    return re.sub(r"\r\n?", "\n", text)
