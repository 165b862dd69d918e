"""The backfill as a process, killed half way, and on Modal with workers of its own."""

import json
import signal
import subprocess
import sys

import pytest

from core.pipeline.backfill_worker import BackfillTask, analyse_task
from core.settings import Settings
from core.storage.local import open_local_workspace
from tests.helpers.commands import ROOT, run_module, run_script, surroundings
from tests.helpers.freesound_sounds import add_a_sound_a_day
from tests.servers.hopsworks import HopsworksServer
from tests.servers.modal import ModalServer

RANGE = ("--created", "2026-01-01", "2026-02-01")


@pytest.fixture
def credential(freesound_server):
    return freesound_server.state.add_client("earmark", owner="alice")


@pytest.fixture
def sounds(freesound_server, examples):
    return add_a_sound_a_day(freesound_server, examples)


@pytest.fixture
def environment(freesound_server, credential, tmp_path):
    settings = {
        "FREESOUND_API_KEY": credential.client_secret,
        "FREESOUND_API": f"{freesound_server.url}/apiv2",
        "PREVIEW_HOSTS": "127.0.0.1",
        "FREESOUND_REQUESTS_FILE": tmp_path / "requests.sqlite",
        "WORKSPACE": tmp_path / "workspace",
    }
    return {f"EARMARK_{name}": value for name, value in settings.items()}


def numbers(workspace):
    return sorted(
        int(state.sound_id.removeprefix("freesound:")) for state in workspace.sounds.all()
    )


def test_killed_half_way_it_loses_nothing_and_repeats_nothing(
    environment, sounds, freesound_server, tmp_path
):
    receive, processes = freesound_server.receive, []

    def kill_at_the_sixth(request):
        if "/2006_" in request.path and processes:
            processes.pop().send_signal(signal.SIGKILL)
        return receive(request)

    freesound_server.receive = kill_at_the_sixth
    command = [sys.executable, "-m", "jobs", "backfill", *RANGE, "--batch", "1", "--workers", "1"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=surroundings(**environment), stderr=subprocess.DEVNULL
    )
    processes.append(process)
    assert process.wait(120) == -signal.SIGKILL
    workspace = open_local_workspace(tmp_path / "workspace")
    saved = workspace.sounds.counts().sounds
    assert saved in (4, 5)
    assert workspace.runs.latest(1)[0].state == "running"

    result = run_module("jobs", "backfill", *RANGE, **environment)
    assert result.returncode == 0, result.stderr
    run = workspace.runs.latest(1)[0]
    assert (run.tagged, run.known, run.state) == (10 - saved, saved, "finished")
    assert numbers(workspace) == sounds
    histories = [workspace.events.of_sound(state.sound_id) for state in workspace.sounds.all()]
    assert all(len(history) == 1 for history in histories)


def test_a_range_that_is_none_is_one_sentence(environment):
    result = run_module("jobs", "backfill", "--ids", 5, 4, **environment)
    assert result.returncode == 1
    assert "5 to 4 is no range of ids." in result.stderr
    assert "Traceback" not in result.stderr


ON_MODAL = """
import json
from hsml.engine import model_engine
model_engine.time.sleep = lambda seconds: None
from jobs.modal_tagging import app, backfill
with app.run():
    print(json.dumps(backfill.local(first_id=2001, last_id=2010, batch=3)))
"""


def test_on_modal_batches_go_through_map_and_land_in_the_teams_folder(
    environment, sounds, freesound_server, credential
):
    tasks = []

    def analyse_batch(task):
        tasks.append(task)
        return analyse_task(BackfillTask.from_json(task), Settings())

    functions = {"analyse_batch": analyse_batch}
    with HopsworksServer() as server, ModalServer(functions) as modal:
        hopsworks = {
            "EARMARK_HOPSWORKS_HOST": server.host,
            "EARMARK_HOPSWORKS_PORT": server.port,
            "EARMARK_HOPSWORKS_PROJECT": server.project,
            "EARMARK_HOPSWORKS_API_KEY": server.key,
            "EARMARK_HOPSWORKS_CERTIFICATE": server.certificate,
        }
        result = run_script(ON_MODAL, **environment, **modal.environment, **hopsworks)
        assert result.returncode == 0, result.stdout + result.stderr
        run = json.loads(result.stdout.splitlines()[-1])
        assert (run["tagged"], run["state"]) == (10, "finished")
        batches = [BackfillTask.from_json(task).sounds for task in tasks]
        assert sorted(len(batch) for batch in batches) == [1, 3, 3, 3]
        assert credential.client_secret not in "".join(tasks)
        (called,) = modal.requests["FunctionMap"]
        assert (called.function_id, called.return_exceptions) == ("fu-analyse_batch", True)
        shared = server.store.files("Resources/earmark")
        media = [path for path in shared if path.startswith("media/") and path.endswith(".ogg")]
        assert len(media) == 10
        tags = json.loads(shared["id2prediction.json"])
        assert tags.keys() == {str(number) for number in sounds}
        assert server.errors == []
