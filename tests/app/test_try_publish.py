"""Publishing from the try page, against the double: the form, what is sent, and the outcome."""

import hashlib
import io
import logging
import os
import threading
from contextlib import suppress

import numpy as np
import pytest
import soundfile

from app import services, state
from app.analysis_queue import Requester
from app.clips import OutgoingSound
from app.drafts import Draft
from app.routes import temporary_media_url
from app.text import plain
from app.views import clip_analysis, publish_form, publish_progress
from core.audio.trim import trim
from core.people import user_id
from core.publishing.category import CATEGORIES
from core.publishing.form import (
    LICENSES,
    UploadForm,
    check,
    check_tags,
    machine_note,
    parse_geotag,
)
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import BROWSER, PAGES, Clip, button_keys, first_sound, shown

TAGS = ["dog", "Barking", "naïve", "garden"]
STORED = ["barking", "dog", "garden", "naive"]
BY = "Attribution"
TO_FIX = "To publish, please fix"


@pytest.fixture(scope="session")
def tones() -> Clip:
    """Two seconds of two tones: 24 bit, stereo, 48 kHz."""
    at = np.arange(96_000) / 48_000
    samples = np.stack([np.sin(2765 * at), np.sin(5530 * at)], 1) / 2
    out = io.BytesIO()
    soundfile.write(out, samples, 48_000, "PCM_24", format="WAV")
    return Clip("two tones.wav", out.getvalue())


def edit(page, clip, tags):
    """What the browser says when somebody has edited the chips."""
    page.session_state[f"try-tags-{clip.sha}"] = {"edit": {"version": "", "tags": tags}}


def tried(page, clip):
    return page.session_state["tried-clips"][clip.sha]


def choose_part(page, clip, part):
    """What the player says when somebody has moved its handles."""
    audio = temporary_media_url(tried(page, clip).audio)
    selection = {"audio": audio, "start": None, "part": part}
    page.session_state[f"try-{clip.sha}"] = {"selection": selection}
    page.run()


def fill(page, clip, tags=TAGS, **values):
    """Type what Freesound needs."""
    edit(page, clip, tags)
    values = {"title": "A dog", "description": "In the garden.", "license": BY} | values
    widgets = {"license": page.radio, "description": page.text_area}
    for field, value in values.items():
        widgets.get(field, page.text_input)(key=clip.key(field)).set_value(value)
    page.run()
    if page.selectbox and page.selectbox[0].value is None:
        page.selectbox[0].set_value("fx-a").run()
    return page


def publish_button(page):
    buttons = (button for button in page.button if button.label.startswith("Publish as"))
    return next(buttons, None)


def press(page, clip):
    """Press the button, wait until the thread has ended, and draw again, as the page does."""
    publish_button(page).click().run()
    wait(page, clip)
    return page.run()


def wait(page, clip):
    key = f"sending-{clip.sha}"
    if key in page.session_state:
        page.session_state[key].wait(60)
        assert not page.session_state[key].running


def on_freesound(server) -> list:
    return list(server.state.sounds.values())


@pytest.fixture
def alice(sign_in):
    return sign_in("alice")


@pytest.fixture
def at_form(connected, alice, bark):
    """The try page with the bark on it, seen by alice."""
    return bark.open(connected)


# The form


def test_the_form_says_what_is_missing_and_offers_no_way_round_it(at_form, bark):
    edit(at_form, bark, ["dog"])
    at_form.run()
    (sentence,) = check_tags(["dog"])
    text = shown(at_form)
    missing = "Please describe the sound", "Please choose one of Freesound's licenses"
    for words in (TO_FIX, sentence, *missing):
        assert plain(words) in text
    assert publish_button(at_form).disabled
    assert TO_FIX not in shown(fill(at_form, bark))
    assert not publish_button(at_form).disabled


WRONG = [
    ("tags", ["dog"] * 5, "at least 3 tags"),
    ("tags", [f"t{number}" for number in range(31)], "30 tags at most"),
    ("description", "   ", "Please describe the sound"),
    ("description", "A \x00 dog", "The description has control characters"),
    ("title", "\u200b", "The name has nothing in it"),
    ("pack", "a\x01b", "The pack's name has control characters"),
    ("geotag", "Berlin", "The place should be latitude"),
    ("geotag", "91, 0", "The latitude 91"),
    ("geotag", "0, 0, 3", "The zoom 3"),
    ("geotag", "0, 13.4", "exactly 0"),
    ("title", "Dog", "The name has 3 characters"),
    ("description", "A DOG BARKS. " * 500, "capitals"),
    ("sources", "my tape", "is no sound on Freesound"),
]


