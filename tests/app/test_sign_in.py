"""The routes to Freesound and back, on the real server, in a browser without JavaScript."""

import socket
import subprocess
import sys

import pytest
import requests

from tests.helpers.app_server import ROOT, Server
from tests.servers.freesound.person import consent, parameters

PAGE = {"Accept": "text/html", "Sec-Fetch-Dest": "document"}


@pytest.fixture
def server(own_workspace, freesound_server):
    """The app with Freesound's double behind it."""
    running = Server(own_workspace, FREESOUND_API_KEY="x", start=False)
    client = freesound_server.state.add_client(
        "earmark", redirect_uri=f"{running.url}/auth/freesound/callback"
    )
    running.configure(
        FREESOUND_API_KEY=client.client_secret,
        EARMARK_FREESOUND_CLIENT_ID=client.client_id,
        EARMARK_FREESOUND_API=f"{freesound_server.url}/apiv2",
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture
def browser(server):
    with visitor(server) as session:
        yield session


def visitor(server) -> requests.Session:
    """A browser that has opened the app."""
    session = requests.Session()
    session.headers.update(PAGE)
    assert session.get(server.url, timeout=10).ok
    return session


def begin(browser, server, to: str = "/try") -> str:
    answer = browser.get(
        f"{server.url}/auth/freesound/login", params={"to": to}, allow_redirects=False, timeout=10
    )
    assert answer.status_code == 303
    return answer.headers["Location"]


def follow(browser, url: str) -> requests.Response:
    return browser.get(url, allow_redirects=False, timeout=10)


def test_each_browser_gets_its_own_cookie_that_scripts_and_other_sites_cannot_use(server):
    first, second = visitor(server), visitor(server)
    ids = [visit.cookies["earmark-browser"] for visit in (first, second)]
    assert ids[0] != ids[1]
    header = first.get(server.url, timeout=10).headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in header.split(";")}
    assert first.cookies["earmark-browser"] == ids[0]


def test_a_page_that_has_not_changed_renews_the_cookie_too(server):
    """A 304 has no content type; the cookie must come with it all the same."""
    tag = requests.get(server.url, headers=PAGE, timeout=10).headers["ETag"]
    answer = requests.get(server.url, headers=PAGE | {"If-None-Match": tag}, timeout=10)
    assert answer.status_code == 304
    assert "earmark-browser=" in answer.headers["Set-Cookie"]


def test_media_and_scripts_set_no_cookie(server):
    answer = requests.get(f"{server.url}/_stcore/health", headers={"Accept": "*/*"}, timeout=10)
    assert "earmark-browser" not in answer.headers.get("Set-Cookie", "")


def test_a_made_up_cookie_is_replaced(server):
    answer = requests.get(
        server.url, headers=PAGE, cookies={"earmark-browser": "short"}, timeout=10
    )
    assert "earmark-browser=" in answer.headers["Set-Cookie"]
    assert "=short" not in answer.headers["Set-Cookie"]


def test_the_way_there_and_back(browser, server):
    url = begin(browser, server)
    assert {"client_id", "state", "code_challenge", "redirect_uri", "response_type"} <= parameters(
        url
    ).keys()
    landed = follow(browser, consent(url, "alice"))
    assert (landed.status_code, landed.headers["Location"], landed.headers["Cache-Control"]) == (
        303,
        "/try",
        "no-store",
    )


def test_without_a_cookie_the_login_says_what_is_missing(server):
    answer = requests.get(f"{server.url}/auth/freesound/login", headers=PAGE, timeout=10)
    assert (answer.status_code, "Cookies are needed" in answer.text) == (400, True)


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/try\r\nX: 1",
        "javascript:alert(1)",
        "",
    ],
)
def test_the_way_back_leads_to_our_own_pages_only(browser, server, to):
    landed = follow(browser, consent(begin(browser, server, to), "alice"))
    assert landed.headers["Location"] == "/"


