"""Limits on analysing people's clips."""

import threading

import pytest

from app.limits import HOUR_S, HourlyLimit
from tests.helpers.app_pages import Clip, open_to_the_world


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_so_many_an_hour_and_not_one_more(clock):
    limit = HourlyLimit(clock)
    assert [limit.spend({"ann": 3}) for _ in range(5)] == [True, True, True, False, False]


def test_an_hour_after_the_first_there_is_room_for_one(clock):
    limit = HourlyLimit(clock)
    for second in (0, 10):
        clock.now = 1000.0 + second
        assert limit.spend({"ann": 2})
    clock.now = 1000.0 + HOUR_S - 1
    assert not limit.spend({"ann": 2})
    clock.now = 1000.0 + HOUR_S
    assert limit.spend({"ann": 2})
    assert not limit.spend({"ann": 2})


def test_one_browser_does_not_use_up_anothers_share_but_an_address_has_a_limit_of_its_own(clock):
    limit = HourlyLimit(clock)
    spend = lambda browser: limit.spend({"address 1": 3, f"browser {browser}": 2})  # noqa: E731
    assert [spend("a"), spend("a"), spend("a")] == [True, True, False]
    assert [spend("b"), spend("c")] == [True, False]


def test_what_was_refused_does_not_count(clock):
    limit = HourlyLimit(clock)
    assert limit.spend({"address": 2, "ann": 1})
    for _ in range(5):
        assert not limit.spend({"address": 2, "ann": 1})
    assert limit.spend({"address": 2, "bob": 1})


def test_names_of_an_hour_ago_are_forgotten(clock):
    limit = HourlyLimit(clock)
    for number in range(100):
        limit.spend({f"browser {number}": 1})
    clock.now += HOUR_S
    limit.spend({"ann": 1})
    assert limit.names == ["ann"]


def test_presses_at_the_same_moment_are_counted_one_by_one(clock):
    limit, granted, together = HourlyLimit(clock), [], threading.Barrier(8)

    def press():
        together.wait(10)
        granted.append(limit.spend({"ann": 5}))

    threads = [threading.Thread(target=press) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(granted) == [False] * 3 + [True] * 5


# On the page


@pytest.fixture
def visited(connected, monkeypatch):
    """The app as strangers reach it, with two clips an hour and half a megabyte each."""
    monkeypatch.setenv("EARMARK_VISITOR_UPLOADS_AN_HOUR", "2")
    monkeypatch.setenv("EARMARK_VISITOR_MEGABYTES", "0.5")
    return open_to_the_world(connected, monkeypatch)


def clips(bark) -> list[Clip]:
    return [Clip(f"bark {number}.ogg", bark.data) for number in range(3)]


def test_a_visitor_reads_in_one_sentence_that_the_hour_is_used_up(visited, bark):
    one, two, three = clips(bark)
    page = one.open(visited)
    for clip in (two, two, one, three):
        page.file_uploader(key="upload").upload(clip.name, clip.data).run()
    assert [error.value for error in page.error] == [
        "Visitors can try 2 clips an hour\\. Sign in with Freesound, or come back later\\."
    ]
    assert not page.code
    assert page.file_uploader(key="upload")


def test_a_reload_does_not_give_a_visitor_a_new_hour(visited, bark, new_session, browser_sends):
    browser_sends["cookies"]["earmark-browser"] = "v" * 43
    one, two, three = clips(bark)
    page = one.open(visited)
    page.file_uploader(key="upload").upload(two.name, two.data).run()
    again = new_session.open()
    again.file_uploader(key="upload").upload(three.name, three.data).run()
    assert "Visitors can try 2 clips" in again.error[0].value
    browser_sends["cookies"]["earmark-browser"] = "w" * 43
    again.run()
    assert not again.error


def test_a_file_beyond_the_visitors_size_is_refused_with_both_figures(visited, bark):
    page = Clip("big.wav", bytes(600_000)).open(visited)
    assert [error.value for error in page.error] == [
        "big\\.wav is 0\\.6 MB; the limit is 0\\.5 MB\\."
    ]


def test_a_file_that_is_no_sound_is_not_counted_however_often_the_page_is_drawn(
    visited, bark, new_session
):
    page = Clip("notes.wav", b"just text").open(visited)
    for _ in range(3):
        page.run()
        assert "is not a sound file" in page.error[0].value
    again = Clip("notes.wav", b"just text").open(new_session.open())
    one, two, three = clips(bark)
    for clip in (one, two):
        again.file_uploader(key="upload").upload(clip.name, clip.data).run()
        assert not again.error
    again.file_uploader(key="upload").upload(three.name, three.data).run()
    assert "Visitors can try 2 clips an hour" in again.error[0].value


def test_the_same_clip_after_a_reload_is_not_counted_again(
    visited, bark, new_session, browser_sends
):
    browser_sends["cookies"]["earmark-browser"] = "v" * 43
    one, two, three = clips(bark)
    for _ in range(3):
        page = one.open(new_session.open())
        page.file_uploader(key="upload").upload(two.name, two.data).run()
        assert not page.error
    page.file_uploader(key="upload").upload(three.name, three.data).run()
    assert "Visitors can try 2 clips an hour" in page.error[0].value
    page.file_uploader(key="upload").upload(one.name, one.data).run()
    assert not page.error


def test_a_file_that_was_refused_is_read_again_under_other_limits(visited, sign_in, bark):
    big = wav_of_zeros(600_000)
    page = Clip("big.wav", big).open(visited)
    assert "the limit is 0\\.5 MB" in page.error[0].value
    sign_in("bob")
    page.run()
    assert not page.error


def test_the_limit_of_samples_holds_for_visitors_too(visited, bark, monkeypatch):
    monkeypatch.setenv("EARMARK_MAX_SAMPLES", "0.01")
    page = bark.open(visited)
    assert "has too many samples" in page.error[0].value
    assert "the limit is 0\\.01 million samples" in page.error[0].value


def test_work_that_takes_too_long_is_given_up_with_one_sentence_and_the_page_goes_on(
    visited, bark, monkeypatch, caplog
):
    monkeypatch.setenv("EARMARK_MAX_WORK_SECONDS", "0.000001")
    caplog.set_level("INFO", logger="app")
    page = bark.open(visited)
    for _ in range(2):
        (error,) = page.error
        assert "bark\\.ogg takes too long" in error.value
        page.run()
    assert page.file_uploader(key="upload")
    assert caplog.text.count("analyse stopped") == 1
    assert "reason=WorkTooLong" in caplog.text


def test_somebody_signed_in_has_neither_limit(visited, sign_in, bark):
    sign_in("bob")
    page = clips(bark)[0].open(visited)
    for clip in clips(bark):
        page.file_uploader(key="upload").upload(clip.name, clip.data).run()
        assert not page.error
    page.file_uploader(key="upload").upload("long.wav", wav_of_zeros(600_000)).run()
    assert not page.error


def wav_of_zeros(size: int) -> bytes:
    import io
    import wave

    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(bytes(size))
    return out.getvalue()
