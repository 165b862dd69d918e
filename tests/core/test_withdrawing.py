"""Withdrawn sounds leave every view, and their media go; what others show stays."""

import numpy as np
import pytest
from pydantic import SecretStr

from core.freesound.budget import Budget, Limits
from core.freesound.client import FreesoundClient
from core.id2prediction import Media, ModelRef, Predicted, Published, Sound, Suggestion, new_event
from core.people import Person
from core.withdrawing import GONE, is_uploader, withdraw, withdraw_gone
from core.workspace import Query

MODEL = ModelRef(name="m", version=1)


def add(workspace, sound_id: str, audio: bytes = b"OggS", **more):
    media = Media(audio=workspace.put_media(audio, "ogg"), spectrogram=workspace.put_media(audio + b"picture", "webp"))
    top = (Suggestion(tag="rain", probability=0.9, above_threshold=True),)
    event = new_event(Predicted(model=MODEL, top=top, sound=Sound(title="s", source="t"), media=media), sound_id, "earmark", **more)
    workspace.append([event])
    workspace.put_sidecar(sound_id, MODEL, {"activations": np.zeros((1, 1), np.float32)})
    return event


@pytest.fixture
def client(freesound_server, tmp_path):
    app = freesound_server.state.add_client("earmark")
    budget = Budget(tmp_path / "budget.sqlite", Limits(1000, 1000))
    return FreesoundClient(SecretStr(app.client_secret), budget, f"{freesound_server.url}/apiv2", sleep=freesound_server.advance)


def test_a_withdrawn_sound_leaves_every_view_its_media_go_and_its_history_stays(workspace):
    event = add(workspace, "freesound:1")
    assert withdraw(workspace, "freesound:1", "asked for", "Ada")
    assert workspace.page(Query(), 1, 10).total == 0
    assert all(workspace.media_path(name) is None for name in event.payload.media.names)
    assert workspace.sidecar("freesound:1", MODEL) is None
    assert [(one.kind, one.actor) for one in workspace.events("freesound:1")] == [("predicted", "earmark"), ("withdrawn", "Ada")]
    assert not withdraw(workspace, "freesound:1", "again", "Ada")


def test_media_that_another_sound_shows_stay_until_that_one_goes_too(workspace):
    event = add(workspace, "freesound:1", b"OggS same")
    add(workspace, "freesound:2", b"OggS same")
    withdraw(workspace, "freesound:1", "asked for", "Ada")
    assert workspace.media_path(event.payload.media.audio) is not None
    withdraw(workspace, "freesound:2", "asked for", "Ada")
    assert workspace.media_path(event.payload.media.audio) is None


def test_an_unknown_sound_is_not_withdrawn(workspace):
    assert not withdraw(workspace, "freesound:9", "asked for", "Ada")


def test_what_freesound_does_not_have_any_more_is_withdrawn_and_the_rest_is_not(workspace, client, freesound_server):
    numbers = [freesound_server.state.add_sound("alice").id for _ in range(4)]
    for number in numbers:
        add(workspace, f"freesound:{number}", str(number).encode())
    add(workspace, "file:" + "0" * 64)
    del freesound_server.state.sounds[numbers[1]]
    assert withdraw_gone(client, workspace, "earmark") == [f"freesound:{numbers[1]}"]
    assert workspace.events(f"freesound:{numbers[1]}")[-1].payload.reason == GONE
    assert workspace.counts().sounds == 4
    assert sum(one.path.endswith("/search/") for one in freesound_server.requests) == 1


def test_an_unmoderated_sound_published_from_here_is_left_alone(workspace, client, freesound_server):
    freesound_server.unmoderated_status = 404
    number = freesound_server.state.add_sound("alice", public=False).id
    event = add(workspace, f"freesound:{number}")
    workspace.append(
        [new_event(Published(decisions={"rain": "kept"}, tags=("rain",)), event.sound_id, Person(7, "alice").actor, base=event)]
    )
    assert withdraw_gone(client, workspace, "earmark") == []


def test_the_uploader_is_known_by_the_user_id(workspace):
    event = add(workspace, "freesound:1")
    workspace.append([new_event(Published(decisions={}, tags=()), event.sound_id, Person(7, "alice").actor, base=event)])
    assert is_uploader(Person(7, "renamed"), workspace, "freesound:1")
    assert not is_uploader(Person(8, "alice"), workspace, "freesound:1")
    assert not is_uploader(None, workspace, "freesound:1")
