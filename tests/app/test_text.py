from datetime import UTC, datetime, timedelta

import pytest

from app.text import ago, clock, plain, plural

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
