"""Memory of the app: its server's process, from its start to many analysed clips (Linux)."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import harness
from core.errors import EarmarkError

if TYPE_CHECKING:
    from playwright.sync_api import Page

MORE_CLIPS = 20
TIMEOUT_S = 120
POLL_INTERVAL_S = 0.1
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


@contextmanager
def server(workspace: Path) -> Iterator[tuple[str, int]]:
    """Serve the app on a free port of this machine; gives its address and process id."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"EARMARK_WORKSPACE": str(workspace)}
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py"]
    process = subprocess.Popen(
        [*command, f"--server.port={port}"],
        cwd=harness.ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://localhost:{port}"
        _wait_for(url, process)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the server answers.

    Raises:
        EarmarkError: It does not.
    """
    deadline = time.monotonic() + TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(POLL_INTERVAL_S)
    raise EarmarkError("The server did not start.")


@contextmanager
def browser_page() -> Iterator["Page"]:
    """Open an empty page in Chromium.

    Raises:
        EarmarkError: Chromium is not installed.
    """
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        raise EarmarkError("Chromium is not installed (on Debian: apt-get install chromium).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(BROWSER_FLAGS))
        page = browser.new_page()
        page.set_default_timeout(1000 * TIMEOUT_S)
        yield page
        browser.close()


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
