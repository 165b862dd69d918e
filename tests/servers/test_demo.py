"""The demo's commands start the doubles and say how to use them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from tests.servers.__main__ import main
from tests.servers.demo import CALLBACK, add_demo_data
from tests.servers.freesound import FreesoundServer
from tests.servers.freesound.person import consent, parameters

ROOT = Path(__file__).parents[2]
SERVERS = (sys.executable, "-m", "tests.servers")
TIMEOUT_S = 120


@pytest.fixture
def demo_freesound() -> Iterator[dict[str, str]]:
    """The settings that the Freesound demo prints, while it runs."""
    with subprocess.Popen(
        (*SERVERS, "freesound", "--port", "0"), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        settings = {}
        for line in process.stdout:
            name, equals, value = line.strip().removesuffix(" \\").partition("=")
            if equals:
                settings[name] = value
            if line.strip() == "make run":
                break
        yield settings
        process.terminate()


def test_the_freesound_demo_prints_a_command_whose_settings_open_it(
    demo_freesound: dict[str, str],
) -> None:
    api, key = demo_freesound["EARMARK_FREESOUND_API"], demo_freesound["FREESOUND_API_KEY"]
    answer = requests.get(f"{api}/search/", {"token": key}, timeout=TIMEOUT_S)
    assert answer.json()["count"] == 12
    client = demo_freesound["EARMARK_FREESOUND_CLIENT_ID"]
    asked = f"{api}/oauth2/authorize/?response_type=code&client_id={client}"
    callback = consent(asked, "alice")
    assert callback.startswith(f"{CALLBACK}?")
    code = parameters(callback)["code"]
    form = {"grant_type": "authorization_code", "code": code, "client_id": client}
    token = requests.post(f"{api}/oauth2/access_token/", form, timeout=TIMEOUT_S)
    assert token.json()["scope"] == "read write"


def test_a_command_of_the_project_finds_both_doubles() -> None:
    result = subprocess.run(
        (*SERVERS, "team", sys.executable, "-m", "core", "doctor"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=os.environ | {"COLUMNS": "200"},
    )
    findings = dict(line.split(maxsplit=2)[1:] for line in result.stdout.splitlines())
    assert findings["Hopsworks"].startswith("demo at localhost"), result.stderr
    assert result.returncode == 0, result.stdout


def test_the_status_of_the_command_is_handed_on() -> None:
    arguments = ["team", sys.executable, "-c", "raise SystemExit(7)"]
    assert CliRunner().invoke(main, arguments).exit_code == 7


def test_the_hopsworks_demo_prints_settings_that_open_it() -> None:
    with subprocess.Popen(
        (*SERVERS, "hopsworks", "--port", "0"), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(5)]
        settings = dict(
            line.removeprefix("export EARMARK_HOPSWORKS_").strip().split("=") for line in lines
        )
        answer = requests.get(
            f"https://{settings['HOST']}:{settings['PORT']}/hopsworks-api/api/project",
            verify=settings["CERTIFICATE"],
            headers={"Authorization": f"ApiKey {settings['API_KEY']}"},
            timeout=TIMEOUT_S,
        )
        process.terminate()
    assert answer.json()[0]["project"]["name"] == settings["PROJECT"]


def test_the_demo_has_people_sounds_and_an_app_with_an_owner() -> None:
    server = FreesoundServer()
    client = add_demo_data(server, "http://localhost:1/callback")
    assert list(server.state.users) == ["alice", "bob"]
    assert all(sound.public for sound in server.state.sounds.values())
    assert (client.owner, client.redirect_uri) == ("alice", "http://localhost:1/callback")
