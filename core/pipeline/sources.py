"""Where new sounds come from: a source lists sounds, and hands over their metadata and bytes.

A source does not know the workspace; whoever asks it leaves out what is tagged already.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from core.audio.detect import HEAD_BYTES, error_of_head
from core.audio.errors import AudioError, NotAudio
from core.audio.metadata import embedded_metadata
from core.audio.types import AUDIO_SUFFIXES
from core.events.types import Sound, iso
from core.freesound.client import FreesoundClient
from core.freesound.errors import BadPreview, ServerTrouble, SoundNotFound, Unreachable
from core.freesound.feed import MAX_ROWS, ListingGap, newest_rows
from core.freesound.previews import Previews
from core.freesound.types import FreesoundSound
from core.freesound.vocabulary import own_page
from core.pipeline.errors import SourceError, SourceUnavailable
from core.untrusted import clean_text

FREESOUND = "Freesound"
MAX_NAME_LENGTH = 80
MAX_TITLE_LENGTH, MAX_DESCRIPTION_LENGTH, MAX_TAGS = 512, 5000, 60
HASH_BLOCK = 1 << 20
SQLITE_INTEGER_LIMIT = 1 << 63


REPORTED_SUFFIXES = AUDIO_SUFFIXES | set(
    "|ac3|amr|ape|dff|dsf|dts|gsm|mid|midi|mpc|ra|sd2|sds|snd|spx|tta|voc|wma".split("|")
)
"""Suffixes, and none at all, of files that people take for sounds: each is listed, if only as
unusable. Files with others are listed if they are sounds."""


class SourceItem(Protocol):
    """A sound that a source has."""

    @property
    def name(self) -> str:
        """Return what to call the sound in messages; no other sound of the source has this name."""
        ...

    @property
    def sound_id(self) -> str:
        """Return `freesound:<id>` or `file:<sha256>`."""
        ...

    def read(self) -> bytes:
        """Return the sound's bytes.

        Raises:
            OSError: The file cannot be read.
            SourceError: The sound cannot be used.
            SourceUnavailable: It cannot be had now.
        """
        ...

    def describe(self, data: bytes) -> Sound:
        """Return the sound's metadata as its source has it; `data` are its bytes."""
        ...


@dataclass(frozen=True)
class UnusableItem:
    """A place in a source that holds no usable sound: its name in messages, and the reason."""

    name: str
    reason: str


class Source(Protocol):
    """A place that sounds come from."""

    @property
    def name(self) -> str:
        """Return what to call the source in the records of runs."""
        ...

    def items(self) -> Iterator[SourceItem | UnusableItem]:
        """List the sounds, the best to tag first, only as far as they are asked for.

        Raises:
            EarmarkError: The source cannot be listed further.
        """
        ...


class FileIds(Protocol):
    """Remembers the sound ids of files, so that an unchanged file is not read again."""

    def get(self, path: str, size: int, modified_ns: int) -> str | None:
        """Return the sound id of an unchanged file, or None."""

    def remember(self, path: str, size: int, modified_ns: int, sound_id: str) -> None:
        """Keep a file's sound id."""


@dataclass(frozen=True)
class FileItem:
    """A file in the folder that `source` names."""

    name: str
    sound_id: str
    path: Path
    source: str

    def read(self) -> bytes:
        """Return the file's bytes.

        Raises:
            OSError: The file cannot be read.
            SourceError: It has changed since it was listed.
        """
        data = self.path.read_bytes()
        if self.sound_id != f"file:{hashlib.sha256(data).hexdigest()}":
            raise SourceError(f"{self.name} changed while it was read; the next run takes it.")
        return data

    def describe(self, data: bytes) -> Sound:
        """Return the metadata that the file carries; its name where it has no title."""
        embedded = embedded_metadata(data)
        return Sound(
            title=embedded.get("title") or _printable(Path(self.path.stem)),
            source=self.source,
            author=_first(embedded, "artist", "author", "performer", "album_artist"),
            license=_first(embedded, "license", "wcop", "copyright"),
            description=_first(embedded, "comment", "description"),
            created=_recorded(embedded) or _modified(self.path),
        )


