"""Two maintainers at one server: compare, deploy, reject, and roll back."""

import pytest
from playwright.sync_api import expect

from core.storage.active_model import active_version
from core.storage.local import open_local_workspace
from tests.helpers.app_browser import TIMEOUT_MS, Watcher
from tests.helpers.model_versions import add_challenger
from tests.helpers.waiting import wait_until


@pytest.fixture
def challenger(own_workspace, tmp_path):
    return add_challenger(open_local_workspace(own_workspace), tmp_path / "challenger")


@pytest.fixture
def maintainers(chromium, own_workspace, challenger, server):
    """Two browsers that have the versions open, of two maintainers on this machine."""
    contexts = [chromium.new_context(viewport={"width": 1400, "height": 1000}) for _ in range(2)]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        page.set_default_timeout(TIMEOUT_MS)
        page.watcher = Watcher(page)
        page.goto(f"{server.url}/metrics?view=versions")
        page.get_by_role("heading", name="Model metrics").wait_for()
    yield pages
    for context in contexts:
        context.close()


def in_dialog(page, label, reason):
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_label("Reason").press("Tab")
    dialog.get_by_role("button", name=label, exact=True).click()
    expect(dialog).to_be_hidden()


def assert_tags_with(page, server, clip, model):
    """Try a clip in a running app, and see which version suggests its tags."""
    page.goto(f"{server.url}/try")
    page.locator("input[type=file]").set_input_files(clip)
    expect(page.get_by_text(f"Suggested by {model}.")).to_be_visible()


def test_one_deploys_the_other_sees_it_and_rolls_back(
    maintainers, own_workspace, challenger, server, examples
):
    first, second = maintainers
    workspace = open_local_workspace(own_workspace)
    default = active_version(workspace)
    expect(first.get_by_text("The challenger is better").first).to_be_visible()
    first.get_by_role("button", name="Deploy ...").click()
    expect(first.get_by_role("dialog").get_by_text("12% of 400 test clips")).to_be_visible()
    in_dialog(first, "Deploy", "finds rain more often")
    expect(first.get_by_text("Deployed:")).to_be_visible()
    assert active_version(workspace) == challenger
    assert_tags_with(first, server, examples / "siren.ogg", challenger)

    second.reload()
    expect(second.get_by_text("finds rain more often")).to_be_visible()
    second.get_by_role("button", name=f"Roll back to {default}").click()
    expect(second.get_by_text("Deployed:")).to_be_visible()
    wait_until(lambda: active_version(workspace) == default)
    assert_tags_with(first, server, examples / "siren.ogg", default)
    for page in maintainers:
        assert page.watcher.problems == []
        assert page.watcher.foreign == []


def test_what_one_rejects_the_other_is_told(maintainers, challenger):
    first, second = maintainers
    first.get_by_role("button", name="Reject ...").click()
    in_dialog(first, "Reject", "worse on birds")
    expect(first.get_by_text("Rejected:")).to_be_visible()
    second.goto(f"{second.url}&version={challenger}".replace(" ", "%20"))
    expect(second.get_by_text("worse on birds")).to_be_visible()
    expect(second.get_by_role("button", name="Reject ...")).to_have_count(0)
