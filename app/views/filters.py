"""The monitor's filters, each with how many sounds its choices would give."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import cast

import streamlit as st

from app import services, state
from app.text import plain, unformatted
from app.views.view import MODES, Mode, View, change_query, current_view, go_to, set_mode
from core.curation.query_params import (
    AGREEMENTS,
    ORDERS,
    STATES,
)
from core.events.query import Facets, Order, Query
from core.freesound.vocabulary import license_name

CACHE_S = 5
MAX_RUNS = 50
PROBABILITY_STEP = 0.05
EARLIEST_DAY = date(2000, 1, 1)
STATE_NAMES = {"untaggable": "Cannot be tagged"}
AGREEMENT_NAMES = {
    "same": "All suggestions match",
    "some": "Some match",
    "none": "None match",
    "no uploader tags": "No uploader tags",
}
EXPLICIT_NAMES = {True: "Explicit", False: "Not explicit"}


def mode_switch(view: View) -> None:
    """Draw the choice between the list and one sound after another."""
    key = _in_step("mode", view.mode)
    st.segmented_control(
        "Mode",
        MODES,
        key=key,
        required=True,
        format_func=str.capitalize,
        label_visibility="collapsed",
        on_change=lambda: set_mode(cast(Mode, state.filter_field("mode").get() or "list")),
    )


def filter_bar(view: View) -> None:
    """Draw the filters with how many sounds each of their choices would give."""
    facets = services.workspace().sounds.facets(view.query)
    _state_filter(view.query, facets)
    _tag_filter(view.query)
    _text_filter(view.query)
    _order(view)
    active = sum(_is_set(view.query))
    label = f"Filters ({active})" if active else "Filters"
    with st.popover(label, icon=":material/tune:", key="filter-popover"):
        _probability_filter(view.query)
        _agreement_filter(view.query, facets)
        _named_filter("license", "License", facets.licenses, view.query.license, license_name)
        _named_filter("uploader", "Uploader", facets.uploaders, view.query.uploader)
        _day_filters(view.query)
        _named_filter("run", "Run", facets.runs, view.query.run, _run_names().get)
        _explicit_filter(view.query, facets)
        st.button("Clear filters", key="clear-filters", on_click=_clear)


def _is_set(query: Query) -> list[bool]:
    """Return which of the filters in the popover are set."""
    names = "min_probability max_probability agreement license uploader since until run explicit"
    return [getattr(query, name) is not None for name in names.split()]


def _clear() -> None:
    go_to(replace(current_view().beginning(), query=Query()))


def _in_step(name: str, value: object) -> str:
    """Put what the address says into a field; returns the field's key."""
    entry = state.filter_field(name)
    if not entry.exists or entry.get() != value:
        entry.set(value)
    return entry.key


def _on_change(name: str) -> None:
    """Take over what a field of that name says."""
    change_query(**{name: state.filter_field(name).get()})


def _state_filter(query: Query, facets: Facets) -> None:
    counts: dict[str, int] = {"all": sum(facets.states.values())}
    for name, number in facets.states.items():
        counts[name] = number
    st.selectbox(
        "State",
        STATES,
        key=_in_step("show", query.show),
        format_func=lambda name: f"{state_name(name)} ({counts[name]:,})",
        on_change=_on_change,
        args=("show",),
        width=175,
        label_visibility="collapsed",
    )


def state_name(name: str) -> str:
    """Return how the page calls a state of review."""
    return STATE_NAMES.get(name, name.capitalize())


def _tag_filter(query: Query) -> None:
    counts = dict(tag_counts())
    options = list(counts)
    if query.tag and query.tag not in counts:
        options.insert(0, query.tag)
    st.selectbox(
        "Tag",
        options,
        index=None,
        key=_in_step("tag", query.tag),
        format_func=lambda tag: f"{tag} ({counts.get(tag, 0):,})",
        on_change=_on_change,
        args=("tag",),
        placeholder="Any tag",
        width=180,
        label_visibility="collapsed",
    )


