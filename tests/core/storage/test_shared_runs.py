"""Due runs of a team: decided by the shared folder's clock, per source, from few files."""

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.events.types import ModelRef, iso
from core.pipeline.schedule import due_at
from core.pipeline.sources import FREESOUND
from core.storage.hopsworks import client
from core.storage.hopsworks.clock import ServerClock, server_clock
from core.storage.runs import Run, RunProgress, run_to_json
from tests.helpers.shared_workspace import SHARED_FOLDER, open_shared
from tests.servers.hopsworks import HopsworksServer

EVERY, DAY = timedelta(days=3), timedelta(days=1)
MODEL = ModelRef(name="m", version=1)


@pytest.fixture
def server():
    with HopsworksServer() as server:
        yield server
        assert server.errors == []


@pytest.fixture
def machine(server, tmp_path):
    """Opens one machine's part of the workspace."""
    yield lambda name: open_shared(server, tmp_path / name)
    client.disconnect()


def run_of(started, source=FREESOUND, state="finished", **fields):
    return Run(uuid.uuid4().hex, iso(started), source, MODEL, "a", state=state, **fields)


def store(server, run):
    """Leave a record in the shared folder, as another machine does."""
    name = f"{run.started}_{run.run_id}".replace(":", "").replace("-", "")
    body = run_to_json(run).encode()
    server.store.put(f"{SHARED_FOLDER}/runs/{name}_{run.state}.json", body)


def is_due(workspace):
    workspace.runs.refresh(FREESOUND)
    return due_at(workspace, FREESOUND, EVERY) <= workspace.runs.now()


def test_a_folder_run_on_another_machine_does_not_put_off_freesound(server, machine):
    store(server, run_of(datetime.now(UTC), "folder sounds"))
    workspace = machine("one")
    assert is_due(workspace)
    store(server, run_of(datetime.now(UTC)))
    assert not is_due(workspace)


def test_a_folder_of_the_same_name_on_another_machine_is_another_source(server, machine):
    store(server, run_of(datetime.now(UTC), "folder sounds"))
    workspace = machine("one")
    workspace.sync.pull()
    assert due_at(workspace, "folder sounds", EVERY) <= workspace.runs.now()
    own = run_of(datetime.now(UTC), "folder sounds")
    workspace.runs.record(own)
    workspace.runs.report(RunProgress(own.run_id, own.started))
    assert due_at(workspace, "folder sounds", EVERY) > workspace.runs.now()


def test_a_clock_400_days_ahead_puts_the_run_off_by_three_days_and_no_more(server, machine):
    store(server, run_of(datetime.now(UTC) + 400 * DAY, seconds=60.0))
    workspace = machine("one")
    assert not is_due(workspace)
    assert due_at(workspace, FREESOUND, EVERY) <= workspace.runs.now() + EVERY
    assert workspace.runs.latest()[0].started > iso(datetime.now(UTC) + 399 * DAY)


def test_who_has_a_wrong_clock_asks_the_shared_folders(server, machine):
    store(server, run_of(datetime.now(UTC)))
    workspace = machine("one")
    workspace.runs.refresh(FREESOUND)
    server_clock.note("Thu, 01 Jan 2037 00:00:00 GMT")  # as if the answer had said so
    assert workspace.runs.now().year == 2037
    assert due_at(workspace, FREESOUND, EVERY) <= workspace.runs.now()
    workspace.runs.refresh(FREESOUND)
    assert workspace.runs.now() - datetime.now(UTC) < DAY
    assert due_at(workspace, FREESOUND, EVERY) > workspace.runs.now()


def test_an_answer_without_a_date_changes_no_clock():
    clock = ServerClock()
    for date in (None, "", "yesterday"):
        clock.note(date)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_to_know_what_is_due_few_files_are_read(server, machine):
    now = datetime.now(UTC)
    for hours in range(200, 0, -1):
        store(server, run_of(now - timedelta(hours=hours)))
    workspace = machine("one")
    server.requests.clear()
    workspace.runs.refresh(FREESOUND)
    assert not is_due(workspace)
    read = [entry for entry in server.requests if f"{SHARED_FOLDER}/runs/" in entry.path]
    assert len(read) < 20
    assert not any("/events" in entry.path for entry in server.requests)
    server.requests.clear()
    workspace.runs.refresh(FREESOUND)
    assert len(server.requests) == 1


def test_what_another_source_has_shown_hides_no_run_from_freesound(server, machine):
    now = datetime.now(UTC)
    store(server, run_of(now))
    store(server, run_of(now, "folder sounds"))
    workspace = machine("one")
    workspace.runs.refresh("folder sounds")
    assert not is_due(workspace)


def test_media_of_others_do_not_go_to_the_folder_of_a_compaction(server, machine):
    workspace = machine("one")
    run = replace(run_of(datetime.now(UTC), state="running"), model=None, kind="compaction")
    workspace.runs.record(run)
    name = workspace.media.put(b"OggS", "ogg")
    workspace.sync.wait_until_synced()
    assert f"kept/{name}" in server.store.files(f"{SHARED_FOLDER}/media")


def test_the_beginning_of_a_run_that_is_read_after_its_end_changes_nothing(server, machine):
    run = run_of(datetime.now(UTC), state="running")
    store(server, run)
    store(server, replace(run, state="finished", tagged=3))
    workspace = machine("one")
    workspace.runs.refresh(FREESOUND)
    workspace.sync.pull()
    assert [run.tagged for run in workspace.runs.latest()] == [3]


def test_other_machines_runs_go_on_until_they_are_too_old(server, machine):
    now = datetime.now(UTC)
    store(server, run_of(now, state="running"))
    store(server, run_of(now - 2 * DAY, state="running"))
    workspace = machine("one")
    workspace.sync.pull()
    assert [run.started for run in workspace.runs.running()] == [iso(now)]
    assert not workspace.runs.cancel(workspace.runs.running()[0].run_id, "Ada")


def test_records_of_runs_that_predict_nothing_are_none_for_an_older_version():
    """It would take them for tagging runs, which put off the next one."""
    tagging = run_of(datetime.now(UTC))
    training = replace(tagging, model=None, kind="training", done=4)
    fields = json.loads(run_to_json(training))
    assert fields["model"] is None
    assert (fields["kind"], fields["done"]) == ("training", 4)
    assert "kind" not in json.loads(run_to_json(tagging))


def test_one_machine_of_a_team_tells_of_an_occurrence(machine):
    first, second = machine("one"), machine("two")
    assert first.notices.claim("run_failed", "r1")
    assert not second.notices.claim("run_failed", "r1")
    assert not first.notices.claim("run_failed", "r1")
    assert second.notices.claim("run_failed", "r2")
    second.notices.release("run_failed", "r2")
    assert first.notices.claim("run_failed", "r2")


def test_while_the_shared_folder_is_away_each_machine_decides_for_itself(server, machine):
    first = machine("one")
    first.sync.pull()
    server.go_offline()
    assert first.notices.claim("run_failed", "r1")
    assert not first.notices.claim("run_failed", "r1")
    server.go_online()
