"""Review mode in a real browser: refusals are seen, places are kept, visitors look, opinions."""

import re

import pytest
from playwright.sync_api import expect

from core.curation.second_opinion import find_pair
from core.events.fold import confirm, undo
from core.events.types import Withdrawn, new_event
from core.storage.local import open_local_workspace
from tests.helpers.app_browser import choose
from tests.helpers.app_pages import sounds
from tests.helpers.app_server import Server
from tests.helpers.desk_page import Desk

pytestmark = pytest.mark.browser


@pytest.fixture
def desk(chromium, server):
    opened = Desk(chromium, server.url)
    yield opened
    opened.close()


@pytest.fixture
def opened(chromium, own_workspace):
    """Opens review mode on a server with other settings, at an address."""
    opened = []

    def open_desk(address="", **environment) -> Desk:
        server = Server(own_workspace, **environment)
        desk = Desk(chromium, server.url, address=address)
        opened.append((desk, server))
        return desk

    yield open_desk
    for desk, server in opened:
        desk.close()
        server.stop()


def log_of(folder, sound) -> list:
    return open_local_workspace(folder).events.of_sound(sound.sound_id)


def append(folder, *events) -> None:
    open_local_workspace(folder).events.append(events)


def test_the_playhead_moves_where_one_goes_back_after_the_end_of_the_queue(desk, own_workspace):
    waiting = sounds(own_workspace)
    for sound in waiting:
        desk.expect_title(sound.sound.title)
        desk.press("j")
    expect(desk.find(".finished")).to_be_visible()
    desk.press("k")
    desk.expect_title(waiting[-1].sound.title)
    stage = desk.find(".stage").element_handle()
    desk.page.wait_for_function(
        "stage => Number(stage.style.getPropertyValue('--at')) > 0.02", arg=stage
    )
    expect(desk.find(".play")).to_have_attribute("aria-label", re.compile("^Pause "))


def test_a_refused_undo_is_shown_with_its_reason_and_the_sound_as_it_is(desk, own_workspace):
    first = sounds(own_workspace)[0]
    desk.press("Enter")
    desk.expect_saved()
    state = open_local_workspace(own_workspace).sounds.get(first.sound_id)
    append(own_workspace, undo(state, state.last_event.event_id, "Bea"))
    desk.press("u")
    expect(desk.find(".alert")).to_be_visible()
    expect(desk.find(".alert")).to_contain_text("Not undone")
    desk.expect_title(first.sound.title)
    expect(desk.find(".current .by")).to_have_text("to review")
    desk.page.get_by_role("button", name="Close").click()
    expect(desk.find(".alert")).to_be_hidden()
    assert len(log_of(own_workspace, first)) == 3


def test_a_refused_save_is_shown_and_loses_nothing(desk, own_workspace):
    first, second = sounds(own_workspace)[:2]
    append(own_workspace, new_event(Withdrawn(reason="test"), first.sound_id, "Bea"))
    desk.press("t")
    desk.type("howl,yelp now")
    desk.press("Escape", "Enter")
    expect(desk.find(".alert")).to_be_visible()
    expect(desk.find(".alert")).to_contain_text("Not saved")
    desk.expect_title(first.sound.title)
    expect(desk.pending).to_have_text("1 unsaved")
    names = desk.find(".current .chip .name")
    expect(names.filter(has_text="howl")).to_have_count(1)
    expect(names.filter(has_text=re.compile("^yelp.now$"))).to_have_count(1)
    desk.press("j")
    desk.expect_title(second.sound.title)


def test_what_cannot_be_done_is_said_where_it_is_seen(desk):
    desk.press("s")
    expect(desk.find(".bar .message")).to_have_text("Nothing was changed, so nothing was saved.")
    desk.press("j")
    expect(desk.find(".bar .message")).to_be_hidden()


