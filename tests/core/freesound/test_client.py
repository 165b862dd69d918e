"""The client against the local double, over real HTTP."""

import logging
import shutil
import struct

import pytest
from pydantic import SecretStr

from core.freesound.client import FreesoundClient, client_from
from core.freesound.errors import (
    BadPreview,
    DailyThrottled,
    NoKey,
    NotAllowed,
    RequestRefused,
    ServerTrouble,
    SignInExpired,
    SoundNotFound,
    Throttled,
    Unreachable,
    UploadUncertain,
)
from core.freesound.previews import PreviewReader
from core.freesound.rate_limit import MARGIN_S, MINUTE_S, READING_ONLY, SHARED, Budget, Limits
from core.freesound.retry import MAX_ATTEMPTS
from core.freesound.types import Description
from core.settings import read_settings

PLENTY = Limits(reads_a_minute=10**6, reads_a_day=10**6, writes_a_minute=10**6, writes_a_day=10**6)
SOUND = Description(
    "Rain on a roof",
    ("rain", "roof", "weather"),
    "Rain, from inside.",
    "Creative Commons 0",
    "ss-n",
)


@pytest.fixture
def server(freesound_server):
    return freesound_server


@pytest.fixture
def app(server):
    """The registered application."""
    return server.state.add_client("earmark", owner="alice")


@pytest.fixture
def pauses():
    """How long the client waited, second by second; it does not really wait."""
    return []


@pytest.fixture
def freesound(server, app, tmp_path, pauses):
    def sleep(seconds):
        pauses.append(seconds)
        server.advance(seconds)

    return FreesoundClient(
        SecretStr(app.client_secret),
        Budget(tmp_path / "budget.sqlite", PLENTY, server.now),
        api=f"{server.url}/apiv2/",
        preview_hosts=("127.0.0.1",),
        sleep=sleep,
    )


@pytest.fixture
def alice(server, app):
    """Her access token."""
    return SecretStr(server.state.grant("alice", app).access)


@pytest.fixture
def ogg(examples):
    return (examples / "siren.ogg").read_bytes()


def wav(seconds: float = 0.1, rate: int = 8000) -> bytes:
    data = bytes(2 * int(seconds * rate))
    return (
        b"RIFF"
        + struct.pack(
            "<I4s4sIHHIIHH4sI",
            36 + len(data),
            b"WAVE",
            b"fmt ",
            16,
            1,
            1,
            rate,
            2 * rate,
            2,
            16,
            b"data",
            len(data),
        )
        + data
    )


def test_search_gives_the_newest_public_sounds_page_by_page(server, freesound, ogg):
    for number in range(7):
        server.state.add_sound(
            "alice", audio=ogg, name=f"sound {number}", created=server.now() - number * 60
        )
    server.state.add_sound("alice", audio=ogg, name="not moderated", public=False)
    names = [sound.name for sound in freesound.search(page_size=3)]
    assert names == [f"sound {number}" for number in range(7)]
    pages = [request for request in server.requests if request.path.endswith("/search/")]
    assert [request.query.get("page") for request in pages] == ["1", "2", "3"]


def test_search_filters_by_duration_and_tag(server, freesound, ogg):
    server.state.add_sound("alice", audio=ogg, name="short", duration=3.0, tags=["rain"])
    server.state.add_sound("alice", audio=ogg, name="long", duration=300.0, tags=["rain"])
    server.state.add_sound("alice", audio=ogg, name="other", duration=3.0, tags=["dog"])
    assert [sound.name for sound in freesound.search(filter="duration:[0 TO 10] tag:rain")] == [
        "short"
    ]


def test_a_sound_comes_with_what_its_uploader_said(server, freesound, ogg):
    made = server.state.add_sound(
        "alice", audio=ogg, name="<b>Rain</b>", tags=["Rain", "roof"], gen_ai_preference="no-gen-ai"
    )
    sound = freesound.sound(made.id)
    assert (sound.name, sound.username, sound.gen_ai_preference) == (
        "<b>Rain</b>",
        "alice",
        "no-gen-ai",
    )
    assert set(sound.tags) == {"Rain", "roof"}


def test_a_sound_that_is_gone_is_not_there(freesound):
    with pytest.raises(SoundNotFound, match=r"does not have that.*\."):
        freesound.sound(999)


def test_who_is_signed_in_is_known_by_a_number_that_stays(server, freesound, alice):
    user = freesound.me(alice)
    assert (user.username, user.unique_id) == ("alice", server.state.users["alice"].id)


def test_an_expired_token_is_told_from_a_missing_right(server, app, freesound, alice):
    server.state.expire_tokens()
    with pytest.raises(SignInExpired):
        freesound.me(alice)
    reader = SecretStr(server.state.grant("alice", app, scope="read").access)
    with pytest.raises(NotAllowed):
        freesound.upload(reader, "a.wav", wav(), SOUND)


