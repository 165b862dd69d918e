"""What the desk sends is checked, and each decision is applied exactly once."""

import pytest

from app import state
from app.components.desk.request import parse_request
from app.views.desk import desk_key
from app.views.desk_actions import event_id_of, stored_tags
from app.views.view import View
from core.events.fold import confirm
from core.events.query import Query
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import first_sound, open_to_the_world

KEY = desk_key(View(Query(), "newest", "review", cursor="", number=1, problem=""))
ID = "1" * 32


def action(sound, **fields):
    base = {"id": ID, "sound": sound.sound_id, "kind": "confirm", "tags": list(sound.tags)}
    return base | {"base": sound.last_event.event_id, "after": None, "target": None} | fields


def send(app, *actions, **fields):
    """Open review mode in a new run in which the browser has sent these actions."""
    app.query_params["mode"] = "review"
    app.session_state[KEY] = {"request": {"actions": list(actions)} | fields}
    app.run()
    assert not app.exception
    return app.session_state[state.desk_answers.key]


def log(folder, sound):
    return open_local_workspace(folder).events.of_sound(sound.sound_id)


def test_an_action_that_comes_again_in_this_and_in_a_new_session_is_applied_once(
    app, own_workspace
):
    sound = first_sound(own_workspace)
    assert send(app, action(sound))[ID]["state"] == "saved"
    assert send(app, action(sound))[ID]["state"] == "saved"
    del app.session_state[state.desk_answers.key]  # as after a restart
    assert send(app, action(sound))[ID]["state"] == "saved"
    assert [event.event_id for event in log(own_workspace, sound)][1:] == [event_id_of(ID)]


def test_actions_on_one_sound_follow_each_other_before_any_answer(app, own_workspace):
    sound = first_sound(own_workspace)
    ids = [digit * 32 for digit in "123"]
    wanted = [*sound.tags, "howl"]
    answers = send(
        app,
        action(sound, id=ids[0]),
        action(sound, id=ids[1], kind="undo", tags=[], after=ids[0], target=ids[0]),
        action(sound, id=ids[2], kind="save", tags=wanted, after=ids[1]),
    )
    assert [answers[each]["state"] for each in ids] == ["saved"] * 3
    after = open_local_workspace(own_workspace).sounds.get(sound.sound_id)
    assert (after.review_state, after.tags) == ("partly", tuple(wanted))


@pytest.mark.parametrize("kind", ["confirm", "save", "not sure", "untaggable"])
def test_anothers_change_is_shown_and_not_saved_over(app, own_workspace, kind):
    sound = first_sound(own_workspace)
    workspace = open_local_workspace(own_workspace)
    workspace.events.append([confirm(sound, sound.tags[1:], "Bea")])
    answer = send(app, action(sound, kind=kind, tags=[*sound.tags, "howl"]))[ID]
    assert answer["state"] == "conflict"
    assert (
        f"Bea confirmed {', '.join(sound.tags[1:])}, removed {sound.tags[0]}" in answer["sentence"]
    )
    assert answer["sound"]["tags"] == list(sound.tags[1:])
    assert len(log(own_workspace, sound)) == 2
    # With the other's change seen, it is saved.
    over = action(sound, id="2" * 32, kind=kind, base=answer["sound"]["version"], tags=["howl"])
    assert send(app, over)["2" * 32]["state"] == "saved"
    assert len(log(own_workspace, sound)) == 3


def test_a_refused_action_is_not_applied_when_it_comes_again(app, own_workspace):
    sound = first_sound(own_workspace)
    undo = action(sound, kind="undo", tags=[], target="5" * 32)
    assert send(app, undo)[ID]["state"] == "failed"
    assert send(app, action(sound, id="5" * 32), undo)[ID]["state"] == "failed"
    assert len(log(own_workspace, sound)) == 2


def test_only_curators_may_save(app, own_workspace, monkeypatch, browser_sends):
    open_to_the_world(app, monkeypatch)
    sound = first_sound(own_workspace)
    answer = send(app, action(sound))[ID]
    assert answer["state"] == "failed"
    assert "nobody can correct tags here" in answer["sentence"]
    assert len(log(own_workspace, sound)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "x"},
        {"id": ID + "0"},
        {"sound": "../../etc/passwd"},
        {"kind": "withdraw"},
        {"tags": "dog"},
        {"tags": ["dog"] * 101},
        {"tags": ["x" * 201]},
        {"tags": [1]},
        {"base": None},
        {"target": 5},
    ],
)
def test_what_is_no_action_is_left_alone(app, own_workspace, fields):
    sound = first_sound(own_workspace)
    with pytest.raises(ValueError, match="validation error"):
        parse_request({"actions": [action(sound) | fields]})
    app.query_params["mode"] = "review"
    app.session_state[KEY] = {"request": {"actions": [action(sound) | fields]}}
    app.run()
    assert not app.exception
    assert len(log(own_workspace, sound)) == 1


@pytest.mark.parametrize("value", [1, "x", [], {"at": 5}, {"have": [[1, 2]]}, {"refresh": -1}])
def test_what_is_no_request_is_refused(value):
    with pytest.raises(ValueError, match="validation error"):
        parse_request(value)


def test_what_was_there_stays_and_what_was_typed_is_cleaned():
    typed = ["Field Recording", "dog", "Ünï", "dog", "the", "Café au lait"]
    assert stored_tags(typed, ["Field Recording"]) == (
        "Field Recording",
        "dog",
        "uni",
        "cafe-au-lait",
    )