def test_each_fields_problem_is_a_sentence_and_stops_the_publication(at_form, bark):
    for field, value, sentence in WRONG:
        page = fill(at_form, bark, **{"pack": "", "geotag": "", "sources": "", field: value})
        assert plain(sentence) in shown(page)
        assert publish_button(page).disabled
    page = fill(at_form, bark, pack="", geotag="", sources="")
    assert TO_FIX not in shown(page)
    assert not publish_button(page).disabled


def test_the_category_is_suggested_from_the_tags_and_a_choice_stays(at_form, bark):
    edit(at_form, bark, ["dog", "bark", "animal"])
    at_form.run()
    assert at_form.selectbox[0].value == "fx-a"
    assert "Suggested from the tags" in shown(at_form)
    edit(at_form, bark, ["speech", "voice", "talking"])
    at_form.run()
    assert at_form.selectbox[0].value.startswith("sp-")
    at_form.selectbox[0].set_value("m-sp").run()
    edit(at_form, bark, ["dog", "bark", "animal"])
    at_form.run()
    assert at_form.selectbox[0].value == "m-sp"
    assert "Suggested from the tags" not in shown(at_form)


def test_every_license_is_offered_with_its_meaning_and_has_one_name(at_form, bark):
    titles = [license.title for license in LICENSES.values()]
    field = at_form.radio(key=bark.key("license"))
    assert field.options == titles
    assert field.value is None
    page = fill(at_form, bark, license=BY)
    assert f"**License.** {plain(LICENSES[BY].title)}" in shown(page)


def test_a_town_is_found_without_any_request_and_its_exact_place_is_shown(
    at_form, bark, freesound_server
):
    page = fill(at_form, bark)
    before = len(freesound_server.requests)
    page.text_input(key=bark.key("town")).set_value("münchen").run()
    page.get("button_group")[-1].select("Munich, Germany").run()
    geotag = page.text_input(key=bark.key("geotag")).value
    assert geotag == "48.1374, 11.5755, 14"
    assert "latitude 48.1374, longitude 11.5755, zoom 14" in shown(page)
    assert "openstreetmap.org/?mlat=48.1374" in shown(page)
    assert len(freesound_server.requests) == before
    press(page, bark)
    assert on_freesound(freesound_server)[0].geotag == "48.1374 11.5755"


def test_a_town_that_is_not_in_the_list_is_said(at_form, bark):
    at_form.text_input(key=bark.key("town")).set_value("Kleinkleckersdorf").run()
    assert "No large town is called Kleinkleckersdorf" in shown(at_form)


def test_explicit_content_and_sources_are_named_as_what_is_left_to_do_on_freesound(
    at_form, bark, freesound_server
):
    page = fill(at_form, bark, sources="1234")
    page.checkbox(key=state.publish_explicit(bark.sha).key).set_value(True).run()
    assert "API cannot set this" in shown(page)
    press(page, bark)
    (stored,) = on_freesound(freesound_server)
    assert "https://freesound.org/s/1234/" in stored.description
    assert "mark it as explicit and name its sources" in shown(page)


# Publishing


def test_what_the_page_says_will_be_sent_is_what_freesound_stores(at_form, bark, freesound_server):
    page = fill(at_form, bark, pack="Dogs of mine", geotag="52.52 N, 13.405 E", title="  A dog  ")
    text, code = shown(page), page.selectbox[0].value
    description, tags = page.text[-1].value, page.code[0].value.split()
    press(page, bark)
    (stored,) = on_freesound(freesound_server)
    assert stored.tags == STORED
    assert plain(" ".join(tags)) in text
    assert sorted(tags) == STORED
    suggested = [tag.tag for tag in tried(page, bark).suggestions if tag.tag in STORED]
    assert suggested
    note = machine_note(suggested, tried(page, bark).model)
    assert stored.description == description == f"In the garden.\n\n{note}"
    assert (stored.audio, stored.name) == (bark.data, "A dog")
    assert (stored.license, stored.pack) == (BY, "Dogs of mine")
    assert (stored.category_code, stored.geotag) == (code, "52.52 13.405")
    assert parse_geotag("52.52 N, 13.405 E").text.startswith("52.52,13.405")
    assert code in CATEGORIES


