"""A busy server: visitors with expensive files, and one whose short clip does not wait for them."""

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from tests.helpers.app_browser import TIMEOUT_MS
from tests.helpers.app_server import Server
from tests.helpers.sound_files import long_vorbis_bomb

pytestmark = pytest.mark.browser
CHANNELS, RATE_HZ, SECONDS = 2, 8_000, 1190
MAX_SAMPLES, MAX_SECONDS = 20e6, 1200
BOMB_SECONDS = 590


@pytest.fixture(scope="module")
def expensive(tmp_path_factory) -> Path:
    """Twenty minutes of silence: near the limits of samples and of time, seconds of work."""
    assert 0.9 * MAX_SECONDS < SECONDS < MAX_SECONDS
    assert 0.9 * MAX_SAMPLES < CHANNELS * RATE_HZ * SECONDS < MAX_SAMPLES
    second, data = np.zeros((RATE_HZ, CHANNELS), np.int16), BytesIO()
    with soundfile.SoundFile(data, "w", RATE_HZ, CHANNELS, format="FLAC") as file:
        for _ in range(SECONDS):
            file.write(second)
    path = tmp_path_factory.mktemp("expensive") / "expensive.flac"
    path.write_bytes(data.getvalue())
    return path


@pytest.fixture
def bomb(tmp_path) -> Path:
    """Ten minutes of 64 channels at 192 kHz: hours of work, were it begun."""
    path = tmp_path / "bomb-590s.ogg"
    path.write_bytes(long_vorbis_bomb(BOMB_SECONDS))
    return path


@pytest.fixture
def busy_server(tmp_path):
    """A server with one core for the clips of visitors, one an hour for each, and no sounds yet."""
    server = Server(
        tmp_path / "workspace",
        EARMARK_MAX_ANALYSES="1",
        EARMARK_MAX_SECONDS=str(MAX_SECONDS),
        EARMARK_MAX_SAMPLES=str(MAX_SAMPLES / 1e6),
        EARMARK_PUBLIC_URL="https://earmark.example.org",
        EARMARK_VISITOR_UPLOADS_AN_HOUR="1",
    )
    yield server
    server.stop()


@pytest.fixture
def visitor(chromium, busy_server):
    """Open the try page in a browser of somebody's own."""
    contexts = []

    def visitor():
        contexts.append(chromium.new_context())
        page = contexts[-1].new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(f"{busy_server.url}/try")
        page.locator("input[type=file]").wait_for(state="attached")
        return page

    yield visitor
    for context in contexts:
        context.close()


def choose(page, path: Path) -> None:
    page.locator("input[type=file]").set_input_files(path)


def analysing(page):
    return page.get_by_text("Analysing ...")


def title(page):
    """Of the player, which is there when the clip is analysed."""
    return page.locator(".player .title")


def ends(log: str) -> list[str]:
    """How clips ended, in order: their length, or that they were given up."""
    lines = re.findall(r"analyse (?:stopped|sound=\S+ length_s=\S+)", log)
    return [line.split()[-1] for line in lines]


def test_a_short_clip_does_not_wait_for_expensive_ones_and_a_page_that_is_closed_frees_its_share(
    visitor, busy_server, expensive, bomb, examples
):
    leaving, staying, *bombers, third = (visitor() for _ in range(5))
    for page in (leaving, staying):
        choose(page, expensive)
    for page in (leaving, staying):
        expect(analysing(page)).to_be_visible()
    for page in bombers:
        choose(page, bomb)
    choose(third, examples / "rain-on-leaves.ogg")

    expect(third.locator(".chip b").first).to_be_visible()
    assert analysing(leaving).is_visible()
    assert analysing(staying).is_visible()
    for page in bombers:
        expect(page.get_by_text("has too many samples (64 channels at 192,000 Hz)")).to_be_visible()
        expect(analysing(page)).to_have_count(0)
    leaving.context.close()
    expect(title(staying)).to_have_text("expensive.flac")
    expect(analysing(staying)).to_have_count(0)
    assert ends(busy_server.stop()) == ["length_s=6.00", "stopped", f"length_s={SECONDS}.00"]


def test_a_clip_that_was_left_for_another_begins_anew_and_is_not_counted_twice(
    visitor, busy_server, expensive
):
    page = visitor()
    choose(page, expensive)
    expect(analysing(page)).to_be_visible()
    example = page.locator(".st-key-example").get_by_text("Rain on leaves")
    example.click()
    expect(page.get_by_text("Visitors can try 1 clip an hour")).to_be_visible()
    example.click()
    expect(title(page)).to_have_text("expensive.flac")
    assert ends(busy_server.stop()) == ["stopped", f"length_s={SECONDS}.00"]