@pytest.mark.parametrize("address", ["&state=to-review", ""])
def test_progress_goes_on_after_a_reload_and_after_a_restart(
    chromium, server, own_workspace, address
):
    waiting = sounds(own_workspace)
    desk = Desk(chromium, server.url, address=address)
    progress = desk.find(".progress")
    expect(progress).to_have_text("1 of 16")
    for sound in waiting[:3]:
        desk.review(sound, "Enter")
    desk.expect_saved()
    expect(progress).to_have_text(re.compile("^4 of 16"))
    desk.page.reload()
    expect(progress).to_have_text("4 of 16")
    desk.expect_title(waiting[3].sound.title)
    server.stop()
    desk.press("Enter")
    server.start()
    desk.expect_saved()
    expect(progress).to_have_text(re.compile("^5 of 16"))
    desk.page.reload()
    expect(progress).to_have_text("5 of 16")
    desk.expect_title(waiting[4].sound.title)
    desk.close()


def test_sounds_like_one_stay_chosen_over_a_reload_in_both_modes_and_back_leads_away(
    page, own_workspace
):
    sound = sounds(own_workspace)[0]
    title = page.get_by_text(f"Sounds like {sound.sound.title}")
    choose(page, "Similar sounds")
    page.get_by_role("button", name="Review together").click()
    expect(title).to_be_visible()
    assert "like=" in page.url
    page.reload()
    expect(title).to_be_visible()
    page.get_by_text("Review", exact=True).click()
    expect(page.locator(".desk .progress")).to_have_text("1 of 9")
    page.reload()
    expect(page.locator(".desk .progress")).to_have_text("1 of 9")
    page.go_back()
    expect(title).to_be_visible()
    page.go_back()
    expect(page.locator("[class*='st-key-sound-']")).to_have_count(10)
    expect(title).to_be_hidden()
    assert page.watcher.problems == []


def test_the_name_is_asked_on_the_first_decision_and_the_desk_is_there_before(
    opened, own_workspace
):
    first, second = sounds(own_workspace)[:2]
    desk = opened(EARMARK_CURATOR="")
    desk.expect_title(first.sound.title)
    desk.press("t")
    desk.type("howl,")
    desk.press("Escape", "Enter")
    dialog = desk.page.get_by_role("dialog", name="Your name")
    expect(dialog).to_be_visible()
    desk.press("Escape")
    expect(dialog).to_be_hidden()
    desk.expect_title(first.sound.title)
    desk.press("Enter")
    desk.type("Cleo")
    desk.press("Enter")
    desk.expect_title(second.sound.title)
    desk.press("1", "s")
    desk.expect_saved()
    assert [event.actor for event in log_of(own_workspace, first)][1:] == ["Cleo"]
    assert "howl" in sounds(own_workspace)[0].tags
    assert [event.actor for event in log_of(own_workspace, second)][1:] == ["Cleo"]


def test_a_visitor_looks_and_listens_but_changes_nothing(opened, own_workspace):
    first, second = sounds(own_workspace)[:2]
    desk = opened(EARMARK_CURATOR="", EARMARK_PUBLIC_URL="https://earmark.example")
    desk.expect_title(first.sound.title)
    expect(desk.find(".restriction")).to_contain_text("nobody can correct tags here")
    expect(desk.find(".actions .confirm")).to_be_disabled()
    desk.press("1", "Enter")
    desk.expect_title(first.sound.title)
    desk.find(".actions .next").click()
    desk.expect_title(second.sound.title)
    desk.page.wait_for_function("() => window.earmarkPlaying?.audio.played.length > 0")
    assert len(log_of(own_workspace, first)) == 1


def test_a_second_opinion_comes_in_the_queue_without_the_first_curators_decision(
    opened, own_workspace
):
    sound = sounds(own_workspace)[0]
    append(own_workspace, confirm(sound, [*sound.tags, "zzz-first"], "Bea"))
    desk = opened("&state=to-review", EARMARK_SECOND_OPINION_SHARE="1")
    desk.press("j", "j", "j", "j")
    desk.expect_title(sound.sound.title)
    expect(desk.find(".note")).to_contain_text("Second opinion")
    names = desk.find(".current .chip .name")
    expect(names).to_have_text(list(sound.tags))
    desk.press("n")
    expect(desk.find(".bar .message")).to_contain_text("second opinion confirms all")
    desk.press("Enter")
    desk.expect_saved()
    pair = find_pair(log_of(own_workspace, sound))
    assert (pair.first.actor, pair.second.actor) == ("Bea", "Ada")
    assert pair.judgements["zzz-first"] == (True, False)
