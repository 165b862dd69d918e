"""Backup of a workspace while it is used; `restore` is the way back."""

import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from core.files import write_atomic
from core.storage.archive import (
    ABOUT_NAME,
    FORMAT,
    KEPT_FILES,
    KEPT_FOLDERS,
    About,
    ArchiveWriter,
    BackupError,
    about_archive,
    about_text,
    complete_part,
    is_kept,
    read_archive,
)
from core.storage.folder import has_workspace

logger = logging.getLogger(__name__)

DATABASE_SUFFIX = ".sqlite"
SIGN_INS = "people.sqlite"
LEFT_OUT = {
    SIGN_INS: "sign-ins",
    "drafts": "drafts",
    "similar": "the index of similar sounds, which is made anew",
}
"""What a backup does not hold, by its name in the workspace."""
PASSING = (".job.lock", "tmp")
SYNC_BYTES = 64_000_000
"""After so many an archive is brought to the disk; an interrupted backup goes on from there."""
SIDE_FILES = ("-wal", "-shm", "-journal", ".lock", ".log")
MAX_AGE = timedelta(days=1)
"""An unfinished backup that is older is begun anew: it holds the databases of its beginning."""


@dataclass(frozen=True)
class Backup:
    """A finished backup.

    Attributes:
        created: The time whose state it holds.
        files: How many files of the workspace are in it.
        size: Of the archive, in bytes.
        left_out: What of the workspace is not in it.
        continued: True if an earlier call had begun it.
    """

    created: str
    files: int
    size: int
    left_out: tuple[str, ...]
    continued: bool


def back_up(folder: Path, file: Path) -> Backup:
    """Write a backup of the workspace in a folder, and read it again to check it.

    The workspace may be in use: databases are copied as of one moment, and what they name was
    written before. Interrupted, the next call for the same file goes on.

    Args:
        folder: The workspace's.
        file: The archive, which must not exist.

    Returns:
        What was written.

    Raises:
        BackupError: It cannot be made. No file of that name is there then.
    """
    if not has_workspace(folder):
        raise BackupError(f"There is no workspace in {folder}.")
    if file.exists():
        raise BackupError(f"{file} exists already; a backup overwrites nothing.")
    partial = file.with_name(f".{file.name}.partial")
    lock = FileLock(partial.with_name(f"{partial.name}.lock"))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with lock.acquire(timeout=0):
            about, continued = _write(folder, partial)
            count = _checked(partial)
            partial.replace(file)
            _mark(partial).unlink(missing_ok=True)
    except Timeout:
        raise BackupError(f"{file} is being written by another program.") from None
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        reason = f"The backup {file} cannot be finished ({error.strerror or error}{place})"
        raise BackupError(f"{reason}; the next call goes on with it.") from error
    Path(lock.lock_file).unlink(missing_ok=True)
    logger.info("backup file=%s files=%d continued=%s", file, count, continued)
    return Backup(about.created, count, file.stat().st_size, _left_out(folder), continued)


def _write(folder: Path, partial: Path) -> tuple[About, bool]:
    """Write the archive, or go on with one that was begun; returns whether it went on."""
    with tempfile.TemporaryFile(dir=partial.parent) as checksums:
        end, last, about = _begun(partial, checksums)
        with open(partial, "r+b" if end else "wb", opener=_private) as archive:
            archive.truncate(end)
            archive.seek(end)
            writer = ArchiveWriter(archive, checksums)
            if not end:
                writer.add(ABOUT_NAME, BytesIO(about_text(about)), len(about_text(about)))
            for name in _names(folder):
                if _order(name) > _order(last):
                    _add(writer, folder, name, partial.parent)
                if archive.tell() - end > SYNC_BYTES:
                    end = _bring_to_disk(archive, partial)
            writer.close()
            archive.flush()
            os.fsync(archive.fileno())
    return about, bool(last)


def _bring_to_disk(archive: IO[bytes], partial: Path) -> int:
    """Bring what is written to the disk, note how far that is, and return it."""
    archive.flush()
    os.fsync(archive.fileno())
    write_atomic(_mark(partial), str(archive.tell()).encode())
    return archive.tell()


def _mark(partial: Path) -> Path:
    """Return the file that says how far an archive is on the disk for certain."""
    return partial.with_name(f"{partial.name}.end")


