"""Playable copies of visitors' own clips: kept for a while on the server's disk, under names that nobody can guess."""

import re
import secrets
import tempfile
import threading
import time
from pathlib import Path

import streamlit as st

KEPT_FOR_S = 3600
MOST_BYTES = 1_000_000_000
_NAME = re.compile(r"[0-9a-f]{48}\.(ogg|webp)")


class TryStore:
    """Files under random names, forgotten after an hour, or sooner (oldest first) when they are too many."""

    def __init__(self, kept_for_s: float = KEPT_FOR_S, most_bytes: int = MOST_BYTES) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="earmark-tries-")
        self._kept_for_s, self._most_bytes = kept_for_s, most_bytes
        self._lock = threading.Lock()

    def put(self, data: bytes, suffix: str) -> str:
        """Keep `data`; returns its name."""
        name = f"{secrets.token_hex(24)}.{suffix}"
        with self._lock:
            self._forget(len(data))
            (Path(self._folder.name) / name).write_bytes(data)
        return name

    def path(self, name: str) -> Path | None:
        """The file of that name, or None if there is none (any more)."""
        if not _NAME.fullmatch(name):
            return None
        path = Path(self._folder.name) / name
        try:
            return path if time.time() - path.stat().st_mtime <= self._kept_for_s else None
        except FileNotFoundError:
            return None

    def _forget(self, needed: int) -> None:
        files = sorted(Path(self._folder.name).iterdir(), key=lambda path: path.stat().st_mtime)
        size = needed + sum(path.stat().st_size for path in files)
        for path in files:
            if size <= self._most_bytes and time.time() - path.stat().st_mtime <= self._kept_for_s:
                break
            size -= path.stat().st_size
            path.unlink()


@st.cache_resource(show_spinner=False)
def store() -> TryStore:
    """The server's store."""
    return TryStore()
