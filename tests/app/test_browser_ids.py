"""The browser's id through sign-in, sign-out and a change of roles, by the server's own routes."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from streamlit import config

from app import browser as browser_ids
from app import services
from app.browser import BrowserIds
from app.drafts import Draft
from app.request_checks import RequestChecks
from app.routes import ROUTES
from app.security_headers import SecurityHeaders
from tests.servers.freesound.person import consent, parameters

PAGE = {"Accept": "text/html", "Sec-Fetch-Dest": "document"}
ADDRESS = "http://localhost:8501"
COOKIE = "earmark-browser"


async def page(request):
    return HTMLResponse("<h1>A page</h1>")


PAGES = [Route(path, page) for path in ("/", "/try", "/sub/path/try")]
MIDDLEWARE = [Middleware(SecurityHeaders), Middleware(RequestChecks), Middleware(BrowserIds)]


@pytest.fixture
def double(freesound_server, configure, tmp_path):
    """Freesound's double, behind a server with a workspace of its own."""
    client = freesound_server.state.add_client(
        "earmark", redirect_uri=f"{ADDRESS}/auth/freesound/callback"
    )
    configure(
        EARMARK_WORKSPACE=str(tmp_path / "workspace"),
        FREESOUND_API_KEY=client.client_secret,
        EARMARK_FREESOUND_CLIENT_ID=client.client_id,
        EARMARK_FREESOUND_API=f"{freesound_server.url}/apiv2",
    )
    return freesound_server


@pytest.fixture
def base_path():
    config.set_option("server.baseUrlPath", "sub/path")
    yield "/sub/path"
    config.set_option("server.baseUrlPath", "")


def new_browser(address: str = ADDRESS, known_id: str = "") -> TestClient:
    """A browser with the id that somebody planted there, or that it knows from before."""
    app = Starlette(routes=[*PAGES, *ROUTES], middleware=MIDDLEWARE)
    browser = TestClient(app, address, headers=PAGE, follow_redirects=False)
    if known_id:
        browser.cookies.set(COOKIE, known_id, domain="localhost.local")
    return browser


def sign_in(browser: TestClient, name: str = "alice", **parameters: str) -> str:
    """Sign in at Freesound; returns the browser's id afterwards."""
    login = browser.get("/auth/freesound/login", params={"to": "/try"} | parameters)
    assert browser.get(consent(login.headers["location"], name)).status_code == 303
    return browser.cookies[COOKIE]


def person(browser_id: str) -> str | None:
    signed_in = services.sign_ins().person(browser_id)
    return signed_in.name if signed_in else None


@pytest.mark.usefixtures("double")
def test_a_second_browser_that_knew_the_id_before_is_not_signed_in():
    victim = new_browser()
    victim.get("/try")
    planted = victim.cookies[COOKIE]
    own = sign_in(victim)
    assert own != planted
    assert (person(own), person(planted)) == ("alice", None)
    attacker = new_browser(known_id=planted)
    assert COOKIE not in attacker.get("/try").headers.get("set-cookie", "")
    login = attacker.get("/auth/freesound/login", params={"to": "/try"})
    assert attacker.cookies[COOKIE] not in (own, planted)
    assert attacker.get(consent(login.headers["location"], "bob")).status_code == 303
    assert person(own) == "alice"


@pytest.mark.usefixtures("double")
def test_an_id_that_was_exchanged_is_replaced_once_no_request_can_be_on_its_way(monkeypatch):
    browser = new_browser()
    browser.get("/try")
    former = browser.cookies[COOKIE]
    own = sign_in(browser)
    late = new_browser(known_id=former)
    assert "set-cookie" not in late.get("/try").headers  # it would take the place of the new one
    monkeypatch.setattr(browser_ids, "GRACE_S", 0.0)
    late.get("/try")
    assert late.cookies[COOKIE] not in (former, own)


@pytest.mark.usefixtures("double")
def test_after_a_sign_out_the_id_is_dead_for_everybody_who_knows_it():
    browser = new_browser()
    browser.get("/try")
    own = sign_in(browser)
    second = new_browser(known_id=own)
    services.sign_ins().retire(own)
    for each in (browser, second):
        each.get("/try")
        assert each.cookies[COOKIE] != own
        assert person(each.cookies[COOKIE]) is None
    assert browser.cookies[COOKIE] != second.cookies[COOKIE]


def test_after_a_sign_out_freesound_asks_before_it_gives_the_same_account(double):
    browser = new_browser()
    browser.get("/try")
    login = browser.get("/auth/freesound/login?to=/try").headers["location"]
    assert "approval_prompt" not in parameters(login)
    own = sign_in(browser)
    services.sign_ins().retire(own)
    again = browser.get("/auth/freesound/login?to=/try").headers["location"]  # without any page
    assert parameters(again)["approval_prompt"] == "force"
    browser.get("/try")
    later = browser.get("/auth/freesound/login?to=/try").headers["location"]
    assert parameters(later)["approval_prompt"] == "force"
    other = browser.get("/auth/freesound/login?to=/try&account=other").headers["location"]
    assert other.startswith(f"{double.url}/apiv2/oauth2/logout_and_authorize/?")
    assert browser.get(consent(later, "alice")).status_code == 303
    after = browser.get("/auth/freesound/login?to=/try").headers["location"]
    assert "approval_prompt" not in parameters(after)