def test_a_published_sound_has_a_link_and_is_in_the_workspace_and_on_the_monitor(
    at_form, bark, own_workspace, freesound_server, alice
):
    page = press(fill(at_form, bark), bark)
    (stored,) = on_freesound(freesound_server)
    assert not page.exception
    assert f"Published as sound {stored.id}" in shown(page)
    assert f"/s/{stored.id}/" in page.get("link_button")[0].proto.url
    assert publish_button(page) is None
    sound = first_sound(own_workspace)
    assert (sound.sound_id, sound.sound.title) == (f"freesound:{stored.id}", "A dog")
    last = sound.last_event
    assert (last.kind, user_id(last.actor)) == ("published", alice.user_id)
    assert last.payload.decisions["garden"] == "added"
    page.switch_page(str(PAGES / "monitor.py")).run()
    assert f"confirm-{sound.sound_id}" in button_keys(page)


def test_a_publication_is_logged(at_form, bark, caplog, freesound_server):
    caplog.set_level(logging.INFO)
    press(fill(at_form, bark), bark)
    (stored,) = on_freesound(freesound_server)
    lines = [record.message for record in caplog.records if "publish sound=" in record.message]
    assert len(lines) == 1
    assert str(stored.id) in lines[0]
    assert "A dog" not in caplog.text


def test_the_draft_of_a_published_sound_is_deleted(at_form, bark, new_session, alice):
    fill(at_form, bark)
    assert services.drafts().load(BROWSER, alice.user_id)
    press(at_form, bark)
    assert services.drafts().load(BROWSER, alice.user_id) is None
    at_form.run()
    assert services.drafts().load(BROWSER, alice.user_id) is None
    assert "Restored draft" not in new_session.text()


@pytest.fixture
def analysed(monkeypatch) -> list[str]:
    """The names of all files that are decoded and analysed from now on."""
    names, really = [], clip_analysis.analyse_file

    def analyse_file(data, name, *arguments):
        names.append(name)
        return really(data, name, *arguments)

    monkeypatch.setattr(clip_analysis, "analyse_file", analyse_file)
    return names


@pytest.fixture
def cut(monkeypatch) -> list[str]:
    """The names of all files that are cut from now on."""
    names, really = [], publish_form.trim

    def counted(data, name, *arguments):
        names.append(name)
        return really(data, name, *arguments)

    monkeypatch.setattr(publish_form, "trim", counted)
    return names


REFUSAL = '{"detail": {"license": ["\\"x\\" is not a valid choice."]}}'


def refuse_once(server, **more):
    body = {"body": REFUSAL, "content_type": "application/json"}
    server.fail("sounds/upload", status=400, **body, **more)


def test_a_whole_clip_is_analysed_once_however_often_it_is_published(
    connected, alice, bark, freesound_server, analysed
):
    page = fill(bark.open(connected), bark)
    refuse_once(freesound_server)
    press(page, bark)
    press(page, bark)
    assert len(on_freesound(freesound_server)) == 1
    assert analysed == [bark.name]


def test_a_part_is_cut_once_and_analysed_once_however_often_it_is_published(
    connected, alice, tones, freesound_server, analysed, cut
):
    page = tones.open(connected)
    choose_part(page, tones, [0.25, 1.5])
    fill(page, tones)
    refuse_once(freesound_server)
    press(page, tones)
    press(page, tones)
    assert len(on_freesound(freesound_server)) == 1
    part = trim(tones.data, tones.name, 0.25, 1.5)
    assert (cut, analysed) == ([tones.name], [tones.name, part.file_name])


def test_the_kept_analysis_is_that_of_what_was_published(connected, alice, tones, freesound_server):
    page = tones.open(connected)
    choose_part(page, tones, [0.25, 1.5])
    press(fill(page, tones), tones)
    (stored,) = on_freesound(freesound_server)
    sound = services.workspace().sounds.get(f"freesound:{stored.id}")
    assert sound.sound.seconds == 1.25
    preview = services.workspace().media.path(sound.media.audio)
    assert soundfile.info(preview).duration == pytest.approx(1.25, abs=0.01)
    arrays = services.workspace().sidecars.get(sound.sound_id, sound.model)
    assert arrays["times"].max() <= 1.5


