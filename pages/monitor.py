"""Live monitoring and correction: the newest sounds, what the model hears in them, and what people say."""

import math
from datetime import datetime
from typing import get_args

import streamlit as st

from app import fetching, session
from app.review import sound_card
from app.text import ago, plain, plural
from core.workspace import Page, Query, Show

LOOK_EVERY_S = 5


def main() -> None:
    st.title("Monitor", anchor=False)
    summary()
    if fetching.can_fetch():
        fetching.fetch_new_sounds()
    query = filters()
    found = current_page(query)
    if not found.total:
        nothing_to_show(query)
        return
    vocabulary = known_tags()
    for state in found.sounds:
        sound_card(state.sound_id, vocabulary)
    pages(found.total)


@st.fragment(run_every=LOOK_EVERY_S)
def summary() -> None:
    """How many sounds there are; says so when more have arrived, but never moves the list under somebody's hands."""
    counts, current, runs = session.workspace().counts(), session.workspace().rolled_out(), session.workspace().runs(1)
    parts = [plural(counts.sounds, "sound"), f"{counts.reviewed:,} reviewed"]
    if current:
        parts.append(f"model {plain(str(current.payload.model))}")
    if runs:
        skipped = f", {len(runs[0].skipped)} skipped" if runs[0].skipped else ""
        when = ago(datetime.fromisoformat(runs[0].started))
        parts.append(f"last run {when} from {plain(runs[0].source)}: {runs[0].tagged:,} tagged{skipped}")
    sharing = session.workspace().sharing()
    if sharing and sharing.waiting:
        parts.append(f"{plural(sharing.waiting, 'save')} waiting to be shared")
    st.caption(" · ".join(parts))
    if sharing and sharing.problem:
        st.warning(f"The shared home is not up to date here. {plain(sharing.problem)}", icon=":material/cloud_off:")
    seen = st.session_state.setdefault("sounds_seen", counts.sounds)
    if counts.sounds > seen and st.button(f"{plural(counts.sounds - seen, 'new sound')}: show", icon=":material/refresh:"):
        st.session_state.sounds_seen = counts.sounds
        st.rerun(scope="app")


def filters() -> Query:
    """Which sounds to show; kept in the address, so that a view can be shared."""
    with st.container(horizontal=True, vertical_alignment="center"):
        show = st.segmented_control(
            "Show",
            get_args(Show),
            default="all",
            required=True,
            key="show",
            bind="query-params",
            format_func=str.capitalize,
            label_visibility="collapsed",
        )
        tag = st.selectbox(
            "Tag",
            tags_in_use(),
            index=None,
            key="tag",
            placeholder="Any tag",
            width=220,
            bind="query-params",
            label_visibility="collapsed",
        )
    return Query(show or "all", tag)


@st.cache_data(ttl=LOOK_EVERY_S, show_spinner=False)
def tags_in_use() -> list[str]:
    return [tag for tag, _ in session.workspace().tags_in_use()]


def current_page(query: Query) -> Page:
    """The page that was chosen, or the last one where a filter has left fewer."""
    size, number = session.settings().page_size, int(st.session_state.get("page", 1))
    found = session.workspace().page(query, number, size)
    if found.total and not found.sounds:
        st.session_state.page = math.ceil(found.total / size)
        found = session.workspace().page(query, st.session_state.page, size)
    return found


def pages(total: int) -> None:
    count = math.ceil(total / session.settings().page_size)
    if count > 1:
        st.pagination(count, key="page")


def known_tags() -> list[str]:
    """What the tag search offers: the model's vocabulary and everything that people have added."""
    current = session.workspace().rolled_out()
    vocabulary = session.vocabulary(current.payload.model) if current else ()
    return sorted({*vocabulary, *session.workspace().peoples_tags()})


def nothing_to_show(query: Query) -> None:
    if query == Query():
        st.info(f"There are no sounds yet. {how_sounds_come()}", icon=":material/folder_open:")
    else:
        st.info("No sound fits this filter.", icon=":material/filter_alt_off:")


def how_sounds_come() -> str:
    """How there will be sounds: in the words of whoever can do something about it."""
    if fetching.can_fetch():
        return "Fetch new sounds, above, brings the newest of Freesound."
    if session.viewer().may_not_run:
        return "Maintainers can bring some."
    return (
        "`make run` tags the folder that EARMARK_SOUNDS names, or the example sounds; `python -m jobs.tagging` tags what has come since. "
        "With FREESOUND_API_KEY set, the newest sounds of Freesound can be fetched here."
    )


main()
