"""Second opinions: which sounds wait for whom, and what the second person is shown."""

import pytest

from core.curation.second_opinion import blind_state, find_pair, is_selected, waiting_for
from core.events.fold import confirm, fold, mark, save_changes, superseded_decisions
from core.events.types import Withdrawn, new_event
from tests.helpers.events import V2, predicted


@pytest.fixture
def waiting(workspace, curation):
    def waiting(actor, share=1.0, limit=20):
        states = waiting_for(actor, workspace.sounds, curation.reviews, share, limit)
        return [state.sound_id for state in states]

    return waiting


def test_the_share_is_kept_and_always_the_same_sounds():
    sound_ids = [f"freesound:{number}" for number in range(1, 4001)]
    tenth = {each for each in sound_ids if is_selected(each, 0.1)}
    assert 300 < len(tenth) < 500
    assert tenth == {each for each in sound_ids if is_selected(each, 0.1)}
    assert tenth <= {each for each in sound_ids if is_selected(each, 0.3)}
    assert not any(is_selected(each, 0) for each in sound_ids)
    assert all(is_selected(each, 1) for each in sound_ids)


def test_a_confirmed_sound_waits_for_everybody_but_who_confirmed_it(add, act, change, waiting):
    add(1, 2, 3)
    act(1, ["dog"], "ada")
    act(2, ["dog"], "bob")
    change(3, ["dog"], "ada")
    assert waiting("cid") == ["freesound:2", "freesound:1"]
    assert waiting("ada") == ["freesound:2"]
    assert waiting("bob") == ["freesound:1"]
    assert waiting("cid", share=0) == []
    assert waiting("cid", limit=1) == ["freesound:2"]


def test_a_sound_that_a_second_person_reviewed_waits_no_more(workspace, add, act, waiting):
    add(1)
    act(1, ["dog"], "ada")
    blind = blind_state(workspace.events.of_sound("freesound:1"))
    workspace.events.append([confirm(blind, ["bark"], "bob")])
    assert waiting("cid") == []


def test_withdrawn_and_undone_reviews_wait_for_nobody(workspace, add, act, waiting):
    add(1, 2)
    act(1, ["dog"], "ada")
    act(2, [], "ada", how=lambda state, tags, actor: mark(state, "not sure", actor))
    last = workspace.sounds.get("freesound:1").last_event
    workspace.events.append([new_event(Withdrawn(reason="gone"), "freesound:1", "x", base=last)])
    assert waiting("bob") == []


def test_the_second_person_is_shown_what_the_first_was_shown():
    events = [predicted(1, "dog", "bark")]
    before = fold(events)
    events.append(save_changes(before, ["dog", "howl"], "ada"))
    events.append(confirm(fold(events), ["howl"], "ada"))
    events.append(predicted(1, "cat", model=V2))
    blind = blind_state(events)
    assert blind == before
    assert "howl" not in repr(blind)


def test_the_second_opinion_is_a_review_and_names_what_it_contradicts():
    events = [predicted(1, "dog", "bark")]
    events.append(confirm(fold(events), ["dog", "howl"], "ada"))
    second = confirm(blind_state(events), ["bark"], "bob")
    after = fold([*events, second])
    assert set(after.tags) == {"bark", "howl"}
    assert after.reviewed
    contradicted = superseded_decisions(second, [*events, second])
    assert {decision.tag for decision in contradicted} == {"dog", "bark"}
    assert find_pair([*events, second]).second == second
