"""A real browser on the app."""

import os
import re
import shutil

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
BROWSER_REQUIRED = os.environ.get("BROWSER_TESTS") == "required"
CHROMIUM_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-fake-device-for-media-stream "
    "--use-fake-ui-for-media-stream --autoplay-policy=no-user-gesture-required"
).split()
TIMEOUT_MS = 90_000
"""For two busy cores; nothing here measures time."""
LOCAL = re.compile(r"(http|ws)://(localhost|127\.0\.0\.1)[:/]|data:|blob:")


class Watcher:
    """Notes what a browser page should not do: `foreign` requests and script `problems`."""

    def __init__(self, page) -> None:
        self.foreign, self.problems = [], []
        page.on("request", self._request)
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def _request(self, request) -> None:
        if not LOCAL.match(request.url):
            self.foreign.append(request.url)


def card(page, place=0):
    return page.locator("[class*='st-key-sound-']").nth(place)


def entry(page, place=0):
    return card(page, place).get_by_role("combobox", name="Tags")


def press(page, action, place=0):
    """Press a card's button: with a help text Streamlit draws two and shows one."""
    card(page, place).locator(f"[class*='st-key-{action}-'] button:visible").click()


def choose(page, entry, place=0):
    """Choose an entry of a card's menu."""
    card(page, place).locator("[class*='st-key-more-'] button").click()
    page.get_by_role("menuitem", name=entry, exact=True).click()


def note(page, place=0):
    """What the card says after a press."""
    return card(page, place).locator("[class*='st-key-note-']")


def chips(page, place=0):
    return card(page, place).locator(".chip b")


def sign_in_at_freesound(page, name="alice", agree=True):
    """Fill in the double's login, and its consent page."""
    page.locator("input[name=username]").fill(name)
    page.locator("input[name=password]").fill(name)
    page.keyboard.press("Enter")
    page.locator("[name=allow]").wait_for()
    if agree:
        page.locator("[name=allow]").click()
