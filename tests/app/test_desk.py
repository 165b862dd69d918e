"""Review mode in a real browser: keys, saves, two curators, a server that goes away."""

import re

import pytest
from playwright.sync_api import expect

from core.events.fold import confirm
from core.events.types import ReviewedEvent, UndoneEvent, new_event
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import sounds
from tests.helpers.desk_page import Desk

pytestmark = pytest.mark.browser


@pytest.fixture
def desk(chromium, server):
    opened = Desk(chromium, server.url)
    yield opened
    opened.close()


def queue(folder) -> list:
    """The sounds of the queue, as nobody has reviewed them yet."""
    return sounds(folder, 16)


def state_of(folder, sound):
    return open_local_workspace(folder).sounds.get(sound.sound_id)


def reviews(folder, sound) -> list:
    events = open_local_workspace(folder).events.of_sound(sound.sound_id)
    return [event for event in events if isinstance(event, ReviewedEvent | UndoneEvent)]


def review_by_other(folder, sound, tags) -> None:
    workspace = open_local_workspace(folder)
    workspace.events.append([confirm(workspace.sounds.get(sound.sound_id), tags, "Bea")])


def test_ten_sounds_are_reviewed_by_keyboard_alone(desk, own_workspace):
    waiting = queue(own_workspace)
    first, second, third, fourth, fifth, sixth, seventh, eighth, ninth, tenth = waiting[:10]
    desk.review(first, "Enter")
    desk.review(second, "1", "Enter")  # without the best suggestion
    desk.review(third, "t", "Field Recording", "Enter", "Enter")  # takes the tag, then confirms
    desk.review(fourth, "1", "s")
    desk.review(fifth, "n")
    desk.review(sixth, "x")
    desk.review(seventh, "r", "1", "helicopter", "Enter", "Enter")
    desk.review(eighth, "j", "k", "Enter")
    desk.review(ninth, "t", "zzz new thing", "Escape", "Enter")
    desk.review(tenth, "Enter", "u", "Enter")
    desk.expect_title(waiting[10].sound.title)
    desk.expect_saved()

    after = [state_of(own_workspace, sound) for sound in waiting[:10]]
    assert (after[0].review_state, after[0].tags) == ("reviewed", first.tags)
    assert set(first.tags) <= after[0].decisions.keys()
    assert set(after[1].tags) == set(second.tags) ^ {second.suggestions[0].tag}
    assert after[2].tags == (*third.tags, "field-recording")
    assert after[3].review_state == "partly"
    assert after[3].decisions.keys() == {fourth.suggestions[0].tag}
    assert (after[4].review_state, after[4].tags) == ("not sure", fifth.tags)
    assert (after[5].review_state, after[5].tags) == ("untaggable", sixth.tags)
    assert after[6].decisions["helicopter"].verdict == "added"
    assert after[6].decisions[seventh.tags[0]].verdict == "removed"
    assert (after[7].review_state, after[7].tags) == ("reviewed", eighth.tags)
    assert after[8].tags == (*ninth.tags, "zzz-new-thing")
    assert [event.kind for event in reviews(own_workspace, tenth)] == [
        "reviewed",
        "undone",
        "reviewed",
    ]


def test_enter_takes_the_highlighted_tag_and_a_new_one_is_a_row_of_its_own(desk, own_workspace):
    desk.press("t")
    desk.type("do")
    options = desk.find(".entry [role=option]")
    expect(options.first).to_contain_text("dog")
    expect(options.first).to_have_attribute("aria-selected", "true")
    expect(options.last).to_have_text("Create “do”")
    desk.press("Enter")
    expect(desk.find(".current .chip .name", has_text="dog")).to_be_visible()
    desk.type("do")
    desk.press("ArrowUp", "Enter")
    expect(desk.find(".current .chip .name").last).to_have_text("do")


@pytest.mark.parametrize(
    ("typed", "offered"), [("heli", "helicopter"), ("helicoptr", "helicopter")]
)
def test_a_beginning_and_a_near_spelling_find_the_tag(desk, typed, offered):
    desk.press("t")
    desk.type(typed)
    expect(desk.find(".entry [role=option]").first).to_contain_text(offered)


def test_undo_takes_back_edits_first_and_then_the_last_sounds_review(desk, own_workspace):
    first, second = queue(own_workspace)[:2]
    desk.press("Enter")
    desk.expect_title(second.sound.title)
    desk.press("1")
    expect(desk.pending).to_have_text(re.compile("1 unsaved"))
    desk.press("u")
    expect(desk.pending).not_to_have_text(re.compile("unsaved"))
    desk.press("u")
    desk.expect_title(first.sound.title)
    desk.expect_saved()
    assert state_of(own_workspace, first).review_state == "to review"
    assert state_of(own_workspace, second).review_state == "to review"


def test_unsaved_chips_are_kept_per_sound_and_over_a_reload(desk, own_workspace):
    first, second = queue(own_workspace)[:2]
    desk.press("1", "j")
    desk.expect_title(second.sound.title)
    expect(desk.pending).to_have_text("1 unsaved")
    desk.press("k")
    changed = {*first.tags} ^ {first.suggestions[0].tag}
    expect(desk.find(".current .chip:not(.gone) .name")).to_have_count(len(changed))
    desk.page.on("dialog", lambda dialog: dialog.accept())
    desk.open()
    expect(desk.pending).to_have_text("1 unsaved")
    desk.press("s")
    desk.expect_saved()
    assert set(state_of(own_workspace, first).tags) == changed


