"""The jobs on Modal: what is declared, as the real client sends it to a control plane of our own; and the work itself, with `.local()`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.modal_image import FREESOUND_KEYS, HOPSWORKS_KEYS
from jobs.modal_tagging import backfill, hear_batch, tag_recent
from jobs.training import train
from tests.servers.hopsworks import HopsworksServer
from tests.servers.modal import ModalServer
from tests.test_project import imported, sources

ROOT = Path(__file__).parents[2]
GPUS = {"T4", "L4", "A10", "A10G", "L40S", "A100", "A100-40GB", "A100-80GB", "RTX-PRO-6000", "H100", "H100!", "H200", "B200"}
"""What Modal's documentation lists; the client sends any name."""
LONGEST_S = 24 * 60 * 60
CRON_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


@pytest.fixture(scope="module")
def deployed():
    """Deploys each app with the real command line; the requests of each deployment by RPC."""
    found = {}
    for module in ("jobs.tagging", "jobs.training"):
        with ModalServer() as server:
            command = [sys.executable, "-m", "modal", "deploy", "-m", module]
            result = subprocess.run(command, cwd=ROOT, env=os.environ | server.environment, capture_output=True, text=True, timeout=120)
            assert result.returncode == 0, result.stdout + result.stderr
            found[module] = server.requests
    return found


def files(requests):
    return {file.filename for mount in requests["MountGetOrCreate"] for file in mount.files}


def commands(requests):
    return " ".join(line for image in requests["ImageGetOrCreate"] for line in image.image.dockerfile_commands)


TAGGING = {"tag_recent", "backfill", "hear_batch"}


@pytest.fixture(scope="module")
def tagging(deployed):
    """What was declared of the functions of the tagging app, by name."""
    return {request.function.function_name: request.function for request in deployed["jobs.tagging"]["FunctionCreate"]}


def test_each_deployment_publishes_the_functions_of_its_app(deployed):
    for module, name, functions in (("jobs.tagging", "earmark-tagging", TAGGING), ("jobs.training", "earmark-training", {"train"})):
        (published,) = deployed[module]["AppPublish"]
        assert published.name == name
        assert set(published.function_ids) == functions


def test_the_tagging_runs_daily_one_at_a_time_with_retries_and_no_gpu(tagging):
    function = tagging["tag_recent"]
    assert function.schedule.cron.cron_string == "17 4 * * *"
    assert function.autoscaler_settings.max_containers == 1
    assert (function.retry_policy.retries, function.timeout_secs) == (2, 3600)
    assert function.resources.gpu_config.gpu_type == ""
    assert not function.volume_mounts


def test_one_backfill_owns_the_budget_and_many_workers_hear_without_freesounds_key(deployed, tagging):
    owner, worker = tagging["backfill"], tagging["hear_batch"]
    assert (owner.autoscaler_settings.max_containers, worker.autoscaler_settings.max_containers) == (1, 8)
    assert (owner.timeout_secs, worker.timeout_secs) == (24 * 3600, 20 * 60)
    assert (owner.retry_policy.retries, worker.retry_policy.retries) == (2, 2)
    assert not owner.HasField("schedule")
    assert (len(owner.secret_ids), len(worker.secret_ids)) == (2, 1)
    given = {f"st-{number}": one.deployment_name for number, one in enumerate(deployed["jobs.tagging"]["SecretGetOrCreate"], 1)}
    assert given[worker.secret_ids[0]] == "earmark-hopsworks"


def test_the_training_has_gpus_to_choose_from_a_volume_and_retries(deployed):
    (request,) = deployed["jobs.training"]["FunctionCreate"]
    ranked = [one.function for one in request.function_data.ranked_functions]
    assert [one.resources.gpu_config.gpu_type for one in ranked] == ["L4", "A10G", "T4"]
    assert {(one.timeout_secs, one.retry_policy.retries, one.volume_mounts[0].mount_path) for one in ranked} == {(12 * 3600, 3, "/data")}
    (volume,) = deployed["jobs.training"]["VolumeGetOrCreate"]
    assert volume.deployment_name == "earmark-training"
    assert not request.function_data.HasField("schedule")


def test_secrets_are_named_with_the_keys_that_they_need(deployed):
    asked = {(one.deployment_name, tuple(one.required_keys)) for one in deployed["jobs.tagging"]["SecretGetOrCreate"]}
    assert asked == {("earmark-hopsworks", HOPSWORKS_KEYS), ("earmark-freesound", FREESOUND_KEYS)}
    assert {one.deployment_name for one in deployed["jobs.training"]["SecretGetOrCreate"]} == {"earmark-hopsworks"}


def test_secrets_are_what_the_settings_read():
    from core.settings import Settings

    known = {f"EARMARK_{name.upper()}" for name in Settings.model_fields}
    assert {*HOPSWORKS_KEYS, *FREESOUND_KEYS} <= known


