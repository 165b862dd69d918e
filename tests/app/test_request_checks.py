"""Requests that reach nothing: by host, origin and endpoint; and the headers of every answer."""

import re

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from app.client_address import client_address
from app.request_checks import RequestChecks
from app.security_headers import SecurityHeaders
from app.views.clip_analysis import visitor_names
from core import settings

ADDRESS = "http://localhost:8501"
READ = ("/", "/try", "/sounds/x.ogg", "/_stcore/host-config", "/static/js/a.js")


async def answer(request):
    return PlainTextResponse("reached")


async def stream(websocket):
    await websocket.accept()
    await websocket.send_text("reached")
    await websocket.close()


@pytest.fixture
def client():
    routes = [
        WebSocketRoute("/_stcore/stream", stream),
        Route("/{path:path}", answer, methods=["GET", "PUT", "POST", "DELETE", "OPTIONS"]),
    ]
    middleware = [Middleware(SecurityHeaders), Middleware(RequestChecks)]
    return TestClient(Starlette(routes=routes, middleware=middleware), ADDRESS)


def opens_a_session(client, **headers: str) -> bool:
    headers = {"Host": "localhost:8501"} | headers
    try:
        with client.websocket_connect("/_stcore/stream", headers=headers) as session:
            return session.receive_text() == "reached"
    except WebSocketDisconnect:
        return False


@pytest.mark.parametrize(
    "host",
    [
        "rebound.example:8501",
        "rebound.example",
        "localhost.rebound.example",
        "127.0.0.1.rebound.example",
        "localhost@rebound.example",
        "localhost:8501:80",
        "localhost/",
        "",
    ],
)
def test_a_name_that_is_not_this_servers_reads_nothing(client, host):
    """DNS rebinding: the page of another site asks for its own name, which leads here."""
    for path in READ:
        refusal = client.get(path, headers={"Host": host})
        assert refusal.status_code == 421
        assert "reached" not in refusal.text
    assert client.put("/_stcore/upload_file/a/b", headers={"Host": host}).status_code == 421
    assert not opens_a_session(client, Host=host, Origin=f"http://{host}")
    assert client.get("/_stcore/health", headers={"Host": host}).text == "reached"


@pytest.mark.parametrize(
    "host", ["localhost:8501", "127.0.0.1:8501", "[::1]:8501", "192.168.1.7", "[fd00::7]:80"]
)
def test_names_of_this_machine_and_addresses_in_digits_are_served(client, host):
    assert {client.get(path, headers={"Host": host}).text for path in READ} == {"reached"}
    assert opens_a_session(client, Host=host, Origin=f"http://{host}")


def test_the_public_address_and_the_hosts_that_are_named_are_served(client, configure):
    configure(
        EARMARK_PUBLIC_URL="https://earmark.example.org",
        EARMARK_ALLOWED_HOSTS="box, *.example.com",
    )
    hosts = {
        "earmark.example.org": 200,
        "EARMARK.example.org:443": 200,
        "box:8501": 200,
        "a.b.example.com": 200,
        "example.com": 421,
        "badexample.com": 421,
        "other.example.org": 421,
    }
    assert {host: client.get("/", headers={"Host": host}).status_code for host in hosts} == hosts
    configure(EARMARK_ALLOWED_HOSTS="*")
    assert client.get("/", headers={"Host": "any.example"}).text == "reached"


@pytest.mark.parametrize(
    ("origin", "is_own"),
    [
        ("http://localhost:8501", True),
        ("https://localhost:8501", True),
        (None, True),
        ("http://localhost:3000", False),
        ("http://127.0.0.1:8501", False),
        ("https://evil.example", False),
        ("null", False),
        ("file://localhost:8501", False),
        ("", False),
    ],
)
def test_what_changes_something_or_opens_a_session_comes_from_a_page_of_this_server(
    client, origin, is_own
):
    headers = {} if origin is None else {"Origin": origin}
    assert opens_a_session(client, **headers) == is_own
    for method in ("PUT", "POST", "DELETE"):
        reached = client.request(method, "/_stcore/upload_file/a/b", headers=headers)
        assert (reached.status_code == 200) == is_own


@pytest.mark.parametrize("base", ["", "/sub/path"])
@pytest.mark.parametrize(
    "path",
    [
        "/_stcore/metrics",
        "/_stcore/agent/openapi.json",
        "/_stcore/agent/interact",
        "/_stcore/script-health-check",
        "/auth/login",
        "/auth/logout",
        "/oauth2callback",
    ],
)
def test_endpoints_without_use_are_closed(client, base, path):
    assert client.get(base + path).status_code == 404
    assert client.post(base + path).status_code == 404


def test_every_answer_says_what_its_page_may_do(client, configure):
    for answer in (client.get("/"), client.get("/", headers={"Host": "x.example"})):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'self'" in policy
        script_sources = re.search(r"script-src ([^;]*)", policy)[1]
        assert "unsafe" not in script_sources.replace("'wasm-unsafe-eval'", "")
    configure(EARMARK_FRAME_ANCESTORS="https://huggingface.co https://*.example.org")
    framed = client.get("/").headers
    assert framed["content-security-policy"].endswith(
        "frame-ancestors 'self' https://huggingface.co https://*.example.org"
    )
    assert "x-frame-options" not in framed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EARMARK_ALLOWED_HOSTS", "https://example.org"),
        ("EARMARK_ALLOWED_HOSTS", "example.org:8501"),
        ("EARMARK_FRAME_ANCESTORS", "example.org"),
        ("EARMARK_FRAME_ANCESTORS", "https://example.org/page"),
        ("EARMARK_FRAME_ANCESTORS", "https://example.org;script-src"),
        ("EARMARK_TRUSTED_PROXIES", "proxy.example.org"),
        ("EARMARK_TRUSTED_PROXIES", "10.0.0.0/40"),
    ],
)
def test_a_value_that_is_none_is_refused_in_a_sentence(configure, name, value):
    configure(**{name: value})
    with pytest.raises(settings.SettingsError, match=name):
        settings.settings()


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "counted"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        (None, ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["made-up, 192.0.2.9, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.1.2.3", ["192.0.2.9", "198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["198.51.100.1, unknown"], "10.1.2.3"),
        ("10.1.2.3", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.1.2.3", ["[2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::/64"),
        ("10.1.2.3", ["10.1.2.4"], "10.1.2.4"),
        ("2001:db8:1:2:aaaa::1", [], "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", [], "203.0.113.7"),
        ("::ffff:10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
    ],
)
def test_visitors_are_told_apart_by_what_trusted_proxies_say(peer, forwarded_for, counted):
    trusted = ("127.0.0.1", "::1", "10.0.0.0/8")
    assert client_address(peer, forwarded_for, trusted) == counted


def test_visitors_behind_a_proxy_are_not_one(browser_sends, configure):
    configure(EARMARK_TRUSTED_PROXIES="127.0.0.1, 172.16.0.0/12")
    names = []
    for forwarded_for in ("198.51.100.1", "198.51.100.2, 172.18.0.5"):
        browser_sends["headers"]["X-Forwarded-For"] = forwarded_for
        names.append(visitor_names()[0])
    assert names == ["address 198.51.100.1", "address 198.51.100.2"]
