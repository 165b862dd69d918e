"""The tagging job and the doctor on the Hopsworks double, as processes."""

import pytest

from tests.helpers.commands import run_module
from tests.servers.hopsworks import HopsworksServer


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
        settings = {
            "HOPSWORKS_HOST": server.host,
            "HOPSWORKS_PORT": server.port,
            "HOPSWORKS_PROJECT": server.project,
            "HOPSWORKS_API_KEY": server.key,
            "HOPSWORKS_CERTIFICATE": server.certificate,
            "SOUNDS": sounds,
            "WORKSPACE": tmp_path / machine,
            "FREESOUND_API_KEY": "a-credential",
            "FREESOUND_CLIENT_ID": "its-id",
        }
        environment = {f"EARMARK_{name}": value for name, value in (settings | changes).items()}
        return run_module(*arguments, **environment)

    return run


def test_a_job_on_one_machine_is_known_on_another_and_the_doctor_sees_it(server, earmark):
    first = earmark("one", "jobs", "tag")
    assert first.returncode == 0, first.stderr
    assert "Tagged 2 sounds" in first.stderr
    shared = server.store.files("Resources/earmark")
    assert sum(name.endswith(".ogg") for name in shared) == 2
    assert sum(name.endswith(".webp") for name in shared) == 2
    assert "id2prediction.json" in shared
    second = earmark("two", "jobs", "tag")
    assert second.returncode == 0, second.stderr
    assert "No new sounds" in second.stderr
    assert len(server.store.models) == 1
    doctor = earmark("two", "core", "doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "demo at localhost, folder Resources/earmark: " in doctor.stdout
    assert server.key not in doctor.stdout + doctor.stderr + first.stderr
    status = earmark("two", "jobs", "status")
    assert "0 saves (last contact" in status.stdout
    assert "finished" in status.stdout


def test_example_sounds_do_not_go_into_the_shared_workspace(server, earmark):
    job = earmark("one", "jobs", "tag", SOUNDS="")
    assert job.returncode == 0, job.stderr
    assert "EARMARK_SOUNDS is not set" in " ".join(job.stderr.split())
    assert server.store.files("Resources/earmark") == {}
    job = earmark("one", "jobs", "tag", "--every", "3d", SOUNDS="")
    assert job.returncode == 2


def test_a_job_that_may_not_begin_says_so_without_a_traceback_or_a_secret(earmark):
    job = earmark("one", "jobs", "tag", HOPSWORKS_API_KEY="wrong-secret")
    assert job.returncode == 1
    assert "does not accept the API key" in job.stderr
    assert "Traceback" not in job.stderr
    assert "wrong-secret" not in job.stderr


def test_what_is_exported_on_one_machine_and_imported_on_another_reaches_the_team(
    earmark, tmp_path
):
    (tmp_path / "id2prediction.json").write_text('{"123": ["dog", "bark"]}')
    result = earmark("one", "core", "import", tmp_path / "id2prediction.json")
    assert "1 events added" in result.stderr
    assert earmark("two", "core", "export", "--tags", tmp_path / "out.json").returncode == 0
    assert '"dog"' in (tmp_path / "out.json").read_text()


def test_a_job_that_stays_ends_at_once_if_it_is_set_up_wrongly(earmark):
    job = earmark("one", "jobs", "tag", "--every", "3d", HOPSWORKS_API_KEY="wrong-secret")
    assert job.returncode == 1
    assert "does not accept the API key" in job.stderr


def test_the_command_line_falls_back_to_a_model_that_is_here_while_hopsworks_is_away(
    server, earmark, examples
):
    earmark("one", "core", "import", "/dev/null")  # a workspace, in which no model is known yet
    server.go_offline()
    result = earmark("one", "core", "tag", examples / "rooster.ogg", "--json")
    server.go_online()
    assert result.returncode == 0, result.stderr
    assert '"tags"' in result.stdout
    assert "the model that ships with Earmark is used" in result.stderr
