"""Files that a reader never sees half written."""

import os
import uuid
from pathlib import Path


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all; missing folders are created.

    Args:
        path: Where the file goes; an older one is replaced.
        data: Its bytes. They are on the disk when this returns.

    Raises:
        OSError: The file cannot be written; an older one is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
