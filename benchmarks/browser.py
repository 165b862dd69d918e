"""The app's server and Chromium, for the benchmarks that measure pages."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import harness
from core.errors import EarmarkError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TIMEOUT_S = 120
POLL_INTERVAL_S = 0.1
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
)
VIEWPORT = (1440, 900)


@contextmanager
def server(workspace: Path, program: Path = harness.ROOT) -> Iterator[tuple[str, int]]:
    """Serve the app on a free port of this machine; gives its address and process id.

    Args:
        workspace: Its workspace.
        program: The folder of the app's source.
    """
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"EARMARK_WORKSPACE": str(workspace)}
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py"]
    process = subprocess.Popen(
        [*command, f"--server.port={port}"],
        cwd=program,
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
def chromium() -> Iterator["Browser"]:
    """Start Chromium.

    Raises:
        EarmarkError: It is not installed.
    """
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        raise EarmarkError("Chromium is not installed (on Debian: apt-get install chromium).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(BROWSER_FLAGS))
        yield browser
        browser.close()


def tag_clips(workspace: Path, limit: int, program: Path = harness.ROOT) -> None:
    """Tag up to `limit` of the clips in a new workspace, by the command of the source in `program`.

    Args:
        workspace: Its folder, which is made.
        limit: Sounds at most.
        program: The folder of the app's source.

    Raises:
        EarmarkError: They cannot be tagged.
    """
    sounds = workspace.parent / f"sounds-of-{workspace.name}"
    sounds.mkdir()
    for path in harness.clips(limit):
        shutil.copy(path, sounds)
    settings = {"EARMARK_WORKSPACE": str(workspace), "EARMARK_SOUNDS": str(sounds)}
    command = [sys.executable, "-m", "jobs", "tag", "--source", "folder", "--limit", str(limit)]
    done = subprocess.run(command, cwd=program, env=os.environ | settings, capture_output=True)
    if done.returncode:
        raise EarmarkError(f"The clips cannot be tagged: {done.stderr.decode()[-300:]}")
