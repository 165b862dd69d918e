"""What became of the sounds that somebody published, and taking them out of Earmark again."""

import runpy
import time

import pytest

from app import session
from app.text import plain
from core.freesound.publishing import CERTAIN_AFTER_S, Publisher
from core.people import user_id
from core.workspace import Query
from core.workspace.local import LocalWorkspace
from tests.app.conftest import BROWSER, PAGES
from tests.core.freesound.test_publishing import HEARD, form, sound_bytes

SPENT = '{"detail": "Request was throttled because of exceeding a request limit rate (2000/day)"}'


def text(page) -> str:
    return "\n".join(one.value for kind in ("caption", "markdown", "subheader", "info", "error", "warning") for one in page.get(kind))


def open_uploads(app):
    app.run()
    app.switch_page(str(PAGES / "uploads.py")).run()
    assert not app.exception
    return app


@pytest.fixture
def alice(sign_in):
    return sign_in("alice")


@pytest.fixture
def publish(alice):
    """Publish as alice, so many seconds ago."""

    def published(title="Rain on a roof", ago=0.0, progress=lambda stage, share: None):
        data, folder = sound_bytes(), session.settings().workspace_folder / "publications"
        publisher = Publisher(folder, session.freesound(), session.workspace(), lambda: time.time() - ago)
        return publisher.publish(alice, session.with_token(alice), form(data, name=title), data, HEARD, progress)

    return published


def look_again(page):
    page.button(key="look-again").click().run()
    assert not page.exception
    return page


def in_view(folder) -> set[str]:
    return {state.sound_id for state in LocalWorkspace(folder).page(Query(), 1, 50).sounds}


def test_somebody_who_is_not_signed_in_is_asked_to(connected):
    assert "Sign in with Freesound to see" in text(open_uploads(connected))


def test_nothing_published_yet_is_said(connected, alice):
    assert "Nothing yet" in text(open_uploads(connected))


def test_a_sound_goes_from_processing_over_moderation_to_public(connected, publish, freesound_server):
    number = publish().sound
    page = open_uploads(connected)
    assert "waiting to be processed" in text(page)
    freesound_server.state.process(number, duration=1.0)
    assert "waiting for people to moderate it" in text(look_again(page))
    freesound_server.state.moderate(number)
    assert plain("Public on Freesound.") in text(look_again(page))


def test_a_file_that_freesound_could_not_process_is_said(connected, publish, freesound_server):
    freesound_server.state.process(publish().sound, failed=True)
    assert "could not process it" in text(open_uploads(connected))


def test_a_rejected_sound_leaves_earmark_with_its_media(connected, publish, freesound_server, own_workspace):
    number = publish(ago=3 * 86_400).sound
    media = LocalWorkspace(own_workspace).sound(f"freesound:{number}").media
    assert LocalWorkspace(own_workspace).media_path(media.audio).exists()
    freesound_server.state.reject(number)
    page = open_uploads(connected)
    assert "it was not accepted, or deleted" in text(page)
    assert "Withdrawn from Earmark." in text(page)
    workspace = LocalWorkspace(own_workspace)
    assert f"freesound:{number}" not in in_view(own_workspace)
    assert [workspace.media_path(name) for name in (media.audio, media.spectrogram)] == [None, None]
    assert workspace.events(f"freesound:{number}")[-1].payload.reason == "Freesound does not have it any more"


def test_a_trusted_uploaders_new_sound_that_freesound_does_not_show_yet_stays(connected, publish, freesound_server, own_workspace):
    """Such sounds are in none of the lists, and the server may answer 404 until they are processed."""
    freesound_server.state.users["alice"].whitelisted = True
    freesound_server.unmoderated_status = 404
    number = publish().sound
    page = open_uploads(connected)
    assert "being processed" in text(page)
    assert f"freesound:{number}" in in_view(own_workspace)
    freesound_server.state.process(number, duration=1.0)
    assert plain("Public on Freesound.") in text(look_again(page))


def away(server):
    """From now on Freesound does not say what is on its way."""
    server.fail("pending_uploads", times=None, status=429, body=SPENT, content_type="application/json")


