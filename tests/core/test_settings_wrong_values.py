"""Whatever stands in a setting: it is used, or one sentence that names it says why not."""

import json
import subprocess
import sys

import pytest

from core import cli
from core.doctor import examine
from core.settings import Settings, SettingsError, read_settings
from core.storage.hopsworks.client import disconnect
from tests.helpers.commands import ROOT, command_runner

VALUES = (
    " ",
    "many",
    "-1",
    "0",
    "nan",
    "inf",
    "1e999",
    "9" * 400,
    "1_000",
    "१२",
    "true",
    "null",
    "[",
    "{}",
    ",,,",
    "1,2,x",
    "a" * 20_000,
    "\u202e\x07\n",
    "caf\udce9",
    "ключ",
    "key with\nnewline",
    "/",
    "..",
    "~nobody-such/x",
    "/proc/nowhere/x",
    "/dev/full",
    "http://[::1",
    "https://x:99999/",
    "http://example.org",
    "javascript:alert(1)",
    "localhost:8080",
)
PLACES = (
    "sounds",
    "workspace",
    "freesound_requests_file",
    "freesound_api",
    "hopsworks_certificate",
    "hopsworks_folder",
    "hopsworks_project",
    "hopsworks_api_key",
)
"""What the doctor looks at."""
CONNECTED = {
    "EARMARK_HOPSWORKS_HOST": "127.0.0.1",
    "EARMARK_HOPSWORKS_PORT": "1",
    "EARMARK_HOPSWORKS_PROJECT": "demo",
    "EARMARK_HOPSWORKS_API_KEY": "key",
}


def is_sentence(text):
    text = text.replace("\udce9", "")  # of a name that is not UTF-8, printed as \\udce9
    return text.isprintable() and text.endswith(".") and not text.endswith("..") and len(text) < 500


def complaint():
    """Return why the settings cannot be used; "" if they can."""
    try:
        settings = read_settings()
        return "" if settings.sounds_folder != settings.workspace_folder else "They are one folder."
    except SettingsError as error:
        return str(error)


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_a_wrong_value_is_one_sentence(name, monkeypatch):
    variable = f"EARMARK_{name.upper()}"
    for value in VALUES:
        monkeypatch.setenv(variable, value)
        text = complaint()
        assert not text or is_sentence(text), value
        assert not text or variable in text or text.startswith("The folder "), value


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_so_it_is_in_the_secrets_file(name, monkeypatch, tmp_path):
    path = tmp_path / "secrets.toml"
    monkeypatch.setenv("EARMARK_SECRETS_FILE", str(path))
    for value in ("[1, [2]]", "{a = 1}", "1979-05-27", "true", "-7", "nan", '"a\\u0000b"', "[]"):
        path.write_text(f"[earmark]\n{name} = {value}\n")
        text = complaint()
        assert not text or is_sentence(text), value


@pytest.mark.parametrize("name", PLACES)
def test_the_doctor_says_it_too(name, monkeypatch, tmp_path):
    variables = CONNECTED if name.startswith("hopsworks") else {}
    (tmp_path / "file").write_text("no certificate")
    values = [value for value in VALUES[-12:] if value != "/"]  # a whole disk would be counted
    for value in (*values, str(tmp_path), str(tmp_path / "file")):
        environment = {"EARMARK_WORKSPACE": str(tmp_path / "w"), **variables}
        for variable, text in (environment | {f"EARMARK_{name.upper()}": value}).items():
            monkeypatch.setenv(variable, text)
        for finding in examine():
            assert finding.text.replace("\udce9", "").isprintable(), value
        disconnect()


@pytest.mark.parametrize("workspace", ["/dev/full", "/proc/nowhere/x", "~nobody-such/x", "file/x"])
def test_a_workspace_in_an_impossible_place_is_one_sentence(
    workspace, monkeypatch, capsys, tmp_path
):
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    run = command_runner(cli.main, monkeypatch, capsys, EARMARK_WORKSPACE=workspace)
    for arguments in (("export", "--events", "out.jsonl"), ("rebuild",), ("similar", "file:1")):
        result = run(*arguments)
        assert result.returncode == 1
        assert is_sentence(result.stderr.strip().splitlines()[-1])


@pytest.mark.parametrize(
    "file", ["/dev/full", "/proc/x.jsonl", "/sys/x.jsonl", "file/x.jsonl", "a" * 300, "."]
)
@pytest.mark.parametrize("option", ["--events", "--tags", "--format=csv"])
def test_an_export_to_an_impossible_place_is_one_sentence(
    file, option, monkeypatch, capsys, tmp_path
):
    (tmp_path / "file").write_text("")
    (tmp_path / "id2prediction.json").write_text(json.dumps({"123": ["dog"]}))
    monkeypatch.chdir(tmp_path)
    run = command_runner(cli.main, monkeypatch, capsys, EARMARK_WORKSPACE=tmp_path / "w")
    assert run("import", "id2prediction.json").returncode == 0
    result = run("export", option, file)
    assert result.returncode in (1, 2)
    assert "Traceback" not in result.stderr
    assert is_sentence(result.stderr.strip().splitlines()[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /dev/full")
def test_output_that_cannot_be_printed_is_one_sentence():
    command = [sys.executable, "-m", "core", "export", "--help"]
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert result.returncode == 1
    assert result.stderr.strip() == "The output cannot be written or read: No space left on device."
