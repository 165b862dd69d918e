"""A sound whose files are gone says so, in the list and in review mode; the rest of it works."""

import pytest
from playwright.sync_api import expect

from core.storage.local import open_local_workspace
from tests.helpers.app_browser import TIMEOUT_MS
from tests.helpers.app_pages import first_sound, shown
from tests.helpers.events import predicted

GONE = "The audio file of this sound is missing in the workspace."
NO_PICTURE = "The spectrogram of this sound is missing."


def test_a_card_says_that_its_audio_is_gone_or_was_never_there(app, own_workspace):
    workspace = open_local_workspace(own_workspace)
    workspace.media.path(first_sound(own_workspace).media.audio).unlink()
    workspace.events.append([predicted(5, title="imported")])
    app.run()
    assert not app.exception
    assert shown(app).count(GONE) == 1
    assert "it was imported without them" in shown(app)


@pytest.mark.browser
def test_a_spectrogram_that_is_gone_is_a_sentence(chromium, server, own_workspace):
    first = first_sound(own_workspace)
    open_local_workspace(own_workspace).media.path(first.media.spectrogram).unlink()
    context = chromium.new_context()  # with nothing in its cache
    visitor = context.new_page()
    visitor.set_default_timeout(TIMEOUT_MS)
    visitor.goto(server.url)
    player = visitor.locator(".player", has_text=first.sound.title).first
    expect(player.get_by_role("alert")).to_have_text(NO_PICTURE)
    visitor.goto(f"{server.url}/?mode=review")
    expect(visitor.get_by_text(NO_PICTURE)).to_be_visible()
    context.close()