def test_an_uncertain_publication_is_settled_by_another_look(connected, publish, freesound_server, own_workspace):
    freesound_server.fail("sounds/upload", drop="after")
    done = publish(progress=lambda stage, share: away(freesound_server) if stage.startswith("Asking") else None)
    assert done.state == "uncertain"
    page = open_uploads(connected)
    assert "cannot be looked up just now" in text(page)
    freesound_server.heal()
    assert "waiting to be processed" in text(look_again(page))
    (number,) = freesound_server.state.sounds
    assert f"freesound:{number}" in in_view(own_workspace)


def test_what_did_not_arrive_is_said_to_be_safe_to_publish_again(connected, publish, freesound_server):
    freesound_server.fail("sounds/upload", drop="before")
    assert publish(ago=CERTAIN_AFTER_S + 5).state == "uncertain"
    assert "It can safely be published again" in text(open_uploads(connected))


def test_files_that_wait_for_a_description_and_sounds_from_elsewhere_are_listed(connected, publish, freesound_server):
    publish("Mine from here")
    freesound_server.state.users["alice"].pending_files["<b>loose</b>.wav"] = b"x"
    freesound_server.state.add_sound("alice", public=False, name="From *elsewhere*")
    freesound_server.state.add_sound("bob", public=False, name="Bob's")
    page = open_uploads(connected)
    assert f"{plain('<b>loose</b>.wav')}: uploaded, but not described yet" in text(page)
    assert f"- {plain('From *elsewhere*')}: waiting to be processed" in text(page)
    assert text(page).count("Mine from here") == 1
    assert "Bob" not in text(page)
    assert any("/home/describe/" in one.proto.url for one in page.get("link_button"))


def test_freesound_is_asked_once_and_not_at_every_look_at_the_page(connected, publish, freesound_server):
    publish()
    page = open_uploads(connected)
    asked = len(freesound_server.requests)
    page.run()
    page.run()
    assert len(freesound_server.requests) == asked
    look_again(page)
    assert len(freesound_server.requests) > asked


def test_freesound_away_is_one_sentence_and_the_list_is_still_there(connected, publish, freesound_server):
    number = publish().sound
    away(freesound_server)
    page = open_uploads(connected)
    assert len(page.error) == 1
    assert "Rain on a roof" in text(page)
    assert any(f"Sound {number} " in one.proto.label for one in page.get("link_button"))
    freesound_server.heal()
    assert not look_again(page).error


def test_the_uploader_withdraws_and_the_media_go(connected, publish, own_workspace, alice):
    done = publish()
    media = LocalWorkspace(own_workspace).sound(f"freesound:{done.sound}").media
    page = open_uploads(connected)
    page.button(key=f"withdraw-{done.intent}").click().run()
    assert "Withdrawn from Earmark" in text(page)
    workspace = LocalWorkspace(own_workspace)
    last = workspace.events(f"freesound:{done.sound}")[-1]
    assert (last.kind, last.payload.reason, user_id(last.actor)) == ("withdrawn", "withdrawn by its uploader", alice.user_id)
    assert workspace.media_path(media.audio) is None
    assert f"freesound:{done.sound}" not in in_view(own_workspace)


def test_somebody_elses_publication_is_not_shown_and_cannot_be_withdrawn(connected, publish, sign_in, own_workspace):
    done = publish()
    sign_in("bob")
    page = open_uploads(connected)
    assert "Rain on a roof" not in text(page)
    assert not [button for button in page.button if button.key and button.key.startswith("withdraw")]
    page_functions()["_withdraw"](done.intent)
    assert f"freesound:{done.sound}" in in_view(own_workspace)
    sign_in("alice")
    page_functions()["_withdraw"](done.intent)
    assert f"freesound:{done.sound}" not in in_view(own_workspace)


def test_after_a_sign_out_the_handler_withdraws_nothing(connected, publish, own_workspace):
    done = publish()
    page = open_uploads(connected)
    session.sign_ins().sign_out(BROWSER)
    page.button(key=f"withdraw-{done.intent}").click().run()
    assert f"freesound:{done.sound}" in in_view(own_workspace)


def page_functions() -> dict:
    """The functions of the page, for a call that it does not offer."""
    return runpy.run_path(str(PAGES / "uploads.py"))
