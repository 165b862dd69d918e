"""Unpacking archives from elsewhere: only the files that are wanted, only inside the folder, never more than was announced."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from core.errors import EarmarkError

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")
BLOCK = 1 << 20
Wanted = Callable[[PurePosixPath], bool]
Member = tuple[PurePosixPath, int, Callable[[], IO[bytes] | None]]


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
    columns = (TextColumn(archive.name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with _members(archive) as members, Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("", total=None)
            for path, size, opened in members:
                if path.is_absolute() or ".." in path.parts or "\\" in str(path) or any(":" in part for part in path.parts[:1]):
                    raise ArchiveError(f"{archive} holds the path {path}, which leads out of its folder; it is not to be trusted.")
                if wanted(path):
                    _write(archive, folder / path, size, opened)
                    found += 1
                    progress.update(task, completed=found)
            progress.update(task, total=found)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise ArchiveError(f"{archive} is damaged or was cut off ({error}); please fetch it again.") from error
    except OSError as error:
        reason = error.strerror or str(error)  # gzip's own errors have no number
        raise ArchiveError(f"{archive} cannot be unpacked into {folder} ({reason}); the same command goes on from here.") from error
    return found


def _write(archive: Path, path: Path, size: int, opened: Callable[[], IO[bytes] | None]) -> None:
    """Write one file under its name only when all its announced bytes are there, and no more than those."""
    if path.is_file() and path.stat().st_size == size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    source = opened()
    assert source is not None  # only regular files are listed
    left = size
    with source, partial.open("wb") as file:
        while block := source.read(min(BLOCK, left + 1)):
            left -= len(block)
            if left < 0:
                break
            file.write(block)
    if left:
        partial.unlink()
        raise ArchiveError(f"{archive} holds another number of bytes for {path.name} than it announces; it is not to be trusted.")
    partial.replace(path)


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
            yield PurePosixPath(one.filename), one.file_size, lambda one=one: archive.open(one)  # type: ignore[misc]


def _in_tar(archive: tarfile.TarFile) -> Iterator[Member]:
    for one in archive:
        if one.isreg():
            yield PurePosixPath(one.name), one.size, lambda one=one: archive.extractfile(one)  # type: ignore[misc]
