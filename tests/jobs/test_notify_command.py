"""Jobs that notify: the commands, and a run that fails."""

import pytest

from core.errors import EarmarkError
from core.pipeline.maintenance import compact_shared_workspace, maintain_after_run
from core.storage.hopsworks import client, sync
from jobs.cli import main
from tests.helpers.commands import command_runner
from tests.helpers.events import predicted
from tests.helpers.shared_workspace import open_shared
from tests.helpers.webhook import SECRET, Receiver
from tests.servers.hopsworks import HopsworksServer


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.shutdown()
    receiver.server_close()


@pytest.fixture
def earmark(tmp_path, examples, monkeypatch, capsys, receiver):
    """Runs a command of the jobs in this process, with an address to notify."""
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    (sounds / "a.ogg").write_bytes((examples / "rooster.ogg").read_bytes())
    settings = {
        "EARMARK_WORKSPACE": tmp_path / "w",
        "EARMARK_SOUNDS": sounds,
        "EARMARK_NOTIFY": receiver.address,
        "COLUMNS": 200,
    }
    return command_runner(main, monkeypatch, capsys, **settings)


def test_a_test_message_is_sent_on_demand(earmark, receiver):
    result = earmark("notify", "--test")
    assert result.returncode == 0, result.stderr
    assert [message["title"] for message in receiver.messages] == ["Earmark: test"]
    assert SECRET not in result.stdout + result.stderr
    receiver.status = 500
    result = earmark("notify", "--test")
    assert result.returncode == 1
    assert "did not take the message" in result.stderr
    assert SECRET not in result.stderr


def test_without_an_address_the_command_says_what_to_set(earmark):
    result = earmark("notify", "--test", EARMARK_NOTIFY="")
    assert result.returncode == 1
    assert "EARMARK_NOTIFY is empty" in result.stderr


def test_a_job_that_fails_ends_as_ever_where_nobody_can_be_told_and_they_are_told_later_once(
    earmark, receiver, freesound_server
):
    credential = freesound_server.state.add_client("jobs", owner="alice")
    for number in range(4):
        freesound_server.state.add_sound("alice", audio=b"x", duration=3.0, name=f"dog {number}")
    freesound_server.fail("preview", times=None, status=503)
    settings = {
        "EARMARK_FREESOUND_API_KEY": credential.client_secret,
        "EARMARK_FREESOUND_API": f"{freesound_server.url}/apiv2",
        "EARMARK_PREVIEW_HOSTS": "127.0.0.1",
    }
    receiver.status = 500
    failed = earmark("tag", "--source", "freesound", **settings)
    assert failed.returncode == 1
    assert "cannot be fetched" in failed.stderr.splitlines()[-1]
    assert "notification failed occasion=run_failed" in failed.stderr
    receiver.status = 200
    assert [earmark("notify").stdout.strip() for _ in range(2)] == [
        "Sent 1 notification.",
        "Sent 0 notifications.",
    ]
    assert [message["title"] for message in receiver.messages] == ["Earmark: Tagging failed"]
    assert SECRET not in failed.stderr


def test_status_notifies_where_it_is_asked_to(earmark, receiver, tmp_path):
    assert earmark("tag").returncode == 0
    result = earmark("status", "--notify")
    assert result.returncode == 0, result.stderr
    assert "Sent 0 notifications" in result.stdout
    assert receiver.messages == []


@pytest.fixture
def hopsworks(monkeypatch):
    monkeypatch.setattr(sync, "MIN_FILES_PER_SEGMENT", 3)
    with HopsworksServer() as server:
        yield server
    client.disconnect()


def test_a_compaction_is_recorded_with_its_count_and_one_without_work_is_not(hopsworks, tmp_path):
    workspace = open_shared(hopsworks, tmp_path / "w")
    maintain_after_run(workspace, keep_runs=10)
    assert workspace.runs.page(0, 10).total == 0
    for number in range(1, 5):
        workspace.events.append([predicted(number)])
        workspace.sync.push()
    maintain_after_run(workspace, keep_runs=10)
    (run,) = workspace.runs.page(0, 10, "compaction").runs
    assert (run.state, run.done, run.model) == ("finished", 4, None)
    assert workspace.runs.latest() == []
    run = compact_shared_workspace(workspace, 10, "Ada")
    assert (run.state, run.done, run.actor) == ("finished", 0, "Ada")


def test_a_compaction_that_fails_is_recorded_with_its_sentence(hopsworks, tmp_path):
    workspace = open_shared(hopsworks, tmp_path / "w")
    workspace.events.append([predicted(1)])
    workspace.sync.wait_until_synced()
    hopsworks.fail("events", times=None, status=403)
    with pytest.raises(EarmarkError):
        maintain_after_run(workspace, keep_runs=10)
    (run,) = workspace.runs.page(0, 10, "compaction").runs
    assert run.state == "failed"
    assert "forbids this" in run.note
