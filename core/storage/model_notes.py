"""Small facts about a registered model version that came later than its bundle.

A comparison with the champion, or a maintainer's decision about it. Each is one uniquely named JSON
file that is never rewritten, in `models/<name>/notes/<version>/`, so that several machines can add
some without overwriting anything.
"""

import json
import logging
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from core.events.types import ModelRef
from core.files import write_atomic
from core.storage.errors import StorageError
from core.untrusted import load_json

logger = logging.getLogger(__name__)

NoteKind = Literal["comparison", "decision"]
Note = dict[str, Any]
MAX_NOTE_BYTES = 2_000_000
"""A larger file is not read."""
_NAME = re.compile(r"([a-z]+)-[0-9]{8}T[0-9]{12}Z-[0-9a-f]{32}\.json")


class LocalNotes:
    """Notes in the `models` folder of this machine."""

    def __init__(self, models: Path) -> None:
        self._models = models

    def add(self, model: ModelRef, name: str, data: bytes) -> None:
        """Keep a note; one of that name is there already or written whole.

        Raises:
            StorageError: It cannot be written.
        """
        folder = self._folder(model)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / name, data)
        except OSError as error:
            reason = f"A note about {model} cannot be written to {folder} ({error.strerror})."
            raise StorageError(reason) from error

    def names(self, model: ModelRef) -> list[str]:
        """Return the names of the notes about a version, oldest first in each kind."""
        return sorted(path.name for path in self._folder(model).glob("*.json"))

    def read(self, model: ModelRef, kind: NoteKind) -> list[Note]:
        """Return the notes of a kind, oldest first; a damaged file is left out."""
        folder, names = self._folder(model), of_kind(self.names(model), kind)
        notes = (parse_note(folder / name) for name in names)
        return [note for note in notes if note is not None]

    def _folder(self, model: ModelRef) -> Path:
        return self._models / model.name / "notes" / str(model.version)


def new_note(kind: NoteKind, content: Mapping[str, object]) -> tuple[str, bytes]:
    """Return name and bytes of a note of now."""
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return f"{kind}-{time}-{uuid.uuid4().hex}.json", text.encode()


def of_kind(names: Iterable[str], kind: NoteKind) -> list[str]:
    """Return those names that are notes of a kind, oldest first."""
    matches = (_NAME.fullmatch(name) for name in names)
    return sorted(match[0] for match in matches if match and match[1] == kind)


def parse_note(path: Path) -> Note | None:
    """Return the note in a file, or None where it is damaged."""
    try:
        if path.stat().st_size > MAX_NOTE_BYTES:
            raise ValueError("it is too large")
        value = load_json(path.read_bytes())
        if not isinstance(value, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError) as error:
        logger.warning("note unreadable file=%s reason=%s", path, error)
        return None
    return value
