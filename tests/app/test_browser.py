"""The app as a person meets it: a real server, a real Chromium, real sounds."""

import json
import re
import socket
from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.events.fold import confirm
from core.events.types import Sound, new_event
from core.storage.local import open_local_workspace
from tests.helpers.app_browser import Watcher, card, chips, choose, entry, note, press
from tests.helpers.app_pages import sounds

pytestmark = pytest.mark.browser
PAGES = (
    ("/", "Monitor"),
    ("/try", "Try your sound"),
    ("/many", "Batch"),
    ("/metrics", "Model metrics"),
)
HOSTILE = '<img src=x onerror="window.hacked=1"> **b** :red[r] [l](javascript:alert(1)) :smile: $x$'


def test_an_edit_is_saved_survives_reload_and_restart_and_can_be_undone(
    page, server, own_workspace
):
    state = sounds(own_workspace)[0]
    expect(chips(page)).to_have_text(list(state.tags))
    entry(page).fill("Boiling Kettle")
    entry(page).press("Enter")
    expect(card(page).get_by_text("Will be stored as")).to_contain_text("boiling-kettle")
    press(page, "save")
    expect(note(page)).to_contain_text("added boiling-kettle")
    expect(chips(page)).to_have_text([*state.tags, "boiling-kettle"])

    page.reload()
    expect(chips(page)).to_have_text([*state.tags, "boiling-kettle"])
    server.stop()
    server.start()
    page.goto(server.url)
    expect(chips(page)).to_have_text([*state.tags, "boiling-kettle"])

    press(page, "undo")
    expect(chips(page)).to_have_text(list(state.tags))
    assert sounds(own_workspace)[0].tags == state.tags
    assert page.watcher.foreign == []
    assert page.watcher.problems == []


def test_text_that_was_typed_but_not_confirmed_is_saved_too(page, own_workspace):
    entry(page).press_sequentially("howl")
    press(page, "save")
    expect(note(page)).to_contain_text("added howl")
    assert "howl" in sounds(own_workspace)[0].tags


def test_chips_can_be_worked_by_keyboard_and_vocabulary_is_offered(page, own_workspace):
    before = list(sounds(own_workspace)[0].tags)
    entry(page).press_sequentially("hel")
    highlighted = card(page).locator(".option[aria-selected=true]")
    expect(highlighted).to_contain_text("helicopter")
    entry(page).press("Enter")
    expect(chips(page)).to_have_text([*before, "helicopter"])
    entry(page).press("Backspace")
    expect(chips(page)).to_have_text(before)
    entry(page).press_sequentially("one, two, three")
    entry(page).press("Enter")
    expect(chips(page)).to_have_text([*before, "one", "two", "three"])
    entry(page).press_sequentially("never mind")
    entry(page).press("Escape")
    expect(entry(page)).to_have_value("")


def test_a_guess_is_added_and_a_chip_removed_at_a_click(page, own_workspace):
    place, state, guess = next(
        (place, state, tag.tag)
        for place, state in enumerate(sounds(own_workspace, 10))
        for tag in state.suggestions
        if not tag.above_threshold and tag.probability >= 0.05 and state.tags
    )
    card(page, place).get_by_role("button", name=f"Add {guess}").click()
    card(page, place).get_by_role("button", name=f"Remove {state.tags[0]}").click()
    expect(chips(page, place)).to_have_text([*state.tags[1:], guess])
    press(page, "save", place)
    expect(note(page, place)).to_contain_text("Saved")
    assert sounds(own_workspace, 10)[place].tags == (*state.tags[1:], guess)


def test_what_is_typed_at_one_sound_never_shows_at_another(page, own_workspace):
    first, second = sounds(own_workspace, 2)
    entry(page).fill("only-here")
    entry(page).press("Enter")
    expect(chips(page)).to_have_text([*first.tags, "only-here"])
    expect(chips(page, 1)).to_have_text(list(second.tags))
    press(page, "confirm", 1)
    expect(note(page, 1)).to_contain_text("Saved")
    expect(chips(page)).to_have_text([*first.tags, "only-here"])
    assert "only-here" not in sounds(own_workspace)[1].tags


def test_a_sound_plays_with_a_moving_playhead_and_only_one_at_a_time(page):
    audio = card(page).locator("audio")
    card(page).get_by_role("button", name=re.compile("^Play ")).click()
    page.wait_for_function("audio => audio.currentTime > 0.2", arg=audio.element_handle())
    expect(card(page).get_by_role("button", name=re.compile("^Pause "))).to_be_visible()
    card(page, 1).get_by_role("button", name=re.compile("^Play ")).click()
    page.wait_for_function("audio => audio.paused", arg=audio.element_handle())
    picture = card(page).locator("img")
    assert picture.evaluate("picture => picture.complete && picture.naturalHeight") > 0


def test_the_spectrogram_can_be_clicked_and_stepped_through(page):
    screen = card(page).get_by_role("slider", name="Position in")
    box = screen.bounding_box()
    screen.click(position={"x": box["width"] / 2, "y": 10})
    audio = card(page).locator("audio").element_handle()
    page.wait_for_function(
        "audio => Math.abs(audio.currentTime / audio.duration - 0.5) < 0.1", arg=audio
    )
    screen.press("Home")
    page.wait_for_function("audio => audio.currentTime < 0.1", arg=audio)


