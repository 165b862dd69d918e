"""What the server takes at its upload endpoint, below a base path as well."""

import asyncio
import tomllib
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect
from starlette.types import Message

from app import upload_limits
from app.upload_limits import PageLimits, UploadLimits, uploads
from core.settings import ROOT, Settings
from tests.helpers.app_browser import TIMEOUT_MS
from tests.helpers.app_server import Server
from tests.helpers.app_session import AppSession, answer, chunk, multipart, send
from tests.helpers.waiting import wait_until

LARGE, SMALL = 1_500_000, 10
"""Three large files, and no four, fit in what one session may keep; five in what all may."""
MANY_FILES = {f"file-{number}": LARGE for number in range(6)}


OPEN_APP = f"""
import streamlit as st
from starlette.middleware import Middleware
from app.browser import BrowserIds
from app.lifespan import lifespan
from app.routes import ROUTES
from app.upload_limits import UploadLimits

app = st.App(
    {str(ROOT / "app" / "main.py")!r},
    routes=ROUTES,
    middleware=[Middleware(BrowserIds), Middleware(UploadLimits)],
    lifespan=lifespan,
)
"""
"""The app without the checks that close Streamlit's own metrics: a test reads them."""


@pytest.fixture(scope="module")
def small_server(tmp_path_factory):
    """A server that keeps little, and forgets sessions soon."""
    folder = tmp_path_factory.mktemp("uploads")
    (folder / "streamlit_app.py").write_text(OPEN_APP, "utf-8")
    server = Server(
        folder / "workspace",
        script=folder / "streamlit_app.py",
        EARMARK_MAX_MEGABYTES="2",
        EARMARK_UPLOAD_MEGABYTES_PER_SESSION="5",
        EARMARK_UPLOAD_MEGABYTES="8",
        STREAMLIT_SERVER_BASE_URL_PATH="earmark",
        STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL="2",
    )
    server.url += "/earmark"
    yield server
    server.stop()


@pytest.fixture
def open_page(small_server):
    """Open a page in a session of its own."""
    sessions = []

    def open_page(page: str) -> AppSession:
        sessions.append(AppSession(small_server.url, page))
        return sessions[-1]

    yield open_page
    for session in sessions:
        if session.is_open:
            session.show("metrics")
        session.close()


def statuses(session: AppSession, files: dict[str, int]) -> list[int]:
    return [session.upload(file, size)[0] for file, size in files.items()]


def kept_bytes(server: Server) -> int:
    """What Streamlit itself says of the files that it keeps."""
    with urllib.request.urlopen(f"{server.url}/_stcore/metrics") as response:
        lines = response.read().decode().splitlines()
    return sum(int(line.split()[-1]) for line in lines if "UploadedFileManager" in line)


def test_a_session_keeps_no_more_than_its_limit_and_deleting_or_leaving_makes_room(open_page):
    session = open_page("many")
    assert statuses(session, MANY_FILES) == [204, 204, 204, 413, 413, 413]
    assert session.upload("file-3", LARGE)[1] == "The files have more than 5 MB in all."
    assert session.delete("file-0") == 204
    assert statuses(session, {"file-3": LARGE, "file-4": LARGE}) == [204, 413]
    session.show("metrics")
    session.show("many")
    assert statuses(session, MANY_FILES) == [204, 204, 204, 413, 413, 413]


def test_many_small_files_have_a_limit_too(open_page):
    session = open_page("try")
    assert statuses(session, {f"file-{number}": SMALL for number in range(5)})[3:] == [204, 413]


@pytest.mark.parametrize("page", ["", "metrics"])
def test_a_page_without_uploader_takes_nothing(open_page, page):
    assert open_page(page).upload("file", SMALL)[0] == 403


def test_a_page_that_was_left_takes_nothing_and_ends_what_is_running(open_page):
    session, body = open_page("try"), multipart(LARGE)
    connection = session.begin("file", len(body))
    send(connection, body[:-1000])
    session.show("metrics")
    send(connection, body[-1000:])
    assert answer(connection)[0] == 403
    assert session.upload("file", SMALL)[0] == 403


def test_sessions_that_nobody_has_are_refused(open_page):
    session = open_page("many")
    assert session.upload("file", SMALL, session="0" * 36)[0] == 403


def test_all_sessions_together_have_a_limit_and_those_that_have_gone_give_way(open_page):
    first, second = open_page("many"), open_page("many")
    assert statuses(first, MANY_FILES)[:4] == [204, 204, 204, 413]
    assert statuses(second, MANY_FILES)[:3] == [204, 204, 503]
    assert statuses(first, {"tiny": SMALL}) == [204]
    first.close()
    wait_until(lambda: second.upload("file-2", LARGE)[0] == 204)


def test_running_uploads_count_until_they_end(open_page):
    session, body = open_page("many"), multipart(LARGE)
    connections = [session.begin(f"file-{number}", len(body)) for number in range(4)]
    for part in (body[:-1000], body[-1000:]):
        for connection in connections:
            send(connection, part)
    assert sorted(answer(connection)[0] for connection in connections) == [204, 204, 204, 413]
    for number in range(4):
        session.delete(f"file-{number}")
    unfinished = session.begin("unfinished", len(body))
    send(unfinished, body[:-1000])
    unfinished.close()
    wait_until(lambda: session.upload("a", LARGE)[0] == 204)
    wait_until(lambda: session.upload("b", LARGE)[0] == 204)
    wait_until(lambda: session.upload("c", LARGE)[0] == 204)
    assert statuses(session, {"d": LARGE}) == [413]


