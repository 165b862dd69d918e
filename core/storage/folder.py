"""The folder of a workspace on disk: what it is recognised by, without opening it."""

from pathlib import Path

DATABASE_NAME = "index.sqlite"


def has_workspace(folder: Path) -> bool:
    """Return True if the folder holds a workspace."""
    return (folder / DATABASE_NAME).is_file()
