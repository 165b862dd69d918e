"""Publishing from the try page, against the double: the form, what is sent, and what becomes of it."""

import hashlib
import io
import os
import threading

import numpy as np
import pytest
import soundfile

from app import drafts, listening, publish_form, session
from app.text import plain
from core.freesound.form import LICENSES, check_tags, machine_note, parse_geotag
from core.freesound.taxonomy import CATEGORIES
from core.people import user_id
from core.trim import trim
from core.workspace import Query
from core.workspace.local import LocalWorkspace
from tests.app.conftest import BROWSER, PAGES, Clip

TAGS = ["dog", "Barking", "naïve", "garden"]
STORED = ["barking", "dog", "garden", "naive"]
BY = "Attribution"


@pytest.fixture(scope="session")
def tones() -> Clip:
    """Two seconds of two tones: 24 bit, stereo, 48 kHz."""
    at = np.arange(96_000) / 48_000
    out = io.BytesIO()
    soundfile.write(out, np.stack([np.sin(2765 * at), np.sin(5530 * at)], 1) / 2, 48_000, "PCM_24", format="WAV")
    return Clip("two tones.wav", out.getvalue())


def edit(page, clip, tags):
    """What the browser says when somebody has edited the chips."""
    page.session_state[f"try-tags-{clip.sha}"] = {"edit": {"version": "", "tags": tags}}


def fill(page, clip, **more):
    """Type what Freesound needs."""
    edit(page, clip, more.pop("tags", TAGS))
    values = {"title": "A dog", "description": "In the garden.", "license": BY} | more
    for field, value in values.items():
        widget = page.radio if field == "license" else page.text_area if field == "description" else page.text_input
        widget(key=clip.key(field)).set_value(value)
    page.run()
    if page.selectbox and page.selectbox[0].value is None:
        page.selectbox[0].set_value("fx-a").run()
    return page


def text(page) -> str:
    kinds = ("caption", "markdown", "text", "info", "success", "warning", "error")
    return "\n".join(element.value for kind in kinds for element in page.get(kind))


def publish_button(page):
    return next((button for button in page.button if button.label.startswith("Publish as")), None)


def press(page, clip):
    """Press the button, wait until the thread has ended, and look again, as the page does by itself."""
    publish_button(page).click().run()
    ended(page, clip)
    return page.run()


def ended(page, clip):
    key = f"sending-{clip.sha}"
    if key in page.session_state:
        page.session_state[key].thread.join(60)
        assert not page.session_state[key].thread.is_alive()


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
    said = text(at_form)
    for words in (sentence, "Please describe the sound", "Please choose one of Freesound's licences"):
        assert plain(words) in said
    assert publish_button(at_form).disabled
    assert "Before it can be published" not in text(fill(at_form, bark))
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
]


def test_each_fields_problem_is_a_sentence_and_stops_the_publication(at_form, bark):
    for field, value, said in WRONG:
        page = fill(at_form, bark, **{"pack": "", "geotag": "", field: value})
        assert plain(said) in text(page)
        assert publish_button(page).disabled
    page = fill(at_form, bark, pack="", geotag="")
    assert "Before it can be published" not in text(page)
    assert not publish_button(page).disabled


def test_the_category_is_proposed_from_the_tags_and_one_that_was_chosen_stays(at_form, bark):
    edit(at_form, bark, ["dog", "bark", "animal"])
    at_form.run()
    assert at_form.selectbox[0].value == "fx-a"
    assert "Proposed because of" in text(at_form)
    edit(at_form, bark, ["speech", "voice", "talking"])
    at_form.run()
    assert at_form.selectbox[0].value.startswith("sp-")
    at_form.selectbox[0].set_value("m-sp").run()
    edit(at_form, bark, ["dog", "bark", "animal"])
    at_form.run()
    assert at_form.selectbox[0].value == "m-sp"
    assert "Proposed because of" not in text(at_form)


def test_every_licence_is_offered_with_what_it_means(at_form, bark):
    assert at_form.radio(key=bark.key("license")).options == [one.title for one in LICENSES.values()]
    assert at_form.radio(key=bark.key("license")).value is None


