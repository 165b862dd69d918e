"""The doctor: what is set up, what is missing, what is broken; nothing is left behind."""

import importlib.metadata
import os
from pathlib import Path

import pytest

from core import cli
from core.doctor import FOR_TRAINING, Finding, examine
from core.storage.hopsworks.client import disconnect
from core.storage.local import open_local_workspace
from tests.helpers.commands import command_runner
from tests.servers.hopsworks import HopsworksServer, Store

SECRET = "s3cret-value"


@pytest.fixture(autouse=True)
def _no_modal_token(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("MODAL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MODAL_CONFIG_PATH", str(tmp_path / "modal.toml"))
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "w"))


@pytest.fixture
def look(monkeypatch):
    """Returns the finding about a subject, with these variables set."""

    def finding_about(subject: str, **environment: object) -> Finding:
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))
        (finding,) = [finding for finding in examine() if finding.subject == subject]
        assert SECRET not in finding.text
        return finding

    return finding_about


@pytest.fixture
def doctor(monkeypatch, capsys):
    """Runs `python -m core doctor` in this process."""
    run = command_runner(cli.main, monkeypatch, capsys, COLUMNS=200)
    return lambda **environment: run("doctor", **environment)


def test_the_report_names_every_subject_and_is_no_failure_where_all_is_optional(doctor):
    result = doctor()
    assert result.returncode == 0, result.stdout
    for subject in (
        "Python",
        "Packages",
        "Model",
        "Sounds",
        "Workspace",
        "Freesound",
        "Hopsworks",
        "Modal",
    ):
        assert subject in result.stdout
    assert "everything else works" in result.stdout


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"EARMARK_SOUNDS": "/nowhere"}, "There is no folder"),
        ({"EARMARK_PAGE_SIZE": "x"}, "EARMARK_PAGE_SIZE"),
        ({"EARMARK_TYPO": "1"}, "misspelt"),
        ({"EARMARK_WORKSPACE": "/proc/w"}, "cannot be written"),
        ({"EARMARK_PUBLIC_URL": "https://earmark.example.org"}, "nobody can sign in"),
    ],
)
def test_what_is_broken_is_said_and_is_a_failure(doctor, environment, text):
    result = doctor(**environment)
    assert result.returncode == 1
    assert text in result.stdout
    assert "Traceback" not in result.stderr


# Workspace


@pytest.mark.parametrize(
    ("missing", "health", "text"),
    [
        (FOR_TRAINING, "absent", "no model can be trained here. Everything else works."),
        (("torch", "streamlit"), "broken", "streamlit missing instead of"),
    ],
)
def test_without_what_only_training_needs_the_rest_works(look, monkeypatch, missing, health, text):
    version = importlib.metadata.version

    def installed(name):
        if name in missing:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", installed)
    finding = look("Packages")
    assert (finding.health, text in finding.text) == (health, True)


def test_a_workspace_is_described_and_nothing_is_left_in_it(look, tmp_path):
    open_local_workspace(tmp_path / "w")
    before = sorted(path.name for path in (tmp_path / "w").iterdir())
    finding = look("Workspace")
    assert (finding.health, finding.text.split(" in ")[0]) == ("good", "0 sounds, 0 reviewed")
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == before


def test_a_workspace_that_does_not_exist_yet_is_not_made(look, tmp_path):
    assert look("Workspace").health == "absent"
    assert not (tmp_path / "w").exists()


def test_a_workspace_that_cannot_be_written_is_broken(look, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for place in (tmp_path / "file", tmp_path / "file" / "w", Path("/proc/w")):
        finding = look("Workspace", EARMARK_WORKSPACE=place)
        assert finding.health == "broken"
        assert "cannot be written" in finding.text


def test_a_full_disk_is_noticed(look, tmp_path, monkeypatch):
    open_local_workspace(tmp_path / "w")

    def no_space(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", no_space)
    finding = look("Workspace")
    assert finding.health == "broken"
    assert "No space left on device" in finding.text


# Freesound


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"FREESOUND_API_KEY": SECRET}, "nobody can sign in"),
        (
            {"FREESOUND_API_KEY": SECRET, "EARMARK_FREESOUND_CLIENT_ID": "id"},
            "people can sign in",
        ),
        ({"EARMARK_FREESOUND_JOBS_KEY": SECRET}, "only the jobs' own key"),
    ],
)
def test_what_a_freesound_key_is_good_for_is_said_without_trying_it(look, environment, text):
    finding = look("Freesound", **environment)
    assert finding.health == "good"
    assert text in finding.text
    assert "new sounds can be read" in finding.text


@pytest.mark.parametrize(
    "shared",
    [
        {"EARMARK_PUBLIC_URL": "https://earmark.example.org"},
        {"EARMARK_HOPSWORKS_HOST": "localhost", "EARMARK_HOPSWORKS_PORT": "1"},
    ],
)
@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ({}, "FREESOUND_API_KEY and EARMARK_FREESOUND_CLIENT_ID not set"),
        ({"FREESOUND_API_KEY": SECRET}, "EARMARK_FREESOUND_CLIENT_ID not set"),
        ({"EARMARK_FREESOUND_JOBS_KEY": SECRET, "EARMARK_FREESOUND_CLIENT_ID": "id"}, "_API_KEY"),
    ],
)
def test_a_shared_app_in_which_nobody_can_sign_in_is_broken(look, shared, keys, missing):
    finding = look("Freesound", **shared, **keys)
    assert finding.health == "broken"
    assert missing in finding.text
    assert "nobody can sign in" in finding.text


