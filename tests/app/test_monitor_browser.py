"""The monitor's list in a real browser: presses, pages, unsaved changes, widths, many at once."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.text import plural
from core.events.types import new_event
from core.storage.local import open_local_workspace
from tests.helpers.app_browser import card, chips, choose, entry, note, press
from tests.helpers.app_pages import describe_sounds, sounds
from tests.helpers.commands import run_module

pytestmark = pytest.mark.browser
HOLD_MS = 120
"""Between the press of a mouse button and its release: a person's."""


def test_typing_a_tag_or_another_word_for_it_shows_how_many_sounds_have_it(page, own_workspace):
    number = dict(open_local_workspace(own_workspace).sounds.tag_counts())["dog"]
    place = next(i for i, sound in enumerate(sounds(own_workspace, 10)) if "dog" not in sound.tags)
    row = card(page, place).get_by_role("listbox").get_by_role("option").first
    for typed, shown in (("dog", f"dog{number}"), ("hound", f"doghound{number}")):
        entry(page, place).fill(typed)
        expect(row).to_have_text(shown)
    entry(page, place).press("Enter")
    expect(chips(page, place).last).to_have_text("dog")


@pytest.mark.parametrize("action", ["save", "confirm"])
def test_a_slow_press_right_after_typing_a_tag_is_not_lost(page, own_workspace, action):
    """The field is left while the button is held; nothing may move away under the mouse."""
    for number in range(3):
        tag = f"a-rather-long-tag-that-needs-a-line-{number}"
        button = card(page).locator(f"[class*='st-key-{action}-'] button:visible")
        entry(page).press_sequentially(tag)
        box = button.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.wait_for_timeout(HOLD_MS)
        assert button.bounding_box() == box
        page.mouse.up()
        expect(note(page)).to_contain_text(f"added {tag}")
        assert tag in sounds(own_workspace)[0].tags


def test_a_new_page_starts_at_its_first_card_and_survives_reload_and_back(page, own_workspace):
    newest = sounds(own_workspace, 16)
    title = card(page).locator(".title")
    expect(title).to_have_text(newest[0].sound.title)
    page.get_by_role("button", name="Next page").click()
    expect(title).to_have_text(newest[10].sound.title)
    expect(card(page)).to_be_focused()
    expect(card(page)).to_be_in_viewport()
    assert "page=2" in page.url
    page.reload()
    expect(title).to_have_text(newest[10].sound.title)
    page.go_back()
    expect(title).to_have_text(newest[0].sound.title)
    page.go_forward()
    expect(title).to_have_text(newest[10].sound.title)


def test_unsaved_changes_are_counted_kept_over_pages_and_warned_about(page):
    title = card(page).locator(".title")
    expect(title).not_to_be_empty()
    first = title.text_content()
    before = page.get_by_role("heading", name="Monitor").bounding_box()
    top = card(page).bounding_box()["y"]
    entry(page).fill("howl")
    entry(page).press("Enter")
    unsaved = page.locator(".st-key-unsaved")
    expect(unsaved).to_contain_text("1 unsaved")
    assert card(page).bounding_box()["y"] == top
    assert page.get_by_role("heading", name="Monitor").bounding_box() == before
    page.get_by_role("button", name="Next page").click()
    expect(title).not_to_have_text(first)
    expect(unsaved).to_contain_text("1 unsaved")
    page.get_by_role("button", name="Previous page").click()
    expect(title).to_have_text(first)
    expect(chips(page).last).to_have_text("howl")
    warnings = []
    page.on("dialog", lambda dialog: (warnings.append(dialog.type), dialog.accept()))
    page.reload()
    page.wait_for_selector("h1")
    assert warnings == ["beforeunload"]


def test_new_sounds_neither_move_the_list_nor_stop_the_player(page, own_workspace):
    card(page).get_by_role("button", name=re.compile("^Play ")).click()
    card(page).get_by_role("button", name=re.compile("^Repeat ")).click()
    audio = card(page).locator("audio").element_handle()
    page.wait_for_function("audio => audio.currentTime > 0.1", arg=audio)
    top = card(page).bounding_box()
    payload = sounds(own_workspace)[0].prediction.payload
    open_local_workspace(own_workspace).events.append([new_event(payload, "freesound:777", "job")])
    expect(page.get_by_role("button", name="1 new sound: show")).to_be_visible()
    assert card(page).bounding_box() == top
    assert not audio.evaluate("audio => audio.paused")