def test_leaving_with_unsaved_changes_is_asked_about(desk):
    asked = []

    def stay(dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    desk.page.on("dialog", stay)
    desk.press("1")
    expect(desk.pending).to_have_text("1 unsaved")
    desk.page.close(run_before_unload=True)
    expect(desk.pending).to_have_text("1 unsaved")
    assert asked == ["beforeunload"]


def test_the_next_sounds_are_shown_and_played_without_the_server(desk, own_workspace):
    waiting = queue(own_workspace)
    desk.page.wait_for_load_state("networkidle")
    desk.hold_server()
    for sound in waiting[1:5]:
        desk.press("Enter")
        desk.expect_title(sound.sound.title)
        desk.page.wait_for_function("() => window.earmarkPlaying?.audio.currentTime > 0.05")
        picture = desk.find(".picture")
        assert picture.evaluate("picture => picture.complete && picture.naturalWidth > 0")
        expect(picture).to_have_attribute("alt", f"Spectrogram of {sound.sound.title}")
    expect(desk.pending).to_have_text("4 saving…")
    assert all(not reviews(own_workspace, sound) for sound in waiting[:4])
    desk.release_server()
    desk.expect_saved()
    assert [len(reviews(own_workspace, sound)) for sound in waiting[:5]] == [1, 1, 1, 1, 0]


def test_nothing_is_lost_or_saved_twice_where_the_server_goes_away(desk, server, own_workspace):
    waiting = queue(own_workspace)
    desk.press("Enter")
    desk.expect_saved()
    server.stop()
    desk.press("Enter")
    desk.press("n")
    desk.press("t")
    desk.type("howl")
    desk.press("Enter", "Enter")
    expect(desk.pending).to_have_text("3 saving…")
    server.start()
    desk.expect_saved()
    assert [len(reviews(own_workspace, sound)) for sound in waiting[:5]] == [1, 1, 1, 1, 0]
    assert state_of(own_workspace, waiting[2]).review_state == "not sure"
    assert "howl" in state_of(own_workspace, waiting[3]).tags


def test_a_failed_save_brings_the_sound_back_with_the_reason(desk, own_workspace):
    first = queue(own_workspace)[0]
    workspace = open_local_workspace(own_workspace)
    from core.events.types import Withdrawn

    workspace.events.append([new_event(Withdrawn(reason="test"), first.sound_id, "Bea")])
    desk.press("1", "Enter")
    expect(desk.find(".alert")).to_contain_text("withdrawn")
    desk.expect_title(first.sound.title)


def test_two_curators_on_one_sound_see_each_others_change_before_saving_over_it(
    chromium, desk, server, own_workspace
):
    first = queue(own_workspace)[0]
    other = Desk(chromium, server.url)
    other.expect_title(first.sound.title)
    desk.press("1", "Enter")
    desk.expect_saved()

    other.press("t")
    other.type("howl")
    other.press("Enter", "Enter")
    expect(other.find(".alert")).to_contain_text(f"removed {first.suggestions[0].tag}")
    other.expect_title(first.sound.title)
    assert "howl" not in state_of(own_workspace, first).tags
    other.page.get_by_role("button", name="Merge both").click()
    expect(other.find(".alert")).to_be_hidden()
    other.press("Enter")
    other.expect_saved()
    other.close()
    merged = {*first.tags, "howl"} - {first.suggestions[0].tag}
    assert set(state_of(own_workspace, first).tags) == merged


def test_a_rejected_tag_is_not_offered_again(chromium, desk, server, own_workspace):
    first = queue(own_workspace)[0]
    rejected = first.tags[0]
    review_by_other(own_workspace, first, first.tags[1:])
    desk.open()
    expect(desk.find(".rejected")).to_have_text(f"Rejected: {rejected}")
    name = re.compile(f"^{re.escape(rejected)}$")
    expect(desk.find(".suggested .toggle .name", has_text=name)).to_have_count(0)
    desk.press("t")
    desk.type(rejected)
    expect(desk.find(".entry [role=option]").first).to_be_visible()
    offered = desk.find(".entry [role=option]:not(.create) .name").all_text_contents()
    assert rejected not in offered


def test_new_sounds_neither_stop_the_player_nor_move_the_queue(desk, own_workspace):
    first = queue(own_workspace)[0]
    desk.press("l", " ")
    desk.page.wait_for_function("() => window.earmarkPlaying?.audio.currentTime > 0.05")
    upcoming = desk.next_titles()
    payload = first.prediction.payload
    event = new_event(payload, "freesound:777", "job")
    open_local_workspace(own_workspace).events.append([event])
    expect(desk.page.get_by_text(re.compile("1 new sound"))).to_be_visible()
    desk.expect_title(first.sound.title)
    assert desk.next_titles() == upcoming
    assert not desk.page.evaluate("window.earmarkPlaying.audio.paused")
