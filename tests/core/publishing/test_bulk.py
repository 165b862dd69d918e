"""The bulk description, against the website's rules written a second time and a CSV reader."""

import csv
import json
import re
from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.publishing.bulk import (
    COLUMNS,
    BulkRow,
    check_row,
    check_rows,
    formula_cells,
    from_csv,
    to_csv,
    to_json,
)
from core.publishing.errors import BulkError
from core.publishing.form import UploadForm, check
from tests.servers.freesound import CATEGORIES, check_bulk_file

ROW = BulkRow(
    "rain.wav",
    ("rain", "roof", "Field Recording"),
    "Rain, on a “roof”.\n\nRecorded at night.",
    "Attribution NonCommercial",
    "fx-n",
    name="Rain, heavy",
    geotag="52.5, 13.4",
    pack_name="Weather",
    is_explicit=False,
)
HEADER = "audio_filename,name,tags,geotag,description,license,pack_name,is_explicit,bst_category"


def website(data: bytes) -> list[list[str]]:
    """Return the rows of a file that the website takes as it is."""
    assert not data.startswith(b"\xef\xbb\xbf")
    _, *rows = csv.reader(StringIO(data.decode("utf-8"), newline=""), strict=True)
    if rows:
        assert check_bulk_file(data, {row[0] for row in rows}) == [{}] * len(rows)
    for row in rows:
        assert len(row[0]) <= 100
        assert not re.search(r"[/\\]", row[0])
        assert len(row[2]) <= 512
        assert len(row[6]) <= 255
    return rows


def test_a_whole_row_is_written_as_the_website_reads_it():
    assert check_row(ROW) == []
    assert website(to_csv([ROW])) == [
        [
            "rain.wav",
            "Rain, heavy",
            "rain roof field-recording",
            "52.5, 13.4, 14",
            "Rain, on a “roof”.\n\nRecorded at night.",
            "Attribution NonCommercial",
            "Weather",
            "0",
            "fx-n",
        ]
    ]


def test_the_header_is_the_websites_letter_for_letter():
    assert ",".join(COLUMNS) == HEADER
    assert to_csv([]).decode() == HEADER + "\r\n"


def test_cells_with_commas_quotes_and_lines_are_quoted():
    text = to_csv([replace(ROW, name='A "loud", long one')]).decode()
    assert '"A ""loud"", long one"' in text
    assert '"52.5, 13.4, 14"' in text


def test_a_file_can_be_read_back():
    rows = [
        ROW,
        replace(ROW, audio_filename="b.flac", name="", geotag="", pack_name="", is_explicit=True),
    ]
    again = from_csv(to_csv(rows))
    assert to_csv(again) == to_csv(rows)
    assert [row.is_explicit for row in again] == [False, True]
    assert check_rows(again) == [[], []]


def test_the_same_goes_out_as_json():
    (first,) = json.loads(to_json([ROW]))
    assert list(first) == list(COLUMNS)
    assert first["tags"] == ["rain", "roof", "field-recording"]
    assert first["is_explicit"] is False
    assert first["geotag"] == "52.5, 13.4, 14"
    assert "“roof”" in to_json([ROW])


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("audio_filename", {"audio_filename": ""}),
        ("audio_filename", {"audio_filename": "rain.doc"}),
        ("audio_filename", {"audio_filename": "folder/rain.wav"}),
        ("name", {"name": " "}),
        ("name", {"name": "x" * 513}),
        ("tags", {"tags": ("rain", "roof")}),
        ("tags", {"tags": tuple(f"tag{number}" for number in range(31))}),
        ("tags", {"tags": ("!!", "--", "the")}),
        ("geotag", {"geotag": "52.5"}),
        ("geotag", {"geotag": "52.5, -181, 14"}),
        ("geotag", {"geotag": "52.5, 13.4, 10"}),
        ("description", {"description": ""}),
        ("description", {"description": " \n"}),
        ("license", {"license": "CC0"}),
        ("license", {"license": ""}),
        ("pack_name", {"pack_name": "Rain"}),
        ("pack_name", {"pack_name": "x" * 256}),
        ("bst_category", {"bst_category": "fx"}),
        ("bst_category", {"bst_category": ""}),
    ],
)
def test_what_the_website_would_refuse_is_refused_here(column, change):
    row = replace(ROW, **change)
    problems = check_row(row)
    assert {problem.field for problem in problems} == {column}
    assert all(problem.sentence.endswith(".") for problem in problems)
    for written in (to_csv, to_json):
        with pytest.raises(BulkError, match=r"\.$"):
            written([ROW, row])


