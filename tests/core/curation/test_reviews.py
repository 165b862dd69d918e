"""Lookups of reviews: their plans, and that they are in step with the log, whoever wrote it."""

import shutil
import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sql

from core.curation.bulk import BulkAction, apply_bulk, plan_bulk
from core.curation.export import export_chunks
from core.curation.history import history_of
from core.curation.opening import open_curation
from core.curation.reviews import ReviewLog
from core.events.query import Query
from core.sqlite import Database
from core.storage.folder import DATABASE_NAME
from core.storage.local import open_local_workspace
from tests.helpers.events import predicted, reviewed

VERSION_0_1 = Path(__file__).parents[2] / "data" / "version_0_1" / "workspace"


@contextmanager
def recorded_statements(database):
    """Collect the queries that are made meanwhile, with their parameters."""
    statements = []

    def record(_connection, _cursor, statement, parameters, _context, _many):
        if statement.startswith("SELECT"):
            statements.append((statement, parameters))

    sql.event.listen(database.engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        sql.event.remove(database.engine, "before_cursor_execute", record)


def test_no_lookup_reads_the_log_or_a_whole_table(workspace, add, act):
    database = Database(workspace.folder / DATABASE_NAME)
    reviews = ReviewLog(database)
    add(1, 2)
    act(1, ["dog"])
    with recorded_statements(database) as statements:
        now = datetime.now(UTC)
        reviews.totals("ada")
        reviews.totals("ada", since=now, until=now)
        reviews.reviewers(["freesound:1"])
        reviews.events_of_batch("f" * 32)
        reviews.latest_sounds(10)
    with closing(sqlite3.connect(database.path)) as connection:
        steps = [
            row[3]
            for statement, parameters in statements
            for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    assert len(statements) == 6
    assert not any("events" in step for step in steps), steps
    scans = [step for step in steps if "SCAN" in step]
    latest = "SCAN review_log USING COVERING INDEX review_log_by_time"  # as far as its limit
    assert scans == [latest], steps


def test_events_of_other_connections_and_programs_are_seen(workspace, curation):
    first = predicted(1)
    event = reviewed([first], ["dog", "howl"])
    other = open_local_workspace(workspace.folder)
    other.events.append([first, event])
    with closing(sqlite3.connect(workspace.folder / DATABASE_NAME)) as connection, connection:
        row = connection.execute("SELECT * FROM events WHERE kind = 'reviewed'").fetchone()
        body = row[-1].replace(event.event_id, "f" * 32)
        values = (row[0] + 1, "f" * 32, *row[2:-1], body)
        connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", values)
    totals = curation.reviews.totals("ada")
    assert (totals.reviews, totals.corrections) == (2, 4)


def test_opening_twice_and_rebuilding_count_nothing_twice(workspace, add, act):
    add(1)
    act(1, ["dog"])
    for _ in range(2):
        reviews = open_curation(workspace).reviews
    workspace.events.rebuild()
    assert reviews.totals("ada").reviews == 1
    assert reviews.latest_sounds(9) == ["freesound:1"]


@pytest.fixture
def former(tmp_path):
    """A workspace that version 0.1 wrote."""
    shutil.copytree(VERSION_0_1, tmp_path / "former")
    return open_local_workspace(tmp_path / "former")


def test_a_workspace_of_version_0_1_can_be_curated(former):
    curation = open_curation(former)
    log = list(former.events.all())
    reviews = [event for event in log if event.kind == "reviewed"]
    assert reviews
    undone = {event.payload.event for event in log if event.kind == "undone"}
    effective = [event for event in reviews if event.event_id not in undone]
    totals = [curation.reviews.totals(actor) for actor in {event.actor for event in reviews}]
    assert sum(total.reviews for total in totals) == len(effective) > 0
    assert set(curation.reviews.latest_sounds(99)) == {event.sound_id for event in reviews}
    for event in reviews:
        assert history_of(former.events.of_sound(event.sound_id))
    assert b"".join(export_chunks(former.sounds, Query(), "csv", verified=True))
    plan = plan_bulk(former, Query(), BulkAction("add", ("checked",)))
    result = apply_bulk(former, curation.reviews, plan, "ada")
    assert result.changed == len(plan.sound_ids) > 0
