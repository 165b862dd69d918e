"""What a review says about a sound as a whole: confirmed, changed, not sure, untaggable."""

import itertools
import json
import uuid
from pathlib import Path

import pytest

from core.events.errors import InvalidEvent
from core.events.fold import confirm, fold, mark, save_changes, undo
from core.events.formats import parse_lines, to_prototype_format
from core.events.types import Published, Reviewed, Undone, new_event, parse_event
from tests.helpers.events import V2, predicted

OLD = Path(__file__).parents[2] / "data" / "version_0_1" / "events.jsonl"
BATCH = uuid.uuid4().hex


def later(history, *events):
    """The state after more events."""
    return fold([*history, *events])


@pytest.fixture
def first():
    return predicted(1, "dog", "bark")


def test_confirming_judges_every_shown_tag_and_saving_changes_only_the_changed_ones(first):
    shown = fold([first])
    confirmed, changed = (act(shown, ["dog", "howl"], "ada") for act in (confirm, save_changes))
    assert confirmed.payload.decisions == {"bark": "removed", "howl": "added", "dog": "kept"}
    assert changed.payload.decisions == {"bark": "removed", "howl": "added"}
    assert later([first], confirmed).review_state == "reviewed"
    assert later([first], changed).review_state == "partly"
    assert later([first], confirmed).tags == later([first], changed).tags == ("dog", "howl")
    assert not later([first], changed).reviewed


def test_replacing_a_tag_is_one_event(first):
    changed = save_changes(fold([first]), ["wolf", "bark"], "ada")
    assert changed.payload.decisions == {"dog": "removed", "wolf": "added"}
    assert set(later([first], changed).tags) == {"bark", "wolf"}


def test_saving_without_a_change_saves_nothing_and_confirming_none_is_an_answer(first):
    shown = fold([first])
    assert save_changes(shown, shown.tags, "ada") is None
    none = confirm(shown, [], "ada")
    assert later([first], none).review_state == "reviewed"
    assert later([first], none).tags == ()


def test_a_change_leaves_a_reviewed_sound_reviewed(first):
    done = confirm(fold([first]), ["dog"], "ada")
    change = save_changes(later([first], done), ["dog", "howl"], "bob")
    assert later([first], done, change).review_state == "reviewed"


@pytest.mark.parametrize("outcome", ["not sure", "untaggable"])
def test_a_mark_judges_no_tag_and_the_next_review_replaces_it(first, outcome):
    marked = mark(fold([first]), outcome, "ada")
    state = later([first], marked)
    assert (state.review_state, state.tags, state.decisions) == (outcome, ("dog", "bark"), {})
    newer = predicted(1, "cat", model=V2)
    assert later([first], marked, newer).tags == ("cat",)
    change = save_changes(state, ["howl"], "bob")
    assert later([first], marked, change).review_state == "partly"
    done = confirm(state, ["dog"], "bob")
    assert later([first], marked, done).review_state == "reviewed"
    assert later([first], done, mark(later([first], done), outcome, "ada")).review_state == outcome


def test_publishing_reviews_a_sound(first):
    published = Published(decisions={"dog": "kept"}, basis=first.event_id, tags=("dog",))
    event = new_event(published, first.sound_id, "ada", base=first)
    assert later([first], event).review_state == "reviewed"


def test_an_undo_takes_back_whatever_was_said(first):
    shown = fold([first])
    acts = (
        confirm(shown, ["howl"], "ada"),
        save_changes(shown, ["howl"], "ada"),
        mark(shown, "not sure", "ada"),
        mark(shown, "untaggable", "ada"),
    )
    for event in acts:
        back = undo(later([first], event), event.event_id, "bob")
        state = later([first], event, back)
        assert (state.review_state, state.tags) == ("to review", ("dog", "bark"))
        assert state.last_review is None
    for one, other in itertools.permutations(acts, 2):
        after = new_event(other.payload, first.sound_id, "ada", base=one)
        back = undo(later([first], one, after), after.event_id, "bob")
        assert later([first], one, after, back).review_state == later([first], one).review_state


def test_people_who_contradict_each_other_dispute_a_tag_until_they_agree(first):
    ada = confirm(fold([first]), ["dog"], "ada")
    bob = confirm(later([first], ada), ["dog", "bark"], "bob")
    assert later([first], ada).disputed == ()
    assert later([first], ada, bob).disputed == ("bark",)
    agreed = confirm(later([first], ada, bob), ["dog", "bark"], "ada")
    assert later([first], ada, bob, agreed).disputed == ()
    back = undo(later([first], ada, bob), bob.event_id, "bob")
    assert later([first], ada, bob, back).disputed == ()


# ---- JSON


def test_what_version_0_1_could_say_has_the_bytes_that_it_wrote(first):
    lines = OLD.read_text("utf-8").splitlines()
    assert [parse_event(line).to_json() for line in lines] == lines
    done = confirm(fold([first]), ["dog"], "ada")
    back = undo(later([first], done), done.event_id, "ada")
    assert set(json.loads(done.to_json())["payload"]) == {"decisions", "basis"}
    assert set(json.loads(back.to_json())["payload"]) == {"event"}
    assert set(json.loads(first.to_json())["payload"]) == {"model", "top", "sound", "media"}


def test_a_review_of_version_0_1_means_what_it_meant():
    reviews = [event for event in parse_lines(OLD.read_bytes()).events if event.kind == "reviewed"]
    assert reviews
    for event in reviews:
        assert event.payload.outcome == "confirmed"
        assert fold([event]).review_state == "reviewed"


def test_new_fields_survive_json_lines(first):
    shown = fold([first])
    run = first.payload.model_copy(update={"run": uuid.uuid4().hex})
    events = [
        new_event(run, first.sound_id, "job"),
        confirm(shown, ["dog"], "ada", batch=BATCH),
        save_changes(shown, ["dog"], "ada", batch=BATCH),
        mark(shown, "not sure", "ada", batch=BATCH),
        undo(shown, first.event_id, "ada", batch=BATCH),
    ]
    text = "\n".join(event.to_json() for event in events)
    assert parse_lines(text.encode()).events == events
    assert text.count(BATCH) == 4


@pytest.mark.parametrize(
    "payload",
    [
        '"outcome":"perhaps"',
        '"outcome":""',
        '"outcome":null',
        '"batch":"x"',
        '"batch":"../../etc"',
        '"batch":7',
    ],
)
def test_an_outcome_or_a_batch_that_is_none_is_refused(first, payload):
    line = new_event(Reviewed(decisions={}, outcome="changed"), first.sound_id, "ada").to_json()
    with pytest.raises(InvalidEvent, match=r"^Not a valid event: .*\.$"):
        parse_event(line.replace('"outcome":"changed"', payload))
    undone = new_event(Undone(event="0" * 32), first.sound_id, "ada").to_json()
    if "batch" in payload:
        with pytest.raises(InvalidEvent):
            parse_event(undone.replace('"event":', f'{payload},"event":'))


def test_the_prototype_format_has_no_tags_of_an_untaggable_sound_and_current_ones_of_a_changed_one(
    first,
):
    shown = fold([first])
    assert to_prototype_format([later([first], mark(shown, "not sure", "ada"))]) == {
        "1": ["dog", "bark"]
    }
    assert to_prototype_format([later([first], mark(shown, "untaggable", "ada"))]) == {"1": []}
    changed = save_changes(shown, ["howl"], "ada")
    assert to_prototype_format([later([first], changed)]) == {"1": ["howl"]}
