"""What several rooms' tests need: real clips where they are at hand, the starter, a fresh workspace."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
os.environ["EARMARK_SECRETS_FILE"] = os.devnull  # also for the processes that tests start
REAL_DATA_REQUIRED = os.environ.get("REAL_DATA") == "required"
CLIPS = ROOT.parent / "shared" / "data" / "freesound-mini"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch, tmp_path):
    """Tests do not depend on the settings of the person who runs them."""
    from core import settings

    for name in [name for name in os.environ if name.startswith(settings.PREFIX) and name != settings.SECRETS_VARIABLE]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("FREESOUND_API_KEY", raising=False)
    monkeypatch.setenv("EARMARK_FREESOUND_LEDGER", str(tmp_path / "freesound-requests.sqlite"))
    settings.settings.cache_clear()


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real clips with their clips.csv."""
    if not CLIPS.is_dir():
        (pytest.fail if REAL_DATA_REQUIRED else pytest.skip)(
            "the real clips (shared/data/freesound-mini beside the project) are not on this machine"
        )
    return CLIPS


@pytest.fixture(scope="session")
def examples() -> Path:
    return ROOT / "examples" / "sounds"


@pytest.fixture(scope="session")
def starter():
    """The shipped model, ready to listen."""
    import torch

    from core.model.tagger import Tagger

    torch.set_num_threads(1)
    return Tagger.from_folder()


@pytest.fixture
def workspace(tmp_path):
    from core.workspace.local import LocalWorkspace

    return LocalWorkspace(tmp_path / "workspace")


@pytest.fixture
def freesound_server():
    """The local double of freesound.org with two people, alice and bob; it must not have failed itself."""
    from tests.servers.freesound import FreesoundServer

    with FreesoundServer() as server:
        server.state.add_user("alice")
        server.state.add_user("bob")
        yield server
        assert server.errors == []
