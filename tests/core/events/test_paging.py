"""Pages of a list that changes while somebody goes through it."""

import random
from collections import Counter
from itertools import pairwise
from typing import get_args

import pytest

from core.events.fold import confirm
from core.events.query import LAST_PAGE, Order, Query
from core.events.sounds import SoundIndex
from core.events.store import EventStore
from core.events.types import Predicted, Sound, Suggestion, Withdrawn, new_event
from core.sqlite import Database
from tests.helpers.events import V1, predicted

ORDERS: tuple[Order, ...] = get_args(Order)
TO_REVIEW = Query("to review")


@pytest.fixture
def log(tmp_path):
    database = Database(tmp_path / "index.sqlite")
    return EventStore(database), SoundIndex(database)


def uploaded(number, uploader, probability=0.5, title=""):
    """The prediction of a sound by an uploader."""
    suggestion = Suggestion(tag="dog", probability=probability, above_threshold=True)
    sound = Sound(title=title or f"{uploader} {number}x", source="test", author=uploader)
    payload = Predicted(model=V1, top=(suggestion,), sound=sound)
    return new_event(payload, f"freesound:{number}", "job")


def ids_of(page):
    return [state.sound_id for state in page.sounds]


def walk(index, query, order, size, between=lambda page: None):
    """Go through all pages, and do something after each."""
    shown, cursor = [], ""
    while cursor is not None:
        page = index.page(query, order=order, cursor=cursor, size=size)
        shown += page.sounds
        between(page)
        cursor = page.next
    return shown


@pytest.mark.parametrize("order", ORDERS)
def test_every_sound_is_shown_once_while_sounds_are_reviewed_and_others_arrive(log, order):
    store, index = log
    chance = random.Random(order)
    uploaders = ["ada", "bob", "eve", "dan"]
    store.append(
        uploaded(number, chance.choice(uploaders), chance.random()) for number in range(1, 61)
    )
    arriving = iter(range(100, 1000))

    def work(page):
        # Some of the page's sounds leave the list, and some that were not shown yet.
        reviewed = [confirm(state, ["dog"], "ada") for state in page.sounds[::2]]
        new = [uploaded(next(arriving), chance.choice(uploaders), chance.random())]
        store.append([*reviewed, *new])

    shown = Counter(state.sound_id for state in walk(index, TO_REVIEW, order, 7, work))
    assert set(shown.values()) == {1}
    assert {f"freesound:{number}" for number in range(1, 61)} <= set(shown)


def test_a_sound_that_was_reviewed_or_withdrawn_elsewhere_is_left_out_and_nothing_else(log):
    store, index = log
    events = [predicted(number) for number in range(1, 31)]
    store.append(events)
    first = index.page(TO_REVIEW, size=10)
    gone = new_event(Withdrawn(reason="gone"), "freesound:20", "ada", base=events[19])
    store.append([gone, confirm(first.sounds[-1], ["dog"], "bob")])
    second = index.page(TO_REVIEW, cursor=first.next, size=10)
    assert ids_of(second) == [f"freesound:{number}" for number in range(19, 9, -1)]
    assert second.total == 28


def test_the_cursor_of_a_page_shows_the_same_page_after_new_sounds_have_come(log):
    store, index = log
    store.append(predicted(number) for number in range(1, 31))
    cursor = index.page(Query(), size=10).next
    before = index.page(Query(), cursor=cursor, size=10)
    store.append(predicted(number) for number in range(31, 60))
    assert ids_of(index.page(Query(), cursor=cursor, size=10)) == ids_of(before)


def test_a_page_whose_sounds_are_all_reviewed_leads_back_to_the_others(log):
    store, index = log
    store.append(predicted(number) for number in range(1, 16))
    first = index.page(TO_REVIEW, size=10)
    second = index.page(TO_REVIEW, cursor=first.next, size=10)
    store.append(confirm(state, ["dog"], "ada") for state in second.sounds)
    empty = index.page(TO_REVIEW, cursor=first.next, size=10)
    assert (empty.sounds, empty.next, empty.total) == ((), None, 10)
    assert ids_of(index.page(TO_REVIEW, cursor=empty.previous, size=10)) == ids_of(first)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "cursor",
    ["x", "7", "na", "na1", "na1.1.1.1.!!", "\0", "na١.١", "nb9" + "9" * 40 + ".1", "'; DROP", "é"],
)
def test_a_text_that_is_no_cursor_means_the_first_page(log, order, cursor):
    store, index = log
    store.append(predicted(number) for number in range(1, 16))
    first = index.page(Query(), order=order, size=10)
    assert index.page(Query(), order=order, cursor=cursor, size=10) == first


