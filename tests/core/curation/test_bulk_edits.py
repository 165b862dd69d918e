"""One edit of many sounds: what it changes, its end halfway, and its undoing."""

import pytest

from core.curation.bulk import (
    CHUNK_SIZE,
    MAX_SOUNDS,
    BulkAction,
    apply_bulk,
    plan_bulk,
    undo_batch,
)
from core.curation.errors import InvalidBulkAction, TooManySounds
from core.events.fold import undo
from core.events.query import Query
from core.events.types import Withdrawn, new_event, parse_event
from core.storage.local import open_local_workspace
from core.work import WorkStopped

DOGS = Query(tag="dog")


@pytest.fixture
def bulk(workspace, curation):
    """Plans and makes an edit; returns plan and result."""

    def bulk(action, query=DOGS, actor="ada", **options):
        plan = plan_bulk(workspace, query, action)
        return plan, apply_bulk(workspace, curation.reviews, plan, actor, **options)

    return bulk


@pytest.fixture
def take_back(workspace, curation):
    return lambda batch, actor="ada": undo_batch(workspace, curation.reviews, batch, actor)


def all_tags(workspace):
    return {state.sound_id: state.tags for state in workspace.sounds.all()}


def states(workspace):
    return {state.review_state for state in workspace.sounds.all()}


def events_of(workspace, batch):
    return [
        event for event in workspace.events.all() if getattr(event.payload, "batch", "") == batch
    ]


def stop_after_chunks(number):
    """A checkpoint that lets so many chunks pass."""
    calls = iter(range(number))

    def checkpoint():
        if next(calls, None) is None:
            raise WorkStopped("enough")

    return checkpoint


def test_only_sounds_that_match_are_changed_and_the_number_is_known_before(workspace, add, bulk):
    add(1, 2, 3)
    add(4, tags=("cat",))
    plan = plan_bulk(workspace, DOGS, BulkAction("add", ("animal",)))
    assert len(plan.sound_ids) == 3
    assert len(list(workspace.events.all())) == 4
    _, result = bulk(BulkAction("add", ("animal",)))
    assert (result.changed, result.unchanged, result.stopped) == (3, 0, False)
    tags = all_tags(workspace)
    assert tags.pop("freesound:4") == ("cat",)
    assert set(tags.values()) == {("dog", "bark", "animal")}
    assert workspace.sounds.get("freesound:1").review_state == "partly"


@pytest.mark.parametrize(
    ("action", "tags", "state"),
    [
        (BulkAction("confirm"), ("dog", "bark"), "reviewed"),
        (BulkAction("add", ("a", "b")), ("dog", "bark", "a", "b"), "partly"),
        (BulkAction("remove", ("bark", "cat")), ("dog",), "partly"),
        (BulkAction("replace", ("dog",), "wolf"), ("bark", "wolf"), "partly"),
        (BulkAction("replace", ("dog",), "bark"), ("bark",), "partly"),
        (BulkAction("replace", ("cat",), "wolf"), ("dog", "bark"), "to review"),
        (BulkAction("add", ("dog",)), ("dog", "bark"), "to review"),
    ],
)
def test_every_action_does_what_it_says_in_one_event_a_sound(
    workspace, add, bulk, take_back, action, tags, state
):
    add(1, 2)
    plan, result = bulk(action)
    assert set(all_tags(workspace).values()) == {tags}
    assert states(workspace) == {state}
    assert (
        len(events_of(workspace, plan.batch))
        == result.changed
        == (2 if state != "to review" else 0)
    )
    assert result.changed + result.unchanged == 2
    take_back(plan.batch)
    assert set(all_tags(workspace).values()) == {("dog", "bark")}
    assert states(workspace) == {"to review"}


def test_more_sounds_than_one_edit_may_change_are_refused_with_their_number(workspace, add, bulk):
    add(*range(1, MAX_SOUNDS + 2))
    with pytest.raises(TooManySounds, match=f"^{MAX_SOUNDS + 1} sounds"):
        bulk(BulkAction("confirm"))
    assert len(list(workspace.events.all())) == MAX_SOUNDS + 1


def test_five_hundred_sounds_are_changed_with_progress_and_taken_back_in_one_call(
    workspace, add, bulk, take_back
):
    add(*range(1, MAX_SOUNDS + 1))
    seen = []
    plan, result = bulk(
        BulkAction("replace", ("dog",), "wolf"), progress=lambda *numbers: seen.append(numbers)
    )
    assert result.changed == MAX_SOUNDS
    assert seen[-1] == (MAX_SOUNDS, MAX_SOUNDS)
    assert seen == sorted(seen)
    assert len(seen) == MAX_SOUNDS / CHUNK_SIZE
    undone = take_back(plan.batch, "bob")
    assert undone.changed == MAX_SOUNDS
    assert set(all_tags(workspace).values()) == {("dog", "bark")}


