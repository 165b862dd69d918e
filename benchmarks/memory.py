"""Memory of the app: its server's process, from its start to many analysed clips (Linux)."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import harness
from benchmarks.browser import TIMEOUT_S, chromium, server

if TYPE_CHECKING:
    from playwright.sync_api import Page

MORE_CLIPS = 20


@contextmanager
def browser_page() -> Iterator["Page"]:
    """Open an empty page in Chromium.

    Raises:
        EarmarkError: Chromium is not installed.
    """
    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(1000 * TIMEOUT_S)
        yield page


def analyse(page: "Page", clip: Path) -> None:
    """Upload a clip on the open page, and wait for its tags."""
    page.locator("input[type=file]").set_input_files(clip)
    page.locator(".player .title", has_text=clip.name).wait_for()
    page.locator(".chip b").first.wait_for()


def megabytes(process_id: int) -> tuple[float, float]:
    """Return a process's resident set size, and its part of it where pages are shared (PSS)."""
    lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {name: int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}
    return kilobytes["Rss"] / 1024, kilobytes["Pss"] / 1024


def measure() -> list[tuple[str, str, str]]:
    """Return a row per step: its name, and the server's RSS and PSS after it."""
    rows: list[tuple[str, str, str]] = []
    first, *more = harness.clips(MORE_CLIPS + 1)
    with (
        tempfile.TemporaryDirectory() as folder,
        server(Path(folder) / "workspace") as (url, process_id),
        browser_page() as page,
    ):

        def note(step: str) -> None:
            resident, own = megabytes(process_id)
            rows.append((step, f"{resident:.0f}", f"{own:.0f}"))

        note("server started")
        page.goto(url)
        page.locator("h1").wait_for()
        note("first page")
        page.goto(f"{url}/try")
        analyse(page, first)
        note("model loaded, first clip")
        for clip in more:
            analyse(page, clip)
        note(f"{len(more)} more clips")
    return rows


def main() -> None:
    """Print the server's memory after each step."""
    harness.print_table("memory of the app's server, MB", ("", "RSS", "PSS"), measure())


if __name__ == "__main__":
    main()
