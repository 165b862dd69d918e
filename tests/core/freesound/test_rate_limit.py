"""The request budget: a window of a minute and one of a day, shared by processes."""

import multiprocessing
import sqlite3

import pytest

from core.freesound.errors import DailyLimitReached
from core.freesound.rate_limit import READING_ONLY, SHARED, Budget, Limits
from tests.helpers.clock import Clock


@pytest.fixture
def clock():
    return Clock(now=1_000_000.0)


@pytest.fixture
def budget(tmp_path, clock):
    return Budget(
        tmp_path / "budget.sqlite",
        Limits(reads_a_minute=3, reads_a_day=6, writes_a_minute=4, writes_a_day=7),
        clock,
    )


def test_requests_are_granted_up_to_the_minutes_limit_and_again_when_the_window_has_passed(
    budget, clock
):
    assert [budget.spend("key", "read") for _ in range(3)] == [0, 0, 0]
    clock.now += 10
    pause = budget.spend("key", "read")
    assert 50 <= pause <= 51
    clock.now += pause
    assert budget.spend("key", "read") == 0


def test_a_write_is_still_granted_when_reads_must_wait(budget):
    for _ in range(3):
        budget.spend("key", "read")
    assert budget.spend("key", "read") > 0
    assert budget.spend("key", "write") == 0


def test_reads_and_writes_are_counted_together(budget):
    for _ in range(3):
        assert budget.spend("key", "write") == 0
    assert budget.spend("key", "read") > 0


def test_the_daily_limit_is_said_and_passes(budget, clock):
    for _ in range(6):
        assert budget.spend("key", "read") == 0
        clock.now += 61
    with pytest.raises(DailyLimitReached, match=r"daily limit .* hours\."):
        budget.spend("key", "read")
    assert budget.spend("key", "write") == 0
    clock.now += 86_400
    assert budget.spend("key", "read") == 0


def test_each_credential_has_its_own_count_and_none_is_kept_readable(budget, tmp_path):
    for _ in range(3):
        budget.spend("very-secret", "read")
    assert budget.spend("other", "read") == 0
    with sqlite3.connect(tmp_path / "budget.sqlite") as connection:
        assert "very-secret" not in str(connection.execute("SELECT * FROM requests").fetchall())


def test_the_count_survives_a_restart(tmp_path, clock):
    limits = Limits(reads_a_minute=1, reads_a_day=5)
    Budget(tmp_path / "b.sqlite", limits, clock).spend("key", "read")
    assert Budget(tmp_path / "b.sqlite", limits, clock).spend("key", "read") > 0


def spend_many(path, start, granted) -> None:
    start.wait()
    budget = Budget(path, Limits(reads_a_minute=25, reads_a_day=1000))
    granted.put(sum(budget.spend("key", "read") == 0 for _ in range(20)))


def test_processes_share_one_count(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    start, granted = spawn.Barrier(3), spawn.Queue()
    processes = [
        spawn.Process(target=spend_many, args=(tmp_path / "b.sqlite", start, granted))
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    total = sum(granted.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(30)
    assert total == 25


def test_the_limits_stay_below_freesounds_own_and_leave_room_to_publish():
    for limits in (SHARED, READING_ONLY):
        assert limits.reads_a_minute < 60
        assert limits.reads_a_day < 2000
        assert limits.writes_a_minute < 30
        assert limits.writes_a_day < 500
    assert SHARED.reads_a_minute < SHARED.writes_a_minute
    assert SHARED.reads_a_day < SHARED.writes_a_day