def test_a_body_in_chunks_has_the_same_limits(open_page):
    session, body = open_page("many"), multipart(LARGE)
    connection = session.begin("file", None)
    send(connection, chunk(body) + chunk(b""))
    assert answer(connection)[0] == 204
    connection = session.begin("endless", None)
    for start in range(0, 4 * LARGE, LARGE):
        send(connection, chunk(multipart(4 * LARGE)[start : start + LARGE]))
    assert answer(connection)[0] == 413
    assert statuses(session, {"b": LARGE, "c": LARGE, "d": LARGE}) == [204, 204, 413]


def test_lengths_that_are_not_true_change_nothing(open_page, small_server):
    session, body = open_page("many"), multipart(LARGE)
    too_long = session.begin("file", 3 * 2**20)
    assert answer(too_long) == (413, "The file is too large.")
    unfinished = session.begin("file", len(body) + 1000)
    send(unfinished, body)
    unfinished.close()
    too_short = session.begin("file", 200)
    send(too_short, body)
    assert answer(too_short)[0] in (400, 0)
    wait_until(lambda: statuses(session, {"a": LARGE, "b": LARGE, "c": LARGE}) == [204, 204, 204])


def test_the_reason_is_told_to_who_still_sends_within_bounds(open_page):
    session = open_page("metrics")
    body = multipart(LARGE)
    connection = session.begin("file", len(body))
    for start in range(0, len(body), LARGE // 8):
        send(connection, body[start : start + LARGE // 8])
    assert answer(connection) == (403, "This page takes no files.")
    endless = session.begin("file", 2**40)  # more than is read: answered at once
    assert answer(endless)[0] == 403


def test_files_of_a_session_that_has_ended_are_forgotten(open_page, small_server):
    session = open_page("many")
    assert session.upload("file", LARGE)[0] == 204
    session.close()
    wait_until(lambda: kept_bytes(small_server) == 0)


def test_a_refusal_is_one_line_in_the_log_and_names_no_session(tmp_path):
    server = Server(tmp_path / "workspace")
    with AppSession(server.url, "") as session:
        assert session.upload("file", SMALL)[0] == 403
        session.show("many")
        assert session.upload("file", SMALL)[0] == 204
    log = server.stop()
    assert log.count("upload refused status=403 received=0") == 1
    assert session.id not in log


@pytest.fixture
def sounds(tmp_path, examples):
    """Two short sounds, and three that are too much together."""
    noise, data = np.random.default_rng(0).integers(-99, 99, 900_000).astype(np.int16), BytesIO()
    soundfile.write(data, noise, 96_000, format="WAV")
    large = [tmp_path / f"large-{number}.wav" for number in range(3)]
    for path in large:
        path.write_bytes(data.getvalue())
    return [examples / "rain-on-leaves.ogg", examples / "siren.ogg"], large


@pytest.mark.browser
def test_the_uploader_shows_what_was_refused_and_goes_on(chromium, small_server, sounds):
    short, large = sounds
    page = chromium.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(f"{small_server.url}/many")
    files = page.locator("input[type=file]")
    files.set_input_files(short)
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    files.set_input_files(large)
    expect(page.get_by_text("413").first).to_be_visible()
    page.get_by_role("link", name="Try your sound").click()
    expect(page.get_by_text("Or try an example")).to_be_visible()
    files.set_input_files(large[0])
    expect(page.locator(".player .title")).to_have_text("large-0.wav")
    files.set_input_files(large[1])
    expect(page.locator(".player .title")).to_have_text("large-1.wav")
    page.context.close()


def test_an_upload_that_stands_still_is_ended(monkeypatch):
    monkeypatch.setattr(upload_limits, "MAX_IDLE_S", 0.01)
    sent: list[Message] = []

    async def app(scope, receive, send):
        while True:
            await receive()

    async def receive() -> Message:
        if not sent:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    uploads().allow("session", PageLimits(100, 1, 100, 100))
    path = "/_stcore/upload_file/session/file"
    scope = {"type": "http", "method": "PUT", "path": path, "headers": []}
    request = UploadLimits(app)(scope, receive, send)
    with ThreadPoolExecutor() as pool:  # the browser of other tests has an event loop in this one
        pool.submit(asyncio.run, request).result()
    assert sent[0]["status"] == 408
    uploads().end("session")


def test_limits_follow_the_largest_file_and_what_the_page_needs():
    limits = PageLimits.from_settings(Settings(max_megabytes=10), 10, 200)
    assert (limits.session_bytes, limits.total_bytes) == (50 * 2**20, 100 * 2**20)
    few = PageLimits.from_settings(Settings(max_megabytes=10), 3, 2)
    assert few.session_bytes == 2 * few.file_bytes < 7 * 2**20


def test_the_servers_own_limits_agree_with_the_settings():
    server = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))["server"]
    assert server["maxUploadSize"] == Settings.model_fields["max_megabytes"].default
    assert server["maxMessageSize"] <= 25
