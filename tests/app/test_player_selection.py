"""Selecting a part of a sound in the player: mouse, touch, keyboard, and checks in Python."""

import contextlib
import http.server
import os
import re
import threading
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.components.player import checked_part
from tests.helpers.component_page import serve_page

ROOT = Path(__file__).parents[2]
SECONDS = 10.0
SCRIPT = """
import streamlit as st
from app.components.player import player

st.title("Parts")
start = (2.0, 4.0) if st.toggle("Start with a part") else None
part = player(key="one", audio_url="{media}/sound.wav", picture_url="{media}/picture.webp",
              title="Ten tones", facts="10 s",
              seconds={seconds}, suggestions=(), selectable=True, selection=start)
st.text(f"part: {{part}}")
st.session_state["runs"] = st.session_state.get("runs", 0) + 1
st.text(f"runs: {{st.session_state['runs']}}")
if st.toggle("Second player"):
    player(key="two", audio_url="{media}/sound.wav", picture_url="{media}/picture.webp",
           title="Plain", facts="",
           seconds={seconds}, suggestions=())
"""


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ([1, 2.5], (1.0, 2.5)),
        ((0, 10), None),
        ([0.0, 9.9], (0.0, 9.9)),
        ([2, 2], None),
        ([3, 2], None),
        ([-1, 2], None),
        ([1, 10.1], None),
        ([float("nan"), 2], None),
        ([1, float("inf")], None),
        (["1", "2"], None),
        ([True, 2], None),
        ([0, 10**400], None),
        ([1], None),
        ([1, 2, 3], None),
        ({"0": 1}, None),
        (None, None),
    ],
)
def test_a_part_from_the_browser_is_checked(said, part):
    assert checked_part(said, SECONDS) == part


