"""The player in a browser: zoom, activations that can be pressed, events, and the sound's twin."""

import re

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from core.audio.spectrogram import spectrogram_webp
from core.storage.local import open_local_workspace
from tests.helpers.app_browser import TIMEOUT_MS
from tests.helpers.component_page import serve_page

pytestmark = pytest.mark.browser
RATE_HZ, SECONDS, FRAMES = 8000, 20.0, 40
SILENT_FROM_S = 15.0
SCRIPT = """
import numpy as np
import streamlit as st
from app.components.player import player
from core.events.types import Suggestion

st.set_page_config(layout="wide")
st.title("Player")
starts = np.arange({frames}) * {seconds} / {frames}
times = np.stack([starts, starts + {seconds} / {frames}], axis=1)
levels = np.zeros(({frames}, 2))
levels[8:12, 0] = 0.9     # 4 s to 6 s
levels[20:26, 0] = 0.7    # 10 s to 13 s
levels[28:, 1] = 0.8      # from 14 s on, silence included
player(key="long", audio_url="/sounds/{audio}", picture_url="/sounds/{picture}",
       title="Long <b>walk</b>", facts="20 s", seconds={seconds}, times=times, levels=levels,
       thresholds={{"dog": 0.5, "rain": 0.4}}, rejected={{"rain"}},
       suggestions=(Suggestion(tag="dog", probability=0.58, above_threshold=True),
                    Suggestion(tag="rain", probability=0.44, above_threshold=True)))
"""
NO_OGG = """
const canPlayType = HTMLMediaElement.prototype.canPlayType
HTMLMediaElement.prototype.canPlayType = function (type) {
  return type.includes("ogg") ? "" : canPlayType.call(this, type)
}
"""


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """A workspace folder with a long sound, silent at its end, and its picture; and their names."""
    folder = tmp_path_factory.mktemp("player")
    generator = np.random.default_rng(0)
    samples = 0.1 * generator.standard_normal(int(SECONDS * RATE_HZ)).astype(np.float32)
    samples[int(SILENT_FROM_S * RATE_HZ) :] = 0
    soundfile.write(folder / "sound.ogg", samples, RATE_HZ)
    log_mel = generator.normal(-2, 0.5, (96, 860)).astype(np.float32)
    log_mel[:, int(860 * SILENT_FROM_S / SECONDS) :] = -15.94
    store = open_local_workspace(folder).media
    audio = store.put((folder / "sound.ogg").read_bytes(), "ogg")
    return folder, audio, store.put(spectrogram_webp(log_mel), "webp")


@pytest.fixture(scope="module")
def address(media):
    folder, audio, picture = media
    script = SCRIPT.format(frames=FRAMES, seconds=SECONDS, audio=audio, picture=picture)
    running = serve_page(folder, script)
    yield running.url
    running.stop()


@pytest.fixture
def open_player(chromium, address):
    """Open the page in a window of that width, after a script; returns the page."""
    contexts = []

    def open_player(width=1200, script=""):
        contexts.append(chromium.new_context(viewport={"width": width, "height": 900}))
        page = contexts[-1].new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.add_init_script(script)
        page.goto(address)
        page.locator(".picture").wait_for()
        page.wait_for_function(
            "picture => picture.complete && picture.naturalWidth",
            arg=page.locator(".picture").element_handle(),
        )
        return page

    yield open_player
    for context in contexts:
        problems = [problem for page in context.pages for problem in page.problems]
        context.close()
        assert problems == []


def played(page) -> list[float]:
    """From now on the positions of the player's audio, in `audio.positions`."""
    audio = page.locator("audio").element_handle()
    audio.evaluate(
        """audio => {
          audio.positions = []
          audio.addEventListener("timeupdate", () => audio.positions.push(audio.currentTime))
        }"""
    )
    return audio


def assert_plays_only(page, audio, start: float, end: float) -> None:
    page.wait_for_function("audio => audio.positions.length > 2 && audio.paused", arg=audio)
    positions = [at for at in audio.evaluate("audio => audio.positions") if at > 0]
    assert min(positions) >= start - 0.1
    assert max(positions) < end + 0.5


def test_a_press_on_an_activation_plays_that_part(open_player):
    page = open_player()
    strip = page.locator(".strip").first
    box, audio = strip.bounding_box(), played(page)
    page.locator(".speed").select_option("2")
    strip.click(position={"x": box["width"] * 5 / SECONDS, "y": box["height"] / 2})
    assert_plays_only(page, audio, 4, 6)


def test_a_row_is_named_by_what_it_shows_and_the_keyboard_plays_its_strongest_part(open_player):
    page = open_player()
    row = page.locator(".tag").first
    expect(row).to_have_accessible_name(
        "dog 58%, suggested, 4.0 s to 6.0 s and 10.0 s to 13.0 s; play it in Long <b>walk</b>"
    )
    expect(page.locator(".tag").nth(1)).to_have_accessible_name(re.compile("rain 44%, rejected"))
    audio = played(page)
    page.locator(".speed").select_option("2")
    page.locator(".tag").nth(1).focus()
    page.keyboard.press("ArrowUp")
    expect(row).to_be_focused()
    page.keyboard.press("Enter")
    assert_plays_only(page, audio, 4, 6)