def test_the_code_and_the_starters_files_are_in_the_images(deployed):
    starter = {f"/root/core/starter/{path.name}" for path in (ROOT / "core" / "starter").iterdir() if path.is_file()}
    for requests, rooms in ((deployed["jobs.tagging"], ("core", "jobs")), (deployed["jobs.training"], ("core", "jobs", "training"))):
        code = {f"/root/{path.relative_to(ROOT).as_posix()}" for room in rooms for path in sources(room)}
        assert files(requests) >= code | starter
    others = [path for path in (ROOT / "core").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert {path.parent.name for path in others} == {"starter"}  # nothing else that only add_local_dir would take


def test_the_tagging_image_is_lean_and_has_what_the_code_imports(deployed):
    installed = set(re.findall(r"([\w-]+)==", commands(deployed["jobs.tagging"])))
    assert not installed & {"streamlit", "plotly", "librosa"}
    assert "https://download.pytorch.org/whl/cpu torch==" in commands(deployed["jobs.tagging"])
    names = {"PIL": "pillow", "pydantic_settings": "pydantic-settings", "requests_toolbelt": "requests-toolbelt"}
    names |= dict.fromkeys(("hopsworks_common", "hsml"), "hopsworks")
    used = {name for room in ("core", "jobs") for path in sources(room) for name in imported(path)} - {"core", "jobs", "training"}
    foreign = {names.get(name, name) for name in used if name not in sys.stdlib_module_names}
    assert foreign - installed == {"modal", "sklearn"}  # modal brings itself; scores are counted where models are trained


def test_the_training_image_has_torch_with_cuda_and_the_pins(deployed):
    pins = {line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith(("torch==", "scikit-learn=="))}
    assert all(pin in commands(deployed["jobs.training"]) for pin in pins)
    assert "whl/cpu" not in commands(deployed["jobs.training"])


@pytest.mark.parametrize("function", [tag_recent, backfill, hear_batch, train])
def test_modal_would_take_what_its_client_does_not_check(function):
    info = function.info()
    assert {name for name, _ in info.gpus} <= GPUS
    assert 1 <= info.timeout <= LONGEST_S
    assert 0 <= info.max_retries <= 10
    cron = re.search(r"Cron\('([^']+)'", str(info.schedule or ""))
    for field, (least, most) in zip(cron[1].split() if cron else (), CRON_FIELDS, strict=bool(cron)):
        assert field == "*" or least <= int(field) <= most


def test_importing_the_jobs_needs_no_torch_and_no_network():
    script = (
        "import socket, sys\n"
        "def no(*arguments): raise OSError('no network')\n"
        "socket.socket.connect = no\n"
        "import jobs.tagging, jobs.training, jobs.schedule, jobs.backfill\n"
        "print(sorted({'torch', 'hopsworks', 'librosa', 'sklearn', 'av', 'streamlit'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "[]", result.stderr


LOCALLY = """
import json
from hsml.engine import model_engine
model_engine.time.sleep = lambda seconds: None
from jobs.modal_tagging import tag_recent
for at_once in (False, False, True):
    print(json.dumps(tag_recent.local(at_once)), flush=True)
"""


def test_the_scheduled_function_tags_when_it_is_due_and_only_then(freesound_server, examples, tmp_path):
    credential = freesound_server.state.add_client("earmark", owner="alice")
    for number, name in enumerate(("rooster", "siren", "sneeze")):
        audio = (examples / f"{name}.ogg").read_bytes()
        freesound_server.state.add_sound("alice", audio=audio, name=name, created=freesound_server.now() - 60 * number, duration=3.0)
    with HopsworksServer() as server:
        given = {"FREESOUND_API_KEY": credential.client_secret, "FREESOUND_API": f"{freesound_server.url}/apiv2"}
        given |= {"PREVIEW_HOSTS": "127.0.0.1", "FREESOUND_LEDGER": tmp_path / "ledger.sqlite", "FEED_LIMIT": 2}
        given |= {"HOPSWORKS_HOST": server.host, "HOPSWORKS_PORT": server.port, "HOPSWORKS_PROJECT": server.project}
        given |= {"HOPSWORKS_API_KEY": server.key, "HOPSWORKS_CERTIFICATE": server.certificate, "WORKSPACE": tmp_path / "w"}
        environment = os.environ | {f"EARMARK_{name}": str(value) for name, value in given.items()}
        result = subprocess.run([sys.executable, "-c", LOCALLY], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        first, second, third = (json.loads(line) for line in result.stdout.splitlines())
        assert (first["tagged"], first["state"], first["source"]) == (2, "finished", "Freesound")
        assert second is None
        assert third["tagged"] == 1
        there = server.store.files("Resources/earmark")
        assert sum(path.startswith("media/") and path.endswith(".ogg") for path in there) == 3
        assert json.loads(there["id2prediction.json"]).keys() == {str(sound) for sound in freesound_server.state.sounds}
        assert server.errors == []
