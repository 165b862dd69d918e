"""In a real browser: a page that refreshes by itself, and a batch that is played and published."""

import re

import pytest
from playwright.sync_api import expect

from app.components.refresh import MIN_WAIT_S
from tests.helpers.app_browser import sign_in_at_freesound
from tests.helpers.app_server import Server
from tests.helpers.component_page import serve_page
from tests.servers.demo import freesound_settings

pytestmark = pytest.mark.browser
SCRIPT = """
import streamlit as st
from app.components.refresh import refresh_when_due

st.title("Refresh")

@st.fragment
def part():
    st.session_state["runs"] = st.session_state.get("runs", 0) + 1
    st.text(f"runs: {st.session_state['runs']}")
    refresh_when_due("timer", 120.0, 0.0)

part()
"""
HIDE = "window.isHidden = true; Object.defineProperty(document, 'hidden', {get: () => isHidden})"
SHOW = "() => { window.isHidden = false; document.dispatchEvent(new Event('visibilitychange')) }"
LONGER = f"drawn => performance.now() - drawn > {2000 * MIN_WAIT_S}"


def test_a_page_in_a_tab_that_nobody_looks_at_asks_for_nothing_until_somebody_does(
    chromium, tmp_path
):
    served = serve_page(tmp_path, SCRIPT)
    try:
        page = chromium.new_page()
        page.add_init_script(HIDE)
        page.goto(served.url)
        expect(page.get_by_text("Checked 2 min ago")).to_be_visible()
        page.wait_for_function(LONGER, arg=page.evaluate("performance.now()"))
        expect(page.get_by_text("runs: 1", exact=True)).to_be_visible()
        page.evaluate(SHOW)
        expect(page.get_by_text("runs: 2", exact=True)).to_be_visible()
        expect(page.get_by_text("runs: 3", exact=True)).to_be_visible()  # goes on while looked at
        page.close()
    finally:
        served.stop()


@pytest.fixture
def server(own_workspace, freesound_server, tmp_path):
    """The app with Freesound's double behind it."""
    running = Server(own_workspace, start=False)
    client = freesound_server.state.add_client(
        "earmark", redirect_uri=f"{running.url}/auth/freesound/callback"
    )
    running.configure(
        **freesound_settings(freesound_server, client),
        EARMARK_FREESOUND_REQUESTS_FILE=str(tmp_path / "requests.sqlite"),
    )
    running.start()
    yield running
    running.stop()


def test_a_batch_is_played_and_published_through_a_reload(page, server, examples, freesound_server):
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.get_by_role("button", name="Sign in with Freesound").first.click()
    sign_in_at_freesound(page)
    page.wait_for_selector("h1")
    page.goto(f"{server.url}/many")
    names = ("dog-barking.ogg", "siren.ogg")
    page.locator("input[type=file]").set_input_files([examples / name for name in names])
    table = page.get_by_test_id("stDataFrame")
    table.wait_for()
    page.get_by_role("button", name="Publish as alice").wait_for()  # the page is whole
    page.get_by_role("combobox", name="License").first.click()
    page.get_by_role("option", name="Public domain (CC0)").click()
    expect(page.get_by_text("Please choose one of Freesound's licenses")).to_have_count(0)
    page.get_by_label("Description").first.fill("Recorded from the street.")
    page.get_by_label("Description").first.press("Tab")
    publish = page.get_by_role("button", name="Publish 2 sounds as alice")
    expect(publish).to_be_enabled()

    scroller = table.locator(".dvn-scroller")
    assert scroller.evaluate("node => node.scrollWidth <= node.clientWidth")
    scroller.click(position={"x": 40, "y": 62})  # the first row's button
    expect(page.locator(".player .title")).to_have_text("dog-barking.ogg")
    page.wait_for_function("() => window.earmarkPlaying?.audio.currentTime > 0")

    freesound_server.fail("sounds/upload", delay=5)
    publish.click()
    page.get_by_text(re.compile("0 of 2 sounds done")).wait_for()
    page.reload()
    page.get_by_text("2 of 2 sounds published").wait_for()
    assert [sound.name for sound in freesound_server.state.sounds.values()] == list(names)
    assert page.watcher.problems == []