class FolderSource:
    """The audio files in a folder and its subfolders, in order of their names.

    A file without an audio suffix is looked into: it is listed if it is a sound.

    Sound ids are the SHA-256 of the content: a file that is renamed or copied is the same sound.
    """

    def __init__(
        self,
        folder: Path,
        file_ids: FileIds | None = None,
        max_megabytes: float = 100,
        exclude: Path | None = None,
    ) -> None:
        """Name a folder.

        Args:
            folder: The folder.
            file_ids: Where ids of unchanged files are looked up; without it every file is read.
            max_megabytes: Largest file that is accepted.
            exclude: A folder inside that is not listed: the workspace.

        Raises:
            SourceError: There is no such folder.
        """
        self.folder = folder
        self._file_ids, self._exclude = file_ids, exclude
        self._max_bytes = max_megabytes * 1e6
        if not folder.is_dir():
            raise SourceError(
                f"There is no folder {folder}; EARMARK_SOUNDS must name a folder of sounds."
            )

    @property
    def name(self) -> str:
        """Return what to call the folder in the records of runs."""
        return f"folder {self.folder.name}"

    def files(self) -> list[Path]:
        """Return the files with an audio suffix that are not hidden, in order of name."""
        return [path for path in self._all_files() if _suffix(path) in AUDIO_SUFFIXES]

    def items(self) -> Iterator[FileItem | UnusableItem]:
        """List the files; of several with the same content, the first."""
        listed: set[str] = set()
        for path in self._all_files():
            item = self._identify(path)
            if isinstance(item, UnusableItem):
                yield item
            elif item and item.sound_id not in listed:
                listed.add(item.sound_id)
                yield item

    def _all_files(self) -> list[Path]:
        paths = self.folder.rglob("*")
        return sorted(path for path in paths if _is_file(path) and not self._is_hidden(path))

    def _is_hidden(self, path: Path) -> bool:
        if self._exclude is not None and path.is_relative_to(self._exclude):
            return True
        return any(part.startswith(".") for part in path.relative_to(self.folder).parts)

    def _identify(self, path: Path) -> FileItem | UnusableItem | None:
        """Return the sound in a file; None for a file that nobody takes for a sound."""
        suffix = _suffix(path)
        name = _printable(path.relative_to(self.folder))
        try:
            facts = path.stat()
            error = None if suffix in AUDIO_SUFFIXES else _error_of(path, name)
            if error and suffix not in REPORTED_SUFFIXES and isinstance(error, NotAudio):
                return None
            if error:
                return UnusableItem(name, str(error))
            if facts.st_size > self._max_bytes:
                size, limit = f"{facts.st_size / 1e6:.0f} MB", f"{self._max_bytes / 1e6:g} MB"
                return UnusableItem(name, f"{name} is {size}; the limit is {limit}.")
            sound_id = self._sound_id(path, facts)
        except OSError as failure:
            return UnusableItem(name, f"{name} cannot be read: {failure.strerror}.")
        return FileItem(name, sound_id, path, self.name)

    def _sound_id(self, path: Path, facts: os.stat_result) -> str:
        """Return the remembered id of an unchanged file, or the hash of its content."""
        if self._file_ids is None:
            return f"file:{_sha256(path)}"
        key = (_printable(path.resolve()), facts.st_size, facts.st_mtime_ns % SQLITE_INTEGER_LIMIT)
        sound_id = self._file_ids.get(*key)
        if sound_id is None:
            sound_id = f"file:{_sha256(path)}"
            self._file_ids.remember(*key, sound_id)
        return sound_id


