"""A workspace with the example sounds in it, the app run by AppTest, and a real server with a real browser."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BROWSER_REQUIRED = os.environ.get("BROWSER_TESTS") == "required"
CHROMIUM_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync "
    "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream --autoplay-policy=no-user-gesture-required"
).split()
SERVER_START_S = 60


@pytest.fixture(scope="session")
def tagged(tmp_path_factory) -> Path:
    """A workspace folder into which the example sounds have been tagged. Copy it before changing anything."""
    folder = tmp_path_factory.mktemp("tagged") / "workspace"
    environment = os.environ | {"EARMARK_WORKSPACE": str(folder)}
    subprocess.run([sys.executable, "-m", "jobs.tagging"], cwd=ROOT, env=environment, check=True, capture_output=True, timeout=180)
    return folder


@pytest.fixture
def own_workspace(tagged, tmp_path, monkeypatch) -> Path:
    """A copy of it for one test, named in the settings."""
    folder = tmp_path / "own"
    shutil.copytree(tagged, folder)
    monkeypatch.setenv("EARMARK_WORKSPACE", str(folder))
    monkeypatch.setenv("EARMARK_CURATOR", "Ada")
    return folder


@pytest.fixture
def browser_sends(monkeypatch) -> dict[str, dict[str, str]]:
    """The `cookies` and `headers` that the browser sends; AppTest has none of its own."""
    from streamlit.runtime.context import ContextProxy

    sent: dict[str, dict[str, str]] = {"cookies": {}, "headers": {"Host": "localhost:8501"}}
    for name in sent:
        monkeypatch.setattr(ContextProxy, name, property(lambda self, name=name: sent[name]))
    return sent


@pytest.fixture
def app(own_workspace, browser_sends):
    """The whole app under Streamlit's AppTest, nothing of it cached from another test."""
    import streamlit as st
    from streamlit import config
    from streamlit.testing.v1 import AppTest

    st.cache_resource.clear()
    st.cache_data.clear()
    config.set_option("server.address", "localhost")
    return AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)


class Server:
    """The app, served by `streamlit run` on a free port of this machine."""

    def __init__(self, workspace: Path, *, start: bool = True, **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self._environment = os.environ | {"EARMARK_WORKSPACE": str(workspace), "STREAMLIT_SERVER_PORT": str(self.port)} | environment
        if start:
            self.start()

    def configure(self, **environment: str) -> None:
        """Settings for the next start."""
        self._environment |= environment

    def start(self) -> None:
        command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py"]
        self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + SERVER_START_S
        while not self._healthy():
            assert self._process.poll() is None, self._process.stderr.read().decode()
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)

    def _healthy(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1).status == 200
        except OSError:
            return False

    def stop(self) -> str:
        """End it; returns what it printed."""
        self._process.terminate()
        output, errors = self._process.communicate(timeout=20)
        return (output + errors).decode()


@pytest.fixture
def server(own_workspace):
    running = Server(own_workspace)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def chromium():
    if CHROMIUM is None:
        if BROWSER_REQUIRED:
            pytest.fail("Chromium is not installed, and BROWSER_TESTS=required")
        pytest.skip("Chromium is not installed (on Debian: apt-get install chromium)")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # two busy cores; nothing here measures time
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, server):
    """A browser page that has the monitor open. `page.foreign` lists requests that left the machine, `page.problems` errors."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.foreign, page.problems = [], []
    local = (server.url, server.url.replace("http", "ws"), "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(local) else page.foreign.append(request.url))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(server.url)
    page.wait_for_selector("h1")
    yield page
    context.close()


# Freesound's double behind the app


BROWSER = "q" * 43
CALLBACK = "http://localhost:8501/auth/freesound/callback"
PAGES = ROOT / "pages"


@pytest.fixture
def connected(app, freesound_server, monkeypatch):
    """The app with Freesound's double behind it."""
    more = {"get_limits": (10**6, 10**6), "post_limits": (10**6, 10**6)}
    client = freesound_server.state.add_client("earmark", redirect_uri=CALLBACK, **more)
    monkeypatch.setenv("FREESOUND_API_KEY", client.client_secret)
    monkeypatch.setenv("EARMARK_FREESOUND_CLIENT_ID", client.client_id)
    monkeypatch.setenv("EARMARK_FREESOUND_API", f"{freesound_server.url}/apiv2")
    return app


@pytest.fixture
def sign_in(connected, browser_sends):
    """Sign somebody in at the browser that AppTest plays: the whole way, with login and consent at the double."""
    from app import session
    from tests.servers.freesound_person import consent, parameters

    def whole_way(name: str, browser: str = BROWSER):
        people = session.sign_ins()
        answer = parameters(consent(people.begin(browser, CALLBACK, "/try"), name))
        people.finish(browser, answer["state"], answer["code"])
        browser_sends["cookies"]["earmark-browser"] = browser
        return people.person(browser)

    return whole_way


def open_to_the_world(app, monkeypatch):
    """The app on an address that others can reach, where only roles count."""
    from streamlit import config

    config.set_option("server.address", "0.0.0.0")
    monkeypatch.delenv("EARMARK_CURATOR")
    return app


class Clip:
    """A file that somebody tries on the page."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.data = name, data

    @property
    def sha(self) -> str:
        return hashlib.sha256(self.name.encode() + self.data).hexdigest()

    def key(self, field: str) -> str:
        return f"publish-{field}-{self.sha}"

    def open(self, app):
        """Upload it to the try page."""
        app.run()
        app.switch_page(str(PAGES / "try_your_sound.py")).run()
        app.file_uploader(key="upload").upload(self.name, self.data).run()
        assert not app.exception
        return app


@pytest.fixture
def bark(examples) -> Clip:
    """Three seconds of a dog."""
    return Clip("bark.ogg", (examples / "dog-barking.ogg").read_bytes())


class NewSession:
    """The try page, loaded anew in the browser that AppTest plays."""

    def open(self):
        from streamlit.testing.v1 import AppTest

        app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60).run()
        app.switch_page(str(PAGES / "try_your_sound.py")).run()
        assert not app.exception
        return app

    def text(self) -> str:
        return "\n".join(one.value for one in self.open().caption)


@pytest.fixture
def new_session(connected) -> NewSession:
    return NewSession()
