"""Names in the subfolders of a shared folder, in as few requests as possible.

Hopsworks lists a folder oldest first, and what is new comes at the end. So a folder that was listed
before is asked for its last names only, from one that is known and still has to be in its place.
"""

from dataclasses import dataclass

from core.storage.hopsworks.client import Project
from core.storage.hopsworks.shared_folder import SharedFolder

OVERLAP = 50
"""Names that are listed again: names of uploads in progress among them come and go."""
IN_PROGRESS = ".temp"
"""Hopsworks' ending for an upload that has begun."""


@dataclass(frozen=True)
class _Anchor:
    """A name in a folder, and how many come before it."""

    offset: int
    name: str


class FolderListings:
    """Lists the subfolders of one shared folder. One thread at a time may use it."""

    def __init__(self, shared: SharedFolder) -> None:
        self._shared = shared
        self._anchors: dict[str, _Anchor] = {}

    def all_names(self, project: Project, folder: str) -> list[str]:
        """Return all names in a subfolder, oldest first; none if there is no such subfolder.

        Raises:
            Unreadable: This one cannot be listed.
            HopsworksError: Nothing can be read.
        """
        names = self._shared.list_folder(project, folder)
        self._remember(folder, 0, names)
        return names

    def latest_names(self, project: Project, folder: str) -> list[str]:
        """Return the names that have come since the last call, and some or all of the older ones.

        Raises:
            Unreadable: This one cannot be listed.
            HopsworksError: Nothing can be read.
        """
        anchor = self._anchors.get(folder)
        if anchor is None:
            return self.all_names(project, folder)
        names = self._shared.list_folder(project, folder, anchor.offset)
        if names[:1] != [anchor.name]:  # something before it came or went
            return self.all_names(project, folder)
        self._remember(folder, anchor.offset, names)
        return names

    def _remember(self, folder: str, offset: int, names: list[str]) -> None:
        """Choose a name shortly before the end from which the folder is listed the next time."""
        index = max(0, len(names) - OVERLAP)
        while index > 0 and names[index].endswith(IN_PROGRESS):
            index -= 1
        if names:
            self._anchors[folder] = _Anchor(offset + index, names[index])
        else:
            self._anchors.pop(folder, None)
