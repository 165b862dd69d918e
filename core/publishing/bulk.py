"""Freesound's bulk description: one file that describes many sounds.

People upload it together with the audio on the website. The file is exactly what the website reads
(its server's code): nine columns in a fixed order, UTF-8 without a byte-order mark, each row
checked by itself. The rules are those of `form`.

Formulas: a spreadsheet may run a cell that begins with `=`, `+`, `-` or `@`. The usual cure, an
apostrophe in front, would become part of the name on Freesound, so cells are written exactly as
they are; tags cannot begin like that, and `formula_cells` lists the names, descriptions and packs
that do, so that a page can warn before the file is opened in a spreadsheet.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import StringIO

from core.publishing.errors import BulkError
from core.publishing.form import (
    LICENSES,
    Problem,
    UploadForm,
    check_category,
    check_description,
    check_file_name,
    check_geotag,
    check_license,
    check_name,
    check_pack,
    check_tags,
)
from core.publishing.geotag import parse_geotag
from core.tags import clean

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class BulkRow:
    """The description of one file.

    Attributes:
        audio_filename: Name of the file that is uploaded.
        tags: As typed.
        description: Several lines of text.
        license: A key of `form.LICENSES`.
        bst_category: A key of `category.CATEGORIES`.
        name: May be empty: Freesound then shows the file name.
        geotag: May be empty.
        pack_name: May be empty.
        is_explicit: The sound has explicit content.
    """

    audio_filename: str
    tags: tuple[str, ...]
    description: str
    license: str
    bst_category: str
    name: str = ""
    geotag: str = ""
    pack_name: str = ""
    is_explicit: bool = False

    def to_form(self, size: int) -> UploadForm:
        """Return the row as the form of a single upload, for a file of so many bytes."""
        return UploadForm(
            file_name=self.audio_filename,
            size=size,
            tags=self.tags,
            description=_unix_lines(self.description),
            license=self.license,
            bst_category=self.bst_category,
            name=self.name.strip() or self.audio_filename,
            pack=self.pack_name,
            geotag=self.geotag,
            is_explicit=self.is_explicit,
        )

    def cells(self) -> tuple[str, ...]:
        """Return the row as Freesound reads it, in the order of `COLUMNS`, with clean tags.

        Raises:
            GeotagError: The place is none.
        """
        place = parse_geotag(self.geotag).text.replace(",", ", ") if self.geotag.strip() else ""
        return (
            self.audio_filename,
            self.name.strip(),
            " ".join(clean(self.tags).tags),
            place,
            _unix_lines(self.description.strip()),
            self.license,
            self.pack_name.strip(),
            "1" if self.is_explicit else "0",
            self.bst_category,
        )


def _no_rule(row: BulkRow) -> Iterator[str]:
    return iter(())


_RULES: dict[str, Callable[[BulkRow], Iterator[str]]] = {
    "audio_filename": lambda row: check_file_name(row.audio_filename),
    "name": lambda row: check_name(row.name, row.audio_filename),
    "tags": lambda row: check_tags(row.tags),
    "geotag": lambda row: check_geotag(row.geotag),
    "description": lambda row: check_description(row.description),
    "license": lambda row: check_license(row.license),
    "pack_name": lambda row: check_pack(row.pack_name),
    "is_explicit": _no_rule,
    "bst_category": lambda row: check_category(row.bst_category),
}
_LICENSES = {name.lower(): name for name in LICENSES}
COLUMNS = tuple(_RULES)
"""The header, in the order that the website insists on."""


def check_row(row: BulkRow) -> list[Problem]:
    """Return everything that the website would refuse about this row alone, by column."""
    return [Problem(column, sentence) for column, rule in _RULES.items() for sentence in rule(row)]


def check_rows(rows: Iterable[BulkRow]) -> list[list[Problem]]:
    """Return the problems of each row, and of file names that more than one row describes."""
    rows = list(rows)
    counts = Counter(row.audio_filename for row in rows)
    duplicate = Problem("audio_filename", "Another row describes a file of the same name.")
    return [
        ([duplicate] if counts[row.audio_filename] > 1 else []) + check_row(row) for row in rows
    ]


def to_csv(rows: Iterable[BulkRow]) -> bytes:
    """Return the file for `https://freesound.org/home/describe/`.

    Raises:
        BulkError: With the first problem, if a row has one.
    """
    rows = _checked(rows)
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells() for row in rows)
    return text.getvalue().encode("utf-8")


def to_json(rows: Iterable[BulkRow]) -> str:
    """Return the same as a list of objects, for other programs.

    Tags are a list there, `is_explicit` is a boolean.

    Raises:
        BulkError: With the first problem, if a row has one.
    """
    return json.dumps([_object(row) for row in _checked(rows)], ensure_ascii=False, indent=2)


def from_csv(data: bytes) -> list[BulkRow]:
    """Return the rows of such a file, unchecked.

    Raises:
        BulkError: It has another header or a short row, or is not UTF-8.
    """
    try:
        table = list(csv.reader(StringIO(data.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BulkError("This is not a CSV file in UTF-8.") from error
    if not table or tuple(table[0]) != COLUMNS:
        raise BulkError(f"The first line has to be {','.join(COLUMNS)}.")
    return [_row(cells, number) for number, cells in enumerate(table[1:], start=2) if cells]


def formula_cells(rows: Iterable[BulkRow]) -> list[tuple[int, str]]:
    """Return the cells that a spreadsheet might take for a formula; Freesound does not mind them.

    Returns:
        (row from 0, column) of each.
    """
    return [
        (number, column)
        for number, row in enumerate(rows)
        for column, text in (
            ("audio_filename", row.audio_filename),
            ("name", row.name),
            ("description", row.description),
            ("pack_name", row.pack_name),
        )
        if text.strip().startswith(FORMULA_SIGNS)
    ]


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
        raise BulkError(f"Line {number} has {len(cells)} columns instead of {len(COLUMNS)}.")
    values = dict(zip(COLUMNS, cells, strict=True))
    if values["is_explicit"] not in ("0", "1"):
        raise BulkError(f"Line {number}: is_explicit has to be 0 or 1.")
    return BulkRow(
        audio_filename=values["audio_filename"],
        tags=tuple(values["tags"].split()),
        description=values["description"],
        license=_LICENSES.get(values["license"].lower(), values["license"]),
        bst_category=values["bst_category"],
        name=values["name"],
        geotag=values["geotag"],
        pack_name=values["pack_name"],
        is_explicit=values["is_explicit"] == "1",
    )


def _unix_lines(text: str) -> str:
    return re.sub(r"\r\n?", "\n", text)
