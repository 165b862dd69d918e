"""Two browsers on the Jobs view: one starts a run, the other sees it and can start none."""

import threading

import pytest
from playwright.sync_api import expect

from tests.helpers.app_browser import TIMEOUT_MS
from tests.helpers.app_server import Server
from tests.servers.freesound import FreesoundServer

pytestmark = pytest.mark.browser


class HeldFreesound(FreesoundServer):
    """A double that answers no search before `go_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def receive(self, request):
        if "/search" in request.path:
            assert self.go_on.wait(240)
        return super().receive(request)


@pytest.fixture
def held_freesound(examples):
    audio = (examples / "dog-barking.ogg").read_bytes()
    with HeldFreesound() as server:
        server.state.add_user("alice")
        for number in range(3):
            server.state.add_sound("alice", audio=audio, duration=3.0, name=f"dog {number}")
        yield server
        server.go_on.set()
        assert server.errors == []


@pytest.fixture
def freesound_app(own_workspace, held_freesound):
    """The app with three new sounds at Freesound."""
    client = held_freesound.state.add_client("earmark", owner="alice")
    server = Server(
        own_workspace,
        FREESOUND_API_KEY=client.client_secret,
        EARMARK_FREESOUND_API=f"{held_freesound.url}/apiv2",
        EARMARK_PREVIEW_HOSTS="127.0.0.1",
        EARMARK_CURATOR="Ada",
    )
    yield server
    server.stop()


def open_jobs(chromium, server):
    page = chromium.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(f"{server.url}/metrics?view=jobs")
    return page, page.get_by_role("button", name="Tag new sounds")


def test_a_run_is_started_in_one_browser_seen_in_another_and_ends_in_both(
    chromium, freesound_app, held_freesound
):
    page, start = open_jobs(chromium, freesound_app)
    expect(start).to_be_enabled()
    start.click()
    running = page.get_by_text("started by Ada")
    expect(running).to_be_visible()

    other, other_start = open_jobs(chromium, freesound_app)
    expect(other.get_by_text("started by Ada")).to_be_visible()
    expect(other_start).to_be_disabled()
    page.reload()
    expect(page.get_by_text("started by Ada")).to_be_visible()

    held_freesound.go_on.set()
    for browser, button in ((page, start), (other, other_start)):
        row = browser.locator(".runs details").first
        expect(row).to_contain_text("3 tagged")
        expect(row).to_contain_text("Finished")
        expect(button).to_be_enabled()
    row.locator("summary").click()
    expect(row.locator("dl")).to_contain_text("Started by")
    expect(row.locator("dl")).to_contain_text("Ada")
