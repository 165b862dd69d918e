"""The monitor's summary, filters and page of sounds."""

import math
from datetime import datetime
from typing import get_args

import streamlit as st

from app import auth, services, state
from app.text import ago, plain, plural
from app.views.errors import log_error
from app.views.fetch import can_fetch
from core.events.sounds import Page, Query, Show
from core.storage.active_model import active_version
from core.storage.runs import Run
from core.storage.sync import SyncStatus

POLL_INTERVAL_S = 5


@st.fragment(run_every=POLL_INTERVAL_S)
def summary() -> None:
    """Draw the counts; new sounds are announced, but do not move the list by themselves."""
    workspace = services.workspace()
    counts, model = workspace.sounds.counts(), active_version(workspace)
    sync = workspace.sync.status()
    parts = [plural(counts.sounds, "sound"), f"{counts.reviewed:,} reviewed"]
    if model:
        parts.append(f"model {plain(str(model))}")
    parts += [_run_text(run) for run in workspace.runs.latest(1)]
    if sync and sync.waiting:
        parts.append(f"{plural(sync.waiting, 'save')} not synced yet")
    st.caption(" · ".join(parts))
    if sync:
        _sync_problem(sync)
    _announce(counts.sounds)


def _run_text(run: Run) -> str:
    skipped = f", {len(run.skipped)} skipped" if run.skipped else ""
    when = ago(datetime.fromisoformat(run.started))
    return f"last run {when} from {plain(run.source)}: {run.tagged:,} tagged{skipped}"


def _sync_problem(sync: SyncStatus) -> None:
    if sync.problem:
        log_error(sync.problem)
        text = f"Not in sync with the shared workspace. {plain(sync.problem)}"
        st.warning(text, icon=":material/cloud_off:")


def _announce(sounds: int) -> None:
    """Offer to show sounds that have come since the list was drawn."""
    seen = state.sounds_seen.get()
    if seen is None:
        state.sounds_seen.set(sounds)
    elif sounds > seen:
        label = f"{plural(sounds - seen, 'new sound')}: show"
        if st.button(label, icon=":material/refresh:"):
            state.sounds_seen.set(sounds)
            st.rerun(scope="app")


def filters() -> Query:
    """Draw the filters, which are kept in the address so that a view can be shared."""
    with st.container(horizontal=True, vertical_alignment="center"):
        show = st.segmented_control(
            "Show",
            get_args(Show),
            default="all",
            required=True,
            key=state.show_filter.key,
            bind="query-params",
            format_func=str.capitalize,
            label_visibility="collapsed",
        )
        tag = st.selectbox(
            "Tag",
            current_tags(),
            index=None,
            key=state.tag_filter.key,
            placeholder="Any tag",
            width=220,
            bind="query-params",
            label_visibility="collapsed",
        )
    return Query(show or "all", tag)


@st.cache_data(ttl=POLL_INTERVAL_S, show_spinner=False)
def current_tags() -> list[str]:
    """Return the tags that sounds carry now, most frequent first."""
    return [tag for tag, _ in services.workspace().sounds.tag_counts()]


def current_page(query: Query) -> Page:
    """Return the page that was chosen, or the last one where a filter has left fewer."""
    sounds, size = services.workspace().sounds, services.settings().page_size
    page = sounds.page(query, int(state.monitor_page.get()), size)
    if page.total and not page.sounds:
        last = math.ceil(page.total / size)
        state.monitor_page.set(last)
        page = sounds.page(query, last, size)
    return page


def page_buttons(total: int) -> None:
    """Draw the pagination for so many sounds."""
    count = math.ceil(total / services.settings().page_size)
    if count > 1:
        st.pagination(count, key=state.monitor_page.key)


def known_tags() -> list[str]:
    """Return the model's vocabulary and every tag that people have added."""
    workspace = services.workspace()
    model = active_version(workspace)
    vocabulary = services.vocabulary(model) if model else ()
    return sorted({*vocabulary, *workspace.sounds.added_tags()})


def empty_list(query: Query) -> None:
    """Draw why there is nothing to show, and what the viewer can do about it."""
    if query != Query():
        st.info("No sound fits this filter.", icon=":material/filter_alt_off:")
        return
    if can_fetch():
        advice = "Press “Fetch new sounds” above for the newest sounds of Freesound."
    elif not auth.viewer().run.allowed:
        advice = "Ask a maintainer to add sounds."
    else:
        advice = (
            "`make run` tags the folder that EARMARK_SOUNDS names, or the example sounds; "
            "`python -m jobs tag` tags new files in it. With FREESOUND_API_KEY set, the newest "
            "sounds of Freesound can be fetched here."
        )
    st.info(f"There are no sounds yet. {advice}", icon=":material/folder_open:")
