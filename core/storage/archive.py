"""The file of a backup: a tar archive of a workspace's files that ends with their checksums.

earmark-backup.json    when it was made, by which format
index.sqlite ...       the workspace's files under their names
checksums.txt          SHA-256 of each of them, as the command sha256sum writes it
"""

import hashlib
import io
import json
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Protocol

from core.storage.errors import StorageError
from core.storage.folder import DATABASE_NAME

FORMAT = 1
ABOUT_NAME, CHECKSUMS_NAME = "earmark-backup.json", "checksums.txt"
KEPT_FOLDERS = ("media", "models", "publications", "sidecars")
KEPT_FILES = (DATABASE_NAME, "name.txt")
CHUNK_BYTES = 1 << 20
MAX_ABOUT_BYTES = 10_000
_NAME = re.compile(rf"({'|'.join(KEPT_FOLDERS)})(/[^/.\\:\x00-\x1f][^/\\:\x00-\x1f]*){{1,8}}")
_BLOCK_BYTES = tarfile.BLOCKSIZE


class BackupError(StorageError):
    """A backup cannot be made, read or restored."""


@dataclass(frozen=True)
class About:
    """A backup's description of itself.

    Attributes:
        format: Number of the archive's format.
        created: When it was begun, UTC in ISO 8601.
    """

    format: int
    created: str


class Source(Protocol):
    """Bytes to read in order."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most `size`."""


class _Hashing:
    """Bytes whose checksum is taken while they are read."""

    def __init__(self, source: Source) -> None:
        self._source, self.digest = source, hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._source.read(size)
        self.digest.update(chunk)
        return chunk

    def chunks(self) -> Iterator[bytes]:
        """Yield what is left."""
        while chunk := self.read(CHUNK_BYTES):
            yield chunk


class ArchiveWriter:
    """Writes an archive, from the position on that its file has."""

    def __init__(self, file: IO[bytes], checksums: IO[bytes]) -> None:
        """Prepare to write.

        Args:
            file: The archive.
            checksums: The lines of what is in it already; it is added to.
        """
        self._tar = tarfile.TarFile(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)
        self._checksums = checksums

    def add(self, name: str, source: Source, size: int) -> None:
        """Add a file of `size` bytes."""
        hashing = _Hashing(source)
        self._add(name, hashing, size)
        self._checksums.write(_line(hashing.digest.hexdigest(), name))

    def close(self) -> None:
        """Add the checksums and end the archive."""
        size = self._checksums.seek(0, io.SEEK_END)
        self._checksums.seek(0)
        self._add(CHECKSUMS_NAME, self._checksums, size)
        self._tar.close()

    def _add(self, name: str, source: Source, size: int) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = size
        self._tar.addfile(entry, source)
        _forget_entries(self._tar)


Keep = Callable[[str, Iterator[bytes]], None]
"""Takes the chunks of a file, all of them, under its name in the workspace."""


def read_archive(path: Path, keep: Keep) -> About:
    """Read a complete archive once.

    Args:
        path: The archive.
        keep: Is called for each file. What it took is right only once this returns.

    Returns:
        What the archive says of itself.

    Raises:
        BackupError: It is no backup, not complete, or damaged.
    """
    with _opened(path) as tar, tempfile.TemporaryFile() as checksums:
        about = _read_about(path, tar, checksums)
        while (entry := tar.next()) is not None:
            _forget_entries(tar)
            content = _content(path, tar, entry)
            if entry.name == CHECKSUMS_NAME:
                checksums.seek(0)
                _compare(path, content, checksums)
                return about
            if not is_kept(entry.name):
                raise BackupError(f"{path} is no backup: {entry.name!r} is in it.")
            hashing = _Hashing(content)
            keep(entry.name, hashing.chunks())
            checksums.write(_line(hashing.digest.hexdigest(), entry.name))
    raise BackupError(f"{path} is not complete: it ends without checksums.")


def about_archive(path: Path) -> About:
    """Return what an archive says of itself.

    Raises:
        BackupError: It is no backup.
    """
    with _opened(path) as tar:
        return _read_about(path, tar, io.BytesIO())


def complete_part(path: Path, certain: int, checksums: IO[bytes]) -> tuple[int, str]:
    """Return how far an archive that was not finished is whole.

    Args:
        path: The archive.
        certain: How many bytes of it are on the disk for certain.
        checksums: Gets the lines of the files that are wholly in it.

    Returns:
        Where the next file goes, in bytes, and the name of the last file before.
    """
    end, last = 0, ""
    try:
        size = min(certain, path.stat().st_size)
        with tarfile.open(path, "r:") as tar:
            while (entry := tar.next()) is not None:
                _forget_entries(tar)
                entry_end = entry.offset_data + -(-entry.size // _BLOCK_BYTES) * _BLOCK_BYTES
                is_first = not end and entry.name == ABOUT_NAME
                if entry_end > size or not (is_first or is_kept(entry.name)):
                    break
                hashing = _Hashing(_content(path, tar, entry))
                for _ in hashing.chunks():
                    pass
                checksums.write(_line(hashing.digest.hexdigest(), entry.name))
                end, last = entry_end, entry.name
    except (tarfile.TarError, OSError, BackupError):
        pass  # the rest is written anew
    return end, last


def is_kept(name: str) -> bool:
    """Return True for the name of a file that a backup holds, with slashes."""
    return name in KEPT_FILES or _NAME.fullmatch(name) is not None


def about_text(about: About) -> bytes:
    """Return the contents of an archive's first file."""
    return json.dumps(asdict(about)).encode()


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive; what is wrong with it is one sentence."""
    try:
        with tarfile.open(path, "r:") as tar:
            yield tar
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f"{path} is no complete backup ({error}).") from error


def _forget_entries(tar: tarfile.TarFile) -> None:
    """Let an archive forget the entries that it has seen: there may be millions."""
    entries: list[tarfile.TarInfo] = vars(tar)["members"]
    entries.clear()


def _content(path: Path, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(entry) if entry.isreg() and not entry.issparse() else None
    if content is None:
        raise BackupError(f"{path} is no backup: {entry.name!r} in it is no file.")
    return content


def _read_about(path: Path, tar: tarfile.TarFile, checksums: IO[bytes]) -> About:
    entry = tar.next()
    if entry is None or entry.name != ABOUT_NAME or entry.size > MAX_ABOUT_BYTES:
        raise BackupError(f"{path} is no backup of a workspace.")
    data = _content(path, tar, entry).read()
    checksums.write(_line(hashlib.sha256(data).hexdigest(), ABOUT_NAME))
    try:
        fields = json.loads(data)
        about = About(int(fields["format"]), str(fields["created"]))
        datetime.fromisoformat(about.created)
    except (ValueError, TypeError, KeyError) as error:
        raise BackupError(f"{path} is no backup of a workspace.") from error
    if about.format > FORMAT:
        raise BackupError(f"{path} was made by a newer Earmark; please update this one.")
    return about


def _line(digest: str, name: str) -> bytes:
    return f"{digest}  {name}\n".encode()


def _compare(path: Path, stated: IO[bytes], computed: IO[bytes]) -> None:
    """Compare the lines of checksums."""
    for line in computed:
        expected = stated.readline()
        if line != expected:
            name = line.decode().rstrip("\n").partition("  ")[2]
            raise BackupError(f"{path} is damaged: {name} has another checksum.")
    if stated.readline():
        raise BackupError(f"{path} is damaged: files are missing in it.")
