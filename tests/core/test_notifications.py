"""Notifications: sent once per occurrence, to a real HTTP server, and never in a job's way."""

import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from core.events.types import ModelRef, Predicted, Sound, Suggestion, iso, new_event
from core.notifications import (
    Notice,
    NotificationError,
    check_all,
    check_runs,
    send_notices,
    send_test,
)
from core.settings import Settings
from core.storage.active_model import resolve_model
from core.storage.runs import Run, RunProgress
from tests.helpers.webhook import SECRET, Receiver

MODEL = ModelRef(name="m", version=1)
DAY = timedelta(days=1)


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.shutdown()
    receiver.server_close()


@pytest.fixture
def settings(receiver):
    return Settings(notify=receiver.address)


def record(workspace, run_id, state="failed", age=DAY / 24, note="Freesound cannot be reached."):
    started = iso(datetime.now(UTC) - age)
    run = Run(run_id, started, "Freesound", MODEL, "ada (freesound user 7)", state=state, note=note)
    workspace.runs.record(run)
    return run


def test_by_default_nobody_is_told_of_anything_and_the_library_is_not_loaded(tmp_path):
    statement = (
        "import sys; from pathlib import Path\n"
        "from core.notifications import check_runs; from core.settings import Settings\n"
        "from core.storage.local import open_local_workspace\n"
        f"workspace = open_local_workspace(Path({str(tmp_path / 'w')!r}))\n"
        "assert check_runs(workspace, Settings()) == 0\n"
        "assert 'apprise' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", statement], check=True)


def test_people_are_told_of_a_failed_run_once(workspace, settings, receiver):
    record(workspace, "r1")
    assert [check_runs(workspace, settings) for _ in range(3)] == [1, 0, 0]
    (message,) = receiver.messages
    assert message["title"] == "Earmark: Tagging failed"
    assert "Freesound cannot be reached." in message["message"]
    assert "by ada, failed" in message["message"]
    record(workspace, "r2")
    assert check_runs(workspace, settings) == 1


def test_a_run_whose_process_died_counts_as_failed_and_one_that_was_cancelled_does_not(
    workspace, settings, receiver
):
    dead = record(workspace, "r1", "running", note="")
    workspace.runs.report(RunProgress(dead.run_id, iso(datetime.now(UTC) - DAY / 24)))
    record(workspace, "r2", "interrupted", note="Cancelled by ada.")
    assert check_runs(workspace, settings) == 1
    assert "process ended without a word" in receiver.messages[0]["message"]
    assert workspace.runs.latest()[0].state == "interrupted"


def test_nobody_is_told_of_failures_of_long_ago(workspace, settings, receiver):
    record(workspace, "r1", age=10 * DAY)
    assert check_runs(workspace, settings) == 0


def test_that_nothing_ran_is_told_once_per_gap(workspace, settings, receiver):
    record(workspace, "r1", "finished", 8 * DAY, note="")
    assert [check_runs(workspace, settings) for _ in range(2)] == [1, 0]
    assert "for 8 days" in receiver.messages[0]["message"]
    record(workspace, "r2", "finished", 7.5 * DAY, note="")
    assert check_runs(workspace, settings) == 1


def test_people_are_told_of_strong_drift_once(workspace, settings, receiver):
    model = resolve_model(workspace).model
    assert check_all(workspace, settings) == 0
    for month, probability in ((1, 0.95), (2, 0.1)):
        top = (Suggestion(tag="dog", probability=probability, above_threshold=True),)
        now = datetime(2026, month, 1, tzinfo=UTC)
        payload = Predicted(model=model, top=top, sound=Sound(title="a", source="Freesound"))
        workspace.events.append(
            new_event(payload, f"freesound:{number}", "earmark", now=now)
            for number in range(month * 10_000, month * 10_000 + 1100)
        )
    assert [check_all(workspace, settings) for _ in range(2)] == [1, 0]
    assert receiver.messages[0]["title"] == "Earmark: Drift"
    assert "2026-02-01" in receiver.messages[0]["message"]


def test_only_wanted_occasions_are_told(workspace, receiver):
    settings = Settings(notify=receiver.address, notify_on=("challenger_ready",))
    record(workspace, "r1")
    assert check_runs(workspace, settings) == 0
    ready = Notice("challenger_ready", "m v2", "A challenger is ready", "m v2 is better.")
    assert send_notices(workspace, settings, [ready, ready]) == 1


def test_what_cannot_be_sent_is_one_line_without_the_address_and_is_tried_again(
    workspace, settings, receiver, caplog
):
    caplog.set_level(logging.DEBUG)
    receiver.status = 500
    record(workspace, "r1")
    assert check_runs(workspace, settings) == 0
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert lines == [
        "notification failed occasion=run_failed reason="
        "Address 1 in EARMARK_NOTIFY did not take the message."
    ]
    assert SECRET not in caplog.text
    receiver.status = 200
    assert check_runs(workspace, settings) == 1


def test_of_several_addresses_the_good_ones_get_it_once(workspace, receiver, caplog):
    settings = Settings(notify=f"nonsense://{SECRET} {receiver.address}")
    record(workspace, "r1")
    assert [check_runs(workspace, settings) for _ in range(2)] == [1, 0]
    assert "Address 1 in EARMARK_NOTIFY is none that Apprise knows" in caplog.text
    assert SECRET not in caplog.text


def test_a_test_message_arrives_or_says_why_not(settings, receiver):
    assert send_test(settings) == 1
    assert receiver.messages[0]["title"] == "Earmark: test"
    with pytest.raises(NotificationError, match="EARMARK_NOTIFY is empty"):
        send_test(Settings())
    receiver.status = 403
    with pytest.raises(NotificationError, match="did not take the message") as problem:
        send_test(settings)
    assert SECRET not in str(problem.value)


def test_addresses_are_secrets_each_for_itself():
    settings = Settings(notify="json://one-secret/ json://other-secret/")
    assert "one-secret" not in repr(settings)
    values = {secret.get_secret_value() for secret in settings.secrets}
    assert {"json://one-secret/", "json://other-secret/"} <= values
