"""Where new sounds come from. A source lists sounds and hands over metadata and bytes; what is known already it does not read."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from core.errors import EarmarkError
from core.id2prediction import Sound, iso
from core.model.audio import AUDIO_SUFFIXES, BytesFile
from core.workspace import Workspace

HASH_BLOCK = 1 << 20
LARGEST_INTEGER = 1 << 63  # of SQLite


class SourceError(EarmarkError):
    """A source that cannot be listed."""


class SourceTrouble(SourceError):
    """The way to a sound is blocked, which says nothing about the sound: others may be blocked as well."""


@dataclass(frozen=True, kw_only=True)
class FoundSound(ABC):
    """A sound that a source has: its id, or the `problem` that keeps it from having one; `name` is for messages, and one of its own."""

    name: str
    sound_id: str
    problem: str = ""

    @abstractmethod
    def read(self) -> bytes:
        """The sound's bytes. Raises `OSError`, `SourceError` if they cannot be used, `SourceTrouble` if they cannot be had now."""

    @abstractmethod
    def describe(self, data: bytes) -> Sound:
        """The sound's metadata as its source has it; `data` are its bytes."""


class Source(Protocol):
    """A place that sounds come from."""

    name: str

    def sounds(self, workspace: Workspace) -> Iterator[FoundSound]:
        """The sounds there are, best to tag first, looked for only as they are asked for; `workspace` remembers what need not be
        read again. Raises `EarmarkError` where the source cannot be listed further."""


@dataclass(frozen=True, kw_only=True)
class FoundFile(FoundSound):
    """A file in the folder that `source` names."""

    path: Path
    source: str

    def read(self) -> bytes:
        data = self.path.read_bytes()
        if self.sound_id != f"file:{hashlib.sha256(data).hexdigest()}":
            raise SourceError(f"{self.name} was changed while it was looked at; the next run takes it.")
        return data

    def describe(self, data: bytes) -> Sound:
        """Title, author and licence that the file carries inside; the file's name where it has no title."""
        inside = _embedded(data)
        return Sound(
            title=inside.get("title") or _printable(Path(self.path.stem)),
            source=self.source,
            author=inside.get("artist", ""),
            license=inside.get("license", "") or inside.get("copyright", ""),
            description=inside.get("comment", ""),
            created=_modified(self.path),
        )


class FolderSource:
    """The audio files in a folder and its subfolders, in order of their names. Sound ids are the content's SHA-256, so a file
    that is renamed or copied is the same sound."""

    def __init__(self, folder: Path, max_megabytes: float = 100, leave_out: Path | None = None) -> None:
        """`leave_out` is a folder inside that is not looked at: the workspace. Raises `SourceError` if there is no such folder."""
        self.folder, self.leave_out = Path(folder), leave_out
        self.max_bytes = max_megabytes * 1e6
        if not self.folder.is_dir():
            raise SourceError(f"There is no folder {self.folder}; EARMARK_SOUNDS must name a folder of sounds.")
        self.name = f"folder {self.folder.name}"

    def files(self) -> list[Path]:
        """Files with an audio ending, hidden ones left out, in order of name."""
        found = (path for path in self.folder.rglob("*") if path.suffix.lower().lstrip(".") in AUDIO_SUFFIXES)
        return sorted(path for path in found if path.is_file() and not self._is_hidden(path))

    def _is_hidden(self, path: Path) -> bool:
        if self.leave_out is not None and path.is_relative_to(self.leave_out):
            return True
        return any(part.startswith(".") for part in path.relative_to(self.folder).parts)

    def sounds(self, workspace: Workspace) -> Iterator[FoundFile]:
        seen: set[str] = set()
        for path in self.files():
            found = self._identify(path, workspace)
            if found.problem or found.sound_id not in seen:
                seen.add(found.sound_id)
                yield found

    def _identify(self, path: Path, workspace: Workspace) -> FoundFile:
        found = FoundFile(name=_printable(path.relative_to(self.folder)), sound_id="", path=path, source=self.name)
        try:
            facts = path.stat()
            if facts.st_size > self.max_bytes:
                too_large = f"{found.name} is {facts.st_size / 1e6:.0f} MB; the limit is {self.max_bytes / 1e6:g} MB."
                return replace(found, problem=too_large)
            key = (_printable(path.resolve()), facts.st_size, facts.st_mtime_ns % LARGEST_INTEGER)
            sound_id = workspace.file_id(*key)
            if sound_id is None:
                sound_id = f"file:{_sha256(path)}"
                workspace.remember_file(*key, sound_id)
        except OSError as error:
            return replace(found, problem=f"{found.name} cannot be read: {error.strerror}.")
        return replace(found, sound_id=sound_id)


def _printable(path: Path) -> str:
    """A path as text, whatever bytes are in it: a file system may hold names that are not UTF-8."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _modified(path: Path) -> str:
    try:
        return iso(datetime.fromtimestamp(path.stat().st_mtime, UTC))
    except (OSError, ValueError, OverflowError):
        return ""  # no clock ever showed that time


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _embedded(data: bytes) -> dict[str, str]:
    """The text tags inside a file, as far as libsndfile reads them."""
    import soundfile

    try:
        with soundfile.SoundFile(BytesFile(data)) as file:
            return {key: value.strip()[:500] for key, value in file.copy_metadata().items() if value.strip()}
    except (soundfile.LibsndfileError, UnicodeDecodeError):
        return {}
