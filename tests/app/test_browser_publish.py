"""The whole path in a real browser: upload or record, sign in, publish, see it in the monitor."""

import re

import pytest
from playwright.sync_api import expect

from core.events.fold import fold
from core.storage.local import open_local_workspace
from tests.helpers.app_browser import sign_in_at_freesound
from tests.helpers.app_server import Server
from tests.servers.demo import freesound_settings

pytestmark = pytest.mark.browser
NAME = '<img src=x onerror="document.title=1"> **Rain** :red[x] [a](https://evil.example)'


@pytest.fixture
def server(own_workspace, freesound_server, tmp_path):
    """The app with Freesound's double behind it, which processes uploads at once."""
    freesound_server.auto_process = True
    running = Server(own_workspace, start=False)
    client = freesound_server.state.add_client(
        "earmark", redirect_uri=f"{running.url}/auth/freesound/callback"
    )
    running.configure(
        **freesound_settings(freesound_server, client),
        EARMARK_FREESOUND_REQUESTS_FILE=str(tmp_path / "requests.sqlite"),
    )
    running.start()
    yield running
    running.stop()


def fill_in(page):
    page.get_by_label("Name", exact=True).fill(NAME)
    page.get_by_label("Description").fill("Rain, from <b>inside</b>.\nTwo lines.")
    page.get_by_text("Attribution (CC BY 4.0)", exact=True).click()
    entry = page.locator("input[placeholder='Search or type a tag']")
    entry.fill("Field Recording")
    entry.press("Enter")
    expect(page.locator("code", has_text="field-recording")).to_be_visible()


def test_from_a_visit_to_a_sound_in_the_monitor(
    page, server, examples, freesound_server, own_workspace
):
    page.goto(f"{server.url}/try")
    data = (examples / "rain-on-leaves.ogg").read_bytes()
    page.locator("input[type=file]").first.set_input_files(
        {"name": "rain.ogg", "mimeType": "audio/ogg", "buffer": data}
    )
    page.get_by_role("heading", name="Publish on Freesound").wait_for()
    fill_in(page)
    expect(page.get_by_role("button", name="Publish as")).to_have_count(0)
    page.get_by_role("button", name="Sign in with Freesound to publish").click()
    sign_in_at_freesound(page)

    page.get_by_role("heading", name="Publish on Freesound").wait_for()
    assert page.url == f"{server.url}/try"
    expect(page.get_by_label("Name", exact=True)).to_have_value(NAME)
    expect(page.get_by_label("Description")).to_have_value("Rain, from <b>inside</b>.\nTwo lines.")
    expect(page.locator(".chip b").last).to_have_text("field-recording")
    shown = page.locator("code", has_text="field-recording").inner_text().split()
    page.get_by_role("button", name="Publish as alice").click()
    page.get_by_text("Published as sound").wait_for()

    (stored,) = freesound_server.state.sounds.values()
    assert (stored.audio, stored.name, sorted(stored.tags)) == (data, NAME, sorted(shown))
    assert stored.description.startswith(
        "Rain, from <b>inside</b>.\nTwo lines.\n\nMachine-assisted tags:"
    )
    events = open_local_workspace(own_workspace).events.of_sound(f"freesound:{stored.id}")
    assert [event.kind for event in events] == ["predicted", "published"]
    assert sorted(fold(events).tags) == sorted(shown)

    page.get_by_role("link", name="Show in Monitor").click()
    card = page.locator("[class*='st-key-sound-']").first
    expect(card.get_by_text(NAME)).to_be_visible()
    expect(card.locator(".chip b")).to_have_text(list(fold(events).tags))
    page.goto(f"{server.url}/uploads")
    expect(page.get_by_text("waiting for moderation")).to_be_visible()
    assert page.title() != "1"
    state = freesound_server.state
    secrets = [token.access for token in state.tokens]
    secrets += [client.client_secret for client in state.clients.values()]
    visible = page.content() + str(page.context.cookies()) + page.url
    assert not [secret for secret in secrets if secret in visible]
    assert page.watcher.problems == []


