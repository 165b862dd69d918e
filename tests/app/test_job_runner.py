"""Jobs that a maintainer starts in a shared workspace, and the server's own notifications."""

import pytest
from pydantic import SecretStr

from app.analysis_queue import AnalysisQueue
from app.fetcher import Fetcher
from app.job_runner import JobRunner
from app.notification_watch import NotificationWatch
from core.events.types import ModelRef, iso
from core.pipeline.job_lock import JobLock
from core.settings import Settings
from core.storage.hopsworks import client
from core.storage.opening import open_workspace
from core.storage.runs import Run
from tests.helpers.waiting import wait_until
from tests.helpers.webhook import Receiver
from tests.servers.hopsworks import HopsworksServer


@pytest.fixture
def hopsworks():
    with HopsworksServer() as server:
        yield server
        assert server.errors == []
    client.disconnect()


@pytest.fixture
def settings(hopsworks, tmp_path):
    return Settings(
        workspace=tmp_path / "w",
        hopsworks_host=hopsworks.host,
        hopsworks_port=hopsworks.port,
        hopsworks_project=hopsworks.project,
        hopsworks_api_key=SecretStr(hopsworks.key),
        hopsworks_certificate=hopsworks.certificate,
    )


def runner_of(settings):
    workspace, lock = open_workspace(settings), JobLock(settings.workspace_folder)
    no_model = pytest.fail  # nothing here predicts
    return JobRunner(
        settings, workspace, Fetcher(settings, workspace, no_model, AnalysisQueue(1), lock)
    )


def test_a_shared_workspace_can_be_compacted_and_the_run_reaches_the_team(settings, hopsworks):
    runner = runner_of(settings)
    assert runner.kinds() == ("compaction",)
    assert runner.start("compaction", "alice (freesound user 7)") == ""
    runner.wait()
    assert runner.current.error == ""
    (record,) = (
        path for path in hopsworks.store.files("Resources/earmark/runs") if "finished" in path
    )
    assert record
    (run,) = open_workspace(settings).runs.page(0, 10, "compaction", ("finished",)).runs
    assert run.actor == "alice (freesound user 7)"


def test_a_job_that_is_not_set_up_is_refused(settings):
    assert "is not set up" in runner_of(settings).start("training", "alice")


def test_no_second_run_of_a_kind_while_another_machine_does_one(settings):
    runner = runner_of(settings)
    workspace = open_workspace(settings)
    started = iso(workspace.runs.now())
    workspace.runs.record(Run("r", started, "Shared workspace", None, "bob", kind="compaction"))
    assert runner.start("compaction", "alice") == "Compaction by bob is running already."


def test_a_failure_is_one_sentence_and_frees_the_way_for_the_next(settings, hopsworks):
    runner = runner_of(settings)
    open_workspace(settings).sync.pull()
    hopsworks.fail("", times=None, status=403)
    assert runner.start("compaction", "alice") == ""
    runner.wait()
    assert "forbids this" in runner.current.error
    hopsworks.heal()
    assert runner.start("compaction", "alice") == ""
    runner.wait()
    assert runner.current.error == ""


def test_the_server_notifies_of_a_failed_run_by_itself(workspace):
    receiver = Receiver()
    model = ModelRef(name="m", version=1)
    run = Run("r", iso(workspace.runs.now()), "Freesound", model, "a", state="failed", note="No.")
    workspace.runs.record(run)
    watch = NotificationWatch(workspace, Settings(notify=receiver.address), interval_s=0.01)
    watch.start()
    wait_until(lambda: len(receiver.messages) == 1)
    watch.stop()
    receiver.shutdown()
    receiver.server_close()
    assert receiver.messages[0]["title"] == "Earmark: Tagging failed"
