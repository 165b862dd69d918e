"""Search of tags: the order of the matches, and other words for a tag."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.curation.tag_search import (
    SYNONYMS,
    TagEntry,
    distance,
    normalise,
    read_synonyms,
    search_tags,
    tag_entries,
)
from core.model import bundle

CASES = json.loads((Path(__file__).parent / "tag_search_cases.json").read_text("utf-8"))
ENTRIES = [TagEntry(tag, count, tuple(aliases)) for tag, count, aliases in CASES["entries"]]


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["typed"] or "nothing")
def test_what_is_typed_gives_these_tags_in_this_order(case):
    matches = search_tags(case["typed"], ENTRIES)
    assert [[match.tag, match.alias] for match in matches] == case["matches"]


def aliases(*vocabulary):
    return {entry.tag: set(entry.aliases) for entry in tag_entries(vocabulary, {})}


def test_other_numbers_and_spellings_lead_to_a_tag():
    words = aliases("colour", "gray-noise", "city", "box", "footsteps", "bass", "glass", "bus")
    assert {"color", "colours"} <= words["colour"]
    assert "grey-noise" in words["gray-noise"]
    assert words["city"] >= {"cities"}
    assert words["box"] >= {"boxes"}
    assert words["footsteps"] >= {"footstep", "walking"}
    assert "bas" in words["bass"]
    assert "glas" in words["glass"]
    assert "buses" in words["bus"]


def test_a_word_that_is_a_tag_itself_is_no_alias():
    words = aliases("dog", "dogs", "canine", "field recording", "fieldrecording")
    assert not words["dog"] & {"dogs", "canine"}
    assert "fieldrecording" not in words["field recording"]


def test_counts_come_first_and_tags_that_only_sounds_have_are_there_too():
    entries = tag_entries(["wave", "dog"], {"dog": 3, "thunder": 9})
    assert [(entry.tag, entry.sounds) for entry in entries] == [
        ("thunder", 9),
        ("dog", 3),
        ("wave", 0),
    ]


def test_the_synonyms_that_ship_are_tab_separated_and_in_normal_spelling():
    lines = SYNONYMS.read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert all(len(row) == 2 and row == [normalise(word) for word in row] for row in rows)
    assert len({row[0] for row in rows}) == len(rows)
    assert set(read_synonyms()) & set(bundle.load().vocabulary)


def test_an_edited_file_of_synonyms_counts_at_once(tmp_path):
    path = tmp_path / "words.tsv"
    path.write_text("# other word\ttag\nPooch\tdog\nnonsense\n")
    assert read_synonyms(path) == {"dog": ("pooch",)}
    path.write_text("Mutt  Hound\tdog\n")
    assert read_synonyms(path) == {"dog": ("mutt-hound",)}


@pytest.mark.parametrize(
    ("first", "second", "slips"),
    [
        *(("", "", 0), ("dog", "dog", 0), ("dgo", "dog", 1), ("dg", "dog", 1), ("dogs", "dog", 1)),
        *(("bog", "dog", 1), ("kitten", "sitting", 3), ("ca", "abc", 3)),
    ],
)
def test_the_distance_counts_slips(first, second, slips):
    assert distance(first, second, 5) == slips
    assert distance(first, second, 0) == min(slips, 1)


@given(st.text("abcd", max_size=8), st.text("abcd", max_size=8), st.integers(0, 3))
def test_the_distance_is_the_same_both_ways_and_is_cut_at_the_limit(first, second, limit):
    exact = distance(first, second, 20)
    assert distance(second, first, 20) == exact
    assert distance(first, second, limit) == min(exact, limit + 1)
    assert (exact == 0) == (first == second)
