"""AAC twins of previews, made when a browser that does not play Ogg first asks for one."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit as st

from app import services
from core.audio.twin import aac_twin
from core.audio.types import AudioLimits
from core.errors import EarmarkError
from core.storage.media import twin_path, write_files
from core.work import WorkTooLong

logger = logging.getLogger(__name__)

MAX_WAITING = 8
"""Requests that may wait for the one encoder; they hold threads that answer others."""
MAX_ENCODING_S = 60.0


class TwinsBusy(EarmarkError):
    """Too many requests wait for the encoder."""


class Twins:
    """Makes twins, one at a time; each is kept beside its preview.

    Attributes:
        waiting: Requests that wait for the encoder or use it.
    """

    def __init__(self, limits: AudioLimits, max_waiting: int = MAX_WAITING) -> None:
        self._limits, self._encoder = limits, threading.Lock()
        self._max_waiting, self._counting = max_waiting, threading.Lock()
        self.waiting = 0

    def twin(self, preview: Path) -> Path | None:
        """Return the twin of a preview, made now if need be; None if the preview is gone.

        Raises:
            TwinsBusy: Too many wait already.
            AudioError: The preview cannot be decoded.
            StorageError: The twin cannot be written.
            WorkTooLong: Encoding takes too long.
        """
        path = twin_path(preview)
        if path.is_file():
            return path
        with self._place(), self._encoder:
            return path if path.is_file() else self._make(preview, path)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Take one of the places in the queue."""
        with self._counting:
            if self.waiting == self._max_waiting:
                raise TwinsBusy("The server is busy converting other sounds; try again.")
            self.waiting += 1
        try:
            yield
        finally:
            with self._counting:
                self.waiting -= 1

    def _make(self, preview: Path, path: Path) -> Path | None:
        try:
            data = preview.read_bytes()
        except FileNotFoundError:
            return None
        started = time.monotonic()
        twin = aac_twin(data, limits=self._limits, checkpoint=lambda: _check_time(started))
        write_files([(path, twin)])
        seconds = time.monotonic() - started
        logger.info("twin made name=%s bytes=%d seconds=%.2f", path.name, len(twin), seconds)
        if not preview.exists():  # withdrawn meanwhile
            path.unlink(missing_ok=True)
            return None
        return path


def _check_time(started: float) -> None:
    if time.monotonic() - started > MAX_ENCODING_S:
        raise WorkTooLong("Converting this sound takes too long.")


@st.cache_resource(show_spinner=False)
def twins() -> Twins:
    """Return the server's one maker of twins."""
    return Twins(AudioLimits.from_settings(services.settings()))
