"""Drafts of the try page are kept for their owner, and for nobody else."""

import hashlib
import json
import os
import stat
import time
from dataclasses import replace

import pytest

from app import services
from app.drafts import MAX_AGE_S, Draft, DraftStore
from tests.helpers.app_pages import shown

ALICE, BOB = 101, 102
HERS, OTHER = "a" * 43, "b" * 43
DRAFT = Draft(
    "Rain", b"the sound", {"title": "Rain", "tags": ["rain", "roof"], "part": [0.5, 1.0]}, ALICE
)


class Clock:
    """Now, and later without waiting."""

    def __init__(self):
        self.later = 0.0

    def __call__(self) -> float:
        return time.time() + self.later


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "drafts"


@pytest.fixture
def store(folder, clock):
    return DraftStore(folder, clock)


def files(folder) -> list:
    return [file for file in folder.rglob("*") if file.is_file()]


def test_a_draft_survives_a_restart(store, folder):
    store.save(HERS, DRAFT)
    assert DraftStore(folder).load(HERS, ALICE) == DRAFT


def test_each_browser_has_one_and_sees_no_other(store):
    store.save(HERS, DRAFT)
    assert store.load(OTHER, ALICE) is None
    assert store.load(OTHER, None) is None
    store.save(OTHER, Draft("Dog", b"another", {}))
    assert (store.load(HERS, ALICE), store.load(OTHER, None).name) == (DRAFT, "Dog")


def test_the_disk_does_not_tell_which_browser_a_draft_is_of(store, folder):
    store.save(HERS, DRAFT)
    assert not [path for path in folder.rglob("*") if HERS in str(path)]
    assert not [path for path in files(folder) if HERS.encode() in path.read_bytes()]


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_nobody_else_on_the_machine_can_read_a_draft(store, folder):
    before = os.umask(0)
    try:
        store.save(HERS, DRAFT)
        store.save(HERS, Draft("Rain", DRAFT.data, {"title": "Rain at night"}, ALICE))
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert [mode for path, mode in modes.items() if path.is_file()] == [0o600] * 2
    assert [mode for path, mode in modes.items() if path.is_dir()] == [0o700]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_a_draft_of_an_earlier_version_becomes_private_when_it_is_saved_again(store, folder):
    store.save(HERS, DRAFT)
    for path in files(folder):
        path.chmod(0o644)
    store.save(HERS, Draft("Rain", DRAFT.data, {"title": "Rain at night"}, ALICE))
    assert {stat.S_IMODE(path.stat().st_mode) for path in files(folder)} == {0o600}


@pytest.mark.parametrize("person", [BOB, None])
def test_somebody_elses_is_shown_to_nobody_and_kept_for_who_comes_back(store, person):
    """A sign-in may have run out: whoever sits there then is a visitor."""
    store.save(HERS, DRAFT)
    assert store.load(HERS, person) is None
    store.save(HERS, visitors := Draft("Dog", b"another", {}))
    assert store.load(HERS, None) == visitors
    assert store.load(HERS, ALICE) == DRAFT


@pytest.mark.parametrize("person", [ALICE, None])
def test_a_draft_that_nobody_owns_is_of_whoever_is_at_the_browser(store, person):
    store.save(HERS, draft := Draft("Rain", b"the sound", {}))
    assert store.load(HERS, person) == draft


@pytest.mark.parametrize("owner", [None, ALICE])
def test_a_draft_follows_its_person_to_the_browsers_new_id(store, folder, owner):
    store.save(HERS, draft := Draft("Rain", b"the sound", {}, owner))
    store.move(HERS, OTHER, ALICE)
    assert store.load(OTHER, ALICE) == replace(draft, owner=ALICE)
    assert [store.load(OTHER, None), store.load(HERS, ALICE), store.load(HERS, None)] == [None] * 3
    assert len(files(folder)) == 2


def test_a_draft_that_cannot_follow_does_not_hinder_the_sign_in(store, folder):
    store.save(HERS, DRAFT)
    following = folder / hashlib.sha256(f"{OTHER} {ALICE}".encode()).hexdigest()
    following.write_text("in the way")
    store.move(HERS, OTHER, ALICE)
    assert (store.load(OTHER, ALICE), store.load(HERS, ALICE)) == (None, None)


