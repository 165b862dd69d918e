"""Trying what an API key may do, without leaving anything behind."""

import uuid
from contextlib import suppress

from core.storage.active_model import DEFAULT_MODEL_NAMES
from core.storage.hopsworks.client import Account, Project, connect
from core.storage.hopsworks.errors import HopsworksError, NotFound

PROBE = b"Earmark tries whether it may write here.\n"


def missing_rights(account: Account, shared_folder: str) -> list[str]:
    """Try to write and delete a small file, and to read the model registry.

    Args:
        account: The project.
        shared_folder: Its folder; where that is not there yet, the nearest one above is tried.

    Returns:
        A sentence for each right that is missing; empty if the key may do everything.

    Raises:
        HopsworksError: The project cannot be opened.
    """
    project = connect(account)
    folder = _existing_folder(project, shared_folder.strip("/"))
    problems = _try_files(project, f"{folder}/doctor-{uuid.uuid4().hex}.txt")
    try:
        project.list_models(DEFAULT_MODEL_NAMES[0])
    except HopsworksError as error:
        problems.append(f"The model registry cannot be read: {error}")
    return problems


def _existing_folder(project: Project, folder: str) -> str:
    """Return the folder, or the nearest one above it that exists."""
    above = folder.rpartition("/")[0]
    try:
        project.list_names(folder)
    except NotFound:
        if not above:
            raise
        return _existing_folder(project, above)
    return folder


def _try_files(project: Project, path: str) -> list[str]:
    """Write a file and delete it; returns what does not work."""
    problems = []
    try:
        project.create_file(path, PROBE)
    except HopsworksError as error:
        problems.append(f"Files cannot be written: {error}")
        with suppress(HopsworksError):
            project.remove(path)  # it may be there all the same
        return problems
    try:
        project.remove(path)
    except HopsworksError as error:
        problems.append(f"Files cannot be deleted, so {path} stays behind: {error}")
    return problems
