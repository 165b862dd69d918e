"""The image without Docker: its files read only, one writable folder, another user, no HOME."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.cli import FOR_TRAINING as MODULES
from core.doctor import FOR_TRAINING
from tests.helpers.app_browser import TIMEOUT_MS
from tests.helpers.app_server import free_port
from tests.helpers.container import Dockerfile, build, ignored_by_docker, lock
from tests.helpers.source_tree import ROOT
from tests.helpers.waiting import wait_until

USER = 1000
SET_USER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
READ_ALL = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
"""Lets a user run a Python that lies in root's home. It allows reading, and no writing."""
PAGES = (
    *("/", "/?mode=review", "/try", "/many"),
    *("/metrics", "/metrics?view=feedback", "/metrics?view=versions", "/metrics?view=jobs"),
)
HEALTH_TIMEOUT_S = 90
STARTS_ITSELF = """
import subprocess, sys
sys.exit(subprocess.run([sys.executable, "-c", "import streamlit"]).returncode)
"""


@pytest.fixture(scope="session")
def dockerfile() -> Dockerfile:
    return Dockerfile.read()


# What the files say


def test_everything_that_the_image_copies_exists_and_is_sent_to_docker(dockerfile):
    copied = dockerfile.copied
    assert {"app", "core", "pages", "jobs", "streamlit_app.py"} <= set(copied)
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert [path for path in copied if ignored_by_docker(path)] == []


def test_secrets_workspaces_and_caches_are_not_sent_to_docker():
    private = [".streamlit/secrets.toml", ".earmark/examples", ".git/config", ".env", ".venv/bin"]
    private += ["core/__pycache__/files.cpython-311.pyc", "runs/1/weights.safetensors"]
    assert [path for path in private if not ignored_by_docker(path)] == []


def test_the_image_runs_as_user_1000_and_writes_to_its_volume_only(dockerfile):
    assert dockerfile.arguments("USER") == ["1000:1000"]
    (volume,) = dockerfile.arguments("VOLUME")
    written = ("HOME", "TMPDIR", "EARMARK_WORKSPACE", "EARMARK_FREESOUND_REQUESTS_FILE")
    places = [dockerfile.environment[name] for name in written]
    assert [place for place in places if not Path(place).is_relative_to(volume)] == []


def test_the_image_leaves_out_what_only_training_needs_unless_it_is_asked_for():
    text = (ROOT / "Dockerfile").read_text("utf-8")
    (left_out,) = re.findall(r"grep -vE '\^\((.*?)\)=='", text)
    assert tuple(left_out.split("|")) == FOR_TRAINING
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (index,) = re.findall(r"CPU_WHEELS := (\S+)", makefile)
    assert f"--index-url {index}" in text


def test_compose_mounts_the_image_s_volume_and_serves_on_its_port(dockerfile):
    compose = (ROOT / "compose.yaml").read_text("utf-8")
    (volume,) = dockerfile.arguments("VOLUME")
    port = dockerfile.environment["PORT"]
    assert f"- data:{volume}\n" in compose
    assert f'PORT: "{port}"' in compose
    assert f'- "127.0.0.1:{port}:{port}"' in compose
    assert f"--to earmark:{port}" in compose
    assert "read_only: true" in compose


# What it does


def _as_user() -> tuple[str, ...]:
    """Return what makes a command run as user 1000; nothing where this is not root already."""
    if not hasattr(os, "getuid") or os.getuid() != 0:
        return ()
    for prefix in (SET_USER, (*SET_USER, *READ_ALL)):
        command = [*prefix, sys.executable, "-c", STARTS_ITSELF]
        if shutil.which("setpriv") and subprocess.run(command, capture_output=True).returncode == 0:
            return prefix
    pytest.skip("root cannot start Python as user 1000 here (setpriv of util-linux is needed)")