@st.cache_data(ttl=CACHE_S, show_spinner=False)
def tag_counts() -> list[tuple[str, int]]:
    """Return the tags that sounds carry now, most frequent first, with how many do."""
    return services.workspace().sounds.tag_counts()


def _text_filter(query: Query) -> None:
    st.text_input(
        "Search title, tags and description",
        key=_in_step("text", query.text),
        placeholder="Search",
        icon=":material/search:",
        max_chars=200,
        on_change=_on_change,
        args=("text",),
        width=200,
        label_visibility="collapsed",
    )


def _order(view: View) -> None:
    def change() -> None:
        order = cast(Order, state.filter_field("order").get())
        go_to(replace(current_view().beginning(), order=order))

    st.selectbox(
        "Order",
        ORDERS,
        key=_in_step("order", view.order),
        format_func=lambda order: f"{order.capitalize()} first",
        on_change=change,
        width=200,
        label_visibility="collapsed",
    )


def _probability_filter(query: Query) -> None:
    def change() -> None:
        low, high = cast(tuple[float, float], state.filter_field("probability").get())
        change_query(
            min_probability=low if low > 0 else None, max_probability=high if high < 1 else None
        )

    whole = (query.min_probability or 0.0, 1.0)
    value = (whole[0], whole[1] if query.max_probability is None else query.max_probability)
    of = f"the tag “{plain(query.tag)}”" if query.tag else "the best suggestion"
    st.slider(
        f"Probability of {of}",
        0.0,
        1.0,
        step=PROBABILITY_STEP,
        key=_in_step("probability", value),
        on_change=change,
    )


def _agreement_filter(query: Query, facets: Facets) -> None:
    st.selectbox(
        "Agreement with the uploader's tags",
        AGREEMENTS,
        index=None,
        key=_in_step("agreement", query.agreement),
        format_func=lambda name: f"{AGREEMENT_NAMES[name]} ({facets.agreement.get(name, 0):,})",
        on_change=_on_change,
        args=("agreement",),
        placeholder="Any",
    )


def _named_filter(
    name: str,
    label: str,
    counted: tuple[tuple[str, int], ...],
    value: str | None,
    shown: Callable[[str], str | None] = str,
) -> None:
    """Draw a filter whose choices are names from outside, each with its number of sounds."""
    counts: Mapping[str, int] = dict(counted)
    options = list(counts)
    if value and value not in counts:
        options.insert(0, value)
    st.selectbox(
        label,
        options,
        index=None,
        key=_in_step(name, value),
        format_func=lambda option: (
            f"{unformatted(shown(option) or option)} ({counts.get(option, 0):,})"
        ),
        on_change=_on_change,
        args=(name,),
        placeholder="Any",
    )


def _run_names() -> dict[str, str]:
    """Return what to call the latest runs, by id."""
    runs = services.workspace().runs.latest(MAX_RUNS)
    return {run.run_id: f"{run.started[:16].replace('T', ' ')}, {run.source}" for run in runs}


def _day_filters(query: Query) -> None:
    with st.container(horizontal=True):
        for name, label in (("since", "Recorded from"), ("until", "Recorded until")):
            st.date_input(
                label,
                value=None,
                min_value=EARLIEST_DAY,
                key=_in_step(name, getattr(query, name)),
                on_change=_on_change,
                args=(name,),
                format="YYYY-MM-DD",
            )


def _explicit_filter(query: Query, facets: Facets) -> None:
    st.selectbox(
        "Explicit",
        (True, False),
        index=None,
        key=_in_step("explicit", query.explicit),
        format_func=lambda value: f"{EXPLICIT_NAMES[value]} ({facets.explicit.get(value, 0):,})",
        on_change=_on_change,
        args=("explicit",),
        placeholder="Any",
    )
