"""Sounds to play and spectrograms, named by the SHA-256 of their content."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from core.files import write_all_atomic
from core.storage.errors import StorageError

MEDIA_NAME = re.compile(r"[0-9a-f]{64}\.(ogg|webp)")
TWIN_SUFFIX = ".m4a"
"""Of the AAC file beside a preview, for browsers that do not play Ogg. It can be made again, so it
is no medium: it has no hash of its own and is not shared."""


class MediaStore(Protocol):
    """A store of media."""

    def put(self, data: bytes, suffix: str) -> str:
        """Keep bytes under the name of their content, which is returned."""

    def put_all(self, media: Sequence[tuple[bytes, str]]) -> list[str]:
        """Keep many media, (bytes, suffix) each; faster than `put` for each. Returns their names.

        All of them are on the disk when this returns.
        """

    def path(self, name: str) -> Path | None:
        """Return the file of that name, or None."""

    def delete(self, names: Iterable[str]) -> int:
        """Delete media; returns the number of files deleted on this machine.

        Raises:
            StorageError: Not all could be deleted.
        """


class LocalMedia:
    """Media in `folder`/media."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes, suffix: str) -> str:
        """Keep bytes under the name of their content, which is returned.

        Raises:
            StorageError: The file cannot be written.
        """
        return self.put_all([(data, suffix)])[0]

    def put_all(self, media: Sequence[tuple[bytes, str]]) -> list[str]:
        """Keep many media, (bytes, suffix) each; faster than `put` for each.

        Returns:
            Their names.

        Raises:
            StorageError: A file cannot be written.
        """
        names = [f"{hashlib.sha256(data).hexdigest()}.{suffix}" for data, suffix in media]
        contents = {self.file(name): data for name, (data, _) in zip(names, media, strict=True)}
        write_files((path, data) for path, data in contents.items() if not path.exists())
        return names

    def path(self, name: str) -> Path | None:
        """Return the file of that name, or None: a name from outside is checked."""
        if not is_media_name(name):
            return None
        path = self.file(name)
        return path if path.is_file() else None

    def delete(self, names: Iterable[str]) -> int:
        """Delete media and their twins; returns the number of media deleted.

        Raises:
            StorageError: A file cannot be deleted.
        """
        paths = [self.file(name) for name in names]
        deleted = delete_files(paths)
        delete_files(twin_path(path) for path in paths)
        return deleted

    def file(self, name: str) -> Path:
        """Return where the medium of that (valid) name is kept."""
        return self._folder / "media" / name[:2] / name


def is_media_name(name: str) -> bool:
    """Return True for a name that `put` may have returned."""
    return MEDIA_NAME.fullmatch(name) is not None


def twin_path(preview: Path) -> Path:
    """Return where the AAC twin of a preview is kept."""
    return preview.with_suffix(TWIN_SUFFIX)


def write_files(files: Iterable[tuple[Path, bytes]]) -> None:
    """Write files of the workspace, each atomically; all are on the disk when this returns.

    Raises:
        StorageError: One cannot be written.
    """
    try:
        write_all_atomic(files)
    except OSError as error:
        place = Path(error.filename).parent if error.filename else "The workspace"
        raise StorageError(f"{place} cannot be written ({error.strerror}).") from error


def delete_files(paths: Iterable[Path]) -> int:
    """Delete the files that exist; returns their number.

    Raises:
        StorageError: A file cannot be deleted.
    """
    existing = [path for path in paths if path.is_file()]
    for path in existing:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{path} cannot be deleted ({error.strerror}).") from error
    return len(existing)
