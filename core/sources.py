"""Where new sounds come from. A source lists sounds and hands over metadata and bytes; what is known already it does not read."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from core.errors import EarmarkError
from core.id2prediction import Sound, iso
from core.model.audio import AUDIO_SUFFIXES
from core.workspace import Workspace

HASH_BLOCK = 1 << 20


class SourceError(EarmarkError):
    """A source that cannot be listed."""


@dataclass(frozen=True)
class FoundSound:
    """A sound that a source has: its id, or the `problem` that keeps it from having one; `name` is for messages."""

    name: str
    sound_id: str
    path: Path
    problem: str = ""

    def read(self) -> bytes:
        """The sound's bytes. Raises `OSError`."""
        return self.path.read_bytes()


class Source(Protocol):
    """A place that sounds come from."""

    name: str

    def sounds(self, workspace: Workspace) -> Iterator[FoundSound]:
        """The sounds there are, best to tag first; `workspace` remembers what need not be read again."""

    def describe(self, found: FoundSound, data: bytes) -> Sound:
        """The metadata of a sound as this source has it."""


class FolderSource:
    """The audio files in a folder and its subfolders, in order of their names. Sound ids are the content's SHA-256, so a file
    that is renamed or copied is the same sound."""

    def __init__(self, folder: Path, max_megabytes: float = 100) -> None:
        """Raises `SourceError` if there is no such folder."""
        self.folder = Path(folder)
        self.max_bytes = max_megabytes * 1e6
        if not self.folder.is_dir():
            raise SourceError(f"There is no folder {self.folder}; EARMARK_SOUNDS must name a folder of sounds.")
        self.name = f"folder {self.folder.name}"

    def files(self) -> list[Path]:
        """Files with an audio ending, hidden ones left out, in order of name."""
        found = (path for path in self.folder.rglob("*") if path.suffix.lower().lstrip(".") in AUDIO_SUFFIXES)
        return sorted(path for path in found if path.is_file() and not self._is_hidden(path))

    def _is_hidden(self, path: Path) -> bool:
        return any(part.startswith(".") for part in path.relative_to(self.folder).parts)

    def sounds(self, workspace: Workspace) -> Iterator[FoundSound]:
        seen: set[str] = set()
        for path in self.files():
            found = self._identify(path, workspace)
            if found.problem or found.sound_id not in seen:
                seen.add(found.sound_id)
                yield found

    def _identify(self, path: Path, workspace: Workspace) -> FoundSound:
        name = path.relative_to(self.folder).as_posix()
        try:
            facts = path.stat()
            if facts.st_size > self.max_bytes:
                return FoundSound(name, "", path, f"{name} is {facts.st_size / 1e6:.0f} MB; the limit is {self.max_bytes / 1e6:g} MB.")
            key = (str(path.resolve()), facts.st_size, facts.st_mtime_ns)
            sound_id = workspace.file_id(*key)
            if sound_id is None:
                sound_id = f"file:{_sha256(path)}"
                workspace.remember_file(*key, sound_id)
        except OSError as error:
            return FoundSound(name, "", path, f"{name} cannot be read: {error.strerror}.")
        return FoundSound(name, sound_id, path)

    def describe(self, found: FoundSound, data: bytes) -> Sound:
        """Title, author and licence that the file carries inside; the file's name where it has no title."""
        inside = _embedded(found.path)
        return Sound(
            title=inside.get("title") or found.path.stem,
            source=self.name,
            author=inside.get("artist", ""),
            license=inside.get("license", "") or inside.get("copyright", ""),
            description=inside.get("comment", ""),
            created=iso(datetime.fromtimestamp(found.path.stat().st_mtime, UTC)),
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _embedded(path: Path) -> dict[str, str]:
    """The text tags inside a file, as far as libsndfile reads them."""
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as file:
            return {key: value.strip()[:500] for key, value in file.copy_metadata().items() if value.strip()}
    except (soundfile.LibsndfileError, UnicodeDecodeError):
        return {}
