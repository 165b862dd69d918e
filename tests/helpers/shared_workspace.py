"""Workspaces on the Hopsworks double."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from core.events.types import Event
from core.storage.hopsworks import segments
from core.storage.hopsworks.client import Account
from core.storage.hopsworks.sync import HopsworksSync
from core.storage.hopsworks.workspace import open_shared_workspace
from core.storage.workspace import Workspace
from tests.servers.hopsworks import HopsworksServer

SHARED_FOLDER = "Resources/earmark"
EVENTS = f"{SHARED_FOLDER}/events"


class ServerAddress(Protocol):
    """What it takes to use a double."""

    @property
    def host(self) -> str:
        """Return its host name."""

    @property
    def port(self) -> int:
        """Return its port."""

    @property
    def project(self) -> str:
        """Return its project."""

    @property
    def key(self) -> str:
        """Return its API key."""

    @property
    def certificate(self) -> Path:
        """Return its certificate."""


def account_from(server: ServerAddress, **changes: Any) -> Account:
    """Return the account of the double's project, with changes."""
    fields: Mapping[str, Any] = {
        "host": server.host,
        "port": server.port,
        "project": server.project,
        "api_key": SecretStr(server.key),
        "certificate": server.certificate,
    }
    return Account(**{**fields, **changes})


def open_shared(
    server: ServerAddress,
    folder: Path,
    shared_folder: str = SHARED_FOLDER,
    prototype_file: str = "",
) -> Workspace:
    """Open a workspace of the double's project: one machine's part of it, in `folder`."""
    return open_shared_workspace(folder, account_from(server), shared_folder, prototype_file)


def compact(workspace: Workspace, min_files: int) -> int:
    """Repeat event files in segments, as a scheduled job does when there are very many."""
    assert isinstance(workspace.sync, HopsworksSync)
    return workspace.sync.compact(min_files)


def all_events(workspace: Workspace) -> set[str]:
    """Return all events as text."""
    return {event.to_json() for event in workspace.events.all()}


def put_event_file(
    server: HopsworksServer,
    *events: Event,
    day: str = "",
    name: str = "",
    data: bytes | None = None,
) -> str:
    """Leave an event file in the shared folder, as another machine would.

    Args:
        server: The double.
        events: What the file holds.
        day: Its folder; today's without it.
        name: Its name; a new one without it.
        data: Its bytes, in the place of `events`.

    Returns:
        Its path in the shared folder.
    """
    if data is None:
        data = segments.encode("events", [event.to_json() for event in events])
    path = segments.event_path(name or segments.new_name())
    if day:
        path = f"events/{day}/{path.rpartition('/')[2]}"
    server.store.put(f"{SHARED_FOLDER}/{path}", data)
    return path
