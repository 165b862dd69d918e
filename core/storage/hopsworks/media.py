"""Media and sidecars in the shared folder: `media/<run>/<name>`, and `media/kept/` for what stays.

A medium's name is its content's SHA-256, so what was downloaded can be checked. A sidecar's name
ends in its content's: `<sound>.<model>-<version>.<first 16 digits>.safetensors`. What was
downloaded once is kept in this machine's folder.
"""

import hashlib
import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.events.types import ModelRef, PredictedEvent, SoundEvent
from core.storage.hopsworks.client import Project
from core.storage.hopsworks.errors import NotFound, PermanentError, Unavailable, Unreadable
from core.storage.hopsworks.shared_folder import SharedFolder
from core.storage.media import LocalMedia, is_media_name, write_files
from core.storage.sidecars import Arrays, LocalSidecars, Sidecar

logger = logging.getLogger(__name__)

KEPT_FOLDER = "media/kept"
NAME = re.compile(r"([0-9a-f]{64})(-\d+)?\.(ogg|webp)|.+\.([0-9a-f]{16})(-\d+)?\.safetensors")
MAX_SOUND_ID_DIGITS = 32
"""Of a sound id, in a sidecar's name: all of Freesound's, and half of a hash."""
RELIST_INTERVAL_S = 60
"""A missing medium is looked for again only after so long, or when there are new events."""
RETRY_INTERVAL_S = 10


class SharedFiles:
    """Media files of one shared folder, by name prefix."""

    def __init__(self, shared: SharedFolder) -> None:
        self._shared = shared
        self.upload_folder = KEPT_FOLDER
        """Folder of new media: that of the run in this process, if there is one."""
        self._listed_at = self._failed_at = float("-inf")

    def enqueue(self, media: Mapping[str, bytes | None]) -> None:
        """Put media into the outbox, by name: their bytes, or None for those in this machine's."""
        shared, folder = self._shared, self.upload_folder
        new = {
            name: body
            for name, body in media.items()
            if all(known != folder for known, _ in shared.state.media(name))
        }
        if not new:
            return
        with shared.database.writing() as connection:
            for name, body in new.items():
                medium = name if body is None else None
                shared.outbox.add(connection, f"{folder}/{name}", body=body, medium=medium)
        shared.outbox_event.set()

    def download(self, name_prefix: str) -> bytes | None:
        """Return the file whose name begins so; None if there is none or no connection."""
        if time.monotonic() - self._failed_at < RETRY_INTERVAL_S:
            return None
        try:
            project = self._shared.project()
            data = self._read_first(project, name_prefix)
            if data is None and self._refresh_listing(project):
                data = self._read_first(project, name_prefix)
            return data
        except (Unavailable, PermanentError):
            self._failed_at = time.monotonic()
            return None

    def expire_listing(self) -> None:
        """List the folders again at the next chance: there may be new media."""
        self._listed_at = float("-inf")

    def cancel(self, name_prefixes: Sequence[str]) -> None:
        """Take files out of the outbox: they are not to be sent any more."""
        with self._shared.database.writing() as connection:
            for prefix in name_prefixes:
                self._shared.outbox.cancel(connection, prefix)

    def delete(self, name_prefixes: Sequence[str]) -> None:
        """Delete files wherever they are in the shared folder.

        Raises:
            HopsworksError: The shared folder cannot be changed.
        """
        if not name_prefixes:
            return
        shared, project = self._shared, self._shared.project()
        self._refresh_listing(project)
        for prefix in name_prefixes:
            for folder, name in shared.state.media(prefix):
                project.remove(shared.path(f"{folder}/{name}"))
                with shared.database.writing() as connection:
                    shared.state.remove_medium(connection, folder, name)

    def folders(self, project: Project) -> list[str]:
        """Return the folders with media, by the time when their run began; `kept` comes first."""
        folders = (f"media/{name}" for name in self._shared.list_names(project, "media"))
        return sorted(folders, key=lambda folder: (folder != KEPT_FOLDER, folder))

    def read(self, project: Project, path: str) -> bytes | None:
        """Return a file that is what its name says, or None."""
        with suppress(NotFound, Unreadable):
            data = self._shared.read_file(project, path)
            named = NAME.fullmatch(path.rpartition("/")[2])
            if named and hashlib.sha256(data).hexdigest().startswith(named[1] or named[4]):
                return data
        return None

    def _read_first(self, project: Project, name_prefix: str) -> bytes | None:
        """Read from the first folder that is known to have the file and still does."""
        known = self._shared.state.media(name_prefix)
        files = (self.read(project, f"{folder}/{name}") for folder, name in known)
        return next((data for data in files if data is not None), None)

    def _refresh_listing(self, project: Project) -> bool:
        """List the folders and forget those that are gone; False if that was done just now."""
        if time.monotonic() - self._listed_at < RELIST_INTERVAL_S:
            return False
        shared, folders = self._shared, self.folders(project)
        for folder in folders:
            names = self._list(project, folder)
            with shared.database.writing() as connection:
                shared.state.add_media(connection, folder, names)
        with shared.database.writing() as connection:
            for folder in shared.state.media_folders().difference(folders):
                shared.state.remove_folder(connection, folder)
        self._listed_at = time.monotonic()
        return True

    def _list(self, project: Project, folder: str) -> list[str]:
        """Return the names of media in a folder; none where it cannot be listed, unlike others."""
        try:
            return [n for n in self._shared.list_folder(project, folder) if NAME.fullmatch(n)]
        except Unreadable as error:
            logger.warning("media folder passed by path=%s reason=%s", folder, error)
            return []


