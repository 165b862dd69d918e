"""Whether a folder's disk lasts: on many hosts it goes with the container, and what waits in the outbox would go with it."""

import os
from pathlib import Path

PASSING = ("overlay", "tmpfs", "ramfs", "aufs", "9p")
"""File systems that containers and memory are made of."""


def passing_disk(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """One sentence if the folder probably does not outlive this machine's next restart; nothing if it does, or nobody can tell."""
    if os.environ.get("MODAL_TASK_ID") or file_system(folder, mounts) in PASSING:
        return f"{folder} is on a disk that may not outlive a restart: a correction that waits there to be sent could be lost with it."
    return ""


def file_system(folder: Path, mounts: Path) -> str:
    """The type of the file system that holds the folder, as Linux calls it; empty elsewhere."""
    try:
        lines = [line.split() for line in mounts.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return ""
    path = folder.resolve()
    holding = [(len(parts[1]), parts[2]) for parts in lines if len(parts) > 2 and path.is_relative_to(parts[1].replace("\\040", " "))]
    return max(holding)[1] if holding else ""
