"""When a job is due, and how a time span is written."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from core.events.types import ModelRef
from core.pipeline.run import BACKFILL_SOURCE
from core.storage.runs import Run
from jobs.schedule import TimeSpan, due_at

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVERY = timedelta(days=3)


def run_of(started, state="finished", source="Freesound"):
    model = ModelRef(name="m", version=1)
    return Run(
        run_id="r",
        started=started.isoformat(),
        source=source,
        model=model,
        actor="a",
        state=state,
    )


def test_a_run_is_due_so_long_after_the_last_finished_run_began():
    assert due_at([], EVERY, NOW) == NOW
    yesterday = NOW - timedelta(days=1)
    runs = [run_of(yesterday), run_of(NOW - timedelta(days=5))]
    assert due_at(runs, EVERY, NOW) == yesterday + EVERY


@pytest.mark.parametrize("state", ["failed", "running", "interrupted"])
def test_a_run_that_did_not_finish_puts_nothing_off(state):
    assert due_at([run_of(NOW - timedelta(days=1), state)], EVERY, NOW) == NOW


def test_a_backfill_does_not_put_off_the_newest_sounds():
    backfill = run_of(NOW - timedelta(days=1), source=f"{BACKFILL_SOURCE} --ids 1 2")
    assert due_at([backfill], EVERY, NOW) == NOW


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
