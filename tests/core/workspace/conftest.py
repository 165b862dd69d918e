import re
import types

import pytest
from shared import shared_workspace

from core.workspace.hopsworks import client
from core.workspace.local import LocalWorkspace
from tests.servers.hopsworks import HopsworksServer
from tests.servers.hopsworks_store import Store

NAME = re.compile(r"(?!.*__)[A-Za-z0-9._-]+")
"""What Hopsworks allows in a folder's name, and we in any."""


@pytest.fixture(scope="module")
def running_server():
    """One double for a module's tests: the client can be logged in to one server per process."""
    with HopsworksServer() as server:
        yield server
        client.disconnect()
        assert server.errors == []


@pytest.fixture
def server(running_server, monkeypatch):
    """The double with an empty project; save() does not sleep before it looks for the model that it registered."""
    client._client()
    from hsml.engine import model_engine

    monkeypatch.setattr(model_engine, "time", types.SimpleNamespace(sleep=lambda seconds: None))
    running_server.store = Store(running_server.project)
    running_server.requests.clear()
    yield running_server
    running_server.heal()
    running_server.before = running_server.after = lambda request: None
    for path in running_server.store.files("Resources/earmark"):
        assert all(NAME.fullmatch(part) and len(part) <= 88 for part in path.split("/")), path


@pytest.fixture(params=["local", "hopsworks"])
def opened(request, tmp_path):
    """Opens the same workspace anew, of either home, each in a folder of its own."""
    if request.param == "local":
        return lambda: LocalWorkspace(tmp_path / "workspace")
    server = request.getfixturevalue("server")
    return lambda: shared_workspace(server, tmp_path / "workspace")


@pytest.fixture
def workspace(opened):
    """A fresh workspace, of either home."""
    return opened()


@pytest.fixture
def shared(server, tmp_path):
    """Opens the shared home as the machine of that name would."""
    return lambda name, **more: shared_workspace(server, tmp_path / name, **more)
