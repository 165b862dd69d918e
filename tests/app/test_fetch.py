"""Fetching from the double on the monitor, and the uploader's words there."""

import threading
import time

import pytest

from app import fetcher as fetcher_module
from app import services
from app.analysis_queue import Requester
from app.text import plain
from app.views.fetch import NAMELESS_ACTOR
from app.views.sound_text import facts_text
from core.events.types import Predicted, Sound, new_event
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import (
    button_keys,
    first_sound,
    new_app,
    open_page,
    open_to_the_world,
    shown,
)

HOSTILE = "<img src=x onerror=alert(1)> **bold** [x](javascript:alert(1)) :red[red] $x$"


@pytest.fixture
def credential(freesound_server, monkeypatch):
    """The app's credential at the double, set as a person would set it."""
    client = freesound_server.state.add_client("earmark", owner="alice")
    monkeypatch.setenv("FREESOUND_API_KEY", client.client_secret)
    monkeypatch.setenv("EARMARK_FREESOUND_API", f"{freesound_server.url}/apiv2")
    monkeypatch.setenv("EARMARK_PREVIEW_HOSTS", "127.0.0.1")
    return client


@pytest.fixture
def upload(freesound_server, examples):
    ogg = (examples / "dog-barking.ogg").read_bytes()

    def add(**details):
        return freesound_server.state.add_sound(
            "alice", **{"audio": ogg, "duration": 3.0} | details
        ).id

    return add


def press(app):
    """Press the button, wait for the fetch to end, and draw again as the page does by itself."""
    app.run()
    app.button(key="fetch").click().run()
    services.fetcher().wait()
    return app.run()


def test_without_a_key_there_is_no_button(app):
    app.run()
    assert "fetch" not in button_keys(app)


def test_an_empty_monitor_says_how_sounds_come_from_freesound(app, monkeypatch, tmp_path):
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "empty"))
    app.run()
    assert "With FREESOUND_API_KEY set" in shown(app)


def test_the_newest_sounds_are_fetched_at_the_press_of_a_button_under_the_viewers_name(
    app, own_workspace, credential, upload
):
    made = [upload(name=f"dog {number}") for number in range(6)]
    before = open_local_workspace(own_workspace).sounds.counts().sounds
    app.run()
    press(app)
    assert not app.exception
    assert "5 new sounds from Freesound" in shown(app)
    assert "last run just now from Freesound: 5 tagged" in shown(app)
    workspace = open_local_workspace(own_workspace)
    assert workspace.sounds.counts().sounds == before + 5
    assert workspace.runs.latest()[0].actor == "Ada"
    assert f"save-freesound:{made[-1]}" in button_keys(app)


def test_somebody_on_this_machine_may_fetch_before_they_are_asked_for_a_name(
    app, own_workspace, credential, upload, monkeypatch
):
    monkeypatch.delenv("EARMARK_CURATOR")
    upload()
    press(app)
    assert "1 new sound from Freesound" in shown(app)
    assert open_local_workspace(own_workspace).runs.latest()[0].actor == NAMELESS_ACTOR


def test_skipped_sounds_are_listed_with_their_reason_as_text(
    app, freesound_server, credential, upload
):
    number = upload(name=HOSTILE)
    freesound_server.fail(f"/{number}_", times=None, status=404)
    press(app)
    assert "None of the new sounds on Freesound could be used" in shown(app)
    assert "could not be used" in app.expander[0].label
    assert f"The preview of sound {number} is gone" in shown(app)
    assert plain(HOSTILE) in shown(app)
    assert HOSTILE not in shown(app)


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ("a wrong key", "Freesound does not know this server's key"),
        ("no requests left", "asks for fewer requests ("),
    ],
)
def test_trouble_is_one_sentence_on_the_page_and_one_line_in_the_log(
    app, monkeypatch, credential, upload, trouble, sentence, caplog
):
    if trouble == "a wrong key":
        monkeypatch.setenv("FREESOUND_API_KEY", "wrong")
    else:
        credential.get_limits = (60, 0)
    upload()
    press(app)
    app.run()
    assert not app.exception
    assert plain(sentence) in app.error[0].value
    assert app.button(key="fetch")
    lines = [record.message for record in caplog.records if "page error" in record.message]
    assert len(lines) == 1
    assert sentence in lines[0]


def test_an_active_model_that_is_missing_is_not_replaced_in_what_is_kept(
    app, own_workspace, credential, upload
):
    """Somebody who tries a sound gets another model meanwhile; the workspace does not."""
    upload()
    app.run()
    models = own_workspace / "models"
    models.rename(own_workspace / "elsewhere")
    press(app)
    assert "Fetch stopped" in app.error[0].value
    assert "is not in" in app.error[0].value


def test_that_nothing_is_new_is_said(app, credential, upload):
    upload()
    press(app)
    press(app)
    assert "Nothing new on Freesound" in shown(app)
    assert "1 known" in shown(app)


