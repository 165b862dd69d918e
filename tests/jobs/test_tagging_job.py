"""`python -m jobs tag` and `status` on a workspace of this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import main
from tests.helpers.commands import ROOT, command_runner, modules_loaded_by


@pytest.fixture
def earmark(tmp_path, examples, monkeypatch, capsys):
    """Runs a command of the jobs in this process, with a workspace and a folder of two sounds."""
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for path in sorted(examples.glob("*.ogg"))[:2]:
        (sounds / path.name).write_bytes(path.read_bytes())

    places = {"EARMARK_WORKSPACE": tmp_path / "w", "EARMARK_SOUNDS": sounds, "COLUMNS": 200}
    return command_runner(main, monkeypatch, capsys, **places)


def test_status_tells_the_model_the_runs_and_when_the_next_is_due(earmark):
    assert "There is no workspace" in earmark("status").stderr
    job = earmark("tag")
    assert job.returncode == 0, job.stderr
    assert "Tagged 2 sounds" in job.stderr
    result = earmark("status")
    assert result.returncode == 0, result.stderr
    lines = {line[:20].strip(): line[20:] for line in result.stdout.splitlines()}
    assert lines["Active model"].strip().endswith("v1")
    assert "every 3 days" in lines["Next run"]
    assert "this machine's alone" in lines["Waiting to be sent"]
    assert "tagging  finished  folder sounds  2 " in result.stdout


def test_the_log_of_a_job_tells_its_start_and_its_run(earmark):
    lines = earmark("tag", "--limit", 1).stderr.splitlines()
    assert any("INFO jobs.cli start command=tag source=folder limit=1" in line for line in lines)
    assert any("INFO core.pipeline.run run finished" in line for line in lines)


def test_sounds_that_take_too_long_are_skipped_with_a_sentence_and_the_run_ends(earmark):
    result = earmark("tag", EARMARK_MAX_WORK_SECONDS="0.000001")
    assert result.returncode == 0, result.stderr
    assert "Tagged 0 sounds" in result.stderr
    lines = " ".join(result.stderr.split())
    assert lines.count("takes too long and was given up after 1e-06 s of work") == 2


def test_the_newest_of_freesound_are_tagged_with_the_jobs_key(earmark, freesound_server, examples):
    own = freesound_server.state.add_client("jobs", owner="alice")
    for name in ("siren", "sneeze", "rooster"):
        audio = (examples / f"{name}.ogg").read_bytes()
        freesound_server.state.add_sound("alice", audio=audio, name=name, duration=3.0)
    settings = {
        "EARMARK_FREESOUND_JOBS_KEY": own.client_secret,
        "EARMARK_FREESOUND_API": f"{freesound_server.url}/apiv2",
        "EARMARK_PREVIEW_HOSTS": "127.0.0.1",
    }
    result = earmark("tag", "--source", "freesound", "--limit", 2, **settings)
    assert result.returncode == 0, result.stderr
    assert "Tagged 2 sounds" in result.stderr
    assert own.client_secret not in result.stderr
    wrong = settings | {"EARMARK_FREESOUND_JOBS_KEY": "wrong"}
    result = earmark("tag", "--source", "freesound", **wrong, EARMARK_LOG_LEVEL="ERROR")
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1] == (
        "Freesound does not know this server's key; "
        "whoever runs Earmark here must look at FREESOUND_API_KEY."
    )


def test_without_a_key_the_job_says_what_to_set(earmark):
    result = earmark("tag", "--source", "freesound")
    assert result.returncode == 1
    sentence = result.stderr.splitlines()[-1]
    assert sentence.startswith("No key for Freesound is set: FREESOUND_API_KEY")


def printed_until_it_waits(sounds: Path, workspace: Path) -> str:
    """What a job that stays prints until it waits for the next run."""
    places = {"EARMARK_SOUNDS": str(sounds), "EARMARK_WORKSPACE": str(workspace)}
    command = [sys.executable, "-m", "jobs", "tag", "--every", "3d"]
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | places, stderr=subprocess.PIPE, text=True
    ) as process:
        printed = ""
        while "The next run is due in" not in printed:
            printed += process.stderr.readline() or pytest.fail(printed)
        process.terminate()
    return printed


def test_the_job_stays_and_waits_until_it_is_due(tmp_path, examples):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    (sounds / "a.ogg").write_bytes((examples / "rooster.ogg").read_bytes())
    printed = printed_until_it_waits(sounds, tmp_path / "w")
    assert "Tagged 1 sounds" in printed


def test_a_job_that_stays_waits_also_when_it_has_found_nothing(tmp_path):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    printed = printed_until_it_waits(sounds, tmp_path / "w")
    assert printed.count("No new sounds") == 1


def test_the_jobs_load_neither_modal_nor_torch_nor_hopsworks():
    heavy = {"torch", "modal", "hopsworks", "librosa", "sklearn", "av", "streamlit"}
    assert modules_loaded_by("import jobs.cli, training.cli", heavy) == set()


def test_a_tagging_run_imports_no_modal(tmp_path):
    statement = (
        "import os, sys\n"
        f"os.environ['EARMARK_WORKSPACE'] = {str(tmp_path / 'w')!r}\n"
        "sys.argv = ['jobs', 'tag', '--limit', '1']\n"
        "from core import cli\n"
        "from jobs.cli import main\n"
        "cli.run(main)"
    )
    assert modules_loaded_by(statement, {"modal", "streamlit", "hopsworks"}) == set()
