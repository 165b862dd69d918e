"""Towns are found without any request, and each is one that Freesound takes."""

from pathlib import Path

import pytest

from core.publishing.form import check_geotag
from core.publishing.places import find_places

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("text", "name", "country"),
    [
        ("Berlin", "Berlin", "Germany"),
        ("berl", "Berlin", "Germany"),
        ("München", "Munich", "Germany"),
        ("Sao Paulo", "São Paulo", "Brazil"),
        ("Valencia, Ven", "Valencia", "Venezuela"),
        ("Москва", "Moscow", "Russia"),
    ],
)
def test_a_town_is_found_by_its_name_also_in_other_languages(text, name, country):
    first = find_places(text)[0]
    assert (first.name, first.country) == (name, country)


@pytest.mark.parametrize("text", ["", " ", "b", "Xyzzyville", ",", "😀😀😀", "x" * 10_000])
def test_what_is_no_town_finds_none(text):
    assert find_places(text) == []


def test_there_are_never_more_than_asked_for():
    assert len(find_places("san")) == 5
    assert len(find_places("san", 2)) == 2


def test_every_town_of_the_list_is_a_place_that_freesound_takes():
    _, *rows = (ROOT / "core/publishing/places.tsv").read_text(encoding="utf-8").splitlines()
    places = [row.split("\t")[2:4] for row in rows]
    assert len(places) > 11_000
    assert [place for place in places if list(check_geotag(", ".join(place)))] == []
