"""Full text search over title, tags and description."""

import pytest

from core.events import text_search
from core.events.fold import confirm
from core.events.query import Query
from core.events.sounds import SoundIndex
from core.events.store import EventStore
from core.events.types import Predicted, Sound, Suggestion, Withdrawn, new_event
from core.sqlite import Database
from tests.helpers.events import V1, predicted


@pytest.fixture
def log(tmp_path):
    database = Database(tmp_path / "index.sqlite")
    return EventStore(database), SoundIndex(database)


@pytest.fixture
def wolf(log):
    """A sound with words in every place."""
    suggestion = Suggestion(tag="field-recording", probability=0.9, above_threshold=True)
    sound = Sound(
        title="Ein Wölf_03 at night.wav",
        source="test",
        tags=("Canine",),
        description='He said "howl" -- twice: don\'t ask.',
    )
    payload = Predicted(model=V1, top=(suggestion,), sound=sound)
    event = new_event(payload, "freesound:1", "job")
    log[0].append([event, predicted(2)])
    return event


@pytest.mark.parametrize(
    "text",
    [
        *("wolf", "WÖLF", "wol", "night", "field-recording", "recording", "canine", "howl"),
        *("wolf night", "night wolf", "said twice", "wolf can", "don't", '"howl"', "03"),
        *(
            "  wolf  ",
            "wolf!",
            "wolf\0night",
            "(wolf)",
            "wolf*",
            "-wolf",
            "^wolf",
            "title:wolf"[6:],
        ),
    ],
)
def test_words_are_found_wherever_they_stand(log, wolf, text):
    assert log[1].ids(Query(text=text), limit=5) == ["freesound:1"]


@pytest.mark.parametrize(
    "text", ["wo night", "wolf OR dog", "cat", "!!!", "title:wolf", "NOT dog", "wolf NEAR night"]
)
def test_nothing_typed_is_an_operator_and_all_words_must_be_there(log, wolf, text):
    assert log[1].ids(Query(text=text), limit=5) == []


def test_no_text_is_no_filter(log, wolf):
    assert log[1].count(Query(text="  ")).number == 2


def test_a_review_changes_the_words_and_a_withdrawal_takes_them_out(log, wolf):
    store, index = log
    store.append([confirm(index.get("freesound:1"), ["kookaburra"], "ada")])
    assert index.ids(Query(text="kooka"), limit=5) == ["freesound:1"]
    assert index.count(Query(text="recording")).number == 0
    last = index.get("freesound:1").last_event
    store.append([new_event(Withdrawn(reason="gone"), "freesound:1", "ada", base=last)])
    assert index.count(Query(text="kooka")).number == 0


def test_a_word_of_very_many_sounds_finds_the_newest_and_says_that_there_may_be_more(
    log, monkeypatch
):
    store, index = log
    store.append(predicted(number) for number in range(1, 31))
    monkeypatch.setattr(text_search, "MAX_HITS", 20)
    page = index.page(Query(text="sound"), size=20)
    assert (page.total, page.total_is_exact) == (20, False)
    newest = [f"freesound:{number}" for number in range(30, 10, -1)]
    assert [state.sound_id for state in page.sounds] == newest
    assert index.count(Query(text="sound")).exact is False
    assert index.facets(Query(text="sound")).exact is False
    assert index.count(Query(text="7")) == index.count(Query(text=" 7 "))
    assert index.count(Query(text="27")).exact is True
