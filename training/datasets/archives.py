"""Reading archives from elsewhere: only expected files, and no path that leads out."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from training.errors import ArchiveError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
MAX_FILE_BYTES = 200_000_000
DAMAGE = (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error)
Filter = Callable[[PurePosixPath], bool]
Member = tuple[PurePosixPath, int, Callable[[], IO[bytes] | None]]
"""Path inside, size in bytes, and a function that opens it."""


def is_archive(name: str) -> bool:
    """Return True for the name of a file that `contents` can read."""
    return name.lower().endswith(SUFFIXES)


def contents(place: Path, is_expected: Filter) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Iterate over the expected files of an archive or of a folder.

    Links and devices are skipped.

    Args:
        place: A zip file, a tar file or a folder.
        is_expected: Returns True for a path inside that is to be read.

    Yields:
        Path inside and bytes.

    Raises:
        ArchiveError: The archive is damaged, a path in it leads out, or a file is larger than
            `MAX_FILE_BYTES`.
    """
    if place.is_dir():
        yield from _folder_contents(place, is_expected)
        return
    columns = (TextColumn("{task.completed:,.0f} files"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(place.name, total=None)
        try:
            for inside, size, open_member in _members(place):
                _check_path(place, inside)
                if is_expected(inside):
                    data = _read(place, inside, size, open_member)
                    progress.advance(task)
                    yield inside, data
        except DAMAGE as error:
            what = f"{place} is damaged or was cut off ({error})"
            raise ArchiveError(f"{what}; please fetch it again.") from error


def _folder_contents(folder: Path, is_expected: Filter) -> Iterator[tuple[PurePosixPath, bytes]]:
    for path in sorted(folder.rglob("*")):
        inside = PurePosixPath(path.relative_to(folder).as_posix())
        if not path.is_file() or not is_expected(inside):
            continue
        try:
            yield inside, path.read_bytes()
        except OSError as error:
            raise ArchiveError(f"{path} cannot be read: {error.strerror}.") from error


def _check_path(archive: Path, path: PurePosixPath) -> None:
    """Raise `ArchiveError` if the path leads out of the archive's folder."""
    has_drive = any(":" in part for part in path.parts[:1])
    if path.is_absolute() or ".." in path.parts or "\\" in str(path) or has_drive:
        what = f"{archive} holds the path {path}, which leads out of its folder"
        raise ArchiveError(f"{what}; it is not to be trusted.")


def _read(
    archive: Path, inside: PurePosixPath, size: int, open_member: Callable[[], IO[bytes] | None]
) -> bytes:
    """Return a file's bytes, no more than are announced."""
    if size > MAX_FILE_BYTES:
        what = f"{archive} holds {inside} of {size / 1e6:,.0f} MB, which is no clip"
        raise ArchiveError(f"{what}; it is not to be trusted.")
    file = open_member()
    assert file is not None  # only regular files are listed
    with file:
        return file.read(size)


def _members(archive: Path) -> Iterator[Member]:
    """Iterate over the regular files of an archive."""
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                if not info.is_dir() and (info.external_attr >> 16) & 0o170000 in (0, 0o100000):
                    yield PurePosixPath(info.filename), info.file_size, partial(zipped.open, info)
        return
    with tarfile.open(archive, "r|*") as tar:  # a stream: seeking in 6 GB of gzip takes hours
        for entry in tar:
            if entry.isreg():
                yield PurePosixPath(entry.name), entry.size, partial(tar.extractfile, entry)
