"""The app, served as `streamlit run` serves it."""

import os
import socket
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.helpers import served_app

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
        output, name = tempfile.mkstemp(prefix="earmark-server-", suffix=".log")
        os.close(output)
        self._output = Path(name)
        self._process = served_app.start(self._script, self._environment, self._output)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_healthy():
            assert self._process.is_alive(), self._output.read_text("utf-8")
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
        """End it, unless it has ended; returns what it printed."""
        self._process.terminate()
        self._process.join(STOP_TIMEOUT_S)
        assert not self._process.is_alive(), "the server did not stop"
        if self._output.exists():
            self._printed = self._output.read_text("utf-8")
            self._output.unlink()
        return self._printed


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])
