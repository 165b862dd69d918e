"""Unpacking archives from elsewhere: only the files that are wanted, only inside the folder, never more than was announced."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from core.errors import EarmarkError

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")
BLOCK = 1 << 20
LARGEST = 200_000_000
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error)
Wanted = Callable[[PurePosixPath], bool]
Member = tuple[PurePosixPath, int, Callable[[], IO[bytes]]]


class ArchiveError(EarmarkError):
    """An archive that is damaged, or tries to write where it must not."""


def is_archive(name: str) -> bool:
    """Whether a file of that name is unpacked by `unpack`."""
    return name.lower().endswith(ENDINGS)


def unpack(archive: Path, folder: Path, wanted: Wanted) -> int:
    """Unpack the files whose path inside is `wanted` into `folder`, each whole or not at all; returns how many there are.

    Files that are there in their full size are left alone, so that an interrupted unpacking goes on. Links, devices and the like
    are passed over. Raises `ArchiveError` if a path leads out of the folder, or the archive is damaged, or the disk is full.
    """
    found = 0
    for path, size, opened in _checked(archive, wanted):
        try:
            _write(archive, folder / path, size, opened)
        except OSError as error:
            raise _unreadable(archive, error) or ArchiveError(
                f"{folder} cannot be written ({error.strerror}); the same command goes on from here."
            ) from error
        except DAMAGE as error:
            raise ArchiveError(_damaged(archive, error)) from error
        found += 1
    return found


def contents(place: Path, wanted: Wanted) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Path inside and bytes of each file that is `wanted`, one after another, of an archive or of a folder with the same files.

    Raises `ArchiveError` as `unpack` does, also for a file of more than `LARGEST` bytes.
    """
    if place.is_dir():
        for path in sorted(place.rglob("*")):
            inside = PurePosixPath(path.relative_to(place).as_posix())
            if path.is_file() and wanted(inside):
                yield inside, _bytes_of(path)
        return
    for inside, size, opened in _checked(place, wanted):
        if size > LARGEST:
            raise ArchiveError(f"{place} holds {inside} of {size / 1e6:,.0f} MB, which is no clip; it is not to be trusted.")
        try:
            with opened() as source:
                data = source.read(size + 1)
        except (OSError, *DAMAGE) as error:
            raise ArchiveError(_damaged(place, error)) from error
        yield inside, data


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror}.") from error


def _checked(archive: Path, wanted: Wanted) -> Iterator[Member]:
    """The wanted members of an archive none of whose paths leads out of it, counted on the screen. Raises `ArchiveError`."""
    columns = (TextColumn("{task.description}"), TextColumn("{task.completed:,.0f} files"), TimeElapsedColumn())
    try:
        with _members(archive) as members, Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(archive.name, total=None)
            for path, size, opened in members:
                if path.is_absolute() or ".." in path.parts or "\\" in str(path) or any(":" in part for part in path.parts[:1]):
                    raise ArchiveError(f"{archive} holds the path {path}, which leads out of its folder; it is not to be trusted.")
                if wanted(path):
                    yield path, size, opened
                    progress.advance(task)
    except (OSError, *DAMAGE) as error:
        raise ArchiveError(_damaged(archive, error)) from error


def _damaged(archive: Path, error: Exception) -> str:
    return f"{archive} is damaged or was cut off ({error}); please fetch it again."


def _unreadable(archive: Path, error: OSError) -> ArchiveError | None:
    """gzip's own errors are `OSError`s without a number: the archive's fault, not the disk's."""
    return None if error.errno else ArchiveError(_damaged(archive, error))


def _write(archive: Path, path: Path, size: int, opened: Callable[[], IO[bytes]]) -> None:
    """Write one file under its name only when all its announced bytes are there, and no more than those."""
    if path.is_file() and path.stat().st_size == size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".partial")
    left = size
    with opened() as source, unfinished.open("wb") as file:
        while block := source.read(min(BLOCK, left + 1)):
            left -= len(block)
            if left < 0:
                break
            file.write(block)
    if left:
        unfinished.unlink()
        raise ArchiveError(f"{archive} holds another number of bytes for {path.name} than it announces; it is not to be trusted.")
    unfinished.replace(path)


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[Member]]:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as zipped:
            yield _in_zip(zipped)
    else:
        with tarfile.open(archive, "r|*") as tar:  # one pass from front to end: seeking in 6 GB of gzip takes hours
            yield _in_tar(tar)


def _in_zip(archive: zipfile.ZipFile) -> Iterator[Member]:
    for one in archive.infolist():
        if not one.is_dir() and (one.external_attr >> 16) & 0o170000 in (0, 0o100000):
            yield PurePosixPath(one.filename), one.file_size, partial(archive.open, one)


def _in_tar(archive: tarfile.TarFile) -> Iterator[Member]:
    for one in archive:
        if one.isreg():
            yield PurePosixPath(one.name), one.size, partial(_open, archive, one)


def _open(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    assert file is not None  # only regular files are listed
    return file
