"""Review mode's queue: progress that outlives a restart, sounds like one, second opinions."""

import time

import pytest

from app import services, state
from app.text import plain
from app.views.desk import desk_key
from app.views.desk_queue import mixed
from app.views.view import View
from core.curation.second_opinion import blind_state, find_pair
from core.events.fold import confirm
from core.events.query import Query
from core.events.types import new_event
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import first_sound, new_app, shown, sounds
from tests.helpers.statements import selects

TO_REVIEW = Query(show="to review")


def view(query=TO_REVIEW, like="") -> View:
    return View(query, "newest", "review", cursor="", number=1, problem="", like=like)


def opened(request=None, **address):
    """Review mode of the sounds to review, in a new session."""
    app = new_app()
    for name, value in ({"mode": "review", "state": "to-review"} | address).items():
        app.query_params[name] = value
    query = TO_REVIEW if app.query_params["state"] == "to-review" else Query()
    key = desk_key(view(query, address.get("like", "")))
    app.session_state[key] = {"request": request or {}}
    app.run()
    assert not app.exception
    return app


def queue_of(app):
    return app.session_state[state.desk_queue.key]


def answers_of(app):
    return app.session_state[state.desk_answers.key]


def sent(app) -> str:
    """What the page sends to the browser of the desk."""
    return str([str(each.proto) for each in app.get("bidi_component")][-1])


def action(sound, number=1, **fields):
    base = {"id": f"{number:032x}", "sound": sound.sound_id, "kind": "confirm"}
    rest = {"tags": list(sound.tags), "base": sound.last_event.event_id}
    return base | rest | {"after": None, "target": None} | fields


def review_all(folder, states, actor="Ada") -> None:
    events = [confirm(sound, sound.tags, actor) for sound in states]
    open_local_workspace(folder).events.append(events)


def log_of(folder, sound):
    return open_local_workspace(folder).events.of_sound(sound.sound_id)


# Progress


def test_progress_goes_on_in_a_new_session_at_the_address_of_the_old_one(app, own_workspace):
    newest = sounds(own_workspace)
    began = queue_of(opened()).began
    review_all(own_workspace, newest[:3])
    queue = queue_of(opened(began=str(began), at=newest[3].sound_id))
    assert (queue.done, len(queue.sound_ids)) == (3, len(newest) - 3)
    assert queue.sound_ids[0] == newest[3].sound_id
    assert queue.began == began


@pytest.mark.parametrize("began", ["", "x", "-5", "9" * 12, "9" * 40, "٣", "1"])
def test_an_address_without_a_time_of_use_begins_anew(app, own_workspace, began):
    review_all(own_workspace, sounds(own_workspace)[:3])
    queue = queue_of(opened(began=began))
    assert queue.done == 0
    assert abs(queue.began - time.time()) < 600


def test_what_others_reviewed_and_what_was_undone_is_not_ones_own_progress(app, own_workspace):
    newest = sounds(own_workspace)
    began = str(queue_of(opened()).began)
    review_all(own_workspace, newest[:2], actor="Bea")
    assert queue_of(opened(began=began)).done == 0


def test_a_queue_of_all_sounds_goes_on_at_the_sound_in_the_address(app, own_workspace):
    newest = sounds(own_workspace)
    review_all(own_workspace, newest[:9])
    page = opened(state="all", at=newest[9].sound_id)
    assert queue_of(page).done == 0
    assert newest[9].sound_id in sent(page)
    assert newest[0].sound_id not in sent(page)


# Sounds like one


def test_sounds_like_one_are_a_queue_and_a_list_at_an_address_of_their_own(app, own_workspace):
    sound = first_sound(own_workspace)
    queue = queue_of(opened(state="all", like=sound.sound_id))
    assert queue.sound_ids[0] == sound.sound_id
    assert 1 < len(queue.sound_ids) < len(sounds(own_workspace))
    page = new_app()
    page.query_params["like"] = sound.sound_id
    page.run()
    assert f"Sounds like {plain(sound.sound.title)}" in shown(page)
    page.button(key="back-to-list").click().run()
    assert "like" not in page.query_params


@pytest.mark.parametrize("like", ["freesound:99999999", "../../etc/passwd", "x" * 500])
def test_sounds_like_one_that_is_not_there_are_none(app, own_workspace, like):
    page = new_app()
    page.query_params["like"] = like
    page.run()
    assert not page.exception
    assert "Sounds like" not in shown(page)


# Second opinions