def test_of_a_part_freesound_gets_exactly_its_samples(connected, alice, tones, freesound_server):
    page = tones.open(connected)
    choose_part(page, tones, [0.25, 1.5])
    fill(page, tones)
    assert "0.25 s to 1.50 s" in shown(page)
    press(page, tones)
    (stored,) = on_freesound(freesound_server)
    assert stored.audio == trim(tones.data, tones.name, 0.25, 1.5).data
    info = soundfile.info(io.BytesIO(stored.audio))
    facts = (info.samplerate, info.channels, info.subtype, info.frames)
    assert facts == (48_000, 2, "PCM_24", 60_000)
    whole, _ = soundfile.read(io.BytesIO(tones.data), dtype="int32")
    part, _ = soundfile.read(io.BytesIO(stored.audio), dtype="int32")
    assert np.array_equal(part, whole[12_000:72_000])


def test_what_is_typed_together_with_the_press_is_what_is_sent(at_form, bark, freesound_server):
    """A browser sends the field that was just left and the press at once."""
    page = fill(at_form, bark)
    page.text_input(key=bark.key("title")).set_value("A dog at night")
    press(page, bark)
    (stored,) = on_freesound(freesound_server)
    assert stored.name == "A dog at night"


def test_a_press_together_with_a_field_that_spoils_the_form_sends_nothing(
    at_form, bark, freesound_server
):
    page = fill(at_form, bark)
    page.text_area(key=bark.key("description")).set_value("")
    press(page, bark)
    assert "Please describe the sound" in shown(page)
    assert on_freesound(freesound_server) == []


TYPED = ("title", "pack", "geotag", "sources")


def everything_typed(page, clip) -> tuple:
    return (
        *(page.text_input(key=clip.key(field)).value for field in TYPED),
        page.text_area(key=clip.key("description")).value,
        page.radio(key=clip.key("license")).value,
        page.selectbox[0].value,
    )


@pytest.mark.parametrize("looks", [1, 3])
def test_a_refused_upload_says_why_and_everything_typed_is_still_there(
    at_form, bark, freesound_server, looks
):
    refuse_once(freesound_server, delay=0.2)
    page = fill(at_form, bark, pack="My dogs", geotag="52.5, 13.4")
    page.selectbox[0].set_value("fx-other").run()
    typed, tags = everything_typed(page, bark), page.code[0].value
    publish_button(page).click().run()
    for _ in range(looks - 1):
        page.run()
    wait(page, bark)
    page.run()
    assert "Nothing was published" in shown(page)
    expected = ("A dog", "My dogs", "52.5, 13.4", "", "In the garden.", BY, "fx-other")
    assert everything_typed(page, bark) == typed == expected
    assert page.code[0].value == tags
    press(page, bark)
    assert "Published as sound" in shown(page)


def test_freesound_away_is_a_sentence_and_nothing_is_lost(at_form, bark, freesound_server, caplog):
    page = fill(at_form, bark)
    spent = "Request was throttled because of exceeding a request limit rate (2000/day)"
    freesound_server.fail(
        "pending_uploads",
        times=None,
        status=429,
        body=f'{{"detail": "{spent}"}}',
        content_type="application/json",
    )
    press(page, bark)
    page.run()
    assert len(page.error) == 1
    assert not page.exception
    assert page.text_input(key=bark.key("title")).value == "A dog"
    lines = [record.message for record in caplog.records if "page error" in record.message]
    assert len(lines) == 1
    freesound_server.heal()
    press(page, bark)
    assert len(on_freesound(freesound_server)) == 1


def test_a_lost_answer_is_looked_up_and_the_sound_there_once(at_form, bark, freesound_server):
    freesound_server.fail("sounds/upload", drop="after")
    page = press(fill(at_form, bark), bark)
    assert "Published as sound" in shown(page)
    assert len(on_freesound(freesound_server)) == 1


# Half-made sounds and duplicates


