"""Every query against an evaluation that looks at all sounds, over random logs."""

import tempfile
from collections import Counter
from dataclasses import replace
from datetime import date
from itertools import chain
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.events.fold import ReviewState, confirm, fold
from core.events.query import LAST_PAGE, Agreement, Count, Order, Query
from core.events.sounds import SoundIndex
from core.events.store import EventStore
from core.events.types import (
    Withdrawn,
    new_event,
)
from core.sqlite import Database
from tests.helpers.events import predicted
from tests.helpers.query_reference import facets, matches, rarities_of, sort_key
from tests.helpers.random_logs import (
    LICENSES,
    RUNS,
    TAGS,
    UPLOADERS,
    WORDS,
    batches_of_events,
    probabilities,
)

ORDERS: tuple[Order, ...] = get_args(Order)
FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

queries = st.builds(
    Query,
    show=st.sampled_from(["all", "all", *get_args(ReviewState)]),
    tag=st.none() | st.sampled_from([*TAGS, "cat"]),
    min_probability=st.none() | st.none() | probabilities,
    max_probability=st.none() | st.none() | probabilities,
    agreement=st.none() | st.none() | st.sampled_from(get_args(Agreement)),
    license=st.none() | st.none() | st.sampled_from([*LICENSES, "none of them"]),
    uploader=st.none() | st.none() | st.sampled_from(UPLOADERS),
    since=st.none() | st.none() | st.dates(date(2026, 11, 19), date(2026, 11, 22)),
    until=st.none() | st.none() | st.dates(date(2026, 11, 19), date(2026, 11, 22)),
    run=st.none() | st.none() | st.sampled_from(RUNS),
    explicit=st.none() | st.none() | st.booleans(),
    text=st.just("") | st.just("") | st.sampled_from([*WORDS, "do", "old rai", "field", "?!"]),
)


@pytest.fixture
def opened():
    """Open new event logs."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = iter(range(10**9))

        def open_new():
            database = Database(Path(folder) / f"{next(numbers)}.sqlite")
            return EventStore(database), SoundIndex(database)

        yield open_new


def filled(opened, batches):
    store, index = opened()
    for batch in batches:
        store.append(batch)
    return store, index


@FEW
@given(batches_of_events(), st.lists(queries, min_size=3, max_size=6))
def test_every_query_finds_what_a_look_at_every_sound_finds(opened, batches, asked):
    _, index = filled(opened, batches)
    states = list(index.all())
    for query in asked:
        expected = {state.sound_id for state in states if matches(state, query)}
        assert set(index.ids(query, limit=100)) == expected
        assert index.count(query) == Count(len(expected))
        page = index.page(query, size=100)
        assert {state.sound_id for state in page.sounds} == expected
        assert (page.total, page.total_is_exact) == (len(expected), True)
        assert index.facets(query) == facets(states, query)


@FEW
@given(batches_of_events(), queries, st.sampled_from(ORDERS))
def test_an_order_is_by_its_key_and_pages_make_up_the_whole_list(opened, batches, query, order):
    store, index = filled(opened, batches)
    store.rebuild()  # rarities are of now
    states = {state.sound_id: state for state in index.all()}
    rarities = rarities_of(states.values())
    ids = index.ids(query, order=order, limit=100)
    keys = [sort_key(states[sound_id], order, rarities) for sound_id in ids]
    if order != "most informative":
        assert keys == sorted(keys, reverse=True)
    paged, cursor = [], ""
    while cursor is not None:
        page = index.page(query, order=order, cursor=cursor, size=2)
        paged += [state.sound_id for state in page.sounds]
        cursor = page.next
    assert Counter(paged) == Counter(ids)


@FEW
@given(batches_of_events(), queries, st.sampled_from(ORDERS[:2]), st.integers(1, 3))
def test_going_back_shows_the_same_pages(opened, batches, query, order, size):
    _, index = filled(opened, batches)
    ids = index.ids(query, order=order, limit=100)
    page = index.page(query, order=order, cursor=LAST_PAGE, size=size)
    shown = [[state.sound_id for state in page.sounds]]
    while page.previous:
        page = index.page(query, order=order, cursor=page.previous, size=size)
        shown.append([state.sound_id for state in page.sounds])
    assert list(dict.fromkeys(chain.from_iterable(reversed(shown)))) == ids
    assert page.previous is None
    assert page.next or len(ids) <= size


@FEW
@given(batches_of_events())
def test_kept_counts_are_those_of_all_sounds_and_of_tables_made_anew(opened, batches):
    store, index = filled(opened, batches)

    def kept():
        found = index.counts(), index.tag_counts(), index.verdict_counts(), index.added_tags()
        return *found, index.facets(Query())

    before, states = kept(), [state for state in index.all() if not state.withdrawn]
    tags = Counter(tag for state in states for tag in state.tags)
    assert dict(index.tag_counts()) == tags
    assert index.counts().sounds == len(states)
    assert index.counts().reviewed == sum(state.reviewed for state in states)
    assert store.rebuild() == len(list(index.all()))
    assert kept() == before


@FEW
@given(batches_of_events(), st.text(max_size=30))
def test_no_text_that_a_person_types_is_an_error(opened, batches, text):
    _, index = filled(opened, batches[:1])
    for hostile in (text, f'{text}"', f"title:{text}*", f"NEAR({text})", f"-{text} OR a"):
        page = index.page(replace(Query(), text=hostile), size=5)
        assert page.total >= len(page.sounds)


def test_examples_of_a_tag_are_reviewed_ones_first(opened):
    store, index = opened()
    events = [predicted(number, "dog" if number != 3 else "cat") for number in range(1, 7)]
    gone = new_event(Withdrawn(reason="gone"), "freesound:6", "ada", base=events[5])
    store.append([*events, gone, confirm(fold([events[1]]), ["dog"], "ada")])
    examples = [state.sound_id for state in index.with_tag("dog")]
    assert examples == ["freesound:2", "freesound:5", "freesound:4"]
    assert index.with_tag("wolf") == []


def test_many_sounds_are_looked_up_at_once(opened):
    store, index = opened()
    store.append(predicted(number) for number in range(1, 4))
    found = index.get_many(["freesound:3", "freesound:9", "freesound:1"])
    assert list(found) == ["freesound:3", "freesound:1"]
    assert found["freesound:1"] == index.get("freesound:1")
