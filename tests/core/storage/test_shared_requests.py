"""What keeping a shared workspace up to date costs: requests, by what is new and by who looks."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from core.storage import background_sync
from core.storage.background_sync import BackgroundSync
from core.storage.hopsworks import pull, segments
from tests.helpers.events import predicted
from tests.helpers.shared_workspace import EVENTS, SHARED_FOLDER, put_event_file


def days_ago(days):
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d")


def put_empty_looking_files(server, count, day):
    """Leave many files in a day's folder that everybody has seen in a segment."""
    lines = [predicted(1).to_json()]
    paths = [f"events/{day}/{segments.new_name()}" for _ in range(count)]
    for path in paths:
        server.store.put(f"{SHARED_FOLDER}/{path}", b"")
    segment = segments.encode("segment", segments.segment_lines(paths, lines))
    server.store.put(f"{SHARED_FOLDER}/segments/{segments.new_name()}", segment)


def requests_of(server, work):
    server.requests.clear()
    work()
    return len(server.requests)


def test_a_refresh_costs_one_request_however_many_files_there_are(server, shared):
    for days in range(3):
        put_empty_looking_files(server, 2500, days_ago(days))
    ada = shared("ada")
    ada.sync.pull()
    assert requests_of(server, ada.sync.refresh) == 1
    assert requests_of(server, ada.sync.pull) <= 4
    for number in range(2, 5):
        put_event_file(server, predicted(number))
    assert requests_of(server, lambda: ada.sync.refresh()) <= 1 + 3 + 1  # and the run records
    assert ada.sounds.counts().sounds == 4


def test_new_files_are_found_whatever_came_and_went_before_them(server, shared):
    """Uploads in progress disappear from a folder, and a folder's order may not be that of time."""
    day = days_ago(0)
    put_empty_looking_files(server, 200, day)
    server.store.put(f"{EVENTS}/{day}/{segments.new_name()}.temp/x", b"")
    ada = shared("ada")
    ada.sync.pull()
    folder = server.store.find(f"{EVENTS}/{day}")
    (temporary,) = [name for name in folder.children if name.endswith(".temp")]
    del folder.children[temporary]
    put_event_file(server, predicted(2))
    assert ada.sync.refresh() == 1
    first = next(iter(folder.children))
    del folder.children[first]
    put_event_file(server, predicted(3))
    assert ada.sync.refresh() == 1
    put_event_file(server, predicted(4))
    folder.children = dict(sorted(folder.children.items(), key=lambda item: -item[1].id))
    assert ada.sync.refresh() == 1


@pytest.mark.parametrize("server_limit", [1000, 2000])
def test_a_server_that_lists_fewer_at_once_hides_nothing(server, shared, monkeypatch, server_limit):
    monkeypatch.setattr("tests.servers.hopsworks.store.MAX_LISTED", server_limit)
    put_empty_looking_files(server, server_limit + 1, days_ago(0))
    put_event_file(server, predicted(2))
    assert shared("ada").sync.pull() == 2


def test_a_new_machine_lists_each_day_once(server, shared):
    for days in range(40):
        put_empty_looking_files(server, 30, days_ago(days))
    put_empty_looking_files(server, 1500, days_ago(41))
    ada = shared("ada")
    requests_of(server, ada.sync.pull)
    days = [r.path for r in server.requests if "/events/" in r.path]
    assert len(days) == len(set(days)) == 41


def test_days_long_past_are_not_listed_again_each_hour(server, shared, monkeypatch):
    for days in (0, 10, 100, 200):
        put_event_file(server, predicted(1 + days), day=days_ago(days))
    ada = shared("ada")
    ada.sync.pull()
    monkeypatch.setattr(pull, "FULL_LISTING_INTERVAL_S", -1)
    requests_of(server, ada.sync.pull)
    listed = [request.path for request in server.requests if "/events/" in request.path]
    assert {path[-10:] for path in listed} == {days_ago(0), days_ago(10)}
    monkeypatch.setattr(pull, "ALL_DAYS_INTERVAL_S", -1)
    put_event_file(server, predicted(2), day=days_ago(100))
    assert ada.sync.pull() == 1


class Waits(threading.Event):
    """An event that records for how long it was waited for."""

    def __init__(self):
        super().__init__()
        self.pauses = []

    def wait(self, timeout=None):
        self.pauses.append(timeout)
        return super().wait(timeout)


def test_while_nobody_looks_it_asks_less_and_less_often_and_the_first_who_does_wakes_it(
    shared, until, monkeypatch
):
    monkeypatch.setattr(background_sync, "IDLE_AFTER_S", -1.0)
    monkeypatch.setattr(background_sync, "MAX_POLL_INTERVAL_S", 0.4)
    with monkeypatch.context() as recorded:
        recorded.setattr("core.storage.hopsworks.shared_folder.threading.Event", Waits)
        ada = shared("ada")
    waits = ada.sync.outbox_event
    with BackgroundSync(ada, interval_s=0.05):
        until(lambda: len(waits.pauses) >= 5)
        assert waits.pauses[:5] == pytest.approx([0.1, 0.2, 0.4, 0.4, 0.4])
        monkeypatch.setattr(background_sync, "IDLE_AFTER_S", 60.0)
        monkeypatch.setattr(background_sync, "MAX_POLL_INTERVAL_S", 600.0)
        before = len(waits.pauses)
        ada.sync.note_use()
        until(lambda: len(waits.pauses) > before and waits.pauses[-1] == 0.05)
    assert time.monotonic() - ada.sync.last_use < 60


def test_a_look_after_another_wakes_nobody(shared):
    ada = shared("ada")
    ada.sync.note_use()
    assert ada.sync.outbox_event.is_set()
    ada.sync.outbox_event.clear()
    ada.sync.note_use()
    assert not ada.sync.outbox_event.is_set()