def test_a_cursor_of_one_order_means_the_first_page_of_another(log):
    store, index = log
    store.append(uploaded(number, "ada", number / 20) for number in range(1, 16))
    cursors = {order: index.page(Query(), order=order, size=5).next for order in ORDERS}
    for order, other in zip(ORDERS, (*ORDERS[1:], ORDERS[0]), strict=True):
        page = index.page(Query(), order=order, cursor=cursors[other], size=5)
        assert page == index.page(Query(), order=order, size=5)
    for cursor in cursors.values():
        assert cursor.replace(".", "").replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("damaged", ["999999999.999999999.A", "5.3.____", "1.0.AAAA", "1.0."])
def test_a_damaged_cursor_of_the_most_informative_order_shows_sounds_that_match(log, damaged):
    store, index = log
    store.append(uploaded(number, "ada", number / 20) for number in range(1, 16))
    for side in "ab":
        cursor = f"i{side}500.3.{damaged}"
        page = index.page(Query(), order="most informative", cursor=cursor, size=5)
        assert len(set(ids_of(page))) == len(page.sounds)


def test_an_empty_log_has_empty_pages(log):
    _, index = log
    for order in ORDERS:
        for cursor in ("", LAST_PAGE):
            page = index.page(Query(), order=order, cursor=cursor, size=5)
            assert (page.sounds, page.total, page.next, page.previous) == ((), 0, None, None)


# ---- most informative


def test_no_two_sounds_of_one_uploader_follow_each_other_over_all_pages(log):
    store, index = log
    chance = random.Random(1)
    # One uploader has two sounds in five, and all the most uncertain ones.
    store.append(
        uploaded(number, "ada", 0.5) if number % 5 < 2 else uploaded(number, f"u{number % 7}", 0.3)
        for number in chance.sample(range(1, 101), 100)
    )
    for size in (100, 10, 3):
        shown = walk(index, Query(), "most informative", size)
        assert len({state.sound_id for state in shown}) == 100
        alike = [a.sound.author == b.sound.author for a, b in pairwise(shown)]
        assert not any(alike)


def test_parts_of_one_recording_do_not_follow_each_other(log):
    store, index = log
    titles = ["Wind.wav", "Rain.wav", "Harbour 1.wav", "Harbour 2.wav", "harbour_03.wav"]
    store.append(uploaded(number, "", title=title) for number, title in enumerate(titles, start=1))
    shown = walk(index, Query(), "most informative", 2)
    alike = [
        a.sound.title.casefold()[:7] == b.sound.title.casefold()[:7] for a, b in pairwise(shown)
    ]
    assert not any(alike)


def test_sounds_of_the_only_uploader_are_all_shown(log):
    store, index = log
    store.append(uploaded(number, "ada") for number in range(1, 151))
    shown = walk(index, Query(), "most informative", 20)
    assert len({state.sound_id for state in shown}) == len(shown) == 150


def test_going_back_in_the_most_informative_order_skips_no_sound(log):
    store, index = log
    store.append(uploaded(n, "ada" if n % 3 else f"u{n}", n / 100) for n in range(1, 61))
    page, seen = index.page(Query(), order="most informative", cursor=LAST_PAGE, size=7), set()
    for _ in range(30):
        seen |= set(ids_of(page))
        if page.previous is None:
            break
        page = index.page(Query(), order="most informative", cursor=page.previous, size=7)
    assert page == index.page(Query(), order="most informative", size=7)
    assert walk(index, Query(), "most informative", 7)[:7] == list(page.sounds)


def test_an_uncertain_suggestion_of_a_rare_tag_comes_before_one_of_a_frequent_tag(log):
    store, index = log

    def suggested(number, tag):
        top = (Suggestion(tag=tag, probability=0.5, above_threshold=True),)
        sound = Sound(title=f"{number}x", source="test", author=f"u{number}")
        payload = Predicted(model=V1, top=top, sound=sound)
        return new_event(payload, f"freesound:{number}", "job")

    tags = ["dog"] * 10 + ["kookaburra"] + ["dog"] * 10
    store.append(suggested(number, tag) for number, tag in enumerate(tags, start=1))
    assert index.ids(Query(), order="most informative", limit=1) == ["freesound:11"]
