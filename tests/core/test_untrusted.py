"""Text and JSON from outside."""

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.untrusted import (
    MAX_NESTING,
    MAX_TEXT_LENGTH,
    clean_text,
    csv_cell,
    load_json,
    shortened,
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Rain <b>roof</b>", "Rain <b>roof</b>"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("half \ud83d\x1b[2J", "half ? [2J"),
        ("a\rb\x00c\x9fd", "a b c d"),
        ("x" * 300, "x" * 200),
        ("gnp.\u202egpj", "gnp. gpj"),
        ("\u2067\u2068a\u2069\u2028b", "  a  b"),
    ],
)
def test_texts_are_cleaned(text, clean):
    assert clean_text(text) == clean


@settings(max_examples=1000, deadline=None)
@given(
    st.text(
        st.characters(codec=None) | st.sampled_from("\x1b\x00\ud83d\udc00\r\x9b"), max_size=300
    ),
    st.integers(0, 400),
)
def test_whatever_an_uploader_wrote_can_be_stored_and_printed(text, max_length):
    clean = clean_text(text, max_length)
    assert clean.encode("utf-8").decode("utf-8") == clean
    assert len(clean) == min(len(text), max_length)
    controls = {character for character in clean if unicodedata.category(character) == "Cc"}
    assert controls <= {"\n", "\t"}
    assert clean_text(clean, max_length) == clean


def test_texts_are_cut_to_a_length_that_people_read():
    assert len(clean_text("y" * 10**6)) == MAX_TEXT_LENGTH


@pytest.mark.parametrize("depth", [1, MAX_NESTING, MAX_NESTING + 1, 1000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_json_may_be_nested_as_deeply_as_it_can_be_written_again(depth, opening, closing):
    text = opening * depth + "1" + closing * depth
    if depth <= MAX_NESTING:
        assert json.dumps(load_json(text), separators=(",", ":")) == text
    else:
        with pytest.raises(ValueError, match="nested more than 100 levels deep"):
            load_json(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a":1,"b":2,"a":3}', "it has the key 'a' twice"),
        ('[{"é":{"\\u0000":1,"\\u0000":1}}]', r"it has the key '\\x00' twice"),
        ("1e400", "1e400 is too large a number"),
        ("9" * 301, "it has a number of more than 300 digits"),
        ("[NaN]", "NaN is no number"),
        ('"\\udc00"', "it has half of a surrogate pair in it"),
        ('"\udc00"', "it has half of a surrogate pair in it"),
        (b'"\xff"', "it is not in UTF-8"),
        ("[1", "it is no JSON"),
    ],
)
def test_json_that_could_not_be_kept_is_refused_with_its_reason(text, reason):
    with pytest.raises(ValueError, match=f"^{reason}"):
        load_json(text)


@settings(max_examples=50, deadline=None)
@given(st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_what_json_writes_is_read(value):
    assert load_json(json.dumps(value)) == value


def test_a_text_that_an_error_repeats_is_short_and_printable():
    assert shortened("k" * 1000) == "k" * 60 + "..."
    assert shortened("a\x1b[2J\u202e") == "a?[2J?"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "  =", "\uff1d"])
def test_a_cell_that_a_spreadsheet_would_compute_is_marked_as_text(start):
    assert csv_cell(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize("value", ["", "rain", "a=b", " a-b", "'=1", -1.5, 3, None])
def test_other_cells_stay_as_they_are(value):
    assert csv_cell(value) == value
