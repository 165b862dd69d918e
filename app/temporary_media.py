"""Playable copies of people's own clips, kept for a while under names that nobody can guess."""

import re
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from core.errors import EarmarkError

PREFIX = "earmark-media-"
"""Of the folder's name, among the temporary files of other programs."""
MAX_AGE_S = 3600
MAX_BYTES = 1_000_000_000
_NAME = re.compile(r"[0-9a-f]{48}\.(ogg|webp)")


class TemporaryMedia:
    """Files under random names; gone after an hour, or sooner (oldest first) if too many."""

    def __init__(self, max_age_s: float = MAX_AGE_S, max_bytes: int = MAX_BYTES) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix=PREFIX)
        self._max_age_s, self._max_bytes = max_age_s, max_bytes
        self._lock = threading.Lock()

    def put(self, data: bytes, suffix: str) -> str:
        """Keep `data`; returns its name.

        Raises:
            EarmarkError: The server has no room for it.
        """
        name = f"{secrets.token_hex(24)}.{suffix}"
        path = Path(self._folder.name) / name
        try:
            with self._lock:
                self._make_room(len(data))
                path.write_bytes(data)
        except OSError as error:
            path.unlink(missing_ok=True)
            reason = error.strerror or "its folder is gone"
            raise EarmarkError(f"The server cannot keep clips at present ({reason}).") from error
        return name

    def path(self, name: str) -> Path | None:
        """Return the file of that name, or None if there is none (any more)."""
        if not _NAME.fullmatch(name):
            return None
        path = Path(self._folder.name) / name
        try:
            return None if self._is_old(path) else path
        except FileNotFoundError:
            return None

    def _is_old(self, path: Path) -> bool:
        return time.time() - path.stat().st_mtime > self._max_age_s

    def _make_room(self, needed: int) -> None:
        """Delete what is old, and the oldest files until `needed` bytes fit."""
        files = sorted(self._files())
        size = needed + sum(size for _, size, _ in files)
        for modified, file_size, path in files:
            if size <= self._max_bytes and time.time() - modified <= self._max_age_s:
                break
            size -= file_size
            path.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Yield time, size and path of each file; twins are renamed here at any time."""
        for path in Path(self._folder.name).iterdir():
            with suppress(FileNotFoundError):
                facts = path.stat()
                yield facts.st_mtime, facts.st_size, path
