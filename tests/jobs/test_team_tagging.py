"""The tagging job and the doctor on the Hopsworks double, as processes."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from core.id2prediction import ModelRef
from core.workspace import Run
from jobs.schedule import Every, due_at
from tests.servers.hopsworks import HopsworksServer

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def server():
    with HopsworksServer() as server:
        yield server
        assert server.errors == []


@pytest.fixture
def earmark(server, tmp_path, examples):
    """Runs `python -m ...` on a machine of that name, with two example sounds."""
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for path in sorted(examples.glob("*.ogg"))[:2]:
        (sounds / path.name).write_bytes(path.read_bytes())

    def run(machine, *arguments, **changes):
        given = {"HOST": server.host, "PORT": server.port, "PROJECT": server.project, "API_KEY": server.key}
        given |= {"CERTIFICATE": server.certificate}
        environment = os.environ | {f"EARMARK_HOPSWORKS_{name}": str(value) for name, value in (given | changes).items()}
        environment |= {"EARMARK_SOUNDS": str(sounds), "EARMARK_WORKSPACE": str(tmp_path / machine), "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, "-m", *map(str, arguments)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )

    return run


def test_a_job_on_one_machine_is_known_on_another_and_the_doctor_sees_it(server, earmark):
    first = earmark("one", "jobs.tagging")
    assert first.returncode == 0, first.stderr
    assert "Tagged 2 sounds" in first.stderr
    there = server.store.files("Resources/earmark")
    assert sum(name.endswith(".ogg") for name in there) == sum(name.endswith(".webp") for name in there) == 2
    assert "id2prediction.json" in there
    second = earmark("two", "jobs.tagging")
    assert second.returncode == 0, second.stderr
    assert "No new sounds" in second.stderr
    assert len(server.store.models) == 1
    doctor = earmark("two", "core", "doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "demo at localhost, folder Resources/earmark: " in doctor.stdout
    assert server.key not in doctor.stdout + doctor.stderr + first.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"API_KEY": "wrong-secret"}, "does not accept the API key"),
        ({"PROJECT": "domo"}, "has no project domo"),
        ({"CERTIFICATE": ""}, "not trusted"),
        ({"PROJECT": ""}, "EARMARK_HOPSWORKS_PROJECT"),
        ({"PORT": "1"}, "cannot be reached"),
    ],
)
def test_what_is_set_up_wrongly_is_one_sentence(earmark, changes, said):
    doctor = earmark("one", "core", "doctor", **changes)
    assert doctor.returncode == 1
    assert said in doctor.stdout
    assert "wrong-secret" not in doctor.stdout + doctor.stderr


def test_a_job_that_may_not_begin_says_so_without_a_traceback_or_a_secret(earmark):
    job = earmark("one", "jobs.tagging", API_KEY="wrong-secret")
    assert job.returncode == 1
    assert "does not accept the API key" in job.stderr
    assert "Traceback" not in job.stderr
    assert "wrong-secret" not in job.stderr


def test_what_is_exported_on_one_machine_and_imported_on_another_reaches_the_team(server, earmark, tmp_path):
    (tmp_path / "id2prediction.json").write_text('{"123": ["dog", "bark"]}')
    assert "1 events added" in earmark("one", "core", "import", tmp_path / "id2prediction.json").stderr
    assert earmark("two", "core", "export", "--tags", tmp_path / "out.json").returncode == 0
    assert '"dog"' in (tmp_path / "out.json").read_text()


def test_the_job_stays_and_waits_until_it_is_due(tmp_path, examples):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    (sounds / "a.ogg").write_bytes((examples / "rooster.ogg").read_bytes())
    environment = os.environ | {"EARMARK_SOUNDS": str(sounds), "EARMARK_WORKSPACE": str(tmp_path / "w")}
    command = [sys.executable, "-m", "jobs.tagging", "--every", "3d"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    said = ""
    while "The next run is due in" not in said:
        said += process.stderr.readline() or pytest.fail(said)
    process.terminate()
    process.wait()
    assert "Tagged 1 sounds" in said


def test_a_job_that_stays_ends_at_once_if_it_is_set_up_wrongly(earmark):
    job = earmark("one", "jobs.tagging", "--every", "3d", API_KEY="wrong-secret")
    assert job.returncode == 1
    assert "does not accept the API key" in job.stderr


def run_of(started, state="finished"):
    return Run(run_id="r", started=started.isoformat(), source="s", model=ModelRef(name="m", version=1), actor="a", state=state)


def test_a_run_is_due_so_long_after_the_last_finished_one_began():
    every = timedelta(days=3)
    assert due_at([], every, NOW) == NOW
    yesterday = NOW - timedelta(days=1)
    assert due_at([run_of(yesterday), run_of(NOW - timedelta(days=5))], every, NOW) == yesterday + every
    assert due_at([run_of(yesterday, "failed"), run_of(yesterday, "running")], every, NOW) == NOW


@pytest.mark.parametrize(("text", "span"), [("3d", timedelta(days=3)), ("12h", timedelta(hours=12)), ("30m", timedelta(minutes=30))])
def test_time_spans(text, span):
    assert Every().convert(text, None, None) == span


@pytest.mark.parametrize("text", ["3", "d", "0d", "-1d", "3w", "1.5h"])
def test_what_is_no_time_span_is_refused(text):
    with pytest.raises(click.BadParameter, match="is no time span"):
        Every().convert(text, None, None)