def test_a_wrong_key_is_said_without_being_shown(server, tmp_path, pauses):
    wrong = FreesoundClient(
        SecretStr("very-secret-key"),
        Budget(tmp_path / "b.sqlite", PLENTY),
        api=f"{server.url}/apiv2/",
        sleep=pauses.append,
    )
    with pytest.raises(NotAllowed, match="does not know this server's key") as caught:
        list(wrong.search())
    assert "very-secret" not in repr(wrong) + str(caught.value)


def test_no_key_or_token_is_logged(server, app, freesound, alice, caplog, ogg):
    caplog.set_level(logging.DEBUG)
    server.state.add_sound("alice", audio=ogg)
    list(freesound.search())
    freesound.me(alice)
    assert app.client_secret not in caplog.text
    assert alice.get_secret_value() not in caplog.text
    assert not any("token" in request.query for request in server.requests)


# Reads are tried again


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 503},
        {"drop": "before"},
        {"drop": "after"},
        {"status": 200, "body": "<html>"},
    ],
)
def test_a_read_that_fails_is_tried_again_after_growing_pauses(
    server, freesound, ogg, pauses, fault
):
    server.state.add_sound("alice", audio=ogg)
    server.fail("/search/", times=2, **fault)
    assert len(list(freesound.search())) == 1
    assert len(pauses) == 2
    assert 0 < pauses[0] < pauses[1] <= 30


def test_a_read_that_keeps_failing_ends_with_one_sentence(server, freesound, pauses):
    server.fail("/search/", times=None, status=500)
    with pytest.raises(ServerTrouble, match=r"^Freesound has trouble \(status 500\)"):
        list(freesound.search())
    assert len(pauses) == MAX_ATTEMPTS - 1


def test_a_server_that_is_away_is_said(tmp_path, pauses):
    nowhere = FreesoundClient(
        SecretStr("k"),
        Budget(tmp_path / "b.sqlite", PLENTY),
        api="http://127.0.0.1:9/apiv2/",
        sleep=pauses.append,
    )
    with pytest.raises(Unreachable, match="cannot be reached"):
        nowhere.sound(1)


def test_an_answer_that_does_not_come_is_given_up(server, freesound, ogg):
    made = server.state.add_sound("alice", audio=ogg)
    freesound.timeout_s = (5, 0.2)
    server.fail(f"/sounds/{made.id}/", times=1, delay=1.0)
    assert freesound.sound(made.id).id == made.id


def test_the_minutes_throttle_is_waited_for(server, app, freesound, ogg, pauses):
    app.get_limits = (5, 2000)
    made = server.state.add_sound("alice", audio=ogg)
    for _ in range(8):
        freesound.sound(made.id)
    assert [pause for pause in pauses if pause > 59] == [MINUTE_S + MARGIN_S]


def test_the_daily_throttle_is_not_waited_for(server, app, freesound, ogg, pauses):
    app.get_limits = (60, 3)
    made = server.state.add_sound("alice", audio=ogg)
    for _ in range(3):
        freesound.sound(made.id)
    with pytest.raises(DailyThrottled, match="3/day"):
        freesound.sound(made.id)
    assert pauses == []


def test_the_budget_waits_before_the_server_has_to_refuse(
    server, app, freesound, ogg, tmp_path, pauses
):
    freesound.budget = Budget(
        tmp_path / "own.sqlite", Limits(reads_a_minute=4, reads_a_day=100), server.now
    )
    app.get_limits = (5, 2000)
    made = server.state.add_sound("alice", audio=ogg)
    for _ in range(9):
        freesound.sound(made.id)
    assert {request.status for request in server.requests} == {200}
    assert pauses


# Uploads are sent once


def test_an_upload_is_stored_to_the_byte_with_what_was_said_of_it(server, freesound, alice):
    number = freesound.upload(alice, "rain.wav", wav(), SOUND)
    stored = server.state.sounds[number]
    assert stored.audio == wav()
    assert (stored.name, set(stored.tags), stored.license) == (
        SOUND.name,
        set(SOUND.tags),
        SOUND.license,
    )
    assert stored.category_code == "ss-n"


def test_what_the_server_refuses_is_told_by_field(freesound, alice):
    bad = Description("x", ("one", "two"), "d", "Creative Commons 0", "ss-n")
    with pytest.raises(RequestRefused, match=r"at least 3 tags") as caught:
        freesound.upload(alice, "rain.wav", wav(), bad)
    assert list(caught.value.fields) == ["tags"]


