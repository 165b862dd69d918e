"""The history of a sound, and the return to its states."""

from itertools import pairwise

import pytest

from core.curation.errors import UnknownEvent
from core.curation.history import history_of, revert_to, state_after
from core.events.fold import confirm, fold, mark, save_changes, undo
from core.events.types import Withdrawn, new_event
from tests.helpers.events import V1, V2, predicted


@pytest.fixture
def log():
    """A sound's events: predicted, changed, confirmed, predicted again, not sure, undone."""
    events = [predicted(1, "dog", "bark")]
    events.append(save_changes(fold(events), ["dog", "howl"], "ada"))
    events.append(confirm(fold(events), ["dog", "howl", "night"], "bob"))
    later = predicted(1, "cat", model=V2)
    events.append(later.model_copy(update={"time": max(later.time, events[-1].time)}))
    events.append(mark(fold(events), "not sure", "cid"))
    events.append(undo(fold(events), events[2].event_id, "ada"))
    return events


def test_entries_say_who_did_what_when_and_on_which_model(log):
    entries = history_of(list(reversed(log)))
    assert [(entry.what, entry.actor, entry.model) for entry in entries] == [
        ("undone", "ada", None),
        ("not sure", "cid", V1),
        ("predicted", "job", V2),
        ("confirmed", "bob", V1),
        ("changed", "ada", V1),
        ("predicted", "job", V1),
    ]
    assert all(later.time > earlier.time for later, earlier in pairwise(entries))
    assert entries[4].decisions == {"bark": "removed", "howl": "added"}
    assert entries[0].target == log[2].event_id
    assert [entry.is_undone for entry in entries] == [False, False, False, True, False, False]
    assert [entry.is_current for entry in entries] == [True, *[False] * 5]


def test_every_state_can_be_returned_to(log):
    for event in log:
        then = state_after(log, event.event_id)
        reverted = revert_to(log, event.event_id, "dora")
        now = fold([*log, reverted] if reverted else log)
        assert set(now.tags) == set(then.tags), event.kind
        if then.review_state in ("reviewed", "not sure"):
            assert now.review_state == then.review_state


def test_a_return_is_a_review_that_deletes_nothing_and_can_be_undone(log):
    reverted = revert_to(log, log[2].event_id, "dora")
    assert (reverted.kind, reverted.actor, reverted.base) == ("reviewed", "dora", log[-1].event_id)
    back = [*log, reverted]
    assert fold(back).review_state == "reviewed"
    assert set(fold(back).tags) == {"dog", "howl", "night"}
    undone = [*back, undo(fold(back), reverted.event_id, "ada")]
    assert fold(undone).tags == fold(log).tags
    assert fold(undone).review_state == fold(log).review_state


def test_there_is_nothing_to_return_to_where_the_sound_is_in_that_state(log):
    assert revert_to(log, log[-1].event_id, "dora") is None
    untouched = log[:1]
    assert revert_to(untouched, log[0].event_id, "dora") is None


def test_a_return_to_before_any_review_brings_the_tags_back_and_leaves_the_judgement():
    events = [predicted(1, "dog", "bark")]
    events.append(confirm(fold(events), ["wolf"], "ada"))
    reverted = revert_to(events, events[0].event_id, "bob")
    after = fold([*events, reverted])
    assert set(after.tags) == {"dog", "bark"}
    assert after.review_state == "reviewed"


def test_an_event_of_another_sound_is_refused(log):
    with pytest.raises(UnknownEvent, match="refresh"):
        revert_to(log, predicted(2).event_id, "dora")


def test_a_withdrawn_sound_has_a_history():
    first = predicted(1)
    gone = new_event(Withdrawn(reason="gone"), "freesound:1", "ada", base=first)
    assert [entry.what for entry in history_of([first, gone])] == ["withdrawn", "predicted"]