@pytest.mark.parametrize(
    ("others", "mixed_queue"),
    [([], "abcdefgh"), (["1"], "abcd1efgh"), (["1", "2"], "abcd1efgh2")],
)
def test_second_opinions_are_mixed_into_the_queue(others, mixed_queue):
    assert mixed("abcdefgh", others) == list(mixed_queue)
    assert mixed("", others) == others


def test_a_second_opinion_is_asked_for_and_given_without_the_first_decision(
    app, own_workspace, monkeypatch
):
    monkeypatch.setenv("EARMARK_SECOND_OPINION_SHARE", "1")
    sound = first_sound(own_workspace)
    workspace = open_local_workspace(own_workspace)
    workspace.events.append([confirm(sound, [*sound.tags, "zzz-first-tag"], "Bea")])
    page = opened()
    assert queue_of(page).sound_ids[4] == sound.sound_id
    assert sound.sound_id in sent(page)
    assert "zzz-first-tag" not in sent(page).split("vocabulary")[0]
    blind = blind_state(log_of(own_workspace, sound))
    opinion = action(blind, kind="opinion", tags=[*sound.tags, "yyy-second-tag"])
    answer = answers_of(opened({"actions": [opinion]}))[opinion["id"]]
    assert (answer["state"], answer["blind"]) == ("saved", False)
    pair = find_pair(log_of(own_workspace, sound))
    assert (pair.first.actor, pair.second.actor) == ("Bea", "Ada")
    again = action(blind, 2, kind="opinion")
    answer = answers_of(opened({"actions": [again]}))[again["id"]]
    assert answer["state"] == "failed"
    assert "yyy-second-tag" in answer["sound"]["tags"]


def test_in_a_queue_of_all_sounds_those_that_wait_for_an_opinion_are_shown_without_decisions(
    app, own_workspace, monkeypatch
):
    monkeypatch.setenv("EARMARK_SECOND_OPINION_SHARE", "1")
    sound, other = sounds(own_workspace, 2)
    workspace = open_local_workspace(own_workspace)
    workspace.events.append(
        [
            confirm(sound, [*sound.tags, "zzz-first-tag"], "Bea"),
            confirm(other, [*other.tags, "zzz-own-tag"], "Ada"),
        ]
    )
    page = sent(opened(state="all"))
    assert '"zzz-own-tag"' in page.replace("\\", "")
    assert queue_of(opened(state="all")).blind == {sound.sound_id}


# Names and refusals


def test_without_a_name_nothing_is_applied_and_with_one_it_is(app, own_workspace, monkeypatch):
    monkeypatch.delenv("EARMARK_CURATOR")
    sound = first_sound(own_workspace)
    request = {"actions": [action(sound)]}
    page = opened(request)
    assert sound.sound_id in sent(page)  # the desk is there at once
    assert len(log_of(own_workspace, sound)) == 1
    opened(request | {"name": "  "})
    assert len(log_of(own_workspace, sound)) == 1
    page = opened(request | {"name": "Cleo"})
    assert [event.actor for event in log_of(own_workspace, sound)][1:] == ["Cleo"]
    assert answers_of(page)[request["actions"][0]["id"]]["state"] == "saved"


def test_a_refused_undo_says_how_the_sound_is_now(app, own_workspace):
    sound = first_sound(own_workspace)
    review_all(own_workspace, [sound], actor="Bea")
    undo = action(sound, kind="undo", tags=[], target="5" * 32)
    answer = answers_of(opened({"actions": [undo]}))[undo["id"]]
    assert answer["state"] == "failed"
    assert answer["sound"]["status"] == "reviewed, Bea"


# Queries


@pytest.mark.parametrize("share", ["0", "1"])
def test_the_queries_of_a_redraw_do_not_grow_with_the_queue(app, own_workspace, monkeypatch, share):
    import streamlit as st

    monkeypatch.setenv("EARMARK_SECOND_OPINION_SHARE", share)
    payload = first_sound(own_workspace).prediction.payload
    counts = []
    for more in (0, 200):
        events = [new_event(payload, f"freesound:{500 + number}", "job") for number in range(more)]
        workspace = open_local_workspace(own_workspace)
        workspace.events.append(events)
        waiting = [sound for sound in sounds(own_workspace, 60) if not sound.reviewed]
        review_all(own_workspace, waiting[: 4 if not more else 40], actor="Bea")
        st.cache_data.clear()
        page = opened()
        page.run()  # everything is loaded and cached
        with selects() as statements:
            page.run()
        counts.append(len(statements))
    assert 0 < counts[1] <= counts[0]
    assert services.settings().second_opinion_share == float(share)