def test_a_duplicate_is_refused_with_the_servers_words(freesound, alice):
    freesound.upload(alice, "rain.wav", wav(), SOUND)
    with pytest.raises(RequestRefused, match="already part of freesound"):
        freesound.upload(alice, "again.wav", wav(), SOUND)


@pytest.mark.parametrize(
    ("fault", "stored"),
    [
        ({"status": 500}, 0),
        ({"drop": "after"}, 1),
        ({"drop": "before"}, 0),
        ({"status": 502, "processed": True}, 1),
    ],
)
def test_an_upload_without_a_clear_answer_is_uncertain_and_never_sent_again(
    server, freesound, alice, pauses, fault, stored
):
    server.fail("/upload/", times=None, **fault)
    with pytest.raises(UploadUncertain, match=r"rain\.wav was sent, but"):
        freesound.upload(alice, "rain.wav", wav(), SOUND)
    assert len([request for request in server.requests if request.path.endswith("/upload/")]) == 1
    assert len(server.state.sounds) == stored
    assert pauses == []


def test_a_throttled_or_too_large_upload_says_that_nothing_was_stored(
    server, app, freesound, alice
):
    server.fail("/upload/", times=1, status=413)
    with pytest.raises(RequestRefused, match="larger than Freesound takes"):
        freesound.upload(alice, "rain.wav", wav(), SOUND)
    app.post_limits = (0, 500)
    with pytest.raises(Throttled):
        freesound.upload(alice, "rain.wav", wav(), SOUND)
    assert server.state.sounds == {}


def test_an_upload_without_signing_in_is_not_sent(server, freesound):
    with pytest.raises(NotAllowed, match="sign in"):
        freesound.upload(None, "rain.wav", wav(), SOUND)
    assert server.requests == []


def test_what_is_on_its_way_is_listed_by_state(server, freesound, alice):
    first, second = (
        freesound.upload(alice, f"{name}.wav", wav(seconds), SOUND)
        for name, seconds in (("a", 0.1), ("b", 0.2))
    )
    server.state.process(second)
    pending = freesound.pending_uploads(alice)
    assert [sound.id for sound in pending.pending_processing] == [first]
    assert [sound.id for sound in pending.pending_moderation] == [second]
    assert [sound.id for sound in pending.sounds] == [first, second]


# Previews


def test_the_best_preview_is_fetched_without_a_credential(server, freesound, ogg):
    made = server.state.add_sound("alice", audio=ogg)
    sound = freesound.sound(made.id)
    data = freesound.preview(sound)
    assert data[:4] == b"OggS"
    fetched = server.requests[-1]
    assert "hq.ogg" in fetched.path
    assert "authorization" not in {name.lower() for name in fetched.headers}


def test_a_preview_on_another_host_is_not_fetched(server, freesound, ogg):
    made = server.state.add_sound("alice", audio=ogg)
    sound = freesound.sound(made.id)
    for url in (
        "http://evil.example/x-hq.ogg",
        "file:///etc/passwd",
        "http://127.0.0.1.evil.example/x.ogg",
        "http://169.254.169.254/x.ogg",
    ):
        with pytest.raises(BadPreview, match="another host"):
            freesound.preview(sound.model_copy(update={"previews": {"preview-hq-ogg": url}}))


def fetched_previews(server) -> list[str]:
    """The kinds of previews that were asked for, in order."""
    paths = [request.path for request in server.requests if "/previews/" in request.path]
    return [path.rpartition("-")[2] for path in paths]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 404},
        {"status": 403},
        {"status": 302},
        {"status": 200, "body": "<html>no sound</html>"},
        {"status": 200, "body": ""},
    ],
    ids=lambda fault: f"{fault['status']}-{len(fault.get('body', ''))}",
)
def test_where_a_preview_is_missing_the_next_best_is_fetched(server, freesound, ogg, fault):
    sound = freesound.sound(server.state.add_sound("alice", audio=ogg).id)
    server.fail("-hq.ogg", times=None, **fault)
    assert freesound.preview(sound)[:4] != b"OggS"
    assert fetched_previews(server) == ["hq.ogg", "hq.mp3"]
    server.fail("-hq.mp3", times=None, **fault)
    assert freesound.preview(sound)[:4] == b"OggS"
    assert fetched_previews(server)[2:] == ["hq.ogg", "hq.mp3", "lq.ogg"]


def test_a_host_with_trouble_is_not_asked_again_and_again_for_each_kind(server, freesound, ogg):
    sound = freesound.sound(server.state.add_sound("alice", audio=ogg).id)
    server.fail("previews", times=None, status=503)
    with pytest.raises(ServerTrouble):
        freesound.preview(sound)
    assert fetched_previews(server) == ["hq.ogg"] * MAX_ATTEMPTS + ["hq.mp3", "lq.ogg", "lq.mp3"]


