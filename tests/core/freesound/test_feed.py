"""Listing the newest sounds, over real HTTP."""

import pytest
from pydantic import SecretStr

from core.freesound.client import FreesoundClient
from core.freesound.errors import NotAllowed
from core.freesound.feed import ListingGap, newest_rows
from core.freesound.rate_limit import Budget, Limits
from core.freesound.types import FreesoundSound

PLENTY = Limits(reads_a_minute=10**6, reads_a_day=10**6)
DAY_MINUTES = 24 * 60


@pytest.fixture
def server(freesound_server):
    return freesound_server


@pytest.fixture
def client(server, tmp_path):
    app = server.state.add_client("earmark", owner="alice")
    budget = Budget(tmp_path / "budget.sqlite", PLENTY, server.now)
    return FreesoundClient(SecretStr(app.client_secret), budget, f"{server.url}/apiv2")


@pytest.fixture
def upload(server):
    """Makes a public sound that was uploaded so many minutes ago."""

    def make(minutes=0.0, duration=3.0) -> int:
        created = server.now() - 60 * minutes
        return server.state.add_sound("alice", created=created, duration=duration).id

    return make


def ids(rows) -> list[int]:
    return [row.id for row in rows if isinstance(row, FreesoundSound)]


def pages(server) -> list[str]:
    return [
        request.query["page"] for request in server.requests if request.path.endswith("/search/")
    ]


def test_the_newest_come_first_and_long_and_old_sounds_do_not_come(client, upload):
    upload(1, duration=11.0)
    upload(31 * DAY_MINUTES)
    made = [upload(minutes) for minutes in range(3)]
    assert ids(newest_rows(client)) == made
    assert len(ids(newest_rows(client, max_seconds=12, days=40))) == 5


def test_pages_are_read_only_as_far_as_they_are_needed(server, client, upload):
    for minutes in range(310):
        upload(minutes)
    rows = newest_rows(client)
    for _ in range(150):
        next(rows)
    assert pages(server) == ["1"]
    assert len(list(rows)) == 160
    assert pages(server) == ["1", "2", "3"]


def test_a_sound_that_others_push_to_the_next_page_comes_once(server, client, upload):
    made = [upload(minutes) for minutes in range(1, 152)]
    rows = newest_rows(client)
    first_page = [next(rows) for _ in range(150)]
    upload(0)
    assert ids([*first_page, *rows]) == made


def test_a_row_without_a_sound_and_the_end_of_what_is_read_are_gaps(server, client, upload):
    made = [upload(minutes) for minutes in range(5)]
    server.null_sound_ids.add(made[0])
    first, *rows, last = newest_rows(client, max_rows=3)
    assert ids(rows) == made[1:3]
    assert first == ListingGap(
        "A row of Freesound's list", "Freesound lists a sound that it does not have any more."
    )
    assert isinstance(last, ListingGap)
    assert "no further than the 3 newest sounds" in last.reason


def test_an_error_comes_when_the_list_is_read(client):
    client.api_key = SecretStr("wrong")
    rows = newest_rows(client)
    with pytest.raises(NotAllowed):
        next(rows)