def test_a_half_made_sound_is_a_warning_with_the_way_out_and_the_draft_is_kept(
    at_form, bark, own_workspace, new_session, freesound_server
):
    freesound_server.stop_upload_after = "row"
    page = press(fill(at_form, bark), bark)
    (row,) = on_freesound(freesound_server)
    assert f"Sound {row.id} is incomplete on Freesound" in page.warning[0].value
    assert "Published" not in shown(page)
    links = [element.proto.url for element in page.get("link_button")]
    assert any(link.endswith(f"/people/alice/sounds/{row.id}/edit/") for link in links)
    assert publish_button(page)
    assert not own_workspace_events(own_workspace)
    assert "Restored draft" in new_session.text()

    freesound_server.state.reject(row.id)
    press(page, bark)
    assert "Published as sound" in shown(page)


def test_a_file_that_is_ones_own_older_sound_is_not_announced_and_the_draft_is_kept(
    connected, alice, examples, own_workspace, new_session, freesound_server
):
    data = (examples / "rain-on-leaves.ogg").read_bytes()
    older = freesound_server.state.add_sound("alice", audio=data, name="Rain, long ago")
    clip = Clip("rain-on-leaves.ogg", data)
    page = press(fill(clip.open(connected), clip), clip)
    assert f"as your sound {older.id}" in page.error[0].value
    assert "Published" not in shown(page)
    assert (older.name, older.tags) == ("Rain, long ago", ["field-recording", "nature", "test"])
    assert not own_workspace_events(own_workspace)
    assert "Restored draft" in new_session.text()


def own_workspace_events(folder) -> list:
    events = open_local_workspace(folder).events.all()
    return [event for event in events if str(event.sound_id).startswith("freesound:")]


def test_an_uncertain_upload_is_a_warning_and_pressing_again_sends_nothing_twice(
    at_form, bark, freesound_server
):
    freesound_server.fail("sounds/upload", drop="before")
    page = press(fill(at_form, bark), bark)
    assert "Nothing will be sent twice" in page.warning[0].value
    press(page, bark)
    assert page.error[0].value.startswith("An earlier attempt")
    uploads = [request for request in freesound_server.requests if request.path.endswith("upload/")]
    assert len(uploads) == 1


def test_a_press_while_it_is_on_its_way_sends_nothing_more(at_form, bark, freesound_server):
    freesound_server.fail("sounds/upload", delay=0.3)
    page = fill(at_form, bark)
    publish_button(page).click().run()
    assert publish_button(page) is None
    wait(page, bark)
    page.run()
    assert len(on_freesound(freesound_server)) == 1


# Who may


def test_without_sign_in_there_is_no_button_and_the_handler_publishes_nothing(
    connected, bark, freesound_server, browser_sends, caplog
):
    browser_sends["cookies"]["earmark-browser"] = BROWSER
    page = fill(bark.open(connected), bark)
    assert publish_button(page) is None
    assert page.button(key="sign-in-to-publish")
    call_handler(bark)
    assert "refusal action=publish" in caplog.text
    assert on_freesound(freesound_server) == []
    assert not [request for request in freesound_server.requests if request.method == "POST"]


def call_handler(clip):
    """Publish by a direct call, as no page offers it."""
    form = UploadForm(clip.name, len(clip.data), ("a1", "b2", "c3"), "A dog.", BY, "fx-a", "A dog")
    assert check(form) == []
    assert not publish_progress.start(clip.sha, OutgoingSound(clip.data, clip.name), form)


def test_a_sign_in_that_has_ended_meanwhile_publishes_nothing(at_form, bark, freesound_server):
    page = fill(at_form, bark)
    services.sign_ins().sign_out(BROWSER)
    publish_button(page).click().run()
    wait(page, bark)
    page.run()
    assert on_freesound(freesound_server) == []
    assert publish_button(page) is None
    assert page.text_input(key=bark.key("title")).value == "A dog"


def test_a_permission_taken_back_at_freesound_publishes_nothing_and_asks_to_sign_in_again(
    at_form, bark, freesound_server
):
    page = fill(at_form, bark)
    freesound_server.state.revoke("alice")
    press(page, bark)
    assert on_freesound(freesound_server) == []
    assert "sign in again" in shown(page)
    assert page.button(key="sign-in-to-publish")
    assert page.text_input(key=bark.key("title")).value == "A dog"


