"""Retention: media of old runs leave the shared folder unless somebody decided about the sound."""

import re
from collections.abc import Iterable

from core.events.types import SoundEvent
from core.storage.hopsworks.client import Project
from core.storage.hopsworks.errors import (
    HopsworksError,
    PermanentError,
    Unavailable,
    Unreadable,
)
from core.storage.hopsworks.media import (
    KEPT_FOLDER,
    NAME,
    SharedFiles,
    media_prefixes,
    name_prefix,
)
from core.storage.hopsworks.shared_folder import SharedFolder

RUN_FOLDER = re.compile(r"media/\d{8}T\d+Z_\w+")
"""Nothing else is ever removed."""


def remove_old_runs(
    shared: SharedFolder,
    files: SharedFiles,
    keep_runs: int,
    decided: Iterable[list[SoundEvent]],
) -> int:
    """Remove the media folders of all but the last runs.

    Args:
        shared: The shared folder.
        files: Its media.
        keep_runs: How many runs' folders stay.
        decided: Histories of the sounds that somebody decided about: their media are copied to
            `kept` first. One that cannot be copied, because it is damaged, keeps its folder.

    Returns:
        The number of folders removed.

    Raises:
        HopsworksError: The shared folder cannot be read or changed.
    """
    project = shared.project()
    folders = [folder for folder in files.folders(project) if RUN_FOLDER.fullmatch(folder)]
    old = folders[:-keep_runs]
    needed = {prefix for history in decided for prefix in media_prefixes(history)} if old else set()
    removed = 0
    for folder in old:
        if _keep_needed(shared, files, project, folder, needed):
            project.remove(shared.path(folder))
            with shared.database.writing() as connection:
                shared.state.remove_folder(connection, folder)
            removed += 1
    return removed


def _keep_needed(
    shared: SharedFolder, files: SharedFiles, project: Project, folder: str, needed: set[str]
) -> bool:
    """Copy what is needed of a folder to `kept`; returns True if all of it is there now."""
    try:
        names = [
            name
            for name in shared.list_folder(project, folder)
            if NAME.fullmatch(name) and name_prefix(name) in needed
        ]
    except Unreadable:
        return False  # it is none of Earmark's, or damaged
    with shared.database.writing() as connection:
        shared.state.add_media(connection, folder, names)
    return all(_copy(shared, files, project, folder, name) for name in names)


def _copy(
    shared: SharedFolder, files: SharedFiles, project: Project, folder: str, name: str
) -> bool:
    """Copy a file to `kept`; returns False if it is damaged or not taken."""
    data = files.read(project, f"{folder}/{name}")
    if data is None:
        return False
    try:
        project.create_file(shared.path(f"{KEPT_FOLDER}/{name}"), data)
    except (Unavailable, PermanentError):
        raise
    except HopsworksError:
        return False
    with shared.database.writing() as connection:
        shared.state.add_media(connection, KEPT_FOLDER, [name])
    return True
