"""The app, served as `streamlit run` serves it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20
POLL_INTERVAL_S = 0.05


class Server:
    """`streamlit run` on a free port of this machine."""

    def __init__(
        self,
        workspace: Path,
        *,
        script: Path = ROOT / "streamlit_app.py",
        start: bool = True,
        **environment: str,
    ) -> None:
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self._script = script
        self._environment = os.environ | {
            "EARMARK_WORKSPACE": str(workspace),
            "STREAMLIT_SERVER_PORT": str(self.port),
            "PYTHONPATH": str(ROOT),
        }
        self.configure(**environment)
        if start:
            self.start()

    def configure(self, **environment: str) -> None:
        """Settings for the next start."""
        self._environment = self._environment | environment

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", str(self._script)],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_healthy():
            assert self._process.poll() is None, self._process.communicate()[1].decode()
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(POLL_INTERVAL_S)

    def _is_healthy(self) -> bool:
        base = self._environment.get("STREAMLIT_SERVER_BASE_URL_PATH", "")
        path = f"/{base}/_stcore/health" if base else "/_stcore/health"
        try:
            with urllib.request.urlopen(self.url + path, timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> str:
        """End it; returns what it printed."""
        self._process.terminate()
        output, errors = self._process.communicate(timeout=STOP_TIMEOUT_S)
        return (output + errors).decode()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])
