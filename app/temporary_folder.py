"""Where temporary files go: uploads on their way, and people's own clips for an hour."""

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from app.temporary_media import PREFIX
from core.errors import EarmarkError

VARIABLE, FOLDER_NAME = "TMPDIR", "tmp"
MAX_AGE_S = 24 * 3600


def prepare_temporary_folder(workspace: Path) -> Path:
    """Make the folder that TMPDIR names, or one in the workspace where the system has none.

    Programs that this one starts find it too. Clips that a killed server left in it are removed
    after a day, as the pages promise.

    Args:
        workspace: The workspace's folder, the one place that can be written for certain.

    Returns:
        The folder that temporary files go to from now on.

    Raises:
        EarmarkError: There is none.
    """
    folder = _system_folder() or _folder_in(workspace)
    _remove_old_clips(folder)
    return folder


def _system_folder() -> Path | None:
    """Return the folder that TMPDIR names, or another of the system's; None if none is usable."""
    try:
        if named := os.environ.get(VARIABLE):
            Path(named).mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.tempdir = None  # before, it may not have been there
        return Path(tempfile.gettempdir())
    except OSError:
        return None


def _folder_in(workspace: Path) -> Path:
    """Use a folder of the workspace."""
    folder = workspace / FOLDER_NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = f"There is no folder for temporary files, and {folder} cannot be made"
        raise EarmarkError(f"{reason}: {error.strerror}.") from error
    tempfile.tempdir = os.environ[VARIABLE] = str(folder)
    return folder


def _remove_old_clips(folder: Path) -> None:
    """Remove clips that nobody has touched for a day; the folders may be another server's."""
    for clips in folder.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another server may be removing its folder just now
            for path in list(clips.iterdir()):
                _remove_if_old(path)


def _remove_if_old(path: Path) -> None:
    with suppress(OSError):
        if path.lstat().st_mtime < time.time() - MAX_AGE_S:
            path.unlink()