@dataclass(frozen=True)
class FreesoundItem:
    """A sound on Freesound: the API's `row` about it, and the way to its preview."""

    row: FreesoundSound
    previews: Previews

    @property
    def name(self) -> str:
        """Return the sound's title and number."""
        return f"{clean_text(self.row.name, MAX_NAME_LENGTH)} ({self.row.id})"

    @property
    def sound_id(self) -> str:
        """Return `freesound:<id>`."""
        return f"freesound:{self.row.id}"

    def read(self) -> bytes:
        """Return the best preview.

        Raises:
            SourceUnavailable: Freesound's previews cannot be reached.
            SourceError: This preview is gone, or is no audio.
        """
        try:
            return self.previews.preview(self.row)
        except (Unreachable, ServerTrouble) as error:
            raise SourceUnavailable(str(error)) from error
        except (BadPreview, SoundNotFound) as error:
            raise SourceError(str(error)) from error

    def describe(self, data: bytes) -> Sound:
        """Return the uploader's own words, cut to a length that every event can carry."""
        row = self.row
        return Sound(
            title=clean_text(row.name, MAX_TITLE_LENGTH) or f"sound {row.id}",
            source=FREESOUND,
            author=clean_text(row.username),
            license=clean_text(row.license),
            created=clean_text(row.created),
            description=clean_text(row.description, MAX_DESCRIPTION_LENGTH),
            url=own_page(row.url, self.previews.api),
            tags=tuple(clean_text(tag) for tag in row.tags[:MAX_TAGS]),
            category=": ".join(
                clean_text(part) for part in (row.category, row.subcategory) if part
            ),
            gen_ai_preference=clean_text(row.gen_ai_preference),
            is_explicit=row.is_explicit,
            pack=clean_text(row.pack_name),
            geotag=row.geotag,
            avg_rating=row.avg_rating,
            num_ratings=row.num_ratings,
        )


class FreesoundSource:
    """The newest sounds of Freesound, newest first."""

    def __init__(
        self,
        client: FreesoundClient,
        max_seconds: float = 10,
        days: int = 30,
        max_rows: int = MAX_ROWS,
    ) -> None:
        """Say how much of the list to read.

        Args:
            client: Asks the API.
            max_seconds: Longest sound to list.
            days: How far back to go, in days.
            max_rows: Rows that one listing reads.
        """
        self.client = client
        self._max_seconds, self._days, self._max_rows = max_seconds, days, max_rows

    @property
    def name(self) -> str:
        """Return what to call Freesound in the records of runs."""
        return FREESOUND

    def items(self) -> Iterator[FreesoundItem | UnusableItem]:
        """List the newest sounds.

        Raises:
            FreesoundError: The list cannot be read further.
        """
        for row in newest_rows(self.client, self._max_seconds, self._days, self._max_rows):
            if isinstance(row, ListingGap):
                yield UnusableItem(row.name, row.reason)
            else:
                yield FreesoundItem(row, self.client)


def _is_file(path: Path) -> bool:
    """Return True for a file, False for anything else and for what may not be looked at."""
    try:
        return path.is_file()
    except OSError:
        return False


def _suffix(path: Path) -> str:
    return path.suffix.lower().lstrip(".")


def _printable(path: Path) -> str:
    """Return a path as text; a file system may hold names that are not UTF-8."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _error_of(path: Path, name: str) -> AudioError | None:
    """Return the error of a file that is no sound by its beginning; None where it may be one."""
    with path.open("rb") as file:
        return error_of_head(file.read(HEAD_BYTES), name)


def _first(embedded: Mapping[str, str], *names: str) -> str:
    """Return the first of some texts that the file has; empty where it has none."""
    return next((embedded[name] for name in names if name in embedded), "")


def _recorded(embedded: dict[str, str]) -> str:
    """Return the time of recording that the file itself names; empty where it names none."""
    recorded = embedded.get("recorded")
    return iso(datetime.fromisoformat(recorded)) if recorded else ""


def _modified(path: Path) -> str:
    """Return a file's time; empty for one that no clock ever showed."""
    try:
        return iso(datetime.fromtimestamp(path.stat().st_mtime, UTC))
    except (OSError, ValueError, OverflowError):
        return ""


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()