def test_a_license_is_read_in_capitals_or_not_as_the_website_does():
    data = to_csv([ROW]).replace(b"Attribution NonCommercial", b"attribution noncommercial")
    (row,) = from_csv(data)
    assert check_row(row) == []
    assert row.license == "Attribution NonCommercial"


def test_a_file_is_described_once():
    assert [
        [problem.field for problem in problems]
        for problems in check_rows([ROW, ROW, replace(ROW, audio_filename="b.wav")])
    ] == [
        ["audio_filename"],
        ["audio_filename"],
        [],
    ]
    with pytest.raises(BulkError, match="same name"):
        to_csv([ROW, ROW])


def test_what_a_spreadsheet_might_run_is_written_as_it_is_and_pointed_out():
    row = replace(
        ROW,
        name='=HYPERLINK("x")',
        tags=("=cmd", "+rain", "-roof", "@dog"),
        description="- first\n- second",
        pack_name="+plus+",
    )
    (cells,) = website(to_csv([row]))
    assert (cells[1], cells[6]) == ('=HYPERLINK("x")', "+plus+")
    assert cells[2] == "cmd rain roof dog"
    assert formula_cells([ROW, row]) == [(1, "name"), (1, "description"), (1, "pack_name")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"name,tags\r\n",
        HEADER.encode() + b",extra\r\n",
        HEADER.encode() + b"\r\na.wav,b\r\n",
        HEADER.encode() + b"\r\na.wav,,a b c,,text,Attribution,,yes,fx-a\r\n",
        HEADER.encode() + b'\r\n"a.wav,,a b c',
    ],
)
def test_what_is_no_bulk_description_is_said_in_a_sentence(data):
    with pytest.raises(BulkError, match=r"\.$"):
        from_csv(data)


TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
LINE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=40)
ROWS = st.lists(
    st.builds(
        BulkRow,
        audio_filename=st.builds(
            "{}.{}".format,
            st.text("abcß雨 =+-@,;'.&", max_size=8),
            st.sampled_from(("wav", "AIF", "flac", "txt")),
        ),
        tags=st.lists(
            st.one_of(st.sampled_from("rain roof =dog the Café a_b".split()), TEXT),
            min_size=3,
            max_size=32,
        ).map(tuple),
        description=st.one_of(LINE.map('Rain. {}\r\nAnd "more".'.format), TEXT),
        license=st.sampled_from(("Attribution", "Creative Commons 0", "Attribution NonCommercial")),
        bst_category=st.sampled_from(list(CATEGORIES)),
        name=st.one_of(st.just(""), LINE),
        geotag=st.one_of(
            st.just(""), st.builds("{} {}".format, st.integers(-91, 91), st.integers(-181, 181))
        ),
        pack_name=st.one_of(st.just(""), LINE.map("pack {}".format), LINE),
        is_explicit=st.booleans(),
    ),
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(rows=ROWS)
def test_every_file_that_is_written_is_one_that_the_website_accepts(rows):
    good = [row for row, problems in zip(rows, check_rows(rows), strict=True) if not problems]
    data = to_csv(good)
    read = website(data)
    assert [cells[0] for cells in read] == [row.audio_filename for row in good]
    assert [cells[1] for cells in read] == [row.name.strip() for row in good]
    assert to_csv(from_csv(data)) == data
    assert [row["tags"] for row in json.loads(to_json(good))] == [
        cells[2].split() for cells in read
    ]


@settings(max_examples=200, deadline=None)
@given(rows=ROWS)
def test_a_row_has_the_same_rules_as_a_single_upload(rows):
    for row in rows:
        form = UploadForm(
            file_name=row.audio_filename,
            size=1000,
            tags=row.tags,
            description=row.description,
            license=row.license,
            bst_category=row.bst_category,
            name=row.name,
            pack=row.pack_name,
            geotag=row.geotag,
        )
        single = sorted(problem.sentence for problem in check(form))
        assert single == sorted(problem.sentence for problem in check_row(row))


def as_freesound_reads(row: BulkRow) -> bytes:
    """The file with one row, written without any check of ours."""
    out = StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    cells = dict(zip(COLUMNS, ROW.cells(), strict=True))
    typed = {
        "audio_filename": row.audio_filename,
        "name": row.name,
        "description": row.description,
        "license": row.license,
        "pack_name": row.pack_name,
        "bst_category": row.bst_category,
        "geotag": row.geotag if row.geotag.count(",") == 2 else f"{row.geotag}, 14",
        "tags": " ".join(row.tags),
    }
    writer.writerow(COLUMNS)
    writer.writerow((cells | typed).values())
    return out.getvalue().encode()


LOUD = "RAIN ON THE ROOF, recorded"  # 13 of 26 are capitals: half
DIFFERENCES = [
    ("name", {"name": name}, bad)
    for name, bad in (("R", True), ("Ra", True), ("Rai", True), ("Rain", True), ("Rain!", False))
]
DIFFERENCES += [
    ("name", {"name": "", "audio_filename": "a.wv"}, True),
    ("name", {"name": "", "audio_filename": "a.wav"}, False),
    ("description", {"description": "RAIN ON A ROOF"}, True),
    ("description", {"description": "Rain!!!!!!!!!!"}, True),
    ("description", {"description": LOUD}, False),
    ("description", {"description": "RAIN"}, False),
    ("description", {"description": "ab" + "C" * 3}, False),
    ("description", {"description": "a" + "C" * 4}, True),
    ("description", {"description": "雨が屋根に降る音"}, False),
    ("geotag", {"geotag": "52.5, 13.4, 20"}, True),
    ("geotag", {"geotag": "52.5, 13.4, 19"}, False),
    ("geotag", {"geotag": "0, 13.4, 14"}, True),
    ("geotag", {"geotag": "52.5, 0.0, 14"}, True),
    ("geotag", {"geotag": "-0, 13.4, 14"}, True),
    ("geotag", {"geotag": "0.00001, 13.4, 14"}, False),
    ("audio_filename", {"audio_filename": "rain 🌧.wav"}, True),
    ("audio_filename", {"audio_filename": "rain 👍🏽.wav"}, True),
    ("audio_filename", {"audio_filename": "25 °C © ♪ rain 雨.wav"}, False),
    ("pack_name", {"pack_name": "Rain"}, True),
    ("pack_name", {"pack_name": "Rains"}, False),
]


@pytest.mark.parametrize(("column", "change", "is_refused"), DIFFERENCES)
def test_freesounds_own_form_and_bulk_file_refuse_the_same(column, change, is_refused):
    row = replace(ROW, tags=("rain", "roof", "weather"), **change)
    expected = [column] if is_refused else []
    assert [problem.field for problem in check_row(row)] == expected
    assert list(check_bulk_file(as_freesound_reads(row), {row.audio_filename})[0]) == expected


def test_signs_of_weather_are_emoji_and_are_refused_too():
    problems = check_row(replace(ROW, audio_filename="rain ☔.wav"))
    assert [problem.field for problem in problems] == ["audio_filename"]


def test_a_place_so_near_to_zero_that_it_is_written_as_zero_is_refused():
    assert [problem.field for problem in check_row(replace(ROW, geotag="0.0000001, 13.4"))] == [
        "geotag"
    ]


def test_a_row_can_be_published_by_itself():
    form = replace(ROW, name="", is_explicit=True, description="Rain.\r\nAt night.").to_form(1000)
    assert check(form) == []
    assert (form.name, form.pack, form.is_explicit) == ("rain.wav", "Weather", True)
    assert form.to_description().description == "Rain.\nAt night."
