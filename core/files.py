"""Files that a reader never sees half written."""

import logging
import os
import re
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

ABANDONED_S = 24 * 3600
"""A file that is being written exists for seconds; after a day its process is gone."""
_PARTIAL_NAME = re.compile(r"\.[0-9a-f]{32}\.partial")
MAX_SINGLE_SYNCS = 8
"""More files than that are brought to the disk by one sync of everything, which is faster."""


def write_atomic(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write a file as a whole or not at all; missing folders are created.

    Args:
        path: Where the file goes; an older one is replaced.
        data: Its bytes. They are on the disk when this returns.
        private: Nobody but the user of this process can read it, at no moment.

    Raises:
        OSError: The file cannot be written; an older one is unchanged.
    """
    write_all_atomic([(path, data)], private=private)


def write_all_atomic(files: Iterable[tuple[Path, bytes]], *, private: bool = False) -> None:
    """Write many files, each as a whole or not at all; missing folders are created.

    No file gets its name before the bytes of all of them are on the disk: neither a killed process
    nor a power cut leaves half a file. They wait for the disk together, so this is much faster
    than writing one after the other.

    Args:
        files: Path and bytes of each; an older file is replaced. All of them are on the disk when
            this returns.
        private: Nobody but the user of this process can read them.

    Raises:
        OSError: A file cannot be written. Those that are replaced already are whole.
    """
    partials: dict[Path, Path] = {}
    folders: set[Path] = set()
    try:
        for path, data in files:
            if path.parent not in folders:
                path.parent.mkdir(parents=True, exist_ok=True)
                folders.add(path.parent)
            partial = path.with_name(f".{uuid.uuid4().hex}.partial")
            partials[partial] = path
            if private:
                partial.touch(mode=0o600, exist_ok=False)
            partial.write_bytes(data)
        _sync(list(partials))
        for partial, path in list(partials.items()):
            partial.replace(path)
            del partials[partial]
        _sync(sorted(folders))
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> int:
    """Remove what killed processes left behind of files that they were writing.

    Args:
        folder: Is searched with its subfolders. Only files go that `write_atomic` names so, and
            that were not touched for `ABANDONED_S` seconds.

    Returns:
        The number of files removed. One that cannot be removed stays, and is logged.
    """
    removed, latest = 0, time.time() - ABANDONED_S
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names if _PARTIAL_NAME.fullmatch(name)):
            try:
                if path.lstat().st_mtime < latest:
                    path.unlink()
                    removed += 1
            except OSError as error:
                logger.warning("partial file stays path=%s reason=%s", path, error.strerror)
    if removed:
        logger.info("partial files removed count=%d folder=%s", removed, folder)
    return removed


def write_chunks_atomic(path: Path, chunks: Iterable[bytes]) -> int:
    """Write a file of any length as a whole or not at all; missing folders are created.

    Args:
        path: Where the file goes; an older one is replaced.
        chunks: Its bytes; only one chunk is in memory at a time.

    Returns:
        How many bytes were written. They are on the disk when this returns.

    Raises:
        OSError: The file cannot be written; an older one is unchanged, also if `chunks` raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        with partial.open("wb") as file:
            size = sum(file.write(chunk) for chunk in chunks)
        _sync([partial])
        partial.replace(path)
        _sync([path.parent])
    finally:
        partial.unlink(missing_ok=True)
    return size


def bring_to_disk(path: Path) -> None:
    """Return when a file, or a folder with everything in it, is on the disk.

    Raises:
        OSError: It cannot be written.
    """
    if sys.platform == "linux":
        os.sync()  # other systems only begin to write
        return
    _sync([path])
    for inner in path.rglob("*"):
        _sync([inner])


def _sync(paths: Sequence[Path]) -> None:
    """Return when these files or folders, and the names in them, are on the disk."""
    if sys.platform == "linux" and len(paths) > MAX_SINGLE_SYNCS:
        os.sync()  # other systems only begin to write
        return
    for path in paths:
        if path.is_dir() and os.name != "posix":
            continue  # elsewhere folders cannot be opened
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