class _Ranges(http.server.BaseHTTPRequestHandler):
    """Files of `folder`, also parts of them: without that a browser cannot seek."""

    def __init__(self, *arguments, folder: Path):
        self.folder = folder
        super().__init__(*arguments)

    def do_GET(self):
        data = (self.folder / Path(self.path).name).read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = (
            (int(asked[1]), int(asked[2] or len(data) - 1)) if asked else (0, len(data) - 1)
        )
        self.send_response(206 if asked else 200)
        self.send_header("Content-Type", "audio/wav" if self.path.endswith("wav") else "image/webp")
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(data[first : last + 1])

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """The address of a folder with a sound and its picture."""
    import numpy as np
    import soundfile

    from core.audio.spectrogram import spectrogram_webp

    folder = tmp_path_factory.mktemp("media")
    wave = 0.1 * np.sin(2 * np.pi * 440 * np.arange(int(SECONDS * 8000)) / 8000)
    soundfile.write(folder / "sound.wav", wave, 8000)
    (folder / "picture.webp").write_bytes(
        spectrogram_webp(np.random.default_rng(0).normal(-4, 2, (96, 400)).astype(np.float32))
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Ranges, folder=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def address(media, tmp_path_factory):
    """A small Streamlit script with the player, served."""
    folder = tmp_path_factory.mktemp("script")
    running = serve_page(folder, SCRIPT.format(media=media, seconds=SECONDS))
    yield running.url
    running.stop()


@pytest.fixture
def page(chromium, address):
    context = chromium.new_context(viewport={"width": 1100, "height": 800}, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(90_000)
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(address)
    expect(page.get_by_text("part: None")).to_be_visible(timeout=90_000)
    yield page
    assert page.problems == []
    context.close()


def handle(page, which: str):
    return page.get_by_role("slider", name=f"{which} of the part")


def middle(page, share: float) -> tuple[float, float]:
    """A point of the screen at that share of the sound."""
    box = page.locator(".screen").first.bounding_box()
    return box["x"] + share * box["width"], box["y"] + 20


def drag(page, start: float, end: float) -> None:
    page.mouse.move(*middle(page, start))
    page.mouse.down()
    page.mouse.move(*middle(page, (start + end) / 2))
    page.mouse.move(*middle(page, end))
    page.mouse.up()


def part(page) -> tuple[float, float]:
    """What Python was told."""
    line = page.get_by_text(re.compile(r"^part: \("))
    expect(line).to_be_visible(timeout=90_000)
    first, second = re.findall(r"[0-9.]+", line.inner_text())
    return float(first), float(second)


def runs(page) -> int:
    return int(page.get_by_text(re.compile("^runs: ")).inner_text().split()[1])


@pytest.mark.browser
def test_handles_are_dragged_with_the_mouse_and_python_gets_the_part_when_they_are_let_go(page):
    before = runs(page)
    page.mouse.move(*middle(page, 0.001))
    page.mouse.down()
    for share in (0.05, 0.1, 0.15, 0.2, 0.25):
        page.mouse.move(*middle(page, share))
    expect(page.locator(".summary")).to_contain_text("Part from 2.5")
    assert runs(page) == before
    page.mouse.up()
    first, second = part(page)
    assert (first, second) == (pytest.approx(2.5, abs=0.05), SECONDS)
    expect(page.get_by_text(f"runs: {before + 1}", exact=True)).to_be_visible()


@pytest.mark.browser
def test_a_part_is_drawn_over_the_picture_and_a_double_click_takes_it_back(page):
    drag(page, 0.6, 0.2)
    assert part(page) == (pytest.approx(2, abs=0.05), pytest.approx(6, abs=0.05))
    page.mouse.dblclick(*middle(page, 0.8))
    expect(page.get_by_text("part: None")).to_be_visible(timeout=90_000)
    expect(page.locator(".summary")).to_contain_text("Whole sound")


@pytest.mark.browser
def test_the_handles_are_sliders_that_the_keyboard_moves(page):
    start, end = handle(page, "Start"), handle(page, "End")
    start.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(start).to_have_attribute("aria-valuetext", "1.30 seconds")
    end.focus()
    page.keyboard.press("PageDown")
    page.keyboard.press("ArrowLeft")
    expect(end).to_have_attribute("aria-valuenow", "8.90")
    expect(page.get_by_text("part: (1.3, 8.9)")).to_be_visible(timeout=90_000)
    page.keyboard.press("Home")
    expect(end).to_have_attribute("aria-valuetext", "1.40 seconds")
    page.keyboard.press("Escape")
    expect(page.get_by_text("part: None")).to_be_visible(timeout=90_000)


@pytest.mark.browser
def test_a_finger_moves_a_handle(page):
    box = handle(page, "End").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)
    for kind, at in (("touchStart", x), ("touchMove", x - 60), ("touchMove", middle(page, 0.5)[0])):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": at, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert part(page) == (0, pytest.approx(5, abs=0.1))


def note_positions(audio, event: str) -> None:
    """From now on keep the positions at which that event happens, in `audio.positions`."""
    audio.evaluate(
        """(audio, event) => {
          audio.positions = []
          audio.addEventListener(event, () => audio.positions.push(audio.currentTime))
        }""",
        event,
    )


@pytest.mark.browser
def test_only_the_part_is_played(page):
    drag(page, 0.3, 0.35)
    part(page)
    audio = page.locator("audio").first.element_handle()
    note_positions(audio, "timeupdate")
    page.get_by_role("button", name="Play Ten tones").click()
    page.wait_for_function("audio => audio.positions.length > 2 && audio.paused", arg=audio)
    positions = [at for at in audio.evaluate("audio => audio.positions") if at > 0]
    assert min(positions) >= 2.9
    assert max(positions) < SECONDS / 2  # how soon the browser notices is its own affair
    assert audio.evaluate("audio => audio.currentTime") == pytest.approx(3, abs=0.06)


@pytest.mark.browser
@pytest.mark.parametrize(("start", "end"), [(0.3, 0.34), (0.96, 1.0)])
def test_the_loop_repeats_the_part_also_at_the_end_of_the_sound(page, start, end):
    drag(page, start, end)
    part(page)
    page.locator(".loop").first.click()
    audio = page.locator("audio").first.element_handle()
    note_positions(audio, "seeked")
    page.get_by_role("button", name="Play Ten tones").click()
    page.wait_for_function("audio => audio.positions.length > 3 && !audio.paused", arg=audio)
    assert audio.evaluate("audio => audio.positions")[:4] == pytest.approx(
        [start * SECONDS] * 4, abs=0.1
    )


@pytest.mark.browser
def test_a_part_from_python_is_where_the_handles_start_and_a_new_start_begins_anew(page):
    drag(page, 0.5, 0.9)
    assert part(page)[0] == pytest.approx(5, abs=0.05)
    page.get_by_text("Start with a part").click()
    expect(page.get_by_text("part: (2.0, 4.0)")).to_be_visible(timeout=90_000)
    expect(handle(page, "Start")).to_have_attribute("aria-valuenow", "2.00")
    page.get_by_role("button", name="Whole sound").click()
    expect(page.get_by_text("part: None")).to_be_visible(timeout=90_000)


@pytest.mark.browser
def test_a_player_without_selection_shows_nothing_of_it(page):
    page.get_by_text("Second player").click()
    plain = page.locator(".st-key-two")
    expect(plain.get_by_role("slider", name="Position in Plain")).to_be_visible()
    expect(plain.get_by_role("slider", name="of the part")).to_have_count(0)
    expect(plain.locator(".part")).to_be_hidden()
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        drag(page, 0.3, 0.7)
        part(page)
        page.screenshot(path=f"{folder}/player.png")
