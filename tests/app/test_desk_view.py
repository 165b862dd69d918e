"""Review mode in a real browser: player, keys, search, hostile text, sizes."""

import re

import pytest
from playwright.sync_api import expect

from core.events.query import Query
from core.events.types import Predicted, Sound, Suggestion, new_event
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import sounds
from tests.helpers.desk_page import Desk

pytestmark = pytest.mark.browser
HOSTILE = '<img src=x onerror="window.hacked=1">'


@pytest.fixture
def desk(chromium, server):
    opened = Desk(chromium, server.url)
    yield opened
    opened.close()


def queue(folder) -> list:
    """The sounds of the queue, as nobody has reviewed them yet."""
    return sounds(folder, 16)


def test_the_view_zooms_and_pans_and_a_press_on_a_level_plays_that_part(desk):
    expect(desk.find(".range")).to_have_text("Whole sound")
    before = desk.find(".film").bounding_box()["width"]
    desk.press("+", "+")
    expect(desk.find(".range")).to_have_text(re.compile(" to "))
    assert desk.find(".film").bounding_box()["width"] == pytest.approx(4 * before, rel=0.02)
    left = desk.find(".range").inner_text()
    desk.press(".")
    expect(desk.find(".range")).not_to_have_text(left)
    desk.press("-", "-")
    expect(desk.find(".range")).to_have_text("Whole sound")
    desk.find(".plot").first.click(position={"x": 300, "y": 8})
    # The part may be over before the page is looked at: what was played stays in `played`.
    desk.page.wait_for_function("() => window.earmarkPlaying?.audio.played.length > 0")


def test_speed_and_loop_are_set_by_key_and_stay_for_the_next_sound(desk, own_workspace):
    desk.press("<", "<", "l", "j")
    expect(desk.find(".speed")).to_have_text("0.5×")
    desk.page.wait_for_function("() => window.earmarkPlaying?.audio.playbackRate === 0.5")
    expect(desk.find(".loop")).to_have_attribute("aria-pressed", "true")


def test_keys_are_listed_can_be_changed_and_are_checked(desk, own_workspace):
    second, third = queue(own_workspace)[1:3]
    desk.press("?")
    dialog = desk.find(".keys-dialog")
    change = dialog.get_by_role("button", name=re.compile("change the key for Next sound"))
    change.click()
    desk.press("k")
    expect(dialog.locator(".message")).to_contain_text("in use")
    change.click()
    desk.press("w")
    expect(change).to_have_text("W")
    dialog.get_by_role("button", name="Close").click()
    desk.page.reload()
    expect(desk.title).not_to_be_empty()
    desk.press("j")
    desk.press("w")
    desk.expect_title(second.sound.title)
    desk.page.evaluate("""localStorage.setItem("earmark-review-keys", '{"next": ["Tab"]}')""")
    desk.page.reload()
    desk.expect_title(second.sound.title)
    desk.press("j")
    desk.expect_title(third.sound.title)


def test_search_lets_one_hear_sounds_that_carry_a_tag(desk, own_workspace):
    sound = next(each for each in queue(own_workspace) if "dog" in each.tags)
    desk.press("/")
    desk.type("dog")
    example = desk.page.get_by_role("button", name=re.compile(f"1 {re.escape(sound.sound.title)}"))
    expect(example).to_be_visible()
    desk.press("Alt+1")
    desk.page.wait_for_function("() => window.earmarkPlaying?.audio.currentTime > 0.05")
    desk.press("Enter")
    expect(desk.find(".search-dialog")).to_be_hidden()
    expect(desk.find(".current .chip .name", has_text="dog").first).to_be_visible()


def test_the_finished_queue_says_so_and_looks_for_more(desk, server, own_workspace):
    desk.url = f"{server.url}/?mode=review&state=to-review"
    desk.open()
    for sound in queue(own_workspace):
        desk.expect_title(sound.sound.title)
        desk.press("Enter")
    expect(desk.find(".finished")).to_be_visible()
    desk.expect_saved()
    workspace = open_local_workspace(own_workspace)
    assert workspace.sounds.count(Query(show="to review")).number == 0
    payload = queue(own_workspace)[0].prediction.payload
    workspace.events.append([new_event(payload, "freesound:778", "job")])
    desk.press("Enter")
    desk.expect_title(payload.sound.title)


def test_hostile_titles_and_tags_are_shown_as_text(desk, own_workspace):
    model = queue(own_workspace)[0].prediction.payload
    sound = Sound(title=HOSTILE, source="test", author=HOSTILE, description=HOSTILE, seconds=40.0)
    top = (Suggestion(tag=HOSTILE, probability=0.9, above_threshold=True),)
    payload = Predicted(model=model.model, top=top, sound=sound, media=model.media)
    event = new_event(payload, "freesound:666", "job")
    open_local_workspace(own_workspace).events.append([event])
    desk.open()
    desk.expect_title(HOSTILE)
    expect(desk.find(".current .chip .name").first).to_have_text(HOSTILE)
    assert desk.page.evaluate("window.hacked") is None


@pytest.mark.parametrize("width", [1920, 820, 420])
def test_nothing_is_wider_than_the_page(chromium, server, width):
    desk = Desk(chromium, server.url, width=width, height=900)
    fits = desk.page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")
    assert fits
    own = desk.page.locator(".desk").evaluate("desk => desk.scrollWidth <= desk.clientWidth + 1")
    assert own
    desk.close()


def test_a_sound_and_its_queue_fit_on_a_screen_without_scrolling(desk):
    expect(desk.find(".actions")).to_be_in_viewport(ratio=1)
    expect(desk.find(".queue ol")).to_be_in_viewport(ratio=1)
    expect(desk.find(".bar")).to_be_in_viewport(ratio=1)
