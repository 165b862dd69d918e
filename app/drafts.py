"""What somebody is working on at the try page, kept so that it survives signing in, a reload and a restart of the server."""

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from app import browser, session
from core.files import write_atomic

KEPT_FOR_S = 24 * 3600
MOST_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Draft:
    """A clip and what was typed about it. `form` holds plain JSON values. `owner` is the Freesound user id of who was signed in."""

    name: str
    data: bytes
    form: dict[str, Any]
    owner: int | None = None


class DraftStore:
    """One draft per browser, in `folder`; the oldest go first when they are too many. `clock` gives seconds since the epoch."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._clock, self._most_bytes = folder, clock, most_bytes
        self._lock = threading.Lock()

    def save(self, browser_id: str, draft: Draft) -> None:
        """Keep the draft in place of the browser's last one; a clip that is there already is not written again."""
        folder, sha = self._of(browser_id), hashlib.sha256(draft.data).hexdigest()
        facts = {"name": draft.name, "form": draft.form, "owner": draft.owner, "sha256": sha, "time": self._clock()}
        with self._lock:
            self._forget_old(len(draft.data))
            if not (folder / sha).exists():
                shutil.rmtree(folder, ignore_errors=True)
                write_atomic(folder / sha, draft.data)
            write_atomic(folder / "draft.json", json.dumps(facts).encode())

    def load(self, browser_id: str, person: int | None) -> Draft | None:
        """The browser's draft; not one that somebody else had begun who was signed in there."""
        folder = self._of(browser_id)
        try:
            facts = json.loads((folder / "draft.json").read_text("utf-8"))
            data = (folder / facts["sha256"]).read_bytes()
        except (OSError, ValueError, KeyError):
            return None
        foreign = facts["owner"] is not None and person is not None and facts["owner"] != person
        if foreign or facts["time"] < self._clock() - KEPT_FOR_S or hashlib.sha256(data).hexdigest() != facts["sha256"]:
            self.forget(browser_id)
            return None
        return Draft(facts["name"], data, facts["form"], facts["owner"])

    def forget(self, browser_id: str) -> None:
        """Delete the browser's draft."""
        shutil.rmtree(self._of(browser_id), ignore_errors=True)

    def _of(self, browser_id: str) -> Path:
        return self._folder / hashlib.sha256(browser_id.encode()).hexdigest()

    def _forget_old(self, needed: int) -> None:
        """Make room, and drop what has not been touched for a day."""
        if not self._folder.is_dir():
            return
        known = []
        for folder in self._folder.iterdir():
            files = [file.stat() for file in folder.iterdir()]
            known.append((max((one.st_mtime for one in files), default=0.0), sum(one.st_size for one in files), folder))
        total = needed + sum(size for _, size, _ in known)
        for touched, size, folder in sorted(known, key=lambda one: one[0]):
            if total <= self._most_bytes and touched >= self._clock() - KEPT_FOR_S:
                break
            total -= size
            shutil.rmtree(folder, ignore_errors=True)


@st.cache_resource(show_spinner=False)
def store() -> DraftStore:
    """The server's drafts."""
    return DraftStore(session.settings().workspace_folder / "drafts")


def keep(name: str, data: bytes, form: dict[str, Any]) -> None:
    """Keep what the viewer is working on, where there is something to come back from: a sign-in."""
    own_id = browser.browser_id()
    if own_id is None or session.sign_ins() is None:
        return
    person = session.viewer().person
    draft = Draft(name, data, form, person.user_id if person else None)
    if st.session_state.get("kept_draft") != (own_id, draft):
        store().save(own_id, draft)
        st.session_state.kept_draft = (own_id, draft)


def mine() -> Draft | None:
    """What the viewer was working on before this page was loaded."""
    own_id = browser.browser_id()
    if own_id is None or session.sign_ins() is None:
        return None
    person = session.viewer().person
    return store().load(own_id, person.user_id if person else None)


def forget() -> None:
    """The viewer's draft is published, or not wanted any more."""
    own_id = browser.browser_id()
    if own_id is not None:
        store().forget(own_id)
    st.session_state.pop("kept_draft", None)
