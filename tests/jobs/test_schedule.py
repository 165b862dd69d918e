"""How a time span is written on the command line."""

from datetime import timedelta

import click
import pytest

from jobs.schedule import TimeSpan


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("3d", timedelta(days=3)),
        ("12h", timedelta(hours=12)),
        ("30m", timedelta(minutes=30)),
    ],
)
def test_time_spans(text, span):
    assert TimeSpan().convert(text, None, None) == span


@pytest.mark.parametrize("text", ["3", "d", "0d", "-1d", "3w", "1.5h"])
def test_what_is_no_time_span_is_refused(text):
    with pytest.raises(click.BadParameter, match="is no time span"):
        TimeSpan().convert(text, None, None)
