"""The feedback view in a real browser: drawn whole, accessible, and the same for two people."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from core.events.fold import confirm, fold
from core.events.types import Predicted, Sound, Suggestion, new_event
from core.storage.active_model import resolve_model
from core.storage.local import open_local_workspace
from core.storage.tag_thresholds import current_thresholds
from tests.helpers import app_browser

pytestmark = pytest.mark.browser
PATH = "/metrics?view=feedback"
SEVERE = ("moderate", "serious", "critical")


def judge(folder, sounds=60):
    """Add sounds whose suggestion *dog* was judged: below .7 it is often wrong."""
    workspace = open_local_workspace(folder)
    model = resolve_model(workspace).model
    for number in range(1, sounds + 1):
        low = number % 2
        probability = 0.3 + number / 200 if low else 0.7 + number / 250
        top = (Suggestion(tag="dog", probability=probability, above_threshold=True),)
        payload = Predicted(model=model, top=top, sound=Sound(title="a sound", source="test"))
        shown = new_event(payload, f"freesound:{number}", "job")
        is_right = number % 6 == 1 if low else number % 20 != 0
        workspace.events.append([shown, confirm(fold([shown]), ["dog"] * is_right, "ada")])
    return workspace, model


def opened(context, server):
    page = context.new_page()
    page.set_default_timeout(app_browser.TIMEOUT_MS)
    page.goto(server.url + PATH)
    expect(page.get_by_role("heading", name="Agreement with uploaders' tags")).to_be_visible()
    expect(page.locator("[data-testid=stSkeleton]")).to_have_count(0)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_view_is_accessible_and_fits_a_narrow_screen(chromium, server, own_workspace, scheme):
    judge(own_workspace)
    context = chromium.new_context(
        viewport={"width": 420, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = opened(context, server)
    violations = Axe().run(page).response["violations"]
    assert [each["id"] for each in violations if each["impact"] in SEVERE] == []
    root = page.locator("html")
    assert root.evaluate("page => page.scrollWidth <= page.clientWidth")
    context.close()


def test_thresholds_that_one_maintainer_uses_another_reverts(chromium, server, own_workspace):
    workspace, model = judge(own_workspace)
    ada, ben = chromium.new_context(), chromium.new_context()
    page = opened(ada, server)
    page.get_by_text("85%", exact=True).click()
    page.get_by_role("button", name="Use 85% for 1 tag").click()
    expect(page.get_by_text("1 threshold for sounds that are predicted")).to_be_visible()
    assert list(current_thresholds(workspace, model)) == ["dog"]
    other = opened(ben, server)
    expect(other.get_by_text("learned for 85%")).to_be_visible()
    other.get_by_role("button", name="Revert").click()
    expect(other.get_by_text("reverted: dog own")).to_be_visible()
    assert current_thresholds(workspace, model) == {}
    ada.close()
    ben.close()