def test_what_was_written_before_a_stop_counts_and_a_second_run_does_the_rest_once(
    workspace, curation, add, bulk
):
    add(*range(1, 2 * CHUNK_SIZE + 11))
    plan, stopped = bulk(BulkAction("confirm"), checkpoint=stop_after_chunks(1))
    assert (stopped.changed, stopped.stopped) == (CHUNK_SIZE, True)
    assert workspace.sounds.counts().reviewed == CHUNK_SIZE
    for _ in range(2):
        result = apply_bulk(workspace, curation.reviews, plan, "ada")
        assert (result.changed, result.stopped) == (len(plan.sound_ids), False)
        assert len(events_of(workspace, plan.batch)) == len(plan.sound_ids)


def test_an_edit_that_broke_off_can_be_continued_after_a_restart(workspace, curation, add, bulk):
    add(*range(1, 2 * CHUNK_SIZE + 1))

    def power_cut(_done, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bulk(BulkAction("remove", ("bark",)), progress=power_cut)
    (batch,) = {event.payload.batch for event in workspace.events.all() if event.kind == "reviewed"}
    again = open_local_workspace(workspace.folder)
    assert len(events_of(again, batch)) == CHUNK_SIZE
    assert undo_batch(again, curation.reviews, batch, "ada").changed == CHUNK_SIZE
    assert set(all_tags(again).values()) == {("dog", "bark")}


def test_undoing_takes_exactly_the_edit_back_and_leaves_later_decisions(
    workspace, add, bulk, take_back, change, tags_of
):
    add(1, 2, 3)
    change(1, ["dog", "bark", "mine"])
    plan, _ = bulk(BulkAction("replace", ("bark",), "howl"))
    change(2, ["dog", "howl", "later"], "bob")
    change(3, ["dog", "wolf"], "bob")
    result = take_back(plan.batch)
    assert result.changed == 3
    assert set(tags_of(1)) == {"dog", "bark", "mine"}
    assert set(tags_of(2)) == {"dog", "bark", "later"}
    assert set(tags_of(3)) == {"dog", "bark", "wolf"}


def test_what_somebody_undid_alone_is_left_out(workspace, add, bulk, take_back, tags_of):
    add(1, 2)
    plan, _ = bulk(BulkAction("add", ("animal",)))
    state = workspace.sounds.get("freesound:1")
    workspace.events.append([undo(state, state.last_review.event_id, "bob")])
    result = take_back(plan.batch)
    assert (result.changed, result.unchanged) == (1, 1)
    again = take_back(plan.batch)
    assert (again.changed, again.unchanged) == (0, 2)
    assert tags_of(1) == tags_of(2) == ("dog", "bark")


def test_an_undo_can_be_undone_as_a_whole(workspace, add, bulk, take_back):
    add(1, 2)
    plan, _ = bulk(BulkAction("add", ("animal",)))
    take_back(take_back(plan.batch).batch)
    assert set(all_tags(workspace).values()) == {("dog", "bark", "animal")}


def test_sounds_that_were_withdrawn_meanwhile_are_left_alone(workspace, curation, add):
    add(1, 2)
    plan = plan_bulk(workspace, DOGS, BulkAction("confirm"))
    last = workspace.sounds.get("freesound:1").last_event
    workspace.events.append([new_event(Withdrawn(reason="gone"), "freesound:1", "x", base=last)])
    result = apply_bulk(workspace, curation.reviews, plan, "ada")
    assert (result.changed, result.unchanged) == (1, 1)


def test_nothing_is_undone_of_a_batch_that_is_unknown_or_empty(workspace, add, act, take_back):
    add(1)
    act(1, ["dog"])
    assert take_back("").changed == 0
    assert take_back("f" * 32).changed == 0


@pytest.mark.parametrize(
    "action",
    [
        BulkAction("add"),
        BulkAction("remove"),
        BulkAction("replace", ("a",)),
        BulkAction("replace", (), "b"),
        BulkAction("replace", ("a", "c"), "b"),
        BulkAction("replace", ("a",), "a"),
        BulkAction("confirm", ("a",)),
        BulkAction("add", ("a\x00",)),
        BulkAction("add", (" ",)),
        BulkAction("replace", ("a",), "b\nc"),
    ],
)
def test_an_action_that_makes_no_sense_is_refused_in_a_sentence(workspace, add, action):
    add(1)
    with pytest.raises(InvalidBulkAction, match=r"\.$"):
        plan_bulk(workspace, DOGS, action)


def test_the_events_of_an_edit_pass_the_door_for_events_from_outside(workspace, add, bulk):
    add(1)
    plan, _ = bulk(BulkAction("add", ("animal",)))
    (event,) = events_of(workspace, plan.batch)
    assert parse_event(event.to_json()) == event
