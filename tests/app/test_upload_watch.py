"""When Freesound is asked what became of uploads: seldom, and never more than it must be."""

import sqlite3
import threading

import pytest
from pydantic import SecretStr

from app.upload_watch import LATER_S, SOON_S, UploadWatch
from core.freesound.client import FreesoundClient
from core.freesound.rate_limit import SHARED, Budget
from core.publishing.standings import Standings
from core.publishing.upload import Publisher
from tests.helpers.publishing import ANALYSIS, PLENTY, Uploader, noise_wav, upload_form

HOUR_S, DAY_S = 3600, 86_400


class Page:
    """A page that is open and draws itself again whenever that is due."""

    def __init__(self, server, workspace, folder, limits):
        unlimited = (10**9, 10**9)
        app = server.state.add_client("earmark", get_limits=unlimited, post_limits=unlimited)
        self.budget = Budget(folder / "budget.sqlite", limits, server.now)
        self.client = FreesoundClient(
            SecretStr(app.client_secret), self.budget, f"{server.url}/apiv2", sleep=server.advance
        )
        self.server, self.alice = server, Uploader(server, app)
        self.publisher = Publisher(folder, self.client, workspace, server.now)
        standings = Standings(folder, self.client, workspace, server.now)
        self.watch = UploadWatch(
            self.publisher, standings, self.client, workspace, clock=server.now
        )

    def publish(self) -> int:
        data, alice = noise_wav(), self.alice
        self.publisher.publish(alice.person, alice, upload_form(data), data, ANALYSIS)
        return max(self.server.state.sounds)

    def look(self, **options):
        return self.watch.look(self.alice.person, self.alice, **options)

    def requests(self) -> int:
        return len(self.server.requests)

    def requests_in(self, seconds: float) -> int:
        """How many requests the open page makes in a time."""
        before, end = self.requests(), self.server.now() + seconds
        while (look := self.look()).is_waiting and look.due < end:
            self.server.advance(look.due - self.server.now() + 0.1)
        return self.requests() - before


@pytest.fixture
def open_page(freesound_server, workspace, tmp_path):
    def page(limits=PLENTY):
        return Page(freesound_server, workspace, tmp_path / "publications", limits)

    return page


def test_a_sound_that_is_processed_is_looked_at_soon_and_then_less_and_less(open_page):
    page = open_page()
    page.publish()
    look = page.look()
    assert look.due - look.answered == pytest.approx(SOON_S)
    assert page.requests_in(HOUR_S) < 40
    assert page.requests_in(DAY_S) < 100


def test_a_day_of_waiting_for_a_moderator_costs_few_requests(open_page):
    page = open_page()
    page.server.state.process(page.publish(), duration=1.0)
    look = page.look()
    assert look.due - look.answered == pytest.approx(LATER_S)
    assert page.requests_in(DAY_S) < 120


def test_where_nothing_can_change_the_page_asks_for_nothing(open_page):
    page = open_page()
    number = page.publish()
    page.server.state.process(number, duration=1.0)
    page.server.state.moderate(number)
    assert not page.look().is_waiting
    assert page.requests_in(DAY_S) == 0


def test_a_change_is_followed_closely_again(open_page):
    page = open_page()
    number = page.publish()
    page.requests_in(HOUR_S)
    page.server.state.process(number, duration=1.0)
    page.requests_in(HOUR_S)
    assert page.look().standings[number].stage == "in moderation"
    page.publish()
    look = page.look()
    assert look.unchanged == 0
    assert look.due - look.answered == pytest.approx(SOON_S)


def test_a_second_window_shows_the_same_answer_without_asking(open_page):
    page = open_page()
    page.publish()
    first, before = page.look(), page.requests()
    assert page.look() == first
    assert page.requests() == before
    page.look(is_asked_for=True)
    assert page.requests() > before


def test_two_windows_never_ask_at_the_same_time(open_page):
    page = open_page()
    page.publish()
    page.server.fail("pending_uploads", delay=1.0)
    asking = threading.Thread(target=page.look)
    asked = sum(request.path.endswith("pending_uploads/") for request in page.server.requests)
    asking.start()
    while sum(r.path.endswith("pending_uploads/") for r in page.server.requests) == asked:
        asking.join(0.01)
    before = page.requests()
    assert page.look().answered == 0
    asking.join()
    assert page.requests() - before <= 2
    assert page.look().answered > 0


def test_with_few_requests_left_only_a_person_who_asks_for_it_uses_them(open_page):
    page = open_page(SHARED)
    page.publish()
    page.look()
    while page.client.reads_left()[1] > 20:
        page.budget.spend(page.client.api_key.get_secret_value(), "read")
        page.server.advance(10)
    before = page.requests()
    look = page.look()
    assert "Few requests" in look.problem
    assert look.standings  # what was known stays
    assert page.requests_in(HOUR_S) == 0
    page.server.advance(120)
    assert not page.look(is_asked_for=True).problem
    assert page.requests() > before


def test_a_freesound_that_is_away_is_asked_less_and_less_and_what_was_known_stays(open_page):
    page = open_page()
    number = page.publish()
    page.look()
    page.server.fail("pending_uploads", times=None, status=500)
    page.server.advance(SOON_S + 1)
    look = page.look()
    assert look.problem
    assert look.standings[number].stage == "processing"
    assert look.due - page.server.now() >= LATER_S / 2
    assert page.requests_in(DAY_S) < 200


def test_a_damaged_record_of_one_upload_does_not_hide_what_became_of_the_others(
    open_page, tmp_path
):
    page = open_page()
    page.server.state.process(page.publish(), duration=1.0)
    page.server.fail("sounds/upload", status=500)
    page.publish()
    with sqlite3.connect(tmp_path / "publications" / "publications.sqlite") as log:
        log.execute("UPDATE publications SET body = '{' WHERE state = 'uncertain'")
    look = page.look()
    assert "damaged" in look.problem
    assert [standing.stage for standing in look.standings.values()] == ["in moderation"]