# Publishing


def test_what_the_page_says_will_be_sent_is_what_freesound_stores(at_form, bark, freesound_server):
    page = fill(at_form, bark, pack="Dogs of mine", geotag="52.52 N, 13.405 E", title="  A dog  ")
    shown, code = text(page), page.selectbox[0].value
    description = page.text[-1].value
    press(page, bark)
    (stored,) = on_freesound(freesound_server)
    assert stored.tags == STORED
    assert plain(" ".join(page.code[0].value.split())) in shown
    assert sorted(page.code[0].value.split()) == STORED
    suggested = [one.tag for one in page.session_state["listened"][bark.sha].suggestions if one.tag in STORED]
    assert suggested
    note = machine_note(suggested, page.session_state["listened"][bark.sha].model)
    assert stored.description == description == f"In the garden.\n\n{note}"
    assert (stored.audio, stored.name, stored.license, stored.pack) == (bark.data, "A dog", BY, "Dogs of mine")
    assert (stored.category_code, stored.geotag) == (code, "52.52 13.405")
    assert parse_geotag("52.52 N, 13.405 E").text.startswith("52.52,13.405")
    assert code in CATEGORIES


def test_a_published_sound_has_a_link_and_is_in_the_workspace_and_on_the_monitor(at_form, bark, own_workspace, freesound_server, alice):
    page = press(fill(at_form, bark), bark)
    (stored,) = on_freesound(freesound_server)
    assert not page.exception
    assert f"Published as sound {stored.id}" in text(page)
    assert f"/s/{stored.id}/" in page.get("link_button")[0].proto.url
    assert publish_button(page) is None
    state = LocalWorkspace(own_workspace).page(Query(), 1, 1).sounds[0]
    assert (state.sound_id, state.sound.title) == (f"freesound:{stored.id}", "A dog")
    assert (state.last.kind, user_id(state.last.actor)) == ("published", alice.user_id)
    page.switch_page(str(PAGES / "monitor.py")).run()
    assert page.button(key=f"accept-{state.sound_id}")
    assert state.last.payload.decisions["garden"] == "added"


def test_the_draft_of_what_was_published_is_forgotten(at_form, bark, new_session):
    fill(at_form, bark)
    assert drafts.store().load(BROWSER, None)
    press(at_form, bark)
    assert drafts.store().load(BROWSER, None) is None
    at_form.run()
    assert drafts.store().load(BROWSER, None) is None
    assert "working on" not in new_session.text()


def test_of_a_part_freesound_gets_exactly_its_samples(connected, alice, tones, freesound_server):
    page = tones.open(connected)
    choose_part(page, tones, [0.25, 1.5])
    fill(page, tones)
    assert "0.25 s to 1.50 s" in text(page)
    press(page, tones)
    (stored,) = on_freesound(freesound_server)
    part = trim(tones.data, tones.name, 0.25, 1.5)
    assert stored.audio == part.data
    info = soundfile.info(io.BytesIO(stored.audio))
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (48_000, 2, "PCM_24", 60_000)
    whole, _ = soundfile.read(io.BytesIO(tones.data), dtype="int32")
    assert np.array_equal(soundfile.read(io.BytesIO(stored.audio), dtype="int32")[0], whole[12_000:72_000])
    assert session.workspace().sound(f"freesound:{stored.id}").sound.seconds == 1.25


def choose_part(page, clip, part):
    """What the player says when somebody has moved its handles."""
    heard = page.session_state["listened"][clip.sha]
    page.session_state[f"try-{clip.sha}"] = {"selection": {"audio": f"/tries/{heard.audio}", "start": None, "part": part}}
    page.run()


def test_what_is_typed_together_with_the_press_is_what_is_sent(at_form, bark, freesound_server):
    """A browser sends the field that was just left and the press at once; what was on the page before is not what the person meant."""
    page = fill(at_form, bark)
    page.text_input(key=bark.key("title")).set_value("A dog at night")
    press(page, bark)
    (stored,) = on_freesound(freesound_server)
    assert stored.name == "A dog at night"


