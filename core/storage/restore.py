"""Bringing a backup back: `restore`."""

import logging
from collections.abc import Iterator
from pathlib import Path

from core.files import bring_to_disk
from core.storage.archive import (
    KEPT_FILES,
    KEPT_FOLDERS,
    About,
    BackupError,
    about_archive,
    about_text,
    read_archive,
)
from core.storage.folder import DATABASE_NAME, has_workspace

logger = logging.getLogger(__name__)

STAGING, VERIFIED = ".restoring", ".verified"


def restore(file: Path, folder: Path) -> About:
    """Bring a backup back into a folder without a workspace.

    The workspace is there once all of it was read and checked. Interrupted, the next call for the
    same file begins anew, or finishes what was checked already.

    Args:
        file: The archive.
        folder: Where the workspace goes.

    Returns:
        What the archive says of itself.

    Raises:
        BackupError: The file is no complete backup, or the folder holds a workspace.
    """
    if not file.is_file():
        raise BackupError(f"There is no file {file}.")
    about = about_archive(file)
    staging = folder / STAGING
    is_verified = _verified(staging) == about_text(about)
    present = [name for name in (*KEPT_FILES, *KEPT_FOLDERS) if (folder / name).exists()]
    if has_workspace(folder) or (present and not is_verified):
        reason = f"{folder} holds a workspace already, which a restore does not overwrite"
        raise BackupError(f"{reason}. EARMARK_WORKSPACE names another folder.")
    try:
        if not is_verified:
            read_archive(file, lambda name, chunks: _extract(staging / name, chunks))
            bring_to_disk(staging)
            (staging / VERIFIED).write_bytes(about_text(about))
        _move(staging, folder)
    except OSError as error:
        reason = f"{folder} cannot be written ({error.strerror or error})"
        raise BackupError(f"{reason}; nothing was restored.") from error
    logger.info("restore file=%s folder=%s created=%s", file, folder, about.created)
    return about


def _verified(staging: Path) -> bytes:
    """Return what the backup says of itself that is read and checked already; empty if none is."""
    try:
        return (staging / VERIFIED).read_bytes()
    except OSError:
        return b""


def _extract(path: Path, chunks: Iterator[bytes]) -> None:
    """Write a file of the archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)


def _move(staging: Path, folder: Path) -> None:
    """Give the files their places, the database last: it is what makes a folder a workspace."""
    names = [path.name for path in staging.iterdir() if path.name not in (VERIFIED, DATABASE_NAME)]
    for name in [*sorted(names), DATABASE_NAME]:
        (staging / name).replace(folder / name)
    bring_to_disk(folder / DATABASE_NAME)
    (staging / VERIFIED).unlink()
    staging.rmdir()
