import re
import sqlite3
import threading
import types

import pytest

from core.storage.folder import DATABASE_NAME
from core.storage.hopsworks import client
from core.storage.local import open_local_workspace
from tests.helpers.shared_workspace import SHARED_FOLDER, open_shared
from tests.servers.hopsworks import HopsworksServer, Store

ALLOWED_NAME = re.compile(r"(?!.*__)[A-Za-z0-9._-]+")
"""What Hopsworks allows in a folder's name, and Earmark in any."""
MAX_NAME_LENGTH = 88


@pytest.fixture(scope="module")
def running_server():
    """Run one double for a module's tests: a process can be logged in to one server only."""
    with HopsworksServer() as server:
        yield server
        client.disconnect()
        assert server.errors == []


@pytest.fixture
def server(running_server, monkeypatch):
    """The double with an empty project; the client does not sleep after registering a model."""
    client.load_client()
    from hsml.engine import model_engine

    no_sleep = types.SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr(model_engine, "time", no_sleep)
    running_server.store = Store(running_server.project)
    running_server.requests.clear()
    yield running_server
    running_server.heal()
    running_server.before = running_server.after = lambda request: None
    for path in running_server.store.files(SHARED_FOLDER):
        for name in path.split("/"):
            assert ALLOWED_NAME.fullmatch(name), path
            assert len(name) <= MAX_NAME_LENGTH, path


@pytest.fixture(params=["local", "hopsworks"])
def opened(request, tmp_path):
    """Open the same workspace anew, local or shared, each in a folder of its own."""
    if request.param == "local":
        return lambda: open_local_workspace(tmp_path / "workspace")
    server = request.getfixturevalue("server")
    return lambda: open_shared(server, tmp_path / "workspace")


@pytest.fixture
def workspace(opened):
    """A new workspace, local or shared."""
    return opened()


@pytest.fixture
def shared(server, tmp_path):
    """Open the shared workspace as the machine of that name would."""
    return lambda name, **options: open_shared(server, tmp_path / name, **options)


@pytest.fixture
def until():
    """Wait for a condition that another thread brings about."""

    def wait(condition):
        waiting = threading.Event()
        for _ in range(2000):
            if condition():
                return
            waiting.wait(0.01)
        pytest.fail("it never came about")

    return wait


@pytest.fixture
def run_sql():
    """Run a statement in a workspace's database, past the program; returns its rows."""

    def execute(workspace, statement, parameters=()):
        with sqlite3.connect(workspace.folder / DATABASE_NAME) as connection:
            return connection.execute(statement, parameters).fetchall()

    return execute
