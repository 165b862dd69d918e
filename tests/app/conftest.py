"""A workspace with the example sounds in it, the app run by AppTest, and a real server."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import app_browser, app_pages
from tests.helpers.app_pages import BROWSER, CALLBACK, Clip, NewSession, open_to_the_world
from tests.helpers.app_server import Server

SPENT_NOTHING = {"get_limits": (10**6, 10**6), "post_limits": (10**6, 10**6)}


@pytest.fixture(scope="session")
def tagged(tmp_path_factory, predictor, examples) -> Path:
    """A workspace folder with the example sounds, tagged. Copy it before changing anything."""
    from core.pipeline.sources import FolderSource
    from core.pipeline.tagging import tag_new_sounds
    from core.storage.active_model import resolve_model
    from core.storage.local import open_local_workspace

    folder = tmp_path_factory.mktemp("tagged") / "workspace"
    workspace = open_local_workspace(folder)
    model = resolve_model(workspace).model
    run = tag_new_sounds(FolderSource(examples), predictor, workspace, model=model)
    assert run.tagged == 16
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
    from streamlit.runtime.context import ContextProxy, StreamlitHeaders

    headers = {"Host": "localhost:8501", "Origin": "http://localhost:8501"}
    sent: dict[str, dict[str, str]] = {"cookies": {}, "headers": headers}
    as_sent = property(lambda self: StreamlitHeaders(sent["headers"].items()))
    monkeypatch.setattr(ContextProxy, "headers", as_sent)
    monkeypatch.setattr(ContextProxy, "cookies", property(lambda self: sent["cookies"]))
    return sent


@pytest.fixture
def configure(monkeypatch) -> Callable[..., None]:
    """Change settings, as a restart of the server does: nothing is cached from before."""
    import streamlit as st

    from core import settings

    def configure(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        settings.settings.cache_clear()
        st.cache_resource.clear()

    return configure


@pytest.fixture
def app(own_workspace, browser_sends):
    """The whole app under Streamlit's AppTest, nothing of it cached from another test."""
    import streamlit as st
    from streamlit import config

    st.cache_resource.clear()
    st.cache_data.clear()
    config.set_option("server.address", "localhost")
    return app_pages.new_app()


@pytest.fixture
def server(own_workspace):
    running = Server(own_workspace)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def chromium():
    if app_browser.CHROMIUM is None:
        if app_browser.BROWSER_REQUIRED:
            pytest.fail("Chromium is not installed, and BROWSER_TESTS=required")
        pytest.skip("Chromium is not installed (on Debian: apt-get install chromium)")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=app_browser.TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=app_browser.CHROMIUM, args=app_browser.CHROMIUM_FLAGS
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, server):
    """A browser page that has the monitor open."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(app_browser.TIMEOUT_MS)
    page.watcher = app_browser.Watcher(page)
    page.goto(server.url)
    page.wait_for_selector("h1")
    yield page
    context.close()


# Freesound's double behind the app


@pytest.fixture
def connected(app, freesound_server, monkeypatch):
    """The app with Freesound's double behind it."""
    client = freesound_server.state.add_client("earmark", redirect_uri=CALLBACK, **SPENT_NOTHING)
    monkeypatch.setenv("FREESOUND_API_KEY", client.client_secret)
    monkeypatch.setenv("EARMARK_FREESOUND_CLIENT_ID", client.client_id)
    monkeypatch.setenv("EARMARK_FREESOUND_API", f"{freesound_server.url}/apiv2")
    return app


@pytest.fixture
def sign_in(connected, browser_sends):
    """Sign somebody in at the browser that AppTest plays: with login and consent at the double.

    The browser's id is `browser` then, unless somebody has signed out under it.
    """
    from app import services
    from app.browser import new_id
    from tests.servers.freesound.person import consent, parameters

    def sign_in(name: str, browser: str = BROWSER):
        sign_ins, cookies = services.sign_ins(), browser_sends["cookies"]
        former, following = cookies.get("earmark-browser") or new_id(), browser
        if former == following or sign_ins.retired(following):
            following = new_id()
        answer = parameters(consent(sign_ins.begin(former, CALLBACK, "/try"), name))
        finished = sign_ins.finish(former, answer["state"], answer["code"], following)
        services.drafts().move(former, following, finished.person.user_id)
        cookies["earmark-browser"] = following
        return finished.person

    return sign_in


@pytest.fixture
def public(connected, monkeypatch, freesound_server):
    """The app as strangers reach it: alice maintains, carol is a curator, bob has no role."""
    people = {name: freesound_server.state.add_user(name).id for name in ("alice", "carol")}
    monkeypatch.setenv("EARMARK_MAINTAINERS", str(people["alice"]))
    monkeypatch.setenv("EARMARK_CURATORS", str(people["carol"]))
    return open_to_the_world(connected, monkeypatch)


@pytest.fixture
def bark(examples) -> Clip:
    """Three seconds of a dog."""
    return Clip("bark.ogg", (examples / "dog-barking.ogg").read_bytes())


@pytest.fixture
def new_session(connected) -> NewSession:
    return NewSession()
