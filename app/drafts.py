"""Drafts of the try page on disk: they survive signing in, a reload and a restart.

They are private: only the user that the app runs as can read them.
"""

import hashlib
import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, Field

from core.files import write_atomic

logger = logging.getLogger(__name__)

MAX_AGE_S = 24 * 3600
MAX_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Draft:
    """A clip and what was typed about it.

    Attributes:
        name: What to call the clip.
        data: Its bytes.
        form: What was typed, as plain JSON values.
        owner: Freesound user id of the person who was signed in; None where nobody was.
    """

    name: str
    data: bytes
    form: dict[str, object]
    owner: int | None = None


class _DraftFile(BaseModel):
    """`draft.json`, which stands beside the clip. Whatever is not like this is no draft."""

    name: str
    form: dict[str, object]
    owner: int | None
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    time: float


class DraftStore:
    """A browser's drafts: one of each person who is signed in there, and one of nobody.

    The oldest are deleted first when they are too many.
    """

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time.time, max_bytes: int = MAX_BYTES
    ) -> None:
        """Use `folder`, which need not exist; `clock` gives seconds since the epoch."""
        self._folder, self._clock, self._max_bytes = folder, clock, max_bytes
        self._lock = threading.Lock()

    def save(self, browser_id: str, draft: Draft) -> None:
        """Keep a draft in place of its owner's last one at this browser.

        A clip that is there already is not written again.

        Raises:
            OSError: The draft cannot be written.
        """
        folder = self._of(browser_id, draft.owner)
        sha = hashlib.sha256(draft.data).hexdigest()
        facts = _DraftFile(
            name=draft.name, form=draft.form, owner=draft.owner, sha256=sha, time=self._clock()
        )
        with self._lock:
            self._make_room(len(draft.data))
            if not (folder / sha).exists():
                shutil.rmtree(folder, ignore_errors=True)
                self._make_private(folder)
                write_atomic(folder / sha, draft.data, private=True)
            self._make_private(folder)  # earlier versions' drafts were not
            write_atomic(folder / "draft.json", facts.model_dump_json().encode(), private=True)

    def load(self, browser_id: str, user_id: int | None) -> Draft | None:
        """Return a person's draft at this browser, else one that nobody owns and that is not old.

        Args:
            browser_id: The browser.
            user_id: Freesound user id of the person who is signed in; None for nobody.
        """
        with self._lock:
            for owner in (user_id, None) if user_id else (None,):
                draft = self._read(self._of(browser_id, owner))
                if draft and draft.owner in (None, user_id):
                    return draft
        return None

    def move(self, browser_id: str, new_browser_id: str, user_id: int) -> None:
        """Let a person's draft follow them to the browser's new id; no other one follows.

        One that was begun before they signed in becomes theirs, and takes the place of an older.
        Where it cannot be written, it is not kept.
        """
        draft = self.load(browser_id, None) or self.load(browser_id, user_id)
        try:
            if draft:
                self.save(new_browser_id, replace(draft, owner=user_id))
        except OSError as error:
            logger.warning("draft not moved reason=%s", error)
        self.delete(browser_id, user_id)

    def delete(self, browser_id: str, user_id: int | None = None) -> None:
        """Delete a person's draft at this browser, and the one that nobody owns."""
        with self._lock:
            for owner in {user_id, None}:
                shutil.rmtree(self._of(browser_id, owner), ignore_errors=True)

    def _of(self, browser_id: str, owner: int | None) -> Path:
        """Return the folder of a draft; its name does not tell which browser it is of."""
        name = f"{browser_id} {owner}" if owner else browser_id
        return self._folder / hashlib.sha256(name.encode()).hexdigest()

    def _read(self, folder: Path) -> Draft | None:
        """Return the draft in a folder; None where there is none, or an old one, which goes."""
        try:
            facts, data = _read(folder)
        except (OSError, ValueError):
            return None
        if facts.time < self._clock() - MAX_AGE_S:
            shutil.rmtree(folder, ignore_errors=True)
            return None
        return Draft(facts.name, data, facts.form, facts.owner)

    def _make_private(self, folder: Path) -> None:
        """Create a draft's folder where there is none; nothing in it is for others' eyes."""
        folder.mkdir(parents=True, exist_ok=True)
        for own in (self._folder, folder):
            own.chmod(0o700)
        for file in folder.iterdir():
            file.chmod(0o600)

    def _make_room(self, needed: int) -> None:
        """Delete what has not been touched for a day, and the oldest until `needed` bytes fit."""
        if not self._folder.is_dir():
            return
        drafts = [_usage(folder) for folder in self._folder.iterdir() if folder.is_dir()]
        total = needed + sum(size for _, size, _ in drafts)
        for touched, size, folder in sorted(drafts):
            if total <= self._max_bytes and touched >= self._clock() - MAX_AGE_S:
                break
            total -= size
            shutil.rmtree(folder, ignore_errors=True)


def _usage(folder: Path) -> tuple[float, int, Path]:
    """Return when a draft was last touched, its size in bytes, and its folder."""
    files = [file.stat() for file in folder.iterdir()]
    touched = max((facts.st_mtime for facts in files), default=0.0)
    return touched, sum(facts.st_size for facts in files), folder


def _read(folder: Path) -> tuple[_DraftFile, bytes]:
    """Return what is kept there. Raises `OSError` or `ValueError` where that is no whole draft."""
    facts = _DraftFile.model_validate_json((folder / "draft.json").read_bytes())
    data = (folder / facts.sha256).read_bytes()
    if hashlib.sha256(data).hexdigest() != facts.sha256:
        raise ValueError("the clip is not the one that was kept")
    return facts, data
