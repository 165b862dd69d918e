"""A team in one go: a job tags, a curator edits at one server, and another server shows it."""

import os
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.helpers.app_browser import TIMEOUT_MS, sign_in_at_freesound
from tests.helpers.app_server import ROOT, Server
from tests.servers.team import team


@pytest.fixture
def two_servers(tmp_path):
    """Two machines' servers on one shared workspace, filled from Freesound by the job."""
    servers = [Server(tmp_path / f"machine-{number}", start=False) for number in (1, 2)]
    with team(f"{servers[0].url}/auth/freesound/callback") as (_, hopsworks, settings):
        settings["EARMARK_FREESOUND_REQUESTS_FILE"] = str(tmp_path / "requests.sqlite")
        job = [sys.executable, "-m", "jobs", "tag", "--source", "freesound"]
        environment = (
            os.environ | settings | {"EARMARK_WORKSPACE": str(tmp_path / "the job's machine")}
        )
        done = subprocess.run(
            job, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        for server in servers:
            server.configure(**settings)
            server.start()
        yield (*servers, hopsworks)
        for server in servers:
            server.stop()


def test_an_edit_at_one_server_is_seen_at_another_and_waits_while_the_shared_workspace_is_away(
    chromium, two_servers
):
    first, second, hopsworks = two_servers
    page, other = chromium.new_page(), chromium.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(first.url)
    page.get_by_role("button", name="Sign in with Freesound").click()
    sign_in_at_freesound(page)
    card = page.locator("[class*='st-key-sound-']").first
    entry = card.locator("input[placeholder='Search or type a tag']")
    save = card.get_by_role("button", name="Save changes")
    entry.fill("seen everywhere")
    entry.press("Enter")
    save.click()
    expect(card.get_by_text("Saved here")).to_be_visible()

    other.goto(second.url)
    chip = other.locator("[class*='st-key-sound-']").first.locator(
        ".chip b", has_text="seen-everywhere"
    )
    for _ in range(20):
        if chip.count():
            break
        other.reload()
        other.locator(".chip b").first.wait_for()
    expect(chip).to_be_visible()
    assert not other.get_by_role("button", name="Save changes").count()  # nobody is signed in there

    hopsworks.fail("", times=None, status=503)
    entry.fill("later")
    entry.press("Enter")
    save.click()
    expect(card.get_by_text("Syncing with the shared workspace")).to_be_visible()
    hopsworks.heal()
    expect(card.get_by_text("Saved in the shared workspace")).to_be_visible(timeout=90_000)