class SharedMedia:
    """The media store of a shared workspace: this machine's, and the shared folder behind it."""

    def __init__(
        self, local: LocalMedia, files: SharedFiles, *, delete_everywhere: bool = True
    ) -> None:
        """Put a shared folder behind this machine's media.

        Args:
            local: This machine's media.
            files: The shared folder's media.
            delete_everywhere: What is deleted leaves the shared folder, too, not only this machine.
        """
        self._local, self._files = local, files
        self._delete_everywhere = delete_everywhere

    def put(self, data: bytes, suffix: str) -> str:
        """Keep bytes here and put them into the outbox; returns their name.

        Raises:
            StorageError: The file cannot be written.
        """
        return self.put_all([(data, suffix)])[0]

    def put_all(self, media: Sequence[tuple[bytes, str]]) -> list[str]:
        """Keep many media here and put them into the outbox; returns their names.

        Raises:
            StorageError: A file cannot be written.
        """
        names = self._local.put_all(media)
        self._files.enqueue(dict.fromkeys(names))
        return names

    def path(self, name: str) -> Path | None:
        """Return the file of that name, downloaded where this machine lacks it, or None."""
        path = self._local.path(name)
        if path is None and is_media_name(name):
            data = self._files.download(_content_hash(name))
            if data is not None:
                write_files([(self._local.file(name), data)])
                path = self._local.path(name)
        return path

    def delete(self, names: Iterable[str]) -> int:
        """Delete media here and in the shared folder; returns the number of files deleted here.

        Raises:
            StorageError: Not all could be deleted.
        """
        names = list(names)
        prefixes = [_content_hash(name) for name in names]
        self._files.cancel(prefixes)
        deleted = self._local.delete(names)
        if self._delete_everywhere:
            self._files.delete(prefixes)
        return deleted


class SharedSidecars:
    """The sidecars of a shared workspace: this machine's, and the shared folder behind them."""

    def __init__(
        self, local: LocalSidecars, files: SharedFiles, *, delete_everywhere: bool = True
    ) -> None:
        """Put a shared folder behind this machine's sidecars; arguments as for `SharedMedia`."""
        self._local, self._files = local, files
        self._delete_everywhere = delete_everywhere

    def put(self, sound_id: str, model: ModelRef, arrays: Arrays) -> None:
        """Keep a prediction's arrays here and put them into the outbox.

        Raises:
            StorageError: The file cannot be written.
        """
        self.put_all([Sidecar(sound_id, model, arrays)])

    def put_all(self, sidecars: Sequence[Sidecar]) -> None:
        """Keep many here and put them into the outbox.

        Raises:
            StorageError: A file cannot be written.
        """
        self._local.put_all(sidecars)
        self._files.enqueue({_sidecar_name(sidecar): sidecar.data for sidecar in sidecars})

    def get(self, sound_id: str, model: ModelRef) -> dict[str, NDArray[np.generic]] | None:
        """Return the arrays, downloaded where this machine lacks them, or None."""
        arrays = self._local.get(sound_id, model)
        if arrays is None:
            data = self._files.download(sidecar_prefix(sound_id, model))
            if data is not None:
                write_files([(self._local.file(sound_id, model), data)])
                arrays = self._local.get(sound_id, model)
        return arrays

    def delete(self, sound_id: str, models: Iterable[ModelRef]) -> int:
        """Delete a sound's sidecars here and in the shared folder; returns those deleted here.

        Raises:
            StorageError: Not all could be deleted.
        """
        models = list(models)
        prefixes = [sidecar_prefix(sound_id, model) for model in models]
        self._files.cancel(prefixes)
        deleted = self._local.delete(sound_id, models)
        if self._delete_everywhere:
            self._files.delete(prefixes)
        return deleted


def sidecar_prefix(sound_id: str, model: ModelRef) -> str:
    """Return how the name of a sidecar begins."""
    kind, _, number = sound_id.partition(":")
    return f"{kind}-{number[:MAX_SOUND_ID_DIGITS]}.{model.name}-{model.version}."


def _sidecar_name(sidecar: Sidecar) -> str:
    """Return a sidecar's name, which ends in its content's hash."""
    content = hashlib.sha256(sidecar.data).hexdigest()[:16]
    return f"{sidecar_prefix(sidecar.sound_id, sidecar.model)}{content}.safetensors"


def media_prefixes(history: Iterable[SoundEvent]) -> Iterator[str]:
    """Yield how the names of a sound's media and sidecars begin."""
    for event in history:
        if isinstance(event, PredictedEvent):
            yield from (_content_hash(name) for name in event.payload.media.names)
            yield sidecar_prefix(event.sound_id, event.payload.model)


def name_prefix(name: str) -> str:
    """Return the prefix of a file's name: the hash of a medium, sound and model of a sidecar."""
    if name.endswith(".safetensors"):
        return name[: name.removesuffix(".safetensors").rindex(".") + 1]
    return _content_hash(name).partition("-")[0]


def _content_hash(media_name: str) -> str:
    """Return the hash in a medium's name."""
    return media_name.partition(".")[0]