def test_a_preview_that_another_host_has_is_replaced_by_one_that_may_be_fetched(
    server, freesound, ogg
):
    sound = freesound.sound(server.state.add_sound("alice", audio=ogg).id)
    previews = sound.previews | {"preview-hq-ogg": "http://evil.example/x-hq.ogg"}
    freesound.preview(sound.model_copy(update={"previews": previews}))
    assert fetched_previews(server) == ["hq.mp3"]


def test_previews_that_all_vanished_or_are_no_sounds_are_said(server, freesound, ogg):
    made = server.state.add_sound("alice", audio=ogg)
    sound = freesound.sound(made.id)
    server.fail("previews", times=4, status=404)
    with pytest.raises(SoundNotFound):
        freesound.preview(sound)
    server.fail("previews", times=4, status=200, body="<html>no sound</html>")
    with pytest.raises(BadPreview, match="no Ogg or MP3"):
        freesound.preview(sound)
    server.fail("previews", times=1, truncate=1000)
    assert freesound.preview(sound)[:4] == b"OggS"  # cut off once, whole at the second try
    reader = PreviewReader(freesound.api, freesound.preview_hosts, freesound.sleep, max_bytes=500)
    with pytest.raises(BadPreview, match="larger than"):
        reader.preview(sound)


def test_nothing_is_left_behind_on_disk_but_the_budget(tmp_path, freesound, server, ogg):
    server.state.add_sound("alice", audio=ogg)
    list(freesound.search())
    assert {path.name.split("-")[0] for path in tmp_path.iterdir()} == {"budget.sqlite"}
    shutil.rmtree(tmp_path)


# From the settings


def test_without_a_key_there_is_no_client_and_it_is_said_what_to_set():
    with pytest.raises(NoKey, match="FREESOUND_API_KEY"):
        client_from(read_settings())


def test_the_settings_make_a_client_that_reads_from_the_address_they_name(
    server, app, ogg, monkeypatch, tmp_path
):
    monkeypatch.setenv("FREESOUND_API_KEY", app.client_secret)
    monkeypatch.setenv("EARMARK_FREESOUND_API", f"{server.url}/apiv2/")
    monkeypatch.setenv("EARMARK_PREVIEW_HOSTS", "127.0.0.1")
    made = server.state.add_sound("alice", audio=ogg)
    client = client_from(read_settings())
    assert client.preview(client.sound(made.id))[:4] == b"OggS"
    assert (tmp_path / "freesound-requests.sqlite").exists()


def test_jobs_may_have_a_credential_of_their_own_which_nobody_publishes_with(monkeypatch):
    monkeypatch.setenv("FREESOUND_API_KEY", "shared")
    assert client_from(read_settings(), for_jobs=True).budget.limits == SHARED
    monkeypatch.setenv("EARMARK_FREESOUND_JOBS_KEY", "own")
    jobs, app = client_from(read_settings(), for_jobs=True), client_from(read_settings())
    assert (jobs.api_key.get_secret_value(), jobs.budget.limits) == ("own", READING_ONLY)
    assert (app.api_key.get_secret_value(), app.budget.limits) == ("shared", SHARED)


def test_a_list_whose_last_page_goes_away_meanwhile_just_ends(server, freesound, ogg):
    for _ in range(4):
        server.state.add_sound("alice", audio=ogg)
    sounds = freesound.search(page_size=3)
    first_page = [next(sounds) for _ in range(3)]
    for sound in first_page:
        server.state.reject(sound.id)
    assert list(sounds) == []


# Logs


def test_a_refusal_and_a_wait_are_logged_in_one_line_each(
    server, app, freesound, alice, caplog, tmp_path
):
    caplog.set_level(logging.INFO)
    with pytest.raises(RequestRefused):
        freesound.upload(alice, "rain.wav", b"", SOUND)
    assert (
        "freesound refusal endpoint=sounds/upload/ status=400 error=RequestRefused" in caplog.text
    )
    freesound.budget = Budget(
        tmp_path / "own.sqlite", Limits(reads_a_minute=1, reads_a_day=9), server.now
    )
    freesound.me(alice)
    freesound.me(alice)
    assert "freesound budget wait kind=read" in caplog.text


def test_the_servers_throttle_is_logged(server, freesound, caplog):
    server.fail(
        "/sounds/",
        times=None,
        status=429,
        body='{"detail": "limit rate (60/minute)"}',
        content_type="application/json",
    )
    with pytest.raises(Throttled):
        freesound.sound(1)
    assert caplog.text.count("status=429 error=Throttled") == MAX_ATTEMPTS
