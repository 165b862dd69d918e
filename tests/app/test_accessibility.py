"""Every page under axe: nothing serious or moderate, in light and dark, signed in and not."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.helpers import app_browser
from tests.helpers.app_browser import card, choose, sign_in_at_freesound
from tests.helpers.app_pages import describe_sounds
from tests.helpers.app_server import Server
from tests.servers.team import team

pytestmark = pytest.mark.browser
PAGES = (
    ("/", "Monitor"),
    ("/?mode=review", "Monitor"),
    ("/try", "Try your sound"),
    ("/many", "Batch"),
    ("/metrics", "Model metrics"),
)
SEVERE = ("moderate", "serious", "critical")


def findings(page) -> list[str]:
    """What axe objects to: one line for each rule and element.

    Streamlit puts an open menu at the end of the page, outside its landmarks; a menu has the focus
    while it is open, so that nobody looks for it there.
    """
    violations = Axe().run(page).response["violations"]
    return [
        f"{violation['id']} ({violation['impact']}): {node['target']} {node['html'][:200]}"
        for violation in violations
        if violation["impact"] in SEVERE
        for node in violation["nodes"]
        if not (violation["id"] == "region" and 'role="menu"' in node["html"])
    ]


def opened(context, address, title):
    """A page that has drawn everything."""
    page = context.new_page()
    page.set_default_timeout(app_browser.TIMEOUT_MS)
    page.goto(address)
    expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()
    expect(page.locator("[data-testid=stStatusWidget]")).to_have_count(0)
    page.wait_for_load_state("networkidle")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_or_moderate_finding(chromium, server, own_workspace, scheme):
    describe_sounds(own_workspace)
    context = opened_in(chromium, scheme)
    problems = []
    for path, title in PAGES:
        page = opened(context, server.url + path, title)
        if "mode" not in path and title == "Monitor":
            expect(card(page).locator(".title")).not_to_be_empty()
        problems += [f"{path}: {finding}" for finding in findings(page)]
        page.close()
    context.close()
    assert problems == []


def opened_in(chromium, scheme):
    """A browser's context in a color scheme."""
    return chromium.new_context(
        viewport={"width": 1440, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )


@pytest.mark.parametrize("scheme", ["dark"])  # where contrast is scarce
def test_open_dialogs_and_menus_have_no_serious_or_moderate_finding(
    chromium, server, own_workspace, scheme
):
    describe_sounds(own_workspace)
    context = opened_in(chromium, scheme)
    page = opened(context, server.url, "Monitor")
    dialog = page.get_by_role("dialog")
    problems = []

    def check(name, is_open):
        expect(is_open).to_be_visible()
        problems.extend(f"{name}: {finding}" for finding in findings(page))
        page.keyboard.press("Escape")
        expect(is_open).to_have_count(0)

    for entry in ("History", "Similar sounds", "Withdraw"):
        choose(page, entry)
        check(entry, dialog)
    for entry in ("Bulk edit", "Export", "Your work", "Agreement of curators"):
        page.locator(".st-key-tools button").click()
        page.get_by_role("menuitem", name=entry).click()
        check(entry, dialog)
    page.locator(".st-key-filter-popover button").first.click()
    check("Filters", page.get_by_role("button", name="Clear filters"))
    page.locator(".st-key-saved-views button").first.click()
    check("Views", page.get_by_role("button", name="Save view"))
    page.locator("[class*='st-key-more-'] button").first.click()
    check("More", page.get_by_role("menuitem", name="History", exact=True))
    app_browser.entry(page).fill("dog")
    expect(card(page).get_by_role("listbox").get_by_role("option").first).to_be_visible()
    problems += [f"typing: {finding}" for finding in findings(page)]
    context.close()
    assert problems == []


def test_buttons_of_the_cards_have_different_names_and_say_what_they_show(page):
    expect(card(page).get_by_role("button", name="Confirm: ")).to_be_visible()
    names = page.locator(".st-key-cards button:visible").evaluate_all(
        """buttons => buttons.map(button => [
            button.getAttribute("aria-label") || button.innerText, button.innerText.trim()])"""
    )
    assert len({name for name, _ in names}) == len(names)


def test_a_save_is_announced(page):
    region = page.locator("#earmark-live")
    expect(region).to_have_attribute("aria-live", "polite")
    app_browser.press(page, "confirm")
    expect(region).to_contain_text("Saved")


@pytest.fixture
def shared_server(tmp_path):
    """A server where people sign in, on a workspace that they share."""
    server = Server(tmp_path / "machine", start=False)
    with team(f"{server.url}/auth/freesound/callback") as (_, _, settings):
        settings["EARMARK_FREESOUND_REQUESTS_FILE"] = str(tmp_path / "requests.sqlite")
        server.configure(**settings)
        server.start()
        yield server
        server.stop()


SHARED_PAGES = (
    ("/", "Monitor"),
    ("/?mode=review", "Monitor"),
    ("/try", "Try your sound"),
    ("/many", "Batch"),
    ("/uploads", "Your uploads"),
    ("/metrics", "Model metrics"),
)


@pytest.mark.parametrize("scheme", ["dark"])  # where contrast is scarce
def test_pages_of_visitors_and_of_people_who_signed_in_have_no_finding(
    chromium, shared_server, scheme
):
    problems = []
    context = opened_in(chromium, scheme)
    for viewer in ("visitor", "signed in"):
        for path, title in SHARED_PAGES:
            page = opened(context, shared_server.url + path, title)
            problems += [f"{viewer}, {path}: {finding}" for finding in findings(page)]
            page.close()
        if viewer == "visitor":
            page = opened(context, shared_server.url, "Monitor")
            page.get_by_role("button", name="Sign in with Freesound").click()
            sign_in_at_freesound(page)
            expect(page.get_by_role("button", name="Sign out")).to_be_visible()
            page.close()
    context.close()
    assert problems == []