def test_nobody_elses_draft_follows(store):
    store.save(HERS, DRAFT)
    store.move(HERS, OTHER, BOB)
    assert store.load(OTHER, BOB) is None


def test_after_a_day_it_is_gone(store, clock, folder):
    store.save(HERS, DRAFT)
    clock.later = MAX_AGE_S - 60
    assert store.load(HERS, ALICE) == DRAFT
    clock.later = MAX_AGE_S + 60
    assert store.load(HERS, ALICE) is None
    assert files(folder) == []


def test_what_nobody_comes_back_for_is_deleted_when_others_save(store, clock, folder):
    store.save(HERS, DRAFT)
    clock.later = MAX_AGE_S + 60
    store.save(OTHER, Draft("Dog", b"another", {}))
    assert b"the sound" not in [file.read_bytes() for file in files(folder)]


def test_another_clip_replaces_the_bytes_of_the_last_one(store, folder):
    store.save(HERS, DRAFT)
    store.save(HERS, Draft("Dog", b"another", {}, ALICE))
    assert store.load(HERS, ALICE).data == b"another"
    assert b"the sound" not in [file.read_bytes() for file in files(folder)]


def test_typing_on_keeps_the_clip_and_the_new_words(store, folder):
    store.save(HERS, DRAFT)
    (clip,) = [file for file in files(folder) if file.name != "draft.json"]
    written = clip.stat().st_ino
    store.save(HERS, changed := Draft(DRAFT.name, DRAFT.data, {"title": "Rain at night"}, ALICE))
    assert store.load(HERS, ALICE) == changed
    assert clip.stat().st_ino == written


def test_when_there_is_no_room_the_oldest_goes(folder, clock):
    store = DraftStore(folder, clock, max_bytes=2500)
    for age, browser in ((30, "x" * 43), (20, "y" * 43), (10, "z" * 43)):
        store.save(browser, Draft(browser, browser.encode() * 20, {}))
        for path in files(folder / hashlib.sha256(browser.encode()).hexdigest()):
            os.utime(path, (time.time() - age, time.time() - age))
    assert [bool(store.load(browser * 43, None)) for browser in "xyz"] == [False, True, True]


def test_deleted_is_deleted(store, folder):
    store.save(HERS, DRAFT)
    store.delete(HERS, ALICE)
    assert (store.load(HERS, ALICE), files(folder)) == (None, [])
    store.delete(HERS, ALICE)


def tampered(facts: dict) -> list[bytes]:
    other = [
        {"sha256": "../" + facts["sha256"]},
        {"sha256": 5},
        {"form": ["x"]},
        {"time": "soon"},
        {"owner": "alice"},
        {"name": None},
    ]
    without = [
        {name: value for name, value in facts.items() if name != missing} for missing in facts
    ]
    whole = [
        json.dumps(facts).encode()
        for facts in [*[facts | change for change in other], *without, [], "x", None]
    ]
    return [*whole, json.dumps(facts).encode()[:40], b"", b"\xff\xfe"]


def test_torn_and_tampered_files_are_no_draft(store, folder):
    store.save(HERS, DRAFT)
    (path,) = folder.rglob("draft.json")
    for content in tampered(json.loads(path.read_bytes())):
        path.write_bytes(content)
        assert store.load(HERS, ALICE) is None, content
        store.save(HERS, DRAFT)
        assert store.load(HERS, ALICE) == DRAFT


def test_a_clip_that_was_changed_on_the_disk_is_no_draft(store, folder):
    store.save(HERS, DRAFT)
    (clip,) = [file for file in files(folder) if file.name != "draft.json"]
    clip.write_bytes(b"another sound")
    assert store.load(HERS, ALICE) is None


def test_strange_files_beside_the_drafts_do_no_harm(store, folder):
    folder.mkdir()
    (folder / ".DS_Store").write_bytes(b"x")
    store.save(HERS, DRAFT)
    assert store.load(HERS, ALICE) == DRAFT


