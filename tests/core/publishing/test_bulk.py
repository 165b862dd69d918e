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
from tests.servers.freesound import CATEGORIES, clean_tags

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
    """What the website makes of the file; asserts each of its rules."""
    assert not data.startswith(b"\xef\xbb\xbf")
    header, *rows = csv.reader(StringIO(data.decode("utf-8"), newline=""), strict=True)
    assert header == HEADER.split(",")
    for row in rows:
        accepted_by_the_website(*row)
    assert len({row[0] for row in rows}) == len(rows)
    return rows


def accepted_by_the_website(
    audio_filename, name, tags, geotag, description, license, pack_name, is_explicit, bst_category
):
    assert re.fullmatch(
        r"[^/\\]+\.(wav|aiff|aif|ogg|flac|mp3|m4a|wv)", audio_filename, re.IGNORECASE
    )
    assert len(audio_filename) <= 100
    assert name == "" or (name.strip() and len(name) <= 512)
    assert re.fullmatch(r"[a-zA-Z0-9, -]*", tags)
    assert 3 <= len(clean_tags(tags)) <= 30
    assert len(tags) <= 512
    if geotag:
        latitude, longitude, zoom = geotag.split(",")
        assert -90 <= float(latitude) <= 90
        assert -180 <= float(longitude) <= 180
        assert int(zoom) >= 11
    assert description.strip()
    assert license.lower() in ("creative commons 0", "attribution", "attribution noncommercial")
    assert pack_name == "" or 5 <= len(pack_name) <= 255
    assert is_explicit in ("0", "1")
    assert bst_category in CATEGORIES


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
    """The website asks for longer names of packs, and nothing else."""
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
        single = {problem.sentence for problem in check(form)}
        bulk = {problem.sentence for problem in check_row(row)}
        assert single <= bulk
        assert all("bulk description needs" in sentence for sentence in bulk - single)
