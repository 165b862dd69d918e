"""Alice, who publishes on the double of Freesound, over real HTTP."""

import pytest
from pydantic import SecretStr

from core.freesound.client import FreesoundClient
from core.freesound.rate_limit import Budget
from core.publishing.upload import Publisher
from tests.helpers.publishing import PLENTY, Uploader


@pytest.fixture
def app(freesound_server):
    unlimited = (10**9, 10**9)
    return freesound_server.state.add_client(
        "earmark", owner="alice", get_limits=unlimited, post_limits=unlimited
    )


@pytest.fixture
def alice(freesound_server, app):
    return Uploader(freesound_server, app)


@pytest.fixture
def client(freesound_server, app, tmp_path):
    budget = Budget(tmp_path / "budget.sqlite", PLENTY, freesound_server.now)
    return FreesoundClient(
        SecretStr(app.client_secret),
        budget,
        f"{freesound_server.url}/apiv2",
        sleep=freesound_server.advance,
    )


@pytest.fixture
def publisher(client, workspace, tmp_path, freesound_server):
    return Publisher(tmp_path / "publications", client, workspace, freesound_server.now)