class Container:
    """The image's command in a process of its own; `data` stands for the volume."""

    def __init__(self, image: Path, data: Path, dockerfile: Dockerfile, user: tuple[str, ...]):
        self._dockerfile, self._image, self._user = dockerfile, image, user
        (volume,) = dockerfile.arguments("VOLUME")
        self._set = {
            name: value.replace(volume, str(data)) if value.startswith(volume) else value
            for name, value in dockerfile.environment.items()
        }
        self.log = data / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, unset: tuple[str, ...] = (), **environment: str) -> str:
        """Start it, and wait until it is healthy; returns its address."""
        port = str(free_port())
        self._set |= {"STREAMLIT_SERVER_ADDRESS": "localhost", "PORT": port, **environment}
        self._set = {name: value for name, value in self._set.items() if name not in unset}
        with self.log.open("wb") as log:
            self._process = self._popen(self._dockerfile.command, log)
        try:
            wait_until(self._is_healthy, HEALTH_TIMEOUT_S)
        except AssertionError:
            raise AssertionError(self.stop()) from None
        return f"http://localhost:{port}"

    def _popen(self, command: list[str], log: object) -> subprocess.Popen[bytes]:
        python = [sys.executable if word == "python" else word for word in command]
        return subprocess.Popen(
            [*self._user, *python],
            cwd=self._image,
            env={"PATH": os.defpath, "PYTHONPATH": str(self._image)} | self._without_path(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def _without_path(self) -> dict[str, str]:
        return {name: value for name, value in self._set.items() if name != "PATH"}

    def _is_healthy(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "it has ended"
        return self._popen(self._dockerfile.health_command, subprocess.DEVNULL).wait() == 0

    def stop(self) -> str:
        """End it; returns its log."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""


@pytest.fixture
def container(dockerfile):
    """The image as another user's read-only folder, with one folder that can be written."""
    user = _as_user()
    with tempfile.TemporaryDirectory(prefix="container-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        build(place / "image", dockerfile, MODULES)
        (place / "data").mkdir()
        if user:
            os.chown(place / "data", USER, USER)
        container = Container(place / "image", place / "data", dockerfile, user)
        try:
            yield container
        finally:
            container.stop()
            lock(place / "image", unlock=True)


def files_of_the_user() -> set[Path]:
    """What user 1000 has in the system's folder for temporary files, where that is another one."""
    files: set[Path] = set()
    for path in Path(tempfile.gettempdir()).iterdir():
        with suppress(FileNotFoundError):  # browsers come and go
            if path.lstat().st_uid == USER != os.getuid():
                files.add(path)
    return files


def open_page(page, address: str) -> tuple[list[str], list[str]]:
    """Open a page; returns the sentences that it says are wrong, and its crashes."""
    page.goto(address)
    page.locator("h1, [data-testid=stAlert]").first.wait_for()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    errors = page.locator("[data-testid=stAlertContentError]").all_inner_texts()
    return errors, page.locator("[data-testid=stException]").all_inner_texts()


@pytest.fixture
def visitor(chromium):
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    yield page
    context.close()


@pytest.mark.browser
def test_the_image_s_command_serves_every_page_and_writes_nowhere_else(
    container, visitor, examples
):
    before = files_of_the_user()
    url = container.start(
        unset=("HOME",), FREESOUND_API_KEY="key", EARMARK_FREESOUND_CLIENT_ID="client"
    )
    shown = {path: open_page(visitor, f"{url}{path}") for path in (*PAGES, "/uploads")}
    assert {path: text for path, text in shown.items() if text != ([], [])} == {}

    visitor.goto(f"{url}/")
    expect(visitor.locator(".player .title").first).to_be_visible()  # the example sounds
    visitor.goto(f"{url}/try")
    visitor.locator("input[type=file]").set_input_files(examples / "rain-on-leaves.ogg")
    expect(visitor.locator(".chip b").first).to_be_visible()
    assert files_of_the_user() == before
    log = container.stop()
    assert "server stop" in log
    assert "Traceback" not in log


@pytest.mark.browser
def test_without_a_folder_that_can_be_written_every_page_says_so_in_one_sentence(
    container, visitor
):
    names = ("EARMARK_WORKSPACE", "EARMARK_FREESOUND_REQUESTS_FILE", "HOME", "TMPDIR")
    url = container.start(unset=names)
    for path in PAGES:
        errors, crashes = open_page(visitor, f"{url}{path}")
        assert crashes == []
        assert len(errors) == (0 if path in ("/try", "/many") else 1), path
        assert all("cannot be created" in text for text in errors)
        assert all("EARMARK_WORKSPACE names another folder" in text for text in errors)