def test_a_draft_of_version_0_1_is_read(store, folder):
    name = hashlib.sha256(HERS.encode()).hexdigest()
    sha = hashlib.sha256(b"the sound").hexdigest()
    (folder / name).mkdir(parents=True)
    (folder / name / sha).write_bytes(b"the sound")
    facts = (
        '{"name":"Rain","form":{"title":"Rain","tags":["rain","roof"],"part":[0.5,1.0]},'
        f'"owner":101,"sha256":"{sha}","time":{time.time()}}}'
    )
    (folder / name / "draft.json").write_text(facts)
    assert store.load(HERS, ALICE) == DRAFT


def test_a_browser_without_cookies_keeps_nothing(connected, own_workspace, bark):
    bark.open(connected)
    assert not (own_workspace / "drafts").exists()


def test_another_browser_is_not_offered_the_draft(
    connected, sign_in, bark, browser_sends, new_session
):
    alice = sign_in("alice")
    bark.open(connected)
    assert services.drafts().load(browser_sends["cookies"]["earmark-browser"], alice.user_id)
    browser_sends["cookies"]["earmark-browser"] = OTHER
    assert "Restored draft" not in new_session.text()


def test_after_a_sign_out_the_next_person_at_the_browser_gets_nothing(
    connected, sign_in, bark, new_session, own_workspace
):
    sign_in("alice")
    bark.open(connected)
    connected.text_input(key=bark.key("title")).set_value("My secret").run()
    connected.button(key="sign-out").click().run()
    connected.run()
    assert files(own_workspace / "drafts") == []
    assert "My secret" not in [field.value for field in connected.text_input]
    sign_in("bob")
    assert "Restored draft" not in new_session.text()


def test_a_second_window_does_not_bring_the_draft_back_for_the_next_person(
    connected, sign_in, bark, new_session, own_workspace
):
    """Alice signs out in one window; another one, with her clip in it, is drawn again later."""
    sign_in("alice")
    bark.open(connected)
    other = new_session.open()
    other.button(key="sign-out").click().run()
    connected.text_input(key=bark.key("title")).set_value("My secret").run()
    sign_in("bob")
    assert "Restored draft" not in new_session.text()
    connected.run()
    assert not connected.text_input
    assert "Restored draft" not in new_session.text()


def test_a_draft_comes_along_through_a_sign_in(
    connected, sign_in, bark, browser_sends, new_session
):
    browser_sends["cookies"]["earmark-browser"] = HERS
    bark.open(connected)
    connected.text_input(key=bark.key("title")).set_value("A dog").run()
    sign_in("alice")
    page = new_session.open()
    assert page.text_input(key=bark.key("title")).value == "A dog"


def test_a_sign_in_that_has_run_out_does_not_show_its_draft_to_who_sits_there_then(
    connected, sign_in, bark, browser_sends, new_session
):
    sign_in("alice")
    bark.open(connected)
    connected.text_input(key=bark.key("title")).set_value("My secret").run()
    services.sign_ins().sign_out(browser_sends["cookies"]["earmark-browser"])
    assert "Restored draft" not in new_session.text()
    sign_in("alice")
    assert new_session.open().text_input(key=bark.key("title")).value == "My secret"


def test_a_page_that_is_still_open_shows_nothing_of_hers_to_who_signs_in_after_her(
    connected, sign_in, bark, browser_sends
):
    sign_in("alice")
    hers = browser_sends["cookies"]["earmark-browser"]
    bark.open(connected)
    assert connected.text_input(key=bark.key("title"))
    sign_in("bob")
    browser_sends["cookies"]["earmark-browser"] = hers  # an open page keeps what it was loaded with
    connected.run()
    assert not connected.text_input


def test_a_visitors_page_goes_on_when_they_sign_in_in_another_window(
    connected, sign_in, bark, browser_sends
):
    """What is in it stays; nothing more is kept under an id that somebody else may know."""
    browser_sends["cookies"]["earmark-browser"] = HERS
    bark.open(connected)
    sign_in("alice")
    browser_sends["cookies"]["earmark-browser"] = HERS
    connected.text_input(key=bark.key("title")).set_value("My secret").run()
    assert connected.text_input(key=bark.key("title")).value == "My secret"
    assert "You have signed in in another tab or window" in shown(connected)
    assert services.drafts().load(HERS, None) is None
