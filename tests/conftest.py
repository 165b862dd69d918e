"""What several rooms' tests need: real clips where they are at hand, the starter, a fresh workspace."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CLIPS = ROOT.parent / "shared" / "data" / "freesound-mini"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch, tmp_path):
    """Tests do not depend on the settings of the person who runs them."""
    import os

    from core import settings

    for name in [name for name in os.environ if name.startswith(settings.PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "SECRETS_FILE", tmp_path / "no-secrets.toml")
    settings.settings.cache_clear()


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real clips with their clips.csv."""
    if not CLIPS.is_dir():
        pytest.skip("the real clips (shared/data/freesound-mini beside the project) are not on this machine")
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