def test_a_tag_is_replaced_in_all_sounds_that_match_and_one_press_takes_it_back(
    page, server, own_workspace
):
    tag = sounds(own_workspace)[0].tags[0]
    page.goto(f"{server.url}/?tag={tag}")
    workspace = open_local_workspace(own_workspace)
    before = {sound.sound_id: sound.tags for sound in sounds(own_workspace)}
    number = dict(workspace.sounds.tag_counts())[tag]
    page.locator(".st-key-tools button").click()
    page.get_by_role("menuitem", name="Bulk edit").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"The filters match {plural(number, 'sound')}")
    dialog.get_by_text("Replace a tag", exact=True).click()
    dialog.get_by_label("Tag", exact=True).fill(tag)
    dialog.get_by_label("Replace with").fill("replaced-tag")
    dialog.get_by_label("Replace with").press("Tab")
    dialog.get_by_role("button", name="Replace a tag in").click()
    expect(dialog).to_contain_text("Saved")
    assert dict(workspace.sounds.tag_counts())["replaced-tag"] == number
    assert tag not in dict(workspace.sounds.tag_counts())
    dialog.get_by_role("button", name="Undo all").click()
    expect(dialog).to_contain_text("Undone")
    assert {sound.sound_id: sound.tags for sound in sounds(own_workspace)} == before


def test_withdrawing_asks_once_more(page, own_workspace):
    sound = sounds(own_workspace)[0]
    choose(page, "Withdraw")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    assert sounds(own_workspace)[0].sound_id == sound.sound_id
    choose(page, "Withdraw")
    dialog.get_by_role("button", name="Withdraw", exact=True).click()
    expect(dialog).to_have_count(0)
    assert sounds(own_workspace)[0].sound_id != sound.sound_id


def test_after_a_save_a_card_has_one_menu_and_its_history_is_new(page, own_workspace):
    press(page, "confirm")
    expect(note(page)).to_contain_text("Saved")
    expect(card(page).locator("[class*='st-key-more-'] button")).to_have_count(1)
    choose(page, "History")
    expect(page.get_by_role("dialog")).to_contain_text("Ada")


@pytest.mark.parametrize(
    ("form", "name"),
    [("CSV", "tags.csv"), ("JSON lines", "tags.jsonl"), ("id2prediction.json", "tags.json")],
)
def test_the_page_and_the_command_export_the_same_bytes(
    page, server, own_workspace, tmp_path, form, name
):
    describe_sounds(own_workspace)
    page.goto(f"{server.url}/?tag=dog")
    page.locator(".st-key-tools button").click()
    page.get_by_role("menuitem", name="Export").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(form, exact=True).click()
    expect(dialog.get_by_role("radio", name=form)).to_be_checked()
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Download").click()
    file = tmp_path / name
    arguments = ("core", "export", file, "--filter", "tag=dog")
    assert run_module(*arguments, EARMARK_WORKSPACE=str(own_workspace)).returncode == 0
    assert Path(download.value.path()).read_bytes() == file.read_bytes() != b""


def test_a_filter_is_in_the_address_and_survives_reload_and_back(page, own_workspace):
    expect(card(page).locator(".title")).not_to_be_empty()
    search = page.get_by_role("textbox", name="Search title, tags and description")
    search.fill("nowhere-to-be-seen")
    search.press("Enter")
    nothing = page.get_by_text("No sounds match these filters")
    expect(nothing).to_be_visible()
    assert "q=nowhere-to-be-seen" in page.url
    page.reload()
    expect(nothing).to_be_visible()
    expect(search).to_have_value("nowhere-to-be-seen")
    page.go_back()
    expect(card(page).locator(".title")).not_to_be_empty()
    expect(search).to_have_value("")


@pytest.mark.parametrize(("width", "least"), [(1920, 300), (1440, 300), (820, 300), (420, 200)])
def test_cards_fit_every_width(page, own_workspace, width, least):
    describe_sounds(own_workspace)
    page.reload()
    expect(card(page).locator(".title")).to_have_text("Field recording 9")
    page.set_viewport_size({"width": width, "height": 900})
    picture = card(page).locator("img").first
    page.wait_for_function(
        "([picture, least]) => picture.getBoundingClientRect().width >= least",
        arg=[picture.element_handle(), least],
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    summary = page.get_by_text("sounds · 0 reviewed").bounding_box()
    assert summary["width"] >= 300  # also on a phone, where it has a line of its own
    if width >= 1440:
        bottom = card(page, 3).bounding_box()
        assert bottom["y"] + bottom["height"] <= 900  # four cards