def test_a_second_press_starts_nothing_and_shows_whose_fetch_runs(
    app, monkeypatch, credential, upload, own_workspace
):
    upload()
    entered, go_on = threading.Event(), threading.Event()
    really = fetcher_module.tag_new_sounds

    def held(*arguments, **options):
        entered.set()
        assert go_on.wait(30)
        return really(*arguments, **options)

    monkeypatch.setattr(fetcher_module, "tag_new_sounds", held)
    app.run()
    other = new_app().run()
    app.button(key="fetch").click().run()
    assert entered.wait(30)
    app.run()
    assert "Ada is fetching" in app.get("progress")[0].proto.text
    other.button(key="fetch").click().run()
    go_on.set()
    services.fetcher().wait()
    assert "is fetching already" in shown(other)
    runs = open_local_workspace(own_workspace).runs.latest()
    assert len([run for run in runs if run.source == "Freesound"]) == 1
    assert "1 new sound from Freesound" in shown(other.run())


def test_a_fetch_waits_while_peoples_clips_are_analysed(
    app, monkeypatch, credential, upload, own_workspace
):
    monkeypatch.setenv("EARMARK_MAX_ANALYSES", "1")
    upload(name="dog")
    before = open_local_workspace(own_workspace).sounds.counts().sounds
    app.run()
    with services.analysis_queue().turn(Requester("ann", "ann"), lambda place: None):
        app.button(key="fetch").click().run()
        while not services.fetcher().current.stage.startswith("Waiting to tag dog"):
            assert services.fetcher().current.running, services.fetcher().current.error
            time.sleep(0.01)
        assert open_local_workspace(own_workspace).sounds.counts().sounds == before
        assert "clips go first" in app.run().get("progress")[0].proto.text
    services.fetcher().wait()
    assert open_local_workspace(own_workspace).sounds.counts().sounds == before + 1
    assert "1 new sound from Freesound" in shown(app.run())


def test_a_sound_that_takes_too_long_is_skipped_with_its_reason(
    app, monkeypatch, credential, upload
):
    monkeypatch.setenv("EARMARK_MAX_WORK_SECONDS", "0.000001")
    upload(name="dog")
    press(app)
    assert "None of the new sounds on Freesound could be used" in shown(app)
    assert "takes too long and was given up" in shown(app)


def test_nobody_fetches_who_may_not_change_anything(app, credential, monkeypatch):
    app.run()
    open_to_the_world(app, monkeypatch)
    app.button(key="fetch").click().run()
    services.fetcher().wait()
    assert services.fetcher().current.number == 0
    assert "fetch" not in button_keys(app.run())


# The uploader's words


def test_the_uploaders_words_stand_beside_the_models_as_text(
    app, own_workspace, credential, upload, freesound_server
):
    number = upload(
        name=HOSTILE,
        description=HOSTILE,
        tags=[HOSTILE, "Dog", "my-garden"],
        license="Attribution",
        category_code="fx-a",
        gen_ai_preference="no-gen-ai",
    )
    press(app)
    assert not app.exception
    text = shown(app)
    assert "Uploader's tags:" in text
    assert "my\\-garden" in text
    assert "no generative AI" in text
    assert plain(HOSTILE) in text
    assert HOSTILE not in text
    assert f"](https://freesound.org/people/alice/sounds/{number}/)" in text
    facts = facts_text(first_sound(own_workspace))
    assert "by alice" in facts
    assert "Attribution (CC BY 4.0) · Sound effects: Animals" in facts


def test_tags_that_both_gave_are_bold(app, own_workspace, credential, upload):
    upload(tags=["Dog", "my-garden", "x"])
    press(app)
    assert "dog" in first_sound(own_workspace).tags
    assert "**Dog**, my\\-garden" in shown(app)


def test_an_imported_address_elsewhere_is_no_link(app, own_workspace):
    workspace, model = open_local_workspace(own_workspace), first_sound(own_workspace).model
    evil = Sound(title="x", source="Freesound", url="https://evil.example/", tags=("a",))
    payload = Predicted(model=model, top=(), sound=evil)
    workspace.events.append([new_event(payload, "freesound:7", "someone")])
    app.run()
    assert not app.exception
    assert not app.get("link_button")


def test_agreement_with_uploaders_is_on_the_metrics_page(app, own_workspace, credential, upload):
    upload(tags=["dog", "my-garden", "x"])
    press(app)
    sound = first_sound(own_workspace)
    page = open_page(app, "metrics.py", view="feedback")
    metrics = {metric.label: metric.value for metric in page.metric}
    assert metrics["Precision on uploaders' tags"] == "–"
    assert f"too few: {len(sound.tags)} suggestions" in {each.delta for each in page.metric}
    assert set(page.dataframe[-1].value["Tag"]) == set(sound.tags)


def test_without_uploaders_tags_the_metrics_page_says_so(app):
    page = open_page(app, "metrics.py", view="feedback")
    assert "No sound here has tags by its uploader" in shown(page)
