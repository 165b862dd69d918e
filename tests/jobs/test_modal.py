"""The jobs on Modal.

What is declared, as the real client sends it to a control plane of our own, and the work itself,
with `.local()`.
"""

import json
import os
import re
import subprocess
import sys

import pytest

from core.settings import Settings
from jobs.modal_image import FREESOUND_KEYS, HOPSWORKS_KEYS
from jobs.modal_tagging import analyse_batch, backfill, tag_recent
from jobs.modal_training import train
from tests.helpers.commands import ROOT, run_script
from tests.helpers.source_tree import modules
from tests.servers.hopsworks import HopsworksServer
from tests.servers.modal import ModalServer

GPUS = {
    *("T4", "L4", "A10", "A10G", "L40S", "A100", "A100-40GB", "A100-80GB"),
    *("RTX-PRO-6000", "H100", "H100!", "H200", "B200"),
}
"""What Modal's documentation lists; the client sends any name."""
MAX_TIMEOUT_S = 24 * 60 * 60
CRON_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
TAGGING_MODULE, TRAINING_MODULE = "jobs.modal_tagging", "jobs.modal_training"
PACKAGES = {TAGGING_MODULE: ("core", "jobs"), TRAINING_MODULE: ("core", "jobs", "training")}


@pytest.fixture(scope="module")
def deployed():
    """Deploys each app with the real command line; the requests of each deployment by RPC."""
    requests = {}
    for module in PACKAGES:
        with ModalServer() as server:
            command = [sys.executable, "-m", "modal", "deploy", "-m", module]
            result = subprocess.run(
                command,
                cwd=ROOT,
                env=os.environ | server.environment,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert result.returncode == 0, result.stdout + result.stderr
            requests[module] = server.requests
    return requests


@pytest.fixture(scope="module")
def tagging(deployed):
    """The functions of the tagging app by name."""
    return {
        request.function.function_name: request.function
        for request in deployed[TAGGING_MODULE]["FunctionCreate"]
    }


def files(requests):
    return {file.filename for mount in requests["MountGetOrCreate"] for file in mount.files}


def commands(requests):
    images = (request.image for request in requests["ImageGetOrCreate"])
    return " ".join(line for image in images for line in image.dockerfile_commands)


def secret_names(requests):
    """Return secret names by the ids that the control plane gave them."""
    asked = requests["SecretGetOrCreate"]
    return {f"st-{number}": secret.deployment_name for number, secret in enumerate(asked, start=1)}


def test_each_deployment_publishes_the_functions_of_its_app(deployed):
    tagging = {"tag_recent", "backfill", "analyse_batch"}
    for module, name, functions in (
        (TAGGING_MODULE, "earmark-tagging", tagging),
        (TRAINING_MODULE, "earmark-training", {"train"}),
    ):
        (published,) = deployed[module]["AppPublish"]
        assert published.name == name
        assert set(published.function_ids) == functions


def test_the_tagging_runs_daily_in_one_container_with_retries_and_no_gpu(tagging):
    function = tagging["tag_recent"]
    assert function.schedule.cron.cron_string == "17 4 * * *"
    assert function.autoscaler_settings.max_containers == 1
    assert (function.retry_policy.retries, function.timeout_secs) == (2, 3600)
    assert function.resources.gpu_config.gpu_type == ""
    assert not function.volume_mounts


def test_one_backfill_owns_the_budget_and_many_workers_analyse_without_freesounds_key(
    deployed, tagging
):
    owner, worker = tagging["backfill"], tagging["analyse_batch"]
    assert owner.autoscaler_settings.max_containers == 1
    assert worker.autoscaler_settings.max_containers == 8
    assert (owner.timeout_secs, worker.timeout_secs) == (24 * 3600, 20 * 60)
    assert (owner.retry_policy.retries, worker.retry_policy.retries) == (2, 2)
    assert not owner.HasField("schedule")
    assert (len(owner.secret_ids), len(worker.secret_ids)) == (2, 1)
    assert secret_names(deployed[TAGGING_MODULE])[worker.secret_ids[0]] == "earmark-hopsworks"


def test_the_training_has_gpus_to_choose_from_a_volume_and_retries(deployed):
    (request,) = deployed[TRAINING_MODULE]["FunctionCreate"]
    ranked = [choice.function for choice in request.function_data.ranked_functions]
    gpus = [function.resources.gpu_config.gpu_type for function in ranked]
    assert gpus == ["L4", "A10G", "T4"]
    for function in ranked:
        assert (function.timeout_secs, function.retry_policy.retries) == (12 * 3600, 3)
        assert function.volume_mounts[0].mount_path == "/data"
    (volume,) = deployed[TRAINING_MODULE]["VolumeGetOrCreate"]
    assert volume.deployment_name == "earmark-training"
    assert not request.function_data.HasField("schedule")


def test_secrets_are_named_with_the_keys_that_they_need(deployed):
    asked = {
        module: {
            (secret.deployment_name, tuple(secret.required_keys))
            for secret in deployed[module]["SecretGetOrCreate"]
        }
        for module in PACKAGES
    }
    hopsworks, freesound = (
        ("earmark-hopsworks", HOPSWORKS_KEYS),
        ("earmark-freesound", FREESOUND_KEYS),
    )
    assert asked == {TAGGING_MODULE: {hopsworks, freesound}, TRAINING_MODULE: {hopsworks}}


def test_a_certificate_of_the_deploying_machine_goes_along(tmp_path):
    certificate = tmp_path / "company.pem"
    certificate.write_text("a certificate")
    with ModalServer() as server:
        result = subprocess.run(
            [sys.executable, "-m", "modal", "deploy", "-m", TAGGING_MODULE],
            cwd=ROOT,
            env=os.environ
            | server.environment
            | {"EARMARK_HOPSWORKS_CERTIFICATE": str(certificate)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stdout + result.stderr
    assert "/root/hopsworks.pem" in files(server.requests)
    assert "EARMARK_HOPSWORKS_CERTIFICATE=/root/hopsworks.pem" in commands(server.requests).replace(
        "'", ""
    ).replace('"', "")
    assert str(tmp_path) not in commands(server.requests)


def test_secrets_are_what_the_settings_read():
    known = {f"EARMARK_{name.upper()}" for name in Settings.model_fields}
    assert {*HOPSWORKS_KEYS, *FREESOUND_KEYS} <= known


@pytest.mark.parametrize("module", PACKAGES)
def test_the_code_and_all_files_beside_it_are_in_the_images(deployed, module):
    paths = [path for package in PACKAGES[module] for path in (ROOT / package).rglob("*")]
    needed = {
        f"/root/{path.relative_to(ROOT).as_posix()}"
        for path in paths
        if path.is_file() and "__pycache__" not in path.parts and path.name[0] != "."
    }
    assert any(name.startswith("/root/core/model/default/weights") for name in needed)
    assert files(deployed[module]) >= needed


def test_no_image_holds_a_file_that_git_ignores(deployed):
    for requests in deployed.values():
        for name in files(requests):
            assert "__pycache__" not in name
            assert not name.endswith("secrets.toml")


def test_the_tagging_image_is_lean_and_has_what_the_code_imports(deployed):
    installed = set(re.findall(r"([\w-]+)==", commands(deployed[TAGGING_MODULE])))
    assert not installed & {"streamlit", "plotly", "librosa", "torch", "onnx"}
    names = {
        "PIL": "pillow",
        "pydantic_settings": "pydantic-settings",
        "requests_toolbelt": "requests-toolbelt",
        "typing_extensions": "typing-extensions",
    }
    names |= dict.fromkeys(("hopsworks_common", "hsml"), "hopsworks")
    project = {"core", "jobs", "training"}
    imported_names = {
        imported.name.split(".")[0]
        for module in modules("core", "jobs")
        for imported in module.imports
    }
    used = imported_names - project
    foreign = {names.get(name, name) for name in used if name not in sys.stdlib_module_names}
    # Modal brings itself; models are written and scored where they are trained.
    assert foreign - installed <= {"modal", "sklearn", "torch", "onnx"}


def test_the_training_image_has_torch_with_cuda_and_the_pins(deployed):
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = {line for line in lines if line.startswith(("torch==", "scikit-learn=="))}
    assert all(pin in commands(deployed[TRAINING_MODULE]) for pin in pins)
    assert "whl/cpu" not in commands(deployed[TRAINING_MODULE])


@pytest.mark.parametrize("function", [tag_recent, backfill, analyse_batch, train])
def test_modal_would_take_what_its_client_does_not_check(function):
    info = function.info()
    assert {name for name, _ in info.gpus} <= GPUS
    assert 1 <= info.timeout <= MAX_TIMEOUT_S
    assert 0 <= info.max_retries <= 10
    cron = re.search(r"Cron\('([^']+)'", str(info.schedule or ""))
    fields = cron[1].split() if cron else ()
    for field, (least, most) in zip(fields, CRON_FIELDS, strict=bool(cron)):
        assert field == "*" or least <= int(field) <= most


def test_importing_the_jobs_needs_no_torch_and_no_network():
    script = (
        "import socket, sys\n"
        "def no(*arguments): raise OSError('no network')\n"
        "socket.socket.connect = no\n"
        "import jobs.modal_tagging, jobs.modal_training, jobs.cli\n"
        "heavy = {'torch', 'hopsworks', 'librosa', 'sklearn', 'av', 'streamlit'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = run_script(script)
    assert result.stdout.strip() == "[]", result.stderr


LOCALLY = """
import json
from hsml.engine import model_engine
model_engine.time.sleep = lambda seconds: None
from jobs.modal_tagging import tag_recent
for now in (False, False, True):
    print(json.dumps(tag_recent.local(now)), flush=True)
"""


@pytest.fixture
def new_sounds(freesound_server, examples):
    """Three sounds, one a minute."""
    for number, name in enumerate(("rooster", "siren", "sneeze")):
        freesound_server.state.add_sound(
            "alice",
            audio=(examples / f"{name}.ogg").read_bytes(),
            name=name,
            created=freesound_server.now() - 60 * number,
            duration=3.0,
        )
    return {str(number) for number in freesound_server.state.sounds}


def test_the_scheduled_function_tags_when_it_is_due_and_only_then(
    freesound_server, new_sounds, tmp_path
):
    credential = freesound_server.state.add_client("earmark", owner="alice")
    with HopsworksServer() as server:
        settings = {
            "FREESOUND_API_KEY": credential.client_secret,
            "FREESOUND_API": f"{freesound_server.url}/apiv2",
            "PREVIEW_HOSTS": "127.0.0.1",
            "FEED_LIMIT": 2,
            "HOPSWORKS_HOST": server.host,
            "HOPSWORKS_PORT": server.port,
            "HOPSWORKS_PROJECT": server.project,
            "HOPSWORKS_API_KEY": server.key,
            "HOPSWORKS_CERTIFICATE": server.certificate,
            "WORKSPACE": tmp_path / "w",
        }
        environment = {f"EARMARK_{name}": value for name, value in settings.items()}
        result = run_script(LOCALLY, **environment)
        assert result.returncode == 0, result.stderr
        first, second, third = (json.loads(line) for line in result.stdout.splitlines())
        assert (first["tagged"], first["state"], first["source"]) == (2, "finished", "Freesound")
        assert second is None
        assert third["tagged"] == 1
        assert "INFO jobs.tagging run not due" in result.stderr
        shared = server.store.files("Resources/earmark")
        media = [path for path in shared if path.startswith("media/") and path.endswith(".ogg")]
        assert len(media) == 3
        assert json.loads(shared["id2prediction.json"]).keys() == new_sounds
        assert server.errors == []
