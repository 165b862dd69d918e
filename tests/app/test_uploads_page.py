"""A person's uploads and where they stand, and taking them out of Earmark again."""

import time

import pytest

from app import auth, services
from app.text import plain
from app.views.upload_list import withdraw_own
from core.people import user_id
from core.publishing.upload import LISTING_DELAY_S, Publisher
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import BROWSER, button_keys, open_page, shown, sounds
from tests.helpers.publishing import ANALYSIS, noise_wav, upload_form

SPENT = '{"detail": "Request was throttled because of exceeding a request limit rate (2000/day)"}'


@pytest.fixture
def alice(sign_in):
    return sign_in("alice")


@pytest.fixture
def publish(alice):
    """Publish as alice, so many seconds ago."""

    def publish(title="Rain on a roof", ago=0.0, progress=lambda stage, share: None):
        data, folder = noise_wav(), services.settings().workspace_folder / "publications"
        publisher = Publisher(
            folder, services.freesound(), services.workspace(), lambda: time.time() - ago
        )
        form, token = upload_form(data, name=title), auth.with_token(alice)
        return publisher.publish(alice, token, form, data, ANALYSIS, progress)

    return publish


def refreshed(page):
    page.button(key="refresh").click().run()
    assert not page.exception
    return page


def in_view(folder) -> set[str]:
    return {sound.sound_id for sound in sounds(folder)}


def test_somebody_who_is_not_signed_in_is_asked_to(connected):
    assert "Sign in with Freesound to see" in shown(open_page(connected, "uploads.py"))


def test_nothing_published_yet_is_said(connected, alice):
    assert "No uploads yet" in shown(open_page(connected, "uploads.py"))


def test_a_sound_goes_from_processing_over_moderation_to_public(
    connected, publish, freesound_server
):
    number = publish().sound_id
    page = open_page(connected, "uploads.py")
    assert "waiting to be processed" in shown(page)
    freesound_server.state.process(number, duration=1.0)
    assert "waiting for moderation" in shown(refreshed(page))
    freesound_server.state.moderate(number)
    assert plain("Public on Freesound.") in shown(refreshed(page))


CHECK = "check_circle"


def links(page) -> list[str]:
    return [link.proto.url for link in page.get("link_button")]


def sound_links(page) -> list[str]:
    return [url for url in links(page) if "/s/" in url]


def test_only_a_public_sound_has_a_check(connected, publish, freesound_server):
    number = publish().sound_id
    page = open_page(connected, "uploads.py")
    assert CHECK not in shown(page)
    freesound_server.state.process(number, duration=1.0)
    assert CHECK not in shown(refreshed(page))
    freesound_server.state.moderate(number)
    assert CHECK in shown(refreshed(page))
    assert sound_links(page)
    freesound_server.state.moderate(number, "DE")
    assert "set it back" in shown(refreshed(page))
    assert CHECK not in shown(page)
    freesound_server.state.reject(number)
    assert "Deleted from Freesound" in shown(refreshed(page))
    assert CHECK not in shown(page)
    assert not sound_links(page)


def test_a_file_that_freesound_could_not_process_is_said(connected, publish, freesound_server):
    freesound_server.state.process(publish().sound_id, failed=True)
    page = open_page(connected, "uploads.py")
    assert "could not process it" in shown(page)
    assert CHECK not in shown(page)
    assert not sound_links(page)
    assert links(page) == ["https://freesound.org/home/sounds/manage/processing/"]


def test_a_trusted_uploaders_sound_that_failed_is_not_being_processed_for_ever(
    connected, publish, freesound_server
):
    """No list of Freesound has it, and the sound itself says nothing."""
    freesound_server.state.users["alice"].whitelisted = True
    freesound_server.state.process(publish(ago=3600).sound_id, failed=True)
    page = open_page(connected, "uploads.py")
    assert "it has probably failed" in shown(page)
    assert CHECK not in shown(page)
    assert not sound_links(page)


def test_what_was_changed_on_freesound_is_named(connected, publish, freesound_server):
    number = publish().sound_id
    freesound_server.state.process(number, duration=1.0)
    freesound_server.state.moderate(number).name = "Hail \u202eon a roof"
    page = open_page(connected, "uploads.py")
    assert plain("Changed there since it was published: name.") in shown(page)
    assert "Rain on a roof" in shown(page)


def test_names_of_pending_sounds_turn_nothing_around(connected, alice, freesound_server):
    freesound_server.state.add_sound("alice", public=False, name="gnp.\u202egpj")
    freesound_server.state.users["alice"].pending_files["\u2067loose.wav"] = b"x"
    text = shown(open_page(connected, "uploads.py"))
    assert "loose" in text
    assert not {"\u202e", "\u2067"} & set(text)


def test_a_rejected_sound_leaves_earmark_with_its_media(
    connected, publish, freesound_server, own_workspace
):
    number = publish(ago=3 * 86_400).sound_id
    workspace = open_local_workspace(own_workspace)
    media = workspace.sounds.get(f"freesound:{number}").media
    assert workspace.media.path(media.audio).exists()
    freesound_server.state.reject(number)
    page = open_page(connected, "uploads.py")
    assert "it was not accepted, or was deleted" in shown(page)
    assert "Withdrawn from Earmark." in shown(page)
    assert CHECK not in shown(page)
    assert not sound_links(page)
    assert f"freesound:{number}" not in in_view(own_workspace)
    assert [workspace.media.path(name) for name in media.names] == [None, None]
    reason = workspace.events.of_sound(f"freesound:{number}")[-1].payload.reason
    assert reason == "Freesound does not have it any more"


