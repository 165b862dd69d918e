"""Fifty cards cost little: components are files that are fetched once for all of them."""

import hashlib

import pytest

from core.events.types import new_event
from core.storage.local import open_local_workspace
from tests.helpers.app_browser import TIMEOUT_MS, Watcher
from tests.helpers.app_pages import sounds
from tests.helpers.app_server import Server

pytestmark = pytest.mark.browser
CARDS = 50
MAX_BYTES = 300_000


@pytest.fixture
def fifty(own_workspace):
    """A server with fifty sounds on a page, each with its levels over time."""
    workspace = open_local_workspace(own_workspace)
    examples = sounds(own_workspace, 16)
    for number in range(CARDS - len(examples)):
        example = examples[number % len(examples)]
        sound_id = f"file:{hashlib.sha256(str(number).encode()).hexdigest()}"
        arrays = workspace.sidecars.get(example.sound_id, example.model)
        workspace.sidecars.put(sound_id, example.model, arrays)
        workspace.events.append([new_event(example.prediction.payload, sound_id, "job")])
    running = Server(own_workspace, EARMARK_PAGE_SIZE=str(CARDS))
    yield running
    running.stop()


def test_fifty_cards_are_under_300_kb_of_websocket_and_each_file_is_fetched_once(chromium, fifty):
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    watcher, received, fetched = Watcher(page), [], []
    page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))),
    )
    page.on("request", lambda request: "/assets/" in request.url and fetched.append(request.url))
    page.goto(fifty.url)
    page.locator(".player .title").nth(CARDS - 1).wait_for(state="attached")
    page.locator(".editor .chip").nth(CARDS - 1).wait_for(state="attached")
    context.close()
    assert 0 < sum(received) < MAX_BYTES
    assert len(fetched) == len(set(fetched)) > 5
    assert watcher.problems == []
