"""Twenty cards of the monitor in Chromium: the first view of a new server, and redraws."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import harness
from benchmarks.browser import TIMEOUT_S, VIEWPORT, chromium, server, tag_clips
from benchmarks.harness import Timing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CARDS = 20
PAGES = 2
STARTS = 5
TURNS = 10
MEASURE = """
([selector, isDrawn]) => new Promise(resolve => {
  const drawn = new Function(`return ${isDrawn}`)
  const button = document.querySelector(selector)
  const started = performance.now()
  button.click()
  const look = () => drawn() ? resolve(performance.now() - started) : requestAnimationFrame(look)
  look()
})
"""
"""Presses a button; gives the milliseconds until the frame in which its outcome is on the page."""


def main() -> None:
    """Print medians and quartiles in milliseconds."""
    os.environ["EARMARK_CURATOR"] = "Bench"
    os.environ["EARMARK_PAGE_SIZE"] = str(CARDS)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        workspace = Path(folder) / "workspace"
        tag_clips(workspace, CARDS * PAGES)
        timings = _first_views(workspace, browser) | _presses(workspace, browser)
    rows = [(name, str(timing), timing.spread) for name, timing in timings.items()]
    title = f"the monitor with {CARDS} cards, {VIEWPORT[0]} x {VIEWPORT[1]}, in Chromium"
    harness.print_table(title, ("", "median, ms", "quartiles"), rows)


def _first_views(workspace: Path, browser: "Browser") -> dict[str, Timing]:
    """Time the first view after a start: from the server's first answer to what is on the page."""
    first, whole = [], []
    for _ in range(STARTS):
        with server(workspace) as (url, _):
            started = time.perf_counter()
            page = _open(browser, url)
            first.append(1000 * (time.perf_counter() - started))
            page.locator(".editor .chips").nth(CARDS - 1).wait_for(state="attached")
            whole.append(1000 * (time.perf_counter() - started))
            page.context.close()
    return {
        "first view of a new server: the first card": Timing.of(first),
        f"first view of a new server: all {CARDS} cards": Timing.of(whole),
    }


def _open(browser: "Browser", url: str) -> "Page":
    """Open the list in a new context; returns when the first card can be seen."""
    width, height = VIEWPORT
    page = browser.new_context(viewport={"width": width, "height": height}).new_page()
    page.set_default_timeout(1000 * TIMEOUT_S)
    page.goto(url)
    page.locator(".player .title").first.wait_for()
    return page


def _presses(workspace: Path, browser: "Browser") -> dict[str, Timing]:
    """Time presses on a page that is open, on a server that has drawn it before."""
    with server(workspace) as (url, _):
        _open(browser, url).context.close()
        page = _open(browser, url)
        page.locator(".editor .chips").nth(CARDS - 1).wait_for(state="attached")
        keys = page.locator("[class*='st-key-confirm-']").evaluate_all(
            "all => all.map(each => each.className.match(/st-key-confirm-(\\S+)/)[1])"
        )
        timings = {
            "Confirm on a card": _timed(page, keys, _press_and_see("confirm", "Saved")),
            "Undo on a card": _timed(page, keys, _press_and_see("undo", "Review undone")),
            "Next or previous page": _timed(page, keys[:TURNS], _turn()),
        }
        page.context.close()
    return timings


Press = Callable[[str], tuple[str, str]]


def _timed(page: "Page", keys: list[str], press: Press) -> Timing:
    """Press once for each key; `press` gives the button's selector and what is then true."""
    return Timing.of([float(page.evaluate(MEASURE, list(press(key)))) for key in keys])


def _press_and_see(button: str, text: str) -> Press:
    """Return presses on a card's button after which its note begins with a text."""

    def press(key: str) -> tuple[str, str]:
        note = f"document.querySelector('.st-key-note-{key}')"
        return f".st-key-{button}-{key} button", f"{note}?.textContent.includes('{text}')"

    return press


def _turn() -> Press:
    """Return presses on Next and Previous in turns, after which other cards are there."""
    forward = iter([True, False] * TURNS)

    def press(_key: str) -> tuple[str, str]:
        name, number = ("next", 2) if next(forward) else ("previous", 1)
        drawn = f"document.querySelector('.st-key-pages')?.textContent.includes('Page {number}')"
        return f".st-key-{name}-page button", drawn

    return press


if __name__ == "__main__":
    main()