def test_playing_goes_on_while_tags_are_edited(page):
    card(page).get_by_role("button", name=re.compile("^Play ")).click()
    card(page).locator(".loop").click()
    entry(page).fill("howl")
    entry(page).press("Enter")
    press(page, "save")
    expect(note(page)).to_contain_text("Saved")
    assert not card(page).locator("audio").evaluate("audio => audio.paused")


def test_hostile_titles_and_tags_are_shown_as_text(page, server, own_workspace):
    workspace = open_local_workspace(own_workspace)
    model = sounds(own_workspace)[0].prediction.payload
    sound = Sound(title=HOSTILE, source="test", author=HOSTILE, seconds=1.0)
    payload = model.model_copy(update={"sound": sound})
    event = new_event(payload, "freesound:666", "<i>job</i>")
    workspace.events.append([event])
    state = workspace.sounds.get(event.sound_id)
    workspace.events.append([confirm(state, [HOSTILE], HOSTILE[:60])])
    page.goto(server.url)
    expect(card(page).locator(".title")).to_have_text(HOSTILE)
    expect(chips(page)).to_have_text([HOSTILE])
    choose(page, "History")
    expect(page.get_by_role("dialog").get_by_text("img src=x").first).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("a[href*='evil']").count() == 0
    assert page.watcher.foreign == []


def test_new_sounds_are_announced_and_do_not_move_the_list_by_themselves(
    page, server, own_workspace
):
    title = card(page).locator(".title")
    expect(title).not_to_be_empty()
    first = title.text_content()
    payload = sounds(own_workspace)[0].prediction.payload
    event = new_event(payload, "freesound:777", "job")
    open_local_workspace(own_workspace).events.append([event])
    show = page.get_by_role("button", name="1 new sound: show")
    expect(show).to_be_visible(timeout=20_000)
    expect(title).to_have_text(first)
    show.click()
    expect(page.get_by_text("17 sounds")).to_be_visible()
    expect(show).to_have_count(0)


def test_a_view_can_be_shared_by_its_address(page, server):
    for address in ("/?state=reviewed", "/?show=Reviewed"):
        page.goto(server.url + address)
        expect(page.get_by_text("No sounds match these filters")).to_be_visible()


def test_an_uploaded_clip_is_played_drawn_and_tagged(page, server, examples, own_workspace):
    page.goto(f"{server.url}/try")
    page.locator("input[type=file]").set_input_files(examples / "rain-on-leaves.ogg")
    expect(page.locator(".chip b").filter(has_text="rain")).to_be_visible()
    expect(page.locator(".player .title")).to_have_text("rain-on-leaves.ogg")
    page.get_by_role("button", name=re.compile("^Play ")).click()
    audio = page.locator(".player audio").element_handle()
    page.wait_for_function("audio => audio.currentTime > 0.1", arg=audio)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").click()
    taken = json.loads(Path(download.value.path()).read_text("utf-8"))
    assert taken["file"] == "rain-on-leaves.ogg"
    assert "rain" in taken["tags"]
    assert taken["model"] == str(sounds(own_workspace)[0].model)
    assert len(taken["suggestions"]) == 5
    assert page.watcher.foreign == []


def test_a_wrong_file_is_explained_and_a_right_one_works_after_it(page, server, examples, tmp_path):
    (tmp_path / "not really.wav").write_bytes(b"just text")
    page.goto(f"{server.url}/try")
    page.locator("input[type=file]").set_input_files(tmp_path / "not really.wav")
    expect(page.get_by_text("is not a sound file")).to_be_visible()
    page.locator("input[type=file]").set_input_files(examples / "siren.ogg")
    expect(page.locator(".player .title")).to_have_text("siren.ogg")
    expect(page.get_by_text("is not a sound file")).to_have_count(0)


def test_a_recording_from_the_microphone_is_tagged_at_its_full_rate(page, server):
    page.goto(f"{server.url}/try")
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.get_by_role("button", name="Stop recording")).to_be_visible()
    expect(page.get_by_text("00:01")).to_be_visible()
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator(".player .title")).to_have_text("Your recording")
    expect(page.locator(".player .facts")).to_contain_text("48 kHz")


def test_every_page_stands_in_dark_and_narrow_without_leaving_the_machine(chromium, server):
    for scheme, width in (("dark", 1400), ("light", 420)):
        context = chromium.new_context(
            viewport={"width": width, "height": 860}, color_scheme=scheme
        )
        page = context.new_page()
        watcher = Watcher(page)
        for path, title in PAGES:
            page.goto(server.url + path)
            expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()
            expect(page.locator("[data-testid=stException]")).to_have_count(0)
            fits = page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")
            assert fits, f"{path} is wider than {width}"
        context.close()
        assert watcher.foreign == []


def test_the_server_listens_on_this_machine_only(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
        outside.connect(("192.0.2.1", 9))  # sends nothing; the system picks our outer address
        address = outside.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, server.port), timeout=5)
