"""The app below a path, under its content policy, in a browser; and in another site's frame."""

import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from tests.helpers.app_browser import TIMEOUT_MS, sign_in_at_freesound
from tests.helpers.app_server import Server, free_port
from tests.servers.demo import add_demo_data, freesound_settings
from tests.servers.freesound import FreesoundServer

pytestmark = pytest.mark.browser

PATH = "/sub/path"
PAGES = ("/", "/many", "/uploads", "/metrics")
NOTE_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", event =>
    console.error(`policy ${event.violatedDirective} ${event.blockedURI}`))
"""


@pytest.fixture(scope="module")
def other_site():
    """The port of another site, whose page shows the app in a frame."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(site.content.encode())

        def log_message(self, format, *args):
            pass

    site = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
    site.content = ""
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield site
    site.shutdown()
    site.server_close()


@pytest.fixture(scope="module")
def server(tagged, tmp_path_factory, other_site):
    """The app below a path, with Freesound's double behind it."""
    folder = tmp_path_factory.mktemp("served") / "workspace"
    shutil.copytree(tagged, folder)
    with FreesoundServer() as freesound:
        server = Server(folder, start=False)
        client = add_demo_data(freesound, f"{server.url}{PATH}/auth/freesound/callback")
        server.configure(
            **freesound_settings(freesound, client),
            STREAMLIT_SERVER_BASE_URL_PATH=PATH.strip("/"),
            EARMARK_FRAME_ANCESTORS=f"http://127.0.0.1:{other_site.server_port}",
        )
        server.start()
        server.url += PATH
        other_site.content = f'<iframe src="{server.url}/try" width=1200 height=900></iframe>'
        yield server
        server.stop()


@pytest.fixture
def new_page(chromium):
    """Open a browser of its own."""
    contexts = []

    def new_page():
        contexts.append(chromium.new_context(viewport={"width": 1300, "height": 900}))
        page = contexts[-1].new_page()
        page.set_default_timeout(TIMEOUT_MS)
        return page

    yield new_page
    for context in contexts:
        context.close()


def open_page(page, address: str) -> None:
    page.goto(address)
    page.locator("h1").first.wait_for()
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)


def cookies(page) -> dict[str, str]:
    return {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}


def test_every_page_keeps_its_path_and_its_policy_and_a_sign_in_gives_a_new_id(
    new_page, server, examples
):
    page = new_page()
    origin = server.url.removesuffix(PATH)
    strayed, violations = [], []
    page.add_init_script(NOTE_VIOLATIONS)
    page.on("console", lambda line: "policy" in line.text and violations.append(line.text))
    page.on("request", lambda request: strayed.append(request.url))
    page.on("websocket", lambda socket: strayed.append(socket.url.replace("ws:", "http:")))

    open_page(page, f"{server.url}/try".replace("localhost", "127.0.0.1"))
    assert page.url == f"{server.url}/try"
    page.locator("input[type=file]").first.set_input_files(examples / "siren.ogg")
    expect(page.locator(".player .title")).to_have_text("siren.ogg")
    planted = cookies(page)["earmark-browser-sub-path"]
    page.locator(".st-key-sign-in button").click()
    sign_in_at_freesound(page)
    expect(page.locator(".player .title")).to_have_text("siren.ogg")  # the draft has followed
    expect(page.locator(".st-key-signed-in")).to_contain_text("alice")
    own = cookies(page)["earmark-browser-sub-path"]
    assert own != planted

    second = new_page()
    second.context.add_cookies(
        [{"name": "earmark-browser-sub-path", "value": planted, "url": f"{server.url}/"}]
    )
    open_page(second, f"{server.url}/try")
    expect(second.locator(".st-key-sign-in button")).to_be_visible()
    expect(second.locator(".player .title")).to_have_count(0)

    for path in PAGES:
        open_page(page, server.url + path)
    page.locator(".st-key-sign-out button").click()
    page.locator(".st-key-sign-in button").click()
    page.locator("[name=allow]").wait_for()  # Freesound asks, although it knows her still
    assert cookies(page)["earmark-browser-sub-path"] not in (own, planted)
    assert violations == []
    own_requests = [url for url in strayed if url.startswith(origin)]
    assert [url for url in own_requests if not url.startswith(server.url)] == []


def test_in_a_frame_without_cookies_the_page_says_so_and_opens_in_a_tab_of_its_own(
    new_page, server, other_site
):
    page = new_page()
    page.goto(f"http://127.0.0.1:{other_site.server_port}/")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_text("keeps no cookies for Earmark here")).to_be_visible()
    expect(frame.locator("input[type=file]").first).to_be_disabled()
    with page.context.expect_page() as opened:
        frame.get_by_role("link", name="Open in a tab of its own").click()
    tab = opened.value
    tab.locator("h1").first.wait_for()
    assert tab.url == f"{server.url}/try"
    expect(tab.locator("input[type=file]").first).to_be_enabled()
    expect(tab.get_by_text("keeps no cookies for Earmark here")).to_have_count(0)
