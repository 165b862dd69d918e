"""Fixtures of all tests: real clips where they are at hand, the default model, a new workspace."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from core.model.predictor import Predictor
    from core.storage.workspace import Workspace
    from tests.servers.freesound import FreesoundServer

ROOT = Path(__file__).parents[1]
os.environ["EARMARK_SECRETS_FILE"] = os.devnull  # also for the processes that tests start
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # the suite runs in a shell's background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and they are to hear Ctrl-C
REAL_DATA_REQUIRED = os.environ.get("REAL_DATA") == "required"
CLIPS = ROOT.parent / "shared" / "data" / "freesound-mini"
PRETRAINED = ROOT.parent / "shared" / "models" / "mn04_as_mAP_432.pt"
SLOW_FILES = (
    "tests/app/test_browser.py",
    "tests/app/test_desk.py",
    "tests/app/test_monitor_browser.py",
    "tests/app/test_accessibility.py",
    "tests/app/test_browser_publish.py",
    "tests/core/storage/test_hopsworks_faults.py",
    "tests/app/test_markup.py",
    "tests/app/test_sign_in.py",
    "tests/training/test_training_command.py",
    "tests/app/test_browser_load.py",
    "tests/app/test_container.py",
    "tests/training/test_trainer.py",
    "tests/jobs/test_team_tagging.py",
    "tests/app/test_browser_team.py",
)
"""Files that take half a minute or more, the slowest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow files: started last, one would keep one worker busy alone."""
    order = {ROOT / name: place for place, name in enumerate(SLOW_FILES)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests do not depend on the settings of the person who runs them."""
    from core import settings

    for name in list(os.environ):
        if name.startswith(settings.PREFIX) and name != settings.SECRETS_VARIABLE:
            monkeypatch.delenv(name)
    monkeypatch.delenv("FREESOUND_API_KEY", raising=False)
    requests_file = tmp_path / "freesound-requests.sqlite"
    monkeypatch.setenv("EARMARK_FREESOUND_REQUESTS_FILE", str(requests_file))
    settings.settings.cache_clear()


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """A command that a test runs in this process sets up the log for itself only."""
    from core.logging import PACKAGES

    root, loggers = logging.getLogger(), [logging.getLogger(name) for name in PACKAGES]
    handlers, levels = root.handlers[:], [logger.level for logger in loggers]
    yield
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real clips with their clips.csv."""
    if not CLIPS.is_dir():
        (pytest.fail if REAL_DATA_REQUIRED else pytest.skip)(
            "the real clips (shared/data/freesound-mini beside the project) are not on this machine"
        )
    return CLIPS


@pytest.fixture(scope="session")
def pretrained_file() -> Path:
    """The published weights of EfficientAT mn04."""
    if not PRETRAINED.is_file():
        (pytest.fail if REAL_DATA_REQUIRED else pytest.skip)(
            "the published weights (shared/models beside the project) are not on this machine"
        )
    return PRETRAINED


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of example sounds."""
    return ROOT / "examples" / "sounds"


@pytest.fixture(scope="session")
def predictor() -> "Predictor":
    """The model that ships with the project, loaded."""
    from core.model.predictor import Predictor

    return Predictor.from_folder()


@pytest.fixture
def workspace(tmp_path: Path) -> "Workspace":
    """A new workspace of this machine alone."""
    from core.storage.local import open_local_workspace

    return open_local_workspace(tmp_path / "workspace")


@pytest.fixture
def freesound_server() -> Iterator["FreesoundServer"]:
    """The local double of freesound.org with two people, alice and bob; it must not fail itself."""
    from tests.servers.freesound import FreesoundServer

    with FreesoundServer() as server:
        server.state.add_user("alice")
        server.state.add_user("bob")
        yield server
        assert server.errors == []