def test_a_trusted_uploaders_new_sound_that_freesound_does_not_show_yet_stays(
    connected, publish, freesound_server, own_workspace
):
    """Such sounds are in none of the lists, and the server may answer 404 until processed."""
    freesound_server.state.users["alice"].whitelisted = True
    freesound_server.unmoderated_status = 404
    number = publish().sound_id
    page = open_page(connected, "uploads.py")
    assert "being processed" in shown(page)
    assert f"freesound:{number}" in in_view(own_workspace)
    freesound_server.state.process(number, duration=1.0)
    assert plain("Public on Freesound.") in shown(refreshed(page))


def hide_pending(server):
    """From now on Freesound does not say what is on its way."""
    server.fail(
        "pending_uploads", times=None, status=429, body=SPENT, content_type="application/json"
    )


def test_an_uncertain_publication_is_resolved_by_another_look(
    connected, publish, freesound_server, own_workspace
):
    freesound_server.fail("sounds/upload", drop="after")

    def progress(stage, share):
        if stage.startswith("Asking"):
            hide_pending(freesound_server)

    assert publish(progress=progress).state == "uncertain"
    page = open_page(connected, "uploads.py")
    assert "cannot be looked up" in shown(page)
    freesound_server.heal()
    assert "waiting to be processed" in shown(refreshed(page))
    (number,) = freesound_server.state.sounds
    assert f"freesound:{number}" in in_view(own_workspace)


def test_what_did_not_arrive_is_said_to_be_safe_to_publish_again(
    connected, publish, freesound_server
):
    freesound_server.fail("sounds/upload", drop="before")
    assert publish(ago=LISTING_DELAY_S + 5).state == "uncertain"
    assert "safely be published again" in shown(open_page(connected, "uploads.py"))


def test_files_that_wait_for_a_description_and_sounds_from_elsewhere_are_listed(
    connected, publish, freesound_server
):
    publish("Mine from here")
    freesound_server.state.users["alice"].pending_files["<b>loose</b>.wav"] = b"x"
    freesound_server.state.add_sound("alice", public=False, name="From *elsewhere*")
    freesound_server.state.add_sound("bob", public=False, name="Bob's")
    page = open_page(connected, "uploads.py")
    assert f"{plain('<b>loose</b>.wav')}: uploaded, but not described yet" in shown(page)
    assert f"- {plain('From *elsewhere*')}: waiting to be processed" in shown(page)
    assert shown(page).count("Mine from here") == 1
    assert "Bob" not in shown(page)
    urls = [link.proto.url for link in page.get("link_button")]
    assert any("/home/describe/" in url for url in urls)


def test_freesound_is_asked_once_and_not_whenever_the_page_is_drawn(
    connected, publish, freesound_server
):
    publish()
    page = open_page(connected, "uploads.py")
    asked = len(freesound_server.requests)
    page.run()
    page.run()
    assert len(freesound_server.requests) == asked
    refreshed(page)
    assert len(freesound_server.requests) > asked


def test_freesound_away_is_one_sentence_and_the_list_is_still_there(
    connected, publish, freesound_server
):
    number = publish().sound_id
    hide_pending(freesound_server)
    page = open_page(connected, "uploads.py")
    assert len(page.error) == 1
    assert "Rain on a roof" in shown(page)
    labels = [link.proto.label for link in page.get("link_button")]
    assert any(f"Sound {number} " in label for label in labels)
    freesound_server.heal()
    assert not refreshed(page).error


def test_the_uploader_withdraws_and_the_media_go(connected, publish, own_workspace, alice):
    upload, workspace = publish(), open_local_workspace(own_workspace)
    sound_id = f"freesound:{upload.sound_id}"
    media = workspace.sounds.get(sound_id).media
    page = open_page(connected, "uploads.py")
    page.button(key=f"withdraw-{upload.upload_id}").click().run()
    assert "Withdrawn from Earmark" in shown(page)
    last = workspace.events.of_sound(sound_id)[-1]
    assert (last.kind, user_id(last.actor)) == ("withdrawn", alice.user_id)
    assert last.payload.reason == "withdrawn by its uploader"
    assert workspace.media.path(media.audio) is None
    assert sound_id not in in_view(own_workspace)


def test_somebody_elses_publication_is_not_shown_and_cannot_be_withdrawn(
    connected, publish, sign_in, own_workspace, caplog
):
    upload = publish()
    sign_in("bob")
    page = open_page(connected, "uploads.py")
    assert "Rain on a roof" not in shown(page)
    assert not [key for key in button_keys(page) if key.startswith("withdraw")]
    withdraw_own(upload.upload_id)
    assert f"freesound:{upload.sound_id}" in in_view(own_workspace)
    assert f"refusal action=withdraw upload={upload.upload_id}" in caplog.text
    sign_in("alice")
    withdraw_own(upload.upload_id)
    assert f"freesound:{upload.sound_id}" not in in_view(own_workspace)


def test_after_a_sign_out_the_handler_withdraws_nothing(connected, publish, own_workspace):
    upload = publish()
    page = open_page(connected, "uploads.py")
    services.sign_ins().sign_out(BROWSER)
    page.button(key=f"withdraw-{upload.upload_id}").click().run()
    assert f"freesound:{upload.sound_id}" in in_view(own_workspace)