def test_a_change_of_roles_gives_a_new_id_to_which_the_draft_follows(double, configure):
    browser = new_browser()
    browser.get("/try")
    own = sign_in(browser)
    alice = double.state.users["alice"].id
    services.drafts().save(own, draft := Draft("Rain", b"the sound", {}, alice))
    browser.get("/try")
    assert browser.cookies[COOKIE] == own
    configure(EARMARK_CURATORS=str(alice))
    browser.get("/try")
    following = browser.cookies[COOKIE]
    assert following != own
    assert (person(following), person(own)) == ("alice", None)
    assert services.drafts().load(following, alice) == draft
    assert services.drafts().load(own, alice) is None
    configure(EARMARK_CURATORS="")
    browser.get("/try")
    assert browser.cookies[COOKIE] != following


@pytest.mark.usefixtures("double")
def test_a_draft_follows_its_person_through_a_sign_in_and_nobody_elses_does(double):
    browser = new_browser()
    browser.get("/try")
    former = browser.cookies[COOKIE]
    services.drafts().save(former, Draft("Rain", b"the sound", {}))
    own = sign_in(browser)
    alice, bob = (double.state.users[name].id for name in ("alice", "bob"))
    assert services.drafts().load(own, alice).name == "Rain"
    assert services.drafts().load(former, None) is None
    his = sign_in(browser, "bob", account="other")
    assert (person(his), person(own)) == ("bob", None)
    assert services.drafts().load(his, bob) is None
    assert services.drafts().load(own, alice) is None


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_another_name_of_this_machine_leads_to_the_registered_host_first(host):
    """Freesound sends people back to localhost, where this browser would have no cookie."""
    browser = new_browser(f"http://{host}:8501")
    answer = browser.get("/try?sound=1")
    assert (answer.status_code, answer.headers["location"]) == (307, f"{ADDRESS}/try?sound=1")
    login = browser.get("/auth/freesound/login?to=/try")
    there = login.headers["location"]
    assert there.startswith(f"{ADDRESS}/auth/freesound/login?to=")
    arrived = new_browser()
    to_freesound = arrived.get(there)
    assert arrived.get(consent(to_freesound.headers["location"], "alice")).status_code == 303
    assert person(arrived.cookies[COOKIE]) == "alice"


def test_with_a_public_address_a_sign_in_begins_there(double, configure):
    configure(EARMARK_PUBLIC_URL="https://earmark.example.org")
    answer = new_browser().get("/auth/freesound/login?to=/try")
    there = "https://earmark.example.org/auth/freesound/login?to="
    assert answer.headers["location"].startswith(there)
    assert new_browser().get("/try").status_code == 200


def test_below_a_base_path_cookies_and_callback_keep_it(double, configure, base_path):
    browser = new_browser()
    cookie = browser.get(f"{base_path}/try").headers["set-cookie"]
    assert "; Path=/sub/path; " in cookie
    assert cookie.startswith("earmark-browser-sub-path=")
    login = browser.get(f"{base_path}/auth/freesound/login?to=/try")
    callback = parameters(login.headers["location"])["redirect_uri"]
    assert callback == f"{ADDRESS}{base_path}/auth/freesound/callback"
    public = "https://earmark.example.org"
    for url in (public, f"{public}{base_path}"):
        configure(EARMARK_PUBLIC_URL=url)
        browser = new_browser(public)
        cookie = browser.get(f"{base_path}/try").headers["set-cookie"]
        assert cookie.startswith("__Secure-earmark-sub-path=")
        assert cookie.endswith("; Path=/sub/path; Max-Age=86400; HttpOnly; SameSite=Lax; Secure")
        login = browser.get(f"{base_path}/auth/freesound/login?to=/try")
        callback = parameters(login.headers["location"])["redirect_uri"]
        assert callback == f"{public}{base_path}/auth/freesound/callback"


def test_over_https_cookies_are_this_hosts_own_and_frames_keep_them_apart(configure):
    public = "https://earmark.example.org"
    configure(EARMARK_PUBLIC_URL=public)
    cookie = new_browser(public).get("/try").headers["set-cookie"]
    assert cookie.startswith("__Host-earmark=")
    assert cookie.endswith("; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure")
    configure(EARMARK_FRAME_ANCESTORS="https://example.com")
    framed = {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}
    cookie = new_browser(public).get("/try", headers=framed).headers["set-cookie"]
    assert cookie.endswith("; HttpOnly; SameSite=None; Secure; Partitioned")
