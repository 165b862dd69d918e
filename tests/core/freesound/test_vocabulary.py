"""Freesound's values in words, and its own addresses."""

import pytest

from core.freesound.vocabulary import license_name, own_page, preference_in_words


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("http://creativecommons.org/publicdomain/zero/1.0/", "Public domain (CC0)"),
        ("https://creativecommons.org/licenses/by/4.0/", "Attribution (CC BY 4.0)"),
        ("http://creativecommons.org/licenses/by/3.0/", "Attribution (CC BY 3.0)"),
        (
            "https://creativecommons.org/licenses/by-nc/4.0",
            "Attribution, non-commercial (CC BY-NC 4.0)",
        ),
        ("http://creativecommons.org/licenses/sampling+/1.0/", "Sampling+"),
    ],
)
def test_a_license_is_named_by_its_deeds_path_whatever_the_scheme(address, name):
    assert license_name(address) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CC0",
        "https://evil.example/licenses/by/4.0/",
        "https://creativecommons.org/licenses/by-nd/4.0/",
        "http://[",
    ],
)
def test_an_unknown_license_stays_as_it_is(text):
    assert license_name(text) == text


def test_the_wish_about_generative_models_is_in_words_and_silent_where_there_is_none():
    assert preference_in_words("no-gen-ai") == "no generative AI"
    assert preference_in_words("no-additional-preferences") == preference_in_words("") == ""
    assert preference_in_words("something-new") == "something-new"


def test_freesounds_own_pages_are_linked_and_those_of_the_apis_host():
    page = "https://freesound.org/people/al%20ice/sounds/1/"
    assert own_page(page) == page
    assert (
        own_page("https://sounds.example/s/1/", "https://sounds.example/apiv2")
        == "https://sounds.example/s/1/"
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "http://freesound.org/s/1/",
        "https://evil.example/",
        "https://freesound.org.evil.example/",
        "https://freesound.org@evil.example/",
        "https://user:pw@freesound.org/",
        "https://freesound.org:8080/",
        "https://freesound.org/a b",
        "https://freesound.org/)[x](https://evil.example",
        "https://freesound.org/?next=https://evil.example",
        "https://freesound.org/#x",
        "HTTPS://freesound.org\\@evil.example/",
        "https://freesound.org/" + "a" * 400,
        "https://[",
    ],
)
def test_any_other_address_is_no_link(url):
    assert own_page(url) == ""