def test_a_press_together_with_a_field_that_spoils_the_form_sends_nothing(at_form, bark, freesound_server):
    page = fill(at_form, bark)
    page.text_area(key=bark.key("description")).set_value("")
    press(page, bark)
    assert "Please describe the sound" in text(page)
    assert on_freesound(freesound_server) == []


def everything_typed(page, clip) -> tuple:
    fields = [page.text_input(key=clip.key(field)).value for field in ("title", "pack", "geotag")]
    return *fields, page.text_area(key=clip.key("description")).value, page.radio(key=clip.key("license")).value, page.selectbox[0].value


@pytest.mark.parametrize("looks", [1, 3])
def test_a_refused_upload_says_why_and_everything_typed_is_still_there(at_form, bark, freesound_server, looks):
    body = '{"detail": {"license": ["\\"x\\" is not a valid choice."]}}'
    freesound_server.fail("sounds/upload", status=400, body=body, content_type="application/json", delay=0.2)
    page = fill(at_form, bark, pack="Dogs", geotag="52.5, 13.4")
    page.selectbox[0].set_value("fx-other").run()
    typed, tags = everything_typed(page, bark), page.code[0].value
    publish_button(page).click().run()
    for _ in range(looks - 1):
        page.run()
    ended(page, bark)
    page.run()
    assert "Nothing was published" in text(page)
    assert everything_typed(page, bark) == typed == ("A dog", "Dogs", "52.5, 13.4", "In the garden.", BY, "fx-other")
    assert page.code[0].value == tags
    press(page, bark)
    assert "Published as sound" in text(page)


def test_freesound_away_is_a_sentence_and_nothing_is_lost(at_form, bark, freesound_server):
    page = fill(at_form, bark)
    spent = '{"detail": "Request was throttled because of exceeding a request limit rate (2000/day)"}'
    freesound_server.fail("pending_uploads", times=None, status=429, body=spent, content_type="application/json")
    press(page, bark)
    assert len(page.error) == 1
    assert not page.exception
    assert page.text_input(key=bark.key("title")).value == "A dog"
    freesound_server.heal()
    press(page, bark)
    assert len(on_freesound(freesound_server)) == 1


def test_a_lost_answer_is_told_and_the_sound_there_once(at_form, bark, freesound_server):
    freesound_server.fail("sounds/upload", drop="after")
    page = press(fill(at_form, bark), bark)
    assert "Published as sound" in text(page)
    assert len(on_freesound(freesound_server)) == 1


def test_an_uncertain_upload_is_a_warning_and_pressing_again_sends_nothing_twice(at_form, bark, freesound_server):
    freesound_server.fail("sounds/upload", drop="before")
    page = press(fill(at_form, bark), bark)
    assert "Nothing will be sent twice" in page.warning[0].value
    press(page, bark)
    assert plain("not settled yet") in text(page)
    assert sum(one.path.endswith("sounds/upload/") for one in freesound_server.requests) == 1


def test_a_press_while_it_is_on_its_way_sends_nothing_more(at_form, bark, freesound_server):
    freesound_server.fail("sounds/upload", delay=0.3)
    page = fill(at_form, bark)
    publish_button(page).click().run()
    assert publish_button(page) is None
    ended(page, bark)
    page.run()
    assert len(on_freesound(freesound_server)) == 1


# Who may


def test_without_sign_in_there_is_no_button_and_the_handler_publishes_nothing(connected, bark, freesound_server, browser_sends):
    browser_sends["cookies"]["earmark-browser"] = BROWSER
    page = fill(bark.open(connected), bark)
    assert publish_button(page) is None
    assert page.button(key="sign-in-to-publish")
    call_handler(bark)
    assert on_freesound(freesound_server) == []
    assert not [one for one in freesound_server.requests if one.method == "POST"]


def call_handler(clip):
    """Publish by a direct call, as no page offers it."""
    from core.freesound.form import UploadForm, check
    from core.id2prediction import ModelRef

    form = UploadForm(clip.name, len(clip.data), ("a1", "b2", "c3"), "A dog.", BY, "fx-a", "Dog")
    assert check(form) == []
    at_hand = publish_form.Clip(clip.sha, clip.name, clip.data, None, (), ModelRef(name="x", version=1))
    publish_form._publish(at_hand, publish_form.Outgoing(clip.data, clip.name), form)