def test_who_declines_gets_a_clear_page(browser, server):
    landed = follow(browser, consent(begin(browser, server), "alice", agree=False))
    assert (
        landed.status_code,
        "was not given access" in landed.text,
        'href="/try"' in landed.text,
    ) == (
        400,
        True,
        True,
    )


def test_a_callback_in_another_browser_is_refused_and_then_dead_for_its_owner_too(browser, server):
    url = consent(begin(browser, server), "bob")
    foreign = follow(visitor(server), url)
    assert (foreign.status_code, "not begun in this browser" in foreign.text) == (400, True)
    assert follow(browser, url).status_code == 400


def test_a_replayed_callback_is_refused(browser, server):
    url = consent(begin(browser, server), "alice")
    assert follow(browser, url).status_code == 303
    assert follow(browser, url).status_code == 400


def test_a_callback_without_cookie_or_state_is_refused(browser, server):
    url = consent(begin(browser, server), "alice")
    assert requests.get(url, headers=PAGE, allow_redirects=False, timeout=10).status_code == 400
    assert follow(browser, f"{server.url}/auth/freesound/callback?code=abc").status_code == 400


def test_a_code_that_has_run_out_gets_a_clear_page(browser, server, freesound_server):
    url = consent(begin(browser, server), "alice")
    freesound_server.advance(700)
    landed = follow(browser, url)
    assert (landed.status_code, "please sign in again" in landed.text) == (400, True)


def test_freesound_in_trouble_gets_a_clear_page(browser, server, freesound_server):
    url = consent(begin(browser, server), "alice")
    freesound_server.fail("oauth2/access_token", status=500)
    landed = follow(browser, url)
    assert (landed.status_code, "Freesound has trouble" in landed.text) == (400, True)


def test_markup_in_a_callback_is_text(browser, server):
    answer = follow(
        browser,
        f"{server.url}/auth/freesound/callback?state=<script>alert(1)</script>&error=<b>&error_description=<i>",
    )
    assert "<script>alert" not in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_nothing_secret_is_in_the_servers_output(browser, server, freesound_server):
    url = consent(begin(browser, server), "alice")
    follow(browser, url)
    freesound_server.fail("oauth2/access_token", status=500)
    follow(browser, consent(begin(browser, server), "alice"))
    output = server.stop()
    state = freesound_server.state
    clients = [client.client_secret for client in state.clients.values()]
    tokens = [token.access for token in state.tokens]
    secrets = [parameters(url)["code"], *clients, *tokens]
    assert len(secrets) >= 3
    assert not [secret for secret in secrets if secret in output]
    assert "server start workspace=" in output
    assert "sign-in user=" in output
    server.start()


def test_signing_in_works_below_a_base_path(server, freesound_server):
    """A proxy may forward only what lies below a path to the app."""
    server.stop()
    (client,) = freesound_server.state.clients.values()
    client.redirect_uri = f"{server.url}/earmark/auth/freesound/callback"
    server.configure(STREAMLIT_SERVER_BASE_URL_PATH="earmark")
    server.start()
    session = requests.Session()
    session.headers.update(PAGE)
    assert session.get(f"{server.url}/earmark/", timeout=10).ok
    login = follow(session, f"{server.url}/earmark/auth/freesound/login?to=/try")
    landed = follow(session, consent(login.headers["Location"], "alice"))
    assert (landed.status_code, landed.headers["Location"]) == (303, "/earmark/try")


def test_uvicorn_on_every_address_is_read_only(own_workspace):
    """The configuration says localhost, but requests arrive at an address that others can reach."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = probe.getsockname()[0]
    code = (
        "import asyncio; from app import browser\n"
        "async def app(scope, receive, send): pass\n"
        f"scope = {{'type': 'http', 'server': ('{address}', 80), 'headers': []}}\n"
        "asyncio.run(browser.BrowserIds(app)(scope, None, None)); print(browser.exposed().is_set())"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        == "True"
    )
