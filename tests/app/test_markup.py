"""Names of people, sounds and files may be anything: in a real browser all of it is text."""

import pytest
import requests
from playwright.sync_api import expect
from pydantic import SecretStr

from core.freesound.client import FreesoundClient
from core.freesound.rate_limit import Budget, Limits
from core.publishing.upload import Publisher
from core.storage.local import open_local_workspace
from tests.helpers.app_browser import choose
from tests.helpers.app_server import Server
from tests.helpers.publishing import ANALYSIS, Uploader, noise_wav, upload_form
from tests.servers.freesound.person import consent

pytestmark = pytest.mark.browser
ATTACK = (
    '<img src=x onerror="window.hacked=1"> **b** <b>:red[x] [a](https://evil.example) :smile: $x$'
)
NAME = "n " + ATTACK
COPYCAT = "copycat " + ATTACK
TITLE = "t " + ATTACK
FILE = "f <b>:red[x] [a](evil) **b**.ogg"
SHOWS_ALL = """texts => {
  const seen = document.body.innerText.replaceAll('\\u2060', '')
  return texts.every(text => seen.includes(text))
}"""
PAGE = {"Accept": "text/html", "Sec-Fetch-Dest": "document"}


@pytest.fixture
def credential(freesound_server):
    for name in (NAME, COPYCAT):
        freesound_server.state.add_user(name)
    return freesound_server.state.add_client(
        "earmark", get_limits=(10**6, 10**6), post_limits=(10**6, 10**6)
    )


@pytest.fixture
def server(own_workspace, freesound_server, credential, tmp_path):
    """The app with the double behind it; whoever has that name is a curator."""
    running = Server(own_workspace, start=False)
    credential.redirect_uri = f"{running.url}/auth/freesound/callback"
    running.configure(
        FREESOUND_API_KEY=credential.client_secret,
        EARMARK_FREESOUND_CLIENT_ID=credential.client_id,
        EARMARK_FREESOUND_API=f"{freesound_server.url}/apiv2",
        EARMARK_FREESOUND_REQUESTS_FILE=str(tmp_path / "requests.sqlite"),
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture
def published(own_workspace, freesound_server, credential, tmp_path):
    """A sound of that person, a refused one, and a file without description."""
    budget = Budget(tmp_path / "budget.sqlite", Limits(10**6, 10**6, 10**6, 10**6))
    client = FreesoundClient(
        SecretStr(credential.client_secret), budget, f"{freesound_server.url}/apiv2"
    )
    publisher = Publisher(
        own_workspace / "publications", client, open_local_workspace(own_workspace)
    )
    person = Uploader(freesound_server, credential, NAME)
    data, copied = noise_wav(), noise_wav()
    freesound_server.state.add_sound(COPYCAT, audio=copied)
    for content, title in ((data, TITLE), (copied, "Copied")):
        publish(publisher, person, content, title)
    freesound_server.state.users[NAME].pending_files[FILE] = b"x"


def publish(publisher, person, data, title):
    form = upload_form(data, name=title, description=ATTACK, pack=ATTACK)
    publisher.publish(person.person, person, form, data, ANALYSIS)


def sign_in(page, server):
    """The way to the double and back, in the name of the browser that shows `page`."""
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    login = requests.get(
        f"{server.url}/auth/freesound/login",
        headers=PAGE,
        cookies=cookies,
        allow_redirects=False,
        timeout=10,
    )
    done = requests.get(
        consent(login.headers["Location"], NAME),
        headers=PAGE,
        cookies=cookies,
        allow_redirects=False,
        timeout=10,
    )
    assert done.status_code == 303
    page.context.add_cookies(
        [
            {"name": cookie.name, "value": cookie.value or "", "url": server.url}
            for cookie in done.cookies
        ]
    )  # a browser gets a new id when somebody signs in


def reads(page, *texts):
    """Wait until the page shows each text letter for letter, and check that none became markup."""
    page.wait_for_function(SHOWS_ALL, arg=list(texts))
    for harm in (
        "a[href^='https://evil']",
        "a[href$='evil']",
        "img[src='x']",
        "[data-testid='stMarkdownContainer'] b",
    ):
        assert page.locator(harm).count() == 0, harm
    assert page.evaluate("window.hacked") is None


def test_names_titles_descriptions_and_files_are_text_on_every_page(
    page, server, published, examples
):
    sign_in(page, server)
    page.goto(server.url)
    card = page.locator("[class*='st-key-sound-']").first
    expect(card.locator(".title")).to_have_text(TITLE)
    choose(page, "History")
    reads(page, NAME, f"Reviewed by {NAME}")

    page.goto(f"{server.url}/uploads")
    page.get_by_role("heading", name="Also pending").wait_for()
    reads(page, NAME, TITLE, f"by {COPYCAT}", FILE)

    file = {"name": FILE, "mimeType": "audio/ogg", "buffer": (examples / "siren.ogg").read_bytes()}
    page.goto(f"{server.url}/try")
    page.locator("input[type=file]").first.set_input_files(file)
    page.get_by_role("heading", name="Publish on Freesound").wait_for()
    page.get_by_label("Description").fill(ATTACK)
    page.get_by_label("Name", exact=True).fill(TITLE)
    page.get_by_text("Sent to Freesound").click()
    reads(page, NAME, f"Publish as {NAME}", ATTACK, f"Sound. {FILE}")

    page.reload()
    page.get_by_role("heading", name="Publish on Freesound").wait_for()
    reads(page, f"Restored draft: {FILE}")

    page.goto(f"{server.url}/many")
    page.locator("input[type=file]").first.set_input_files(
        [file, {"name": "=" + FILE, "mimeType": "audio/ogg", "buffer": b"x"}]
    )
    page.get_by_text("Freesound would refuse this").wait_for()
    reads(page, NAME, "=" + FILE)

    page.goto(f"{server.url}/metrics")
    page.get_by_role("heading", name="Per-tag scores").wait_for()
    reads(page, NAME)
    assert page.watcher.foreign == []
    assert page.watcher.problems == []
