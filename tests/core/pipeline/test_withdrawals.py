"""Withdrawn sounds leave every view, and their media go; what others show stays."""

import random

import numpy as np
import pytest
from pydantic import SecretStr

from core.events.query import Query
from core.events.types import Media, ModelRef, Predicted, Published, Sound, Suggestion, new_event
from core.freesound.client import FreesoundClient
from core.freesound.rate_limit import Budget, Limits
from core.people import Person
from core.pipeline.withdrawals import (
    DEFERRED,
    GONE,
    MAX_DEFERRED,
    is_uploader,
    withdraw,
    withdraw_gone,
)

MODEL = ModelRef(name="m", version=1)


def add(workspace, sound_id: str, audio: bytes = b"OggS"):
    media = Media(
        audio=workspace.media.put(audio, "ogg"),
        spectrogram=workspace.media.put(audio + b"picture", "webp"),
    )
    top = (Suggestion(tag="rain", probability=0.9, above_threshold=True),)
    payload = Predicted(model=MODEL, top=top, sound=Sound(title="s", source="t"), media=media)
    event = new_event(payload, sound_id, "earmark")
    workspace.events.append([event])
    workspace.sidecars.put(sound_id, MODEL, {"activations": np.zeros((1, 1), np.float32)})
    return event


def publish(workspace, event, person):
    payload = Published(decisions={"rain": "kept"}, tags=("rain",))
    workspace.events.append([new_event(payload, event.sound_id, person.actor, base=event)])


@pytest.fixture
def client(freesound_server, tmp_path):
    app = freesound_server.state.add_client("earmark")
    budget = Budget(tmp_path / "budget.sqlite", Limits(1000, 1000))
    api = f"{freesound_server.url}/apiv2"
    return FreesoundClient(
        SecretStr(app.client_secret), budget, api, sleep=freesound_server.advance
    )


def test_a_withdrawn_sound_leaves_every_view_its_media_go_and_its_history_stays(workspace):
    event = add(workspace, "freesound:1")
    assert withdraw(workspace, "freesound:1", "asked for", "Ada")
    assert workspace.sounds.page(Query(), size=10).total == 0
    assert all(workspace.media.path(name) is None for name in event.payload.media.names)
    assert workspace.sidecars.get("freesound:1", MODEL) is None
    history = workspace.events.of_sound("freesound:1")
    assert [(event.kind, event.actor) for event in history] == [
        ("predicted", "earmark"),
        ("withdrawn", "Ada"),
    ]
    assert not withdraw(workspace, "freesound:1", "again", "Ada")


def test_the_log_names_sound_event_and_actor_and_not_the_reason(workspace, caplog):
    add(workspace, "freesound:1")
    with caplog.at_level("INFO", "core"):
        withdraw(workspace, "freesound:1", "a private matter", "Ada")
    event = workspace.events.of_sound("freesound:1")[-1]
    assert f"withdraw sound=freesound:1 event={event.event_id} actor=Ada" in caplog.messages
    assert "private" not in caplog.text


def test_media_that_another_sound_shows_stay_until_that_sound_goes_too(workspace):
    event = add(workspace, "freesound:1", b"OggS same")
    add(workspace, "freesound:2", b"OggS same")
    withdraw(workspace, "freesound:1", "asked for", "Ada")
    assert workspace.media.path(event.payload.media.audio) is not None
    withdraw(workspace, "freesound:2", "asked for", "Ada")
    assert workspace.media.path(event.payload.media.audio) is None


def test_an_unknown_sound_is_not_withdrawn(workspace):
    assert not withdraw(workspace, "freesound:9", "asked for", "Ada")


def test_what_freesound_does_not_have_any_more_is_withdrawn_and_the_rest_is_not(
    workspace, client, freesound_server
):
    numbers = [freesound_server.state.add_sound("alice").id for _ in range(4)]
    for number in numbers:
        add(workspace, f"freesound:{number}", str(number).encode())
    add(workspace, "file:" + "0" * 64)
    del freesound_server.state.sounds[numbers[1]]
    sound_id = f"freesound:{numbers[1]}"
    assert withdraw_gone(client, workspace, "earmark") == [sound_id]
    assert workspace.events.of_sound(sound_id)[-1].payload.reason == GONE
    assert workspace.sounds.counts().sounds == 4
    paths = [request.path for request in freesound_server.requests]
    assert sum(path.endswith("/search/") for path in paths) == 1


@pytest.mark.parametrize("moderation", ["DE", "PE"])
def test_a_sound_that_a_moderator_set_back_leaves_every_view(
    workspace, client, freesound_server, moderation
):
    stays, deferred = (freesound_server.state.add_sound("alice").id for _ in range(2))
    for number in (stays, deferred):
        add(workspace, f"freesound:{number}", str(number).encode())
    freesound_server.state.moderate(deferred, moderation)
    assert client.sound(deferred).id == deferred  # it still answers
    assert withdraw_gone(client, workspace, "earmark") == [f"freesound:{deferred}"]
    shown = workspace.sounds.page(Query(), size=10).sounds
    assert [state.sound_id for state in shown] == [f"freesound:{stays}"]
    assert workspace.events.of_sound(f"freesound:{deferred}")[-1].payload.reason == DEFERRED


def test_older_sounds_are_looked_at_some_time_too(workspace, client, freesound_server):
    numbers = [freesound_server.state.add_sound("alice").id for _ in range(6)]
    for number in numbers:
        add(workspace, f"freesound:{number}", str(number).encode())
    for number in numbers[:2]:  # the oldest
        freesound_server.state.moderate(number, "DE")
    rng, withdrawn = random.Random(0), set()
    for _ in range(50):
        withdrawn |= set(withdraw_gone(client, workspace, "earmark", max_sounds=2, rng=rng))
    assert withdrawn == {f"freesound:{number}" for number in numbers[:2]}
    assert workspace.sounds.counts().sounds == 4


def test_a_list_without_most_of_its_sounds_takes_none_of_them_out(
    workspace, client, freesound_server
):
    numbers = [freesound_server.state.add_sound("alice").id for _ in range(MAX_DEFERRED + 3)]
    for number in numbers:
        add(workspace, f"freesound:{number}", str(number).encode())
    del freesound_server.state.sounds[numbers[0]]
    empty = '{"count": 0, "next": null, "previous": null, "results": []}'
    freesound_server.fail("/search/", status=200, body=empty, content_type="application/json")
    assert withdraw_gone(client, workspace, "earmark") == [f"freesound:{numbers[0]}"]
    assert workspace.sounds.counts().sounds == len(numbers) - 1


def test_an_unmoderated_sound_published_from_here_is_left_alone(
    workspace, client, freesound_server
):
    freesound_server.unmoderated_status = 404
    number = freesound_server.state.add_sound("alice", public=False).id
    publish(workspace, add(workspace, f"freesound:{number}"), Person(7, "alice"))
    assert withdraw_gone(client, workspace, "earmark") == []


def test_the_uploader_is_known_by_the_user_id(workspace):
    publish(workspace, add(workspace, "freesound:1"), Person(7, "alice"))
    assert is_uploader(Person(7, "renamed"), workspace, "freesound:1")
    assert not is_uploader(Person(8, "alice"), workspace, "freesound:1")
    assert not is_uploader(None, workspace, "freesound:1")
