"""Workspaces on the Hopsworks double."""

from pathlib import Path

from pydantic import SecretStr

from core.workspace.hopsworks import Account, HopsworksWorkspace


def account_of(server, **changes) -> Account:
    given = {"host": server.host, "port": server.port, "project": server.project, "api_key": SecretStr(server.key)}
    return Account(**given | {"certificate": server.certificate} | changes)


def shared_workspace(server, folder: Path, shared_folder: str = "Resources/earmark", **more) -> HopsworksWorkspace:
    """A workspace of the double's project: one machine's part of it, in `folder`."""
    return HopsworksWorkspace(folder, account_of(server), shared_folder, **more)


def everything(workspace) -> set[str]:
    """All events as text."""
    return {event.to_json() for event in workspace.log()}
