"""The monitor's summary and its list: a page of cards that stays as it is while one works."""

from dataclasses import replace
from datetime import datetime

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import auth, services, state
from app.components.card_list import card_list
from app.state import ListedPage
from app.text import ago, plain, plural
from app.views import review_actions
from app.views.errors import log_error, shows_errors
from app.views.fetch import can_fetch
from app.views.review_card import CardData, card_key, review_card
from app.views.similar import similar_page
from app.views.view import View, current_view, go_to
from core.curation.query_params import query_to_params
from core.curation.tag_search import TagEntry, tag_entries
from core.events.query import Query
from core.storage.active_model import active_version
from core.storage.runs import Run
from core.storage.sync import SyncStatus

POLL_INTERVAL_S = 5
COUNTS_TTL_S = 300


@st.fragment(run_every=POLL_INTERVAL_S)
@shows_errors
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
    with st.container(key="announcement"):
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
            _first_page()
            st.rerun(scope="app")


def _first_page() -> None:
    """Read the list anew, from its beginning."""
    state.listed_page.pop()
    go_to(current_view().beginning())


def sound_list(view: View) -> None:
    """Draw a page of cards, and the way to the next one."""
    page = _listed_page(view)
    sounds = services.workspace().sounds.get_many(page.sound_ids)
    if not sounds:
        empty_list(view.query)
        return
    if page.title:
        _other_choice(page.title)
    unsaved = _unsaved_bar()
    last_events = [sound.last_event.event_id for sound in sounds.values()]
    waiting = services.workspace().sync.waiting(last_events)
    viewer, tags = auth.viewer(), known_tags()
    with st.container(key="cards", gap="xsmall"):
        for sound in sounds.values():
            is_waiting = sound.last_event.event_id in waiting
            review_card(CardData(sound, viewer, is_waiting), tags, unsaved)
    _page_buttons(view, page)
    names = {card_key(sound.sound_id): sound.sound.title for sound in sounds.values()}
    card_list(names, page_key=page.key, is_first=not view.cursor)


def _listed_page(view: View) -> ListedPage:
    """Return the page that the person sees already, or read the one that the address names.

    A sound that was reviewed stays on the page, so that nothing moves under the person's hands, and
    the next page begins where this one ended.
    """
    listed = state.listed_page.get()
    if listed is None or listed.key != view.key:
        listed = _read_page(view)
        state.listed_page.set(listed)
    return listed


def _read_page(view: View) -> ListedPage:
    alike = similar_page(view) if view.like else None
    if alike is not None:
        return alike
    sounds, size = services.workspace().sounds, services.settings().page_size
    page = sounds.page(view.query, size=size, order=view.order, cursor=view.cursor)
    if not page.sounds and view.cursor:
        page = sounds.page(view.query, size=size, order=view.order)
    ids = tuple(sound.sound_id for sound in page.sounds)
    return ListedPage(
        view.key, ids, page.total, page.total_is_exact, next=page.next, previous=page.previous
    )


def _other_choice(title: str) -> None:
    """Draw what the sounds are, and the way back to those that the filters choose."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(title)}**")
        st.button("Back to the list", key="back-to-list", on_click=_first_page)


def _page_buttons(view: View, page: ListedPage) -> None:
    """Draw the way to the pages beside this one."""
    if page.next is None and page.previous is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="pages"):
        st.button(
            "Previous page",
            key="previous-page",
            icon=":material/arrow_back:",
            disabled=page.previous is None,
            on_click=_turn_page,
            args=(view, page.previous, -1),
        )
        more = "" if page.total_is_exact else "more than "
        st.caption(f"Page {view.number} · {more}{plural(page.total, 'sound')}")
        st.button(
            "Next page",
            key="next-page",
            icon=":material/arrow_forward:",
            icon_position="right",
            disabled=page.next is None,
            on_click=_turn_page,
            args=(view, page.next, 1),
        )


def _turn_page(view: View, cursor: str | None, step: int) -> None:
    number = max(1, view.number + step)
    go_to(replace(view, cursor=cursor if cursor and number > 1 else "", number=number))


def _unsaved_bar() -> DeltaGenerator:
    """Draw the place that says how many sounds have unsaved changes, and the button for them."""
    with st.container(key="unsaved", horizontal=True, vertical_alignment="center"):
        place = st.empty()
        review_actions.show_unsaved(place)
        if review_actions.unsaved_sounds():
            st.button("Save all changes", key="save-all", on_click=review_actions.save_all_changes)
    return place


@st.cache_data(ttl=POLL_INTERVAL_S, show_spinner=False)
def known_tags() -> tuple[TagEntry, ...]:
    """Return the model's vocabulary and all other tags of sounds, for the search of tags.

    A tag that somebody has just added is in it within seconds; the counts are those of some minutes
    ago, so that browsers do not fetch them again with every review.
    """
    workspace = services.workspace()
    model = active_version(workspace)
    vocabulary = services.vocabulary(model) if model else ()
    return tag_entries({*vocabulary, *workspace.sounds.added_tags()}, _counts_for_search())


@st.cache_data(ttl=COUNTS_TTL_S, show_spinner=False)
def _counts_for_search() -> dict[str, int]:
    return dict(services.workspace().sounds.tag_counts())


def empty_list(query: Query) -> None:
    """Draw why there is nothing to show, and what the viewer can do about it."""
    if query_to_params(query):
        st.info("No sounds match these filters.", icon=":material/filter_alt_off:")
        return
    if can_fetch():
        advice = "Press “Fetch new sounds” to get the newest sounds from Freesound."
    elif not auth.viewer().run.allowed:
        advice = "Ask a maintainer to add sounds."
    else:
        advice = (
            "`make run` tags the folder that EARMARK_SOUNDS names, or the example sounds; "
            "`python -m jobs tag` tags new files in it. With FREESOUND_API_KEY set, the newest "
            "sounds of Freesound can be fetched here."
        )
    st.info(f"No sounds yet. {advice}", icon=":material/folder_open:")