def test_what_alice_began_never_goes_out_as_bobs(at_form, bark, sign_in, freesound_server):
    """She has left the browser to bob, and a window of hers is still open."""
    page = fill(at_form, bark)
    sign_in("bob")
    publish_button(page).click().run()
    wait(page, bark)
    assert on_freesound(freesound_server) == []


def test_a_publication_under_way_does_not_use_the_next_persons_sign_in(
    connected, alice, tones, sign_in, freesound_server
):
    """Bob signs in at the browser just when alice's sound is about to be sent."""
    page = tones.open(connected)
    choose_part(page, tones, [0.25, 1.5])
    fill(page, tones)
    bob_has_come = threading.Event()
    for _ in range(os.cpu_count() or 1):  # so that the publication waits until bob is there
        hold(services.analysis_queue(), bob_has_come)
    publish_button(page).click().run()
    sending = page.session_state[f"sending-{tones.sha}"]
    sign_in("bob")
    bob_has_come.set()
    sending.wait(60)
    assert not sending.running
    assert on_freesound(freesound_server) == []


def hold(queue, until):
    """Occupy a slot, from now on."""
    taken = threading.Event()

    def work():
        with queue.turn(Requester("others", "carol"), lambda place: None):
            taken.set()
            until.wait(60)

    threading.Thread(target=work, daemon=True).start()
    assert taken.wait(10)


def test_a_part_is_cut_in_its_turn_like_every_other_work_on_clips(connected, alice, tones):
    page = tones.open(connected)
    queue, others_are_done = services.analysis_queue(), threading.Event()
    for _ in range(os.cpu_count() or 1):
        hold(queue, others_are_done)
    cutting = threading.Thread(target=choose_part, args=(page, tones, [0.25, 1.5]))
    cutting.start()
    while place_of_the_next(queue) == 1:
        assert cutting.is_alive(), "it was cut while others had all slots"
    others_are_done.set()
    cutting.join(60)
    assert "0.25 s to 1.50 s" in shown(page)


def place_of_the_next(queue) -> int:
    """Return the place in the queue of somebody who comes and goes."""
    places = []

    def leave(place):
        places.append(place)
        raise InterruptedError

    with suppress(InterruptedError), queue.turn(Requester("others", "dave"), leave):
        pytest.fail("there was a slot")
    return places[0]


# Coming back


def test_a_draft_comes_back_with_tags_form_and_part(
    connected, alice, tones, new_session, freesound_server
):
    page = tones.open(connected)
    choose_part(page, tones, [0.25, 1.5])
    fill(page, tones, pack="Tones", geotag="1, 2", sources="1234")
    page.checkbox(key=state.publish_explicit(tones.sha).key).set_value(True)
    page.selectbox[0].set_value("fx-el").run()
    before, tags = everything_typed(page, tones), page.code[0].value
    again = new_session.open()
    assert "Restored draft" in shown(again)
    assert everything_typed(again, tones) == before
    assert again.code[0].value == tags
    assert "0.25 s to 1.50 s" in shown(again)
    assert again.checkbox(key=state.publish_explicit(tones.sha).key).value
    press(again, tones)
    (stored,) = on_freesound(freesound_server)
    part = trim(tones.data, tones.name, 0.25, 1.5)
    assert hashlib.sha256(stored.audio).digest() == hashlib.sha256(part.data).digest()


def test_a_draft_that_is_discarded_does_not_come_back(at_form, bark, new_session):
    fill(at_form, bark)
    again = new_session.open()
    again.button(key="discard").click().run()
    assert "Restored draft" not in new_session.text()


def test_a_look_at_another_page_loses_nothing(at_form, bark):
    page = fill(at_form, bark)
    before = everything_typed(page, bark)
    page.switch_page(str(PAGES / "monitor.py")).run()
    page.switch_page(str(PAGES / "try_your_sound.py")).run()
    assert everything_typed(page, bark) == before


def test_a_draft_with_choices_that_are_none_leaves_them_open(connected, alice, bark, new_session):
    form = {
        "license": "Sampling+",
        "category": "xx-y",
        "title": 5,
        "tags": "dog",
        "part": ["a", None],
        "file_name": None,
    }
    services.drafts().save(BROWSER, Draft(bark.name, bark.data, form, alice.user_id))
    page = new_session.open()
    assert page.radio(key=bark.key("license")).value is None
    assert page.selectbox[0].value != "xx-y"
