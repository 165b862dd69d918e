"""A recording above fifteen seconds in a browser: its events are listed and play, in both modes."""

import re

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from core.audio.decode import decode
from core.pipeline.sources import FolderSource
from core.pipeline.tagging import tag_new_sounds
from core.storage.active_model import resolve_model
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import first_sound
from tests.helpers.desk_page import Desk

pytestmark = pytest.mark.browser
RATE = 44_100
SILENCE_S = 5
CLIPS = ("dog-barking", "alarm-clock", "car-horn", "dog-barking")
RANGE = re.compile(r"([0-9.:]+)( s)? ?– ?([0-9.:]+)( s)?$")


@pytest.fixture
def long_recording(own_workspace, predictor, examples, tmp_path):
    """Forty seconds: example sounds with silence between them, the newest of the workspace."""
    silence = np.zeros(SILENCE_S * RATE, np.float32)
    parts = [
        part
        for name in CLIPS
        for part in (decode(examples / f"{name}.ogg", rate=RATE).samples, silence)
    ]
    folder = tmp_path / "long"
    folder.mkdir()
    soundfile.write(folder / "long.wav", np.concatenate(parts)[: 40 * RATE], RATE)
    workspace = open_local_workspace(own_workspace)
    tag_new_sounds(FolderSource(folder), predictor, workspace, model=resolve_model(workspace).model)
    sound = first_sound(own_workspace)
    assert sound.sound.seconds > 30
    return sound


def part_of(text: str) -> tuple[float, float]:
    """From and to, in seconds, at the end of an event's text."""
    start, _, end, _ = RANGE.search(text).groups()
    return seconds(start), seconds(end)


def seconds(text: str) -> float:
    minutes, _, rest = text.rpartition(":")
    return 60 * float(minutes or 0) + float(rest)


def later_event(events):
    """The first event that does not begin with the recording, and when it begins."""
    expect(events.first).to_be_visible()
    for event in events.all():
        start, end = part_of(event.inner_text())
        assert start < end <= 40
        if start > 5:
            return event, start
    raise AssertionError("all events begin with the recording")


def expect_part_played(page, start: float) -> None:
    """Playing began where the event begins, and has stopped before the recording's end."""
    page.wait_for_function(
        """start => {
          const audio = window.earmarkPlaying?.audio, played = audio?.played
          return played?.length && Math.abs(played.start(played.length - 1) - start) < 0.15
            && audio.paused && audio.currentTime < audio.duration
        }""",
        arg=start,
    )


def test_a_press_on_an_event_plays_that_part_in_the_list(long_recording, page):
    card = page.locator("[class*='st-key-sound-']").first
    expect(card.locator(".title")).to_have_text(long_recording.sound.title)
    event, start = later_event(card.locator(".event"))
    event.click()
    expect_part_played(page, start)


def test_a_press_on_an_event_plays_that_part_in_review_mode(long_recording, chromium, server):
    desk = Desk(chromium, server.url)
    desk.expect_title(long_recording.sound.title)
    desk.find(".timed summary").click()
    event, start = later_event(desk.find(".event"))
    event.click()
    expect_part_played(desk.page, start)
    desk.press("+", "+")
    expect(desk.find(".range")).to_have_text(re.compile(" to "))
    picture = desk.find(".picture").element_handle()
    width = picture.evaluate("picture => picture.naturalWidth")
    assert width >= 700  # the whole picture is sharp
    desk.close()
