"""Recognising folders that do not outlive a restart, as in many containers."""

import os
from pathlib import Path

EPHEMERAL_FILE_SYSTEMS = ("overlay", "tmpfs", "ramfs", "aufs", "9p")


def is_ephemeral_filesystem(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Return True if what is kept in the folder is probably lost with the next restart."""
    if os.environ.get("MODAL_TASK_ID"):
        return True
    return file_system(folder, mounts) in EPHEMERAL_FILE_SYSTEMS


def ephemeral_warning(folder: Path) -> str:
    """Return one sentence for people where the folder is ephemeral; nothing otherwise."""
    if not is_ephemeral_filesystem(folder):
        return ""
    return (
        f"{folder} is on a disk that may not outlive a restart: a correction that waits there to "
        "be sent could be lost with it."
    )


def file_system(folder: Path, mounts: Path) -> str:
    """Return the type of the file system that holds a folder, as Linux names it; "" elsewhere."""
    try:
        lines = [line.split() for line in mounts.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return ""
    path = folder.resolve()
    holding = [
        (len(fields[1]), fields[2])
        for fields in lines
        if len(fields) > 2 and path.is_relative_to(fields[1].replace("\\040", " "))
    ]
    return max(holding)[1] if holding else ""