def test_a_recording_can_be_published_and_a_part_of_it_is_enough(page, server, freesound_server):
    page.goto(f"{server.url}/try")
    page.get_by_role("button", name="Sign in with Freesound").click()
    sign_in_at_freesound(page)
    page.get_by_role("button", name="Sign out").wait_for()
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.get_by_text("00:02")).to_be_visible()
    page.get_by_role("button", name="Stop recording").click()
    page.get_by_role("heading", name="Publish on Freesound").wait_for()
    page.get_by_role("slider", name="Start").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_text("will be published")).to_be_visible()
    fill_in(page)
    entry = page.locator("input[placeholder='Search or type a tag']")
    entry.fill("beep, test, machine")
    entry.press("Enter")
    category = page.get_by_role("combobox", name="Category")
    category.fill("Electronic / Design")
    category.press("Enter")
    page.get_by_role("button", name="Publish as alice").click()
    page.get_by_text("Published as sound").wait_for()
    (stored,) = freesound_server.state.sounds.values()
    assert (stored.samplerate, stored.channels, stored.type) == (48_000, 1, "wav")


def test_who_declines_finds_the_draft_again(page, server, examples, freesound_server):
    page.goto(f"{server.url}/try")
    page.locator("input[type=file]").first.set_input_files(examples / "siren.ogg")
    page.get_by_role("heading", name="Publish on Freesound").wait_for()
    fill_in(page)
    page.get_by_role("button", name="Sign in with Freesound to publish").click()
    sign_in_at_freesound(page, agree=False)
    page.locator(
        "[name=deny], button:not([name=allow]), input[type=submit]:not([name=allow])"
    ).first.click()
    expect(page.get_by_text("was not given access")).to_be_visible()
    page.get_by_role("link", name="Back to Earmark").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value(NAME)
    expect(page.get_by_role("button", name="Sign in with Freesound to publish")).to_be_visible()
    assert freesound_server.state.sounds == {}


def open_clip(page, server, examples, name="rain-on-leaves.ogg"):
    """Sign in, upload an example as one's own file, and fill in what Freesound needs."""
    page.goto(f"{server.url}/try")
    page.get_by_role("button", name="Sign in with Freesound").click()
    sign_in_at_freesound(page)
    page.get_by_role("button", name="Sign out").wait_for()
    page.locator("input[type=file]").first.set_input_files(examples / name)
    page.get_by_role("heading", name="Publish on Freesound").wait_for()
    fill_in(page)


def test_neither_a_half_made_sound_nor_an_older_one_is_announced_as_published(
    page, server, examples, freesound_server, own_workspace
):
    freesound_server.stop_upload_after = "geotag"
    open_clip(page, server, examples)
    page.get_by_role("button", name="Publish as alice").click()
    expect(page.get_by_text("description, tags and category are missing")).to_be_visible()
    (row,) = freesound_server.state.sounds.values()
    edit = page.get_by_role("link", name=f"Edit sound {row.id}")
    expect(edit).to_have_attribute("href", re.compile(rf"/people/alice/sounds/{row.id}/edit/$"))

    row.description, row.tags, row.name = "Long ago.", ["field-recording", "rain", "leaf"], "Older"
    page.get_by_role("button", name="Publish as alice").click()
    expect(page.get_by_text(f"as your sound {row.id}")).to_be_visible()
    expect(page.get_by_text("Published as sound")).to_have_count(0)
    expect(page.get_by_label("Name", exact=True)).to_have_value(NAME)
    events = open_local_workspace(own_workspace).events.of_sound(f"freesound:{row.id}")
    assert events == []
    assert page.watcher.problems == []


def test_the_form_has_what_freesounds_own_form_has(page, server, examples, freesound_server):
    open_clip(page, server, examples)
    page.get_by_label("Name", exact=True).fill("Rain")
    page.get_by_text("Pack, place, sources, explicit (optional)").click()
    page.get_by_role("textbox", name="Find a town").fill("Münch")
    page.get_by_role("textbox", name="Find a town").press("Enter")
    page.get_by_role("radio", name="Munich, Germany").click()
    expect(page.get_by_role("textbox", name="Place")).to_have_value("48.1374, 11.5755, 14")
    expect(page.get_by_text("latitude 48.1374, longitude 11.5755, zoom 14").first).to_be_visible()
    expect(page.get_by_role("link", name="Show on OpenStreetMap")).to_be_visible()
    page.get_by_role("textbox", name="Sources").fill("1234")
    page.get_by_text("Explicit content", exact=True).click()
    expect(page.get_by_text("Freesound’s API cannot set this").first).to_be_visible()
    expect(page.get_by_text("The name has 4 characters")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("Rain!")
    page.get_by_label("Name", exact=True).press("Enter")
    page.get_by_role("button", name="Publish as alice").click()
    expect(page.get_by_text("mark it as explicit and name its sources")).to_be_visible()
    (stored,) = freesound_server.state.sounds.values()
    assert (stored.geotag, stored.name) == ("48.1374 11.5755", "Rain!")
    assert "https://freesound.org/s/1234/" in stored.description
    assert page.watcher.problems == []
