"""Fetching new sounds from Freesound at the press of a button: one fetch at a time, in the background, seen by all who may fetch."""

import threading
import time
from dataclasses import dataclass, replace

import streamlit as st

from app import session
from app.text import plain, plural
from core.errors import EarmarkError
from core.freesound.client import client_from
from core.freesound.feed import FreesoundSource
from core.people import shown_name
from core.settings import Settings
from core.tagging import tag_new_sounds
from core.workspace import Run, Workspace

LOOK_EVERY_S = 1.5
WORTH_SAYING_S = 5
MOST_REASONS_SHOWN = 5
SOMEBODY = "somebody on this machine"
"""Whoever fetches on this machine before they have been asked for a name."""
_SEEN_KEY, _RUNNING_KEY, _NOTE_KEY = "fetch_seen", "fetch_running", "fetch_note"


@dataclass(frozen=True)
class Fetch:
    """One fetch as it stands: its `number`, who started it, what it is doing, and its `run` or `error` once it has ended."""

    number: int = 0
    actor: str = ""
    doing: str = ""
    done: int = 0
    total: int = 0
    run: Run | None = None
    error: str = ""
    running: bool = False


class Fetcher:
    """The server's one fetch. It goes on when its page is left; a server that stops loses nothing that was tagged."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = Fetch()
        self._thread: threading.Thread | None = None

    @property
    def now(self) -> Fetch:
        """The fetch that is running, or the last one."""
        return self._now

    def start(self, settings: Settings, workspace: Workspace, actor: str) -> bool:
        """Begin a fetch; False, and nothing happens, while one is running."""
        with self._lock:
            if self._now.running:
                return False
            self._now = Fetch(self._now.number + 1, actor, "Loading the model", running=True)
            self._thread = threading.Thread(target=self._work, args=(settings, workspace, actor), daemon=True, name="fetch")
            self._thread.start()
            return True

    def wait(self) -> None:
        """Until the fetch that is running has ended."""
        if self._thread is not None:
            self._thread.join()

    def _work(self, settings: Settings, workspace: Workspace, actor: str) -> None:
        run, error = None, "The fetch broke off."
        try:
            run, error = self._fetch(settings, workspace, actor), ""
        except EarmarkError as problem:
            error = str(problem)
        finally:
            self._now = replace(self._now, run=run, error=error, running=False)

    def _fetch(self, settings: Settings, workspace: Workspace, actor: str) -> Run:
        source = FreesoundSource(client_from(settings, sleep=self._sleep), settings.feed_seconds, settings.feed_days)
        tagger, model = session.tagger()
        self._now = replace(self._now, doing="Looking through Freesound")
        return tag_new_sounds(
            source, tagger, workspace, settings.feed_limit, model=model, limits=settings.limits, actor=actor, progress=self._progress
        )

    def _progress(self, done: int, total: int, name: str) -> None:
        self._now = replace(self._now, doing=f"Heard {name}", done=done, total=total)

    def _sleep(self, seconds: float) -> None:
        if seconds > WORTH_SAYING_S:
            self._now = replace(self._now, doing=f"Waiting {seconds:.0f} s, because Freesound limits requests")
        time.sleep(seconds)


@st.cache_resource(show_spinner=False)
def fetcher() -> Fetcher:
    """The server's fetcher."""
    return Fetcher()


def can_fetch() -> bool:
    """Whether there is a key to read Freesound with, and the viewer may run jobs."""
    return session.settings().freesound_api_key is not None and not session.viewer().may_not_run


@st.fragment(run_every=LOOK_EVERY_S)
def fetch_new_sounds() -> None:
    """The button, the progress of whoever's fetch is running, and in the sessions that saw it run what became of it."""
    now = fetcher().now
    if now.running:
        _progress(now)
        _note()
    elif st.session_state.get(_SEEN_KEY) == now.number and st.session_state.pop(_RUNNING_KEY, False):
        st.session_state.pop("sounds_seen", None)
        st.session_state.pop(_NOTE_KEY, None)
        st.rerun(scope="app")  # who watched it wants to see the new sounds
    else:
        st.button("Fetch new sounds", key="fetch", on_click=_start, icon=":material/download:", help=_offer())
        _note()
        if now.number and st.session_state.get(_SEEN_KEY) == now.number:
            _outcome(now)


def _start() -> None:
    """Begin a fetch for the viewer, or say whose is running."""
    if not can_fetch():
        return
    st.session_state.pop(_NOTE_KEY, None)
    if not fetcher().start(session.settings(), session.workspace(), session.viewer().actor or SOMEBODY):
        st.session_state[_NOTE_KEY] = f"{shown_name(fetcher().now.actor)} is fetching already, so your press started nothing more."
    _watch(fetcher().now)


def _watch(now: Fetch) -> None:
    """Remember that this session has seen the fetch run, and so wants to know how it ends."""
    st.session_state[_SEEN_KEY], st.session_state[_RUNNING_KEY] = now.number, True


def _offer() -> str:
    chosen = session.settings()
    return f"The {chosen.feed_limit} newest sounds of Freesound of up to {chosen.feed_seconds:g} seconds that are not here yet"


def _note() -> None:
    if note := st.session_state.get(_NOTE_KEY):
        st.caption(f":material/group: {plain(note)}")


def _progress(now: Fetch) -> None:
    _watch(now)
    share = now.done / now.total if now.total else 0.0
    counted = f" ({now.done} of {now.total})" if now.total else ""
    st.progress(share, text=f"{plain(shown_name(now.actor))} is fetching. {plain(now.doing)}{counted}")


def _outcome(now: Fetch) -> None:
    if now.run is None:
        st.error(f"Nothing more was fetched. {plain(now.error)}", icon=":material/error:")
        return
    run = now.run
    if run.tagged:
        st.success(f"{plural(run.tagged, 'new sound')} from Freesound.", icon=":material/check_circle:")
    else:
        st.info(_nothing_new(run), icon=":material/info:")
    if run.note:
        st.warning(plain(run.note), icon=":material/warning:")
    if run.skipped:
        _skipped(run)


def _nothing_new(run: Run) -> str:
    chosen = session.settings()
    if run.skipped:
        return "None of the new sounds on Freesound could be used."
    looked = f"sounds of up to {chosen.feed_seconds:g} seconds from the last {chosen.feed_days} days, {run.known:,} known already"
    return f"Nothing new on Freesound ({looked})."


def _skipped(run: Run) -> None:
    lines = [f"- {plain(name)}: {plain(reason)}" for name, reason in run.skipped[:MOST_REASONS_SHOWN]]
    more = len(run.skipped) - MOST_REASONS_SHOWN
    with st.expander(f"{plural(len(run.skipped), 'sound')} could not be used"):
        st.markdown("\n".join([*lines, f"- and {more:,} more"] if more > 0 else lines))