def test_a_shared_app_with_a_complete_credential_is_good(look):
    finding = look(
        "Freesound",
        EARMARK_PUBLIC_URL="https://earmark.example.org",
        FREESOUND_API_KEY=SECRET,
        EARMARK_FREESOUND_CLIENT_ID="id",
    )
    assert finding.health == "good"


def test_an_address_of_this_machine_is_no_shared_app(look):
    assert look("Freesound", EARMARK_PUBLIC_URL="http://localhost:8501").health == "absent"


# Modal


def test_a_token_for_modal_is_found_in_the_environment(look):
    finding = look("Modal", MODAL_TOKEN_ID="ak-1", MODAL_TOKEN_SECRET=SECRET)
    assert finding.health == "good"


@pytest.mark.parametrize(
    ("config", "profile", "health"),
    [
        ('[default]\ntoken_id = "a"\ntoken_secret = "s3cret-value"\n', "", "good"),
        (
            '[a]\ntoken_id = "a"\n[b]\nactive = true\ntoken_id = "a"\ntoken_secret = "s"\n',
            "",
            "good",
        ),
        ('[a]\nactive = true\ntoken_id = "a"\ntoken_secret = "s"\n[b]\n', "b", "absent"),
        ('[a]\ntoken_id = "a"\ntoken_secret = "s"\n', "", "absent"),
        ('[default]\ntoken_id = "a"\n', "", "broken"),
        ("not toml [", "", "broken"),
    ],
)
def test_a_token_for_modal_is_found_where_its_client_looks(look, tmp_path, config, profile, health):
    (tmp_path / "modal.toml").write_text(config)
    finding = look("Modal", **({"MODAL_PROFILE": profile} if profile else {}))
    assert finding.health == health


def test_without_a_token_the_doctor_says_how_jobs_run_then(look):
    finding = look("Modal")
    assert finding.health == "absent"
    assert "python -m jobs tag" in finding.text


# Hopsworks


@pytest.fixture(scope="module")
def running_hopsworks():
    with HopsworksServer() as server:
        yield server
        assert server.errors == []


@pytest.fixture
def hopsworks(running_hopsworks):
    """The double with an empty project; this process is not connected to it before and after."""
    running_hopsworks.store = Store(running_hopsworks.project)
    running_hopsworks.requests.clear()
    yield running_hopsworks
    running_hopsworks.heal()
    disconnect()


@pytest.fixture
def look_at_hopsworks(look, hopsworks):
    """Returns health and text of the finding about the double, with changed settings."""

    def finding_about_it(**changes: object) -> tuple[str, str]:
        settings = {
            "HOST": hopsworks.host,
            "PORT": hopsworks.port,
            "PROJECT": hopsworks.project,
            "API_KEY": hopsworks.key,
            "CERTIFICATE": hopsworks.certificate,
        }
        environment = {
            f"EARMARK_HOPSWORKS_{name}": value for name, value in (settings | changes).items()
        }
        finding = look("Hopsworks", **environment)
        assert hopsworks.key not in finding.text
        return finding.health, finding.text

    return finding_about_it


def test_a_key_with_all_rights_is_good_and_nothing_is_left_in_the_project(
    look_at_hopsworks, hopsworks
):
    before = hopsworks.store.files("")
    assert look_at_hopsworks()[0] == "good"
    assert hopsworks.store.files("") == before
    assert {request.method for request in hopsworks.requests} >= {"GET", "POST", "DELETE"}


@pytest.mark.parametrize(
    ("path", "method", "text"),
    [
        ("dataset/upload", "POST", "Files cannot be written"),
        ("dataset/", "DELETE", "Files cannot be deleted"),
        ("modelregistries", "GET", "The model registry cannot be read"),
    ],
)
def test_a_right_that_the_key_lacks_is_named(look_at_hopsworks, hopsworks, path, method, text):
    hopsworks.fail(path, None, method=method, status=403, code=320004)
    health, finding = look_at_hopsworks()
    assert health == "broken"
    assert text in finding


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"API_KEY": "wrong-secret"}, "does not accept the API key"),
        ({"PROJECT": "domo"}, "has no project domo"),
        ({"CERTIFICATE": ""}, "not trusted"),
        ({"PROJECT": ""}, "EARMARK_HOPSWORKS_PROJECT"),
        ({"PORT": "1"}, "cannot be reached"),
    ],
)
def test_a_connection_that_is_set_up_wrongly_is_one_sentence(look_at_hopsworks, changes, text):
    health, finding = look_at_hopsworks(**changes)
    assert health == "broken"
    assert text in finding
    assert "wrong-secret" not in finding