def test_digital_silence_is_not_lit_whatever_the_network_says(open_player):
    page = open_player()
    ends = (
        page.locator(".strip")
        .nth(1)
        .evaluate(
            "strip => [...strip.querySelectorAll('path')].map(path => path.getBBox())"
            ".filter(box => box.width).map(box => box.x + box.width)"
        )
    )
    assert max(ends) == pytest.approx(SILENT_FROM_S, abs=0.1)


def test_a_threshold_is_a_line_at_its_height(open_player):
    page = open_player()
    share = page.locator(".strip").first.evaluate(
        """strip => {
          const box = strip.getBoundingClientRect()
          const line = strip.querySelector(".threshold").getBoundingClientRect()
          return (box.bottom - line.bottom) / box.height
        }"""
    )
    assert share == pytest.approx(0.5, abs=0.08)


def test_zooming_keeps_picture_and_activations_in_step_and_the_playhead_in_view(open_player):
    page = open_player()
    frame, row = page.locator(".frame"), page.locator(".strip svg").first
    for _ in range(3):
        page.get_by_role("button", name="Zoom in on").click()
    page.locator(".screen").press("Home")
    expect(row).to_have_attribute("viewBox", re.compile(r"^0 0 2\.[45]"))
    audio = played(page)
    audio.evaluate("audio => { audio.currentTime = 2.4; audio.play() }")
    page.wait_for_function("frame => frame.scrollLeft > 0", arg=frame.element_handle())
    expect(row).to_have_attribute("viewBox", re.compile(r"^2\.[0-4]"))
    audio.evaluate("audio => audio.pause()")
    page.locator(".screen").press("End")
    expect(row).to_have_attribute("viewBox", re.compile(r"^17\.[45]"))
    for _ in range(3):
        page.get_by_role("button", name="Zoom out of").click()
    expect(row).to_have_attribute("viewBox", f"0 0 {SECONDS:g} 1")


def test_a_long_recording_has_a_list_of_events_to_press(open_player):
    page = open_player()
    events = page.locator(".event")
    expect(events).to_have_text(["dog 4.0 s – 6.0 s", "dog 10.0 s – 13.0 s"])
    audio = played(page)
    page.locator(".speed").select_option("2")
    events.nth(1).click()
    assert_plays_only(page, audio, 10, 13)


@pytest.mark.parametrize("width", [420, 820, 1440, 1920])
def test_the_picture_is_never_narrow(open_player, width):
    page = open_player(width)
    assert page.locator(".screen").bounding_box()["width"] > 0.4 * width
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")


def test_a_browser_that_does_not_play_ogg_gets_the_twin(open_player, media):
    folder, audio_name, _ = media
    page = open_player(script=NO_OGG)
    audio = played(page)
    with page.expect_response(re.compile(r"\.m4a$")) as response:
        page.get_by_role("button", name=re.compile("^Play ")).click()
    assert response.value.headers["content-type"] == "audio/mp4"
    page.wait_for_function("audio => audio.currentTime > 0.2", arg=audio)
    assert audio.evaluate("audio => audio.duration") == pytest.approx(SECONDS, abs=0.1)
    assert list((folder / "media").rglob(f"{audio_name.removesuffix('.ogg')}.m4a"))


def test_volume_and_speed_are_worked_by_the_keyboard(open_player):
    page = open_player()
    audio = page.locator("audio").element_handle()
    page.get_by_role("button", name=re.compile("^Play ")).click()
    page.get_by_role("slider", name="Volume of").press("Home")
    page.wait_for_function("audio => audio.volume === 0", arg=audio)
    page.get_by_role("combobox", name="Speed of").select_option("0.25")
    page.wait_for_function("audio => audio.playbackRate === 0.25", arg=audio)


def test_a_part_that_is_drawn_over_the_picture_is_repeated(open_player):
    page = open_player()
    box = page.locator(".screen").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.12, box["y"] + 30)
    page.mouse.move(box["x"] + box["width"] * 0.13, box["y"] + 30)
    page.mouse.up()
    expect(page.locator(".summary")).to_contain_text("Part from 2.0")
    page.get_by_role("button", name="Repeat Long").click()
    audio = page.locator("audio").element_handle()
    audio.evaluate(
        """audio => {
          audio.seeks = []
          audio.addEventListener("seeked", () => audio.seeks.push(audio.currentTime))
        }"""
    )
    page.get_by_role("button", name=re.compile("^Play ")).click()
    page.wait_for_function("audio => audio.seeks.length > 2 && !audio.paused", arg=audio)
    assert audio.evaluate("audio => audio.seeks")[:3] == pytest.approx([2.0] * 3, abs=0.1)
    page.get_by_role("button", name="Whole sound").click()
    expect(page.locator(".part")).to_be_hidden()
