"""Fetching new sounds from Freesound: the button, the progress, and the outcome."""

import logging

import streamlit as st

from app import auth, services, state
from app.callbacks import callback
from app.fetcher import Fetch
from app.text import bullets, plain, plural
from app.views.errors import log_error, shows_errors
from core.people import shown_name
from core.storage.runs import Run

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 1.5
MAX_REASONS_SHOWN = 5
NAMELESS_ACTOR = "Someone on this computer"
"""Whoever fetches on this machine before they were asked for a name."""


def can_fetch() -> bool:
    """Return True if there is a key for Freesound, and the viewer may run jobs."""
    return services.settings().freesound_api_key is not None and auth.viewer().run.allowed


@st.fragment(run_every=POLL_INTERVAL_S)
@shows_errors
def fetch_section() -> None:
    """Draw the button, the progress of anybody's fetch, and its outcome to those who saw it."""
    fetch = services.fetcher().current
    was_seen = state.fetch_seen.get() == fetch.number
    if fetch.running:
        _progress(fetch)
        _note()
    elif was_seen and state.fetch_watched.pop():
        state.sounds_seen.pop()
        state.listed_page.pop()
        state.fetch_note.pop()
        st.rerun(scope="app")  # the list begins with the new sounds
    else:
        icon = ":material/download:"
        st.button("Fetch new sounds", key="fetch", on_click=_start, icon=icon, help=_help())
        _note()
        if fetch.number and was_seen:
            _outcome(fetch)


@callback
def _start() -> None:
    """Begin a fetch for the viewer, or tell them whose is running."""
    viewer, fetcher = auth.viewer(), services.fetcher()
    if not can_fetch():
        logger.warning("refusal action=fetch actor=%s", viewer.actor)
        return
    state.fetch_note.pop()
    if not fetcher.start(viewer.actor or NAMELESS_ACTOR):
        state.fetch_note.set(fetcher.refusal())
        if not fetcher.current.running:
            return
    _watch(fetcher.current)


def _watch(fetch: Fetch) -> None:
    """Remember that this session has seen the fetch run and is to get its outcome."""
    state.fetch_seen.set(fetch.number)
    state.fetch_watched.set(True)


def _help() -> str:
    settings = services.settings()
    length = f"up to {settings.feed_seconds:g} seconds long"
    return f"The {settings.feed_limit} newest sounds on Freesound, {length}, not in Earmark yet"


def _note() -> None:
    if note := state.fetch_note.get():
        st.caption(f":material/group: {plain(note)}")


def _progress(fetch: Fetch) -> None:
    _watch(fetch)
    share = fetch.done / fetch.total if fetch.total else 0.0
    count = f" ({fetch.done} of {fetch.total})" if fetch.total else ""
    name, stage = plain(shown_name(fetch.actor)), plain(fetch.stage)
    st.progress(min(1.0, share), text=f"{name} is fetching. {stage}{count}")


def _outcome(fetch: Fetch) -> None:
    run = fetch.run
    if run is None:
        log_error(fetch.error)
        st.error(f"Fetch stopped. {plain(fetch.error)}", icon=":material/error:")
        return
    if run.tagged:
        text = f"{plural(run.tagged, 'new sound')} from Freesound."
        st.success(text, icon=":material/check_circle:")
    else:
        st.info(_nothing_new(run), icon=":material/info:")
    if run.note:
        st.warning(plain(run.note), icon=":material/warning:")
    if run.skipped:
        _skipped(run)


def _nothing_new(run: Run) -> str:
    if run.skipped:
        return "None of the new sounds on Freesound could be used."
    settings = services.settings()
    searched = f"sounds of up to {settings.feed_seconds:g} seconds, last {settings.feed_days} days"
    return f"Nothing new on Freesound ({searched}, {run.known:,} known already)."


def _skipped(run: Run) -> None:
    lines = [f"{plain(name)}: {plain(reason)}" for name, reason in run.skipped]
    more = len(lines) - MAX_REASONS_SHOWN
    lines = lines[:MAX_REASONS_SHOWN] + ([f"and {more:,} more"] if more > 0 else [])
    with st.expander(f"{plural(len(run.skipped), 'sound')} could not be used"):
        st.markdown(bullets(lines))