def test_a_sign_in_that_has_ended_meanwhile_publishes_nothing(at_form, bark, freesound_server):
    page = fill(at_form, bark)
    session.sign_ins().sign_out(BROWSER)
    publish_button(page).click().run()
    ended(page, bark)
    page.run()
    assert on_freesound(freesound_server) == []
    assert publish_button(page) is None
    assert page.text_input(key=bark.key("title")).value == "A dog"


def test_a_permission_taken_back_at_freesound_publishes_nothing_and_asks_to_sign_in_again(at_form, bark, freesound_server):
    page = fill(at_form, bark)
    freesound_server.state.revoke("alice")
    press(page, bark)
    assert on_freesound(freesound_server) == []
    assert "sign in again" in text(page)
    assert page.button(key="sign-in-to-publish")
    assert page.text_input(key=bark.key("title")).value == "A dog"


def test_what_alice_began_never_goes_out_as_bobs(at_form, bark, sign_in, freesound_server):
    """She has left the browser to bob, and a window of hers is still open."""
    page = fill(at_form, bark)
    sign_in("bob")
    publish_button(page).click().run()
    ended(page, bark)
    assert on_freesound(freesound_server) == []


def test_a_publication_under_way_does_not_use_the_next_persons_sign_in(at_form, bark, sign_in, freesound_server):
    """Bob signs in at the browser just when alice's sound is about to be sent."""
    page = fill(at_form, bark)
    bob_has_come = threading.Event()
    for _ in range(os.cpu_count() or 1):  # so that the publication has to wait until bob is there
        hold(listening.slots(), bob_has_come)
    publish_button(page).click().run()
    thread = page.session_state[f"sending-{bark.sha}"].thread
    sign_in("bob")
    bob_has_come.set()
    thread.join(60)
    assert not thread.is_alive()
    assert on_freesound(freesound_server) == []


def hold(slots, until):
    """Occupy a slot, from now on."""
    taken = threading.Event()

    def work():
        with slots.one(lambda waiting: None):
            taken.set()
            until.wait(60)

    threading.Thread(target=work, daemon=True).start()
    assert taken.wait(10)


# Coming back


def test_a_draft_comes_back_with_tags_form_and_part(connected, alice, tones, new_session, freesound_server):
    page = tones.open(connected)
    choose_part(page, tones, [0.25, 1.5])
    fill(page, tones, pack="Tones", geotag="1, 2")
    page.selectbox[0].set_value("fx-el").run()
    before, tags = everything_typed(page, tones), page.code[0].value
    again = new_session.open()
    assert "You were working on" in text(again)
    assert everything_typed(again, tones) == before
    assert again.code[0].value == tags
    assert "0.25 s to 1.50 s" in text(again)
    press(again, tones)
    (stored,) = on_freesound(freesound_server)
    assert hashlib.sha256(stored.audio).digest() == hashlib.sha256(trim(tones.data, tones.name, 0.25, 1.5).data).digest()


def test_a_draft_that_is_discarded_does_not_come_back(at_form, bark, new_session):
    fill(at_form, bark)
    again = new_session.open()
    again.button(key="discard").click().run()
    assert "working on" not in new_session.text()


def test_a_look_at_another_page_loses_nothing(at_form, bark):
    page = fill(at_form, bark)
    before = everything_typed(page, bark)
    page.switch_page(str(PAGES / "monitor.py")).run()
    page.switch_page(str(PAGES / "try_your_sound.py")).run()
    assert everything_typed(page, bark) == before


def test_a_draft_with_choices_that_are_none_leaves_them_open(connected, alice, bark, new_session):
    kept = {"license": "Sampling+", "category": "xx-y", "title": 5, "tags": "dog", "part": ["a", None], "file_name": None}
    drafts.store().save(BROWSER, drafts.Draft(bark.name, bark.data, kept, alice.user_id))
    page = new_session.open()
    assert page.radio(key=bark.key("license")).value is None
    assert page.selectbox[0].value != "xx-y"
