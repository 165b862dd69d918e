"""When a run is due: per source, whatever other sources, kinds of runs and clocks say."""

from datetime import UTC, datetime, timedelta

import pytest

from core.events.types import ModelRef, iso
from core.pipeline.schedule import due_at, quiet_since
from core.pipeline.sources import FREESOUND
from core.settings import Settings
from core.storage.runs import BACKFILL_SOURCE, Run

EVERY = timedelta(days=3)
DAY = timedelta(days=1)
MODEL = ModelRef(name="m", version=1)


@pytest.fixture
def now():
    return datetime.now(UTC)


def record(workspace, started, state="finished", source=FREESOUND, model=MODEL, **fields):
    run = Run(iso(started), iso(started), source, model, "a", state=state, **fields)
    workspace.runs.record(run)


def is_due(workspace, source=FREESOUND):
    return due_at(workspace, source, EVERY) <= workspace.runs.now()


def test_a_run_is_due_so_long_after_the_last_finished_run_began(workspace, now):
    assert is_due(workspace)
    record(workspace, now - 5 * DAY)
    assert is_due(workspace)
    record(workspace, now - DAY)
    assert due_at(workspace, FREESOUND, EVERY) == now - DAY + EVERY


@pytest.mark.parametrize("state", ["failed", "running", "interrupted"])
def test_a_run_that_did_not_finish_puts_nothing_off(workspace, now, state):
    record(workspace, now - DAY, state)
    assert is_due(workspace)


def test_runs_from_other_sources_and_of_other_kinds_put_nothing_off(workspace, now):
    record(workspace, now - DAY, source="folder sounds")
    record(workspace, now - DAY / 2, source=f"{BACKFILL_SOURCE} --ids 1 2", kind="backfill")
    record(workspace, now - DAY / 4, source=FREESOUND, model=None, kind="training")
    assert is_due(workspace)
    assert not is_due(workspace, "folder sounds")


def test_a_record_from_the_future_puts_nothing_off(workspace, now):
    record(workspace, now + 400 * DAY)
    assert is_due(workspace)


def test_people_are_warned_when_nothing_has_finished_for_long(workspace, now):
    settings = Settings(tag_every_days=3)
    assert quiet_since(workspace, settings) is None
    record(workspace, now - 8 * DAY)
    assert quiet_since(workspace, settings) == now - 8 * DAY
    assert quiet_since(workspace, Settings(quiet_days=9)) is None
    record(workspace, now - DAY, "failed")
    assert quiet_since(workspace, settings) == now - 8 * DAY
    record(workspace, now - DAY / 2)
    assert quiet_since(workspace, settings) is None
