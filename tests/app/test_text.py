from datetime import UTC, datetime, timedelta

import pytest

from app.text import ago, clock, plain, plural, unformatted

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (5, "just now"),
        (90, "1 min ago"),
        (7300, "2 h ago"),
        (3 * 86400, "19 November 2026"),
        (-5, "just now"),
    ],
)
def test_how_long_ago_in_words(seconds, words):
    assert ago(NOW - timedelta(seconds=seconds), NOW) == words


def test_numbers_in_words():
    assert (plural(1, "sound"), plural(2300, "sound")) == ("1 sound", "2,300 sounds")
    assert (clock(4.21), clock(187)) == ("4.2 s", "3:07")


def test_plain_leaves_letters_alone_and_breaks_every_markup():
    assert plain("rain on leaves 2") == "rain on leaves 2"
    for markup in ("**b**", "<b>", ":red[x]", ":smile:", "[a](b)", "`c`", "$x$", "a\nb", "~~s~~"):
        assert markup not in plain(markup)
    assert plain("# h") == "\\# h"


BIDIRECTIONAL = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize("control", BIDIRECTIONAL, ids=ascii)
def test_nothing_that_is_shown_turns_the_text_beside_it_around(control):
    for show in (plain, unformatted):
        assert control not in show(f"rain{control}gpj")
    assert plain("\u05d2\u05e9\u05dd") == "\u05d2\u05e9\u05dd"  # letters that run to the left stay