def _begun(partial: Path, checksums: IO[bytes]) -> tuple[int, str, About]:
    """Return where to go on, after which file, and what the archive says of itself."""
    try:
        certain = int(_mark(partial).read_bytes())
    except (OSError, ValueError):
        certain = 0
    end, last = complete_part(partial, certain, checksums)
    if end:
        about = about_archive(partial)
        if datetime.now(UTC) - datetime.fromisoformat(about.created) < MAX_AGE:
            return end, last, about
    checksums.seek(0)
    checksums.truncate()
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return 0, "", About(FORMAT, created)


def _private(path: str, flags: int) -> int:
    """Open a file that only its owner may read."""
    return os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)


def _order(name: str) -> tuple[int, str]:
    """Return a file's place: databases come first, as they name the others."""
    if name in ("", ABOUT_NAME):
        return 0, name
    return (1 if name.endswith(DATABASE_SUFFIX) else 2), name


def _names(folder: Path) -> Iterator[str]:
    """Yield the names of the files to keep, with slashes, in order.

    Folder by folder, as there may be millions of files; databases first.
    """
    databases = sorted(
        path.relative_to(folder).as_posix()
        for place in (folder.glob, (folder / "publications").rglob)
        for path in place(f"*{DATABASE_SUFFIX}")
    )
    yield from (name for name in databases if is_kept(name))
    for name in sorted({*KEPT_FOLDERS, *KEPT_FILES}):
        if (folder / name).is_file() and not name.endswith(DATABASE_SUFFIX):
            yield name
        elif (folder / name).is_dir():
            yield from _names_below(folder, name)


def _names_below(folder: Path, name: str) -> Iterator[str]:
    """Yield the names of the files in a folder, in the order of their names as texts."""
    try:
        entries = [(entry.name, entry.is_dir()) for entry in os.scandir(folder / name)]
    except FileNotFoundError:
        return  # a publication that has ended meanwhile
    for entry, is_folder in sorted(entries, key=lambda each: f"{each[0]}/" if each[1] else each[0]):
        path = f"{name}/{entry}"
        if entry.startswith(".") or entry.endswith((DATABASE_SUFFIX, *SIDE_FILES)):
            continue
        if is_folder:
            yield from _names_below(folder, path)
        elif is_kept(path):
            yield path


def _add(writer: ArchiveWriter, folder: Path, name: str, room: Path) -> None:
    """Add a file of the workspace; one that was deleted meanwhile is not in the backup.

    Databases are copied to a folder in `room` first.
    """
    if name.endswith(DATABASE_SUFFIX):
        with tempfile.TemporaryDirectory(dir=room, prefix=".backup-") as temporary:
            copy = Path(temporary) / "copy.sqlite"
            _copy_database(folder / name, copy)
            with copy.open("rb") as source:
                writer.add(name, source, copy.stat().st_size)
        return
    try:
        source = (folder / name).open("rb")
    except FileNotFoundError:
        return
    with source:
        writer.add(name, source, os.fstat(source.fileno()).st_size)


def _copy_database(path: Path, copy: Path) -> None:
    """Copy a database as it is at one moment, whoever writes to it; writers go on meanwhile."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(address, uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
            answer = target.execute("PRAGMA quick_check").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"{path} cannot be copied ({error}).") from error
    if answer != ("ok",):
        raise BackupError(f"{path} is damaged ({answer[0]}).")


def _checked(path: Path) -> int:
    """Read an archive to its end, and return how many files are in it; a damaged one is deleted."""
    count = 0

    def drain(_name: str, chunks: Iterator[bytes]) -> None:
        nonlocal count
        count += 1
        for _ in chunks:
            pass

    try:
        read_archive(path, drain)
    except BackupError:
        path.unlink()
        raise
    return count


def _left_out(folder: Path) -> tuple[str, ...]:
    """Return what of the workspace is not in a backup: known things by what they are."""
    kept = {*KEPT_FILES, *KEPT_FOLDERS, *PASSING}
    names = [path.name for path in sorted(folder.iterdir()) if path.name not in kept]
    names = [name for name in names if not name.startswith(".") and not name.endswith(SIDE_FILES)]
    return tuple(f"{LEFT_OUT[name]} ({name})" if name in LEFT_OUT else name for name in names)
