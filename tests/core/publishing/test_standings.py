"""Where published sounds stand at Freesound, through a life of each kind."""

import pytest

from core.publishing.standings import MAX_LOOKUPS, MAX_PROCESSING_S, MIN_GONE_AGE_S, Standings
from tests.helpers.publishing import ANALYSIS, noise_wav, upload_form


class Life:
    """Somebody's sounds, and what Freesound says of them."""

    def __init__(self, server, workspace, client, alice, publisher):
        self.client, self.alice, self.publisher = client, alice, publisher
        self.server, self.state, self.workspace = server, server.state, workspace

    def publish(self, **changes) -> int:
        data, alice = noise_wav(), self.alice
        form = upload_form(data, **changes)
        done = self.publisher.publish(alice.person, alice, form, data, ANALYSIS)
        assert done.state == "published"
        return done.sound_id

    def standings(self) -> Standings:
        """Opened anew, as after a restart."""
        return Standings(self.folder, self.client, self.workspace, self.server.now)

    def look(self):
        pending = self.alice(self.client.pending_uploads)
        return self.standings().look_up(self.publisher.uploads_of(self.alice.person), pending)

    def stage(self) -> str:
        (standing,) = self.look().values()
        return standing.stage

    def requests(self) -> int:
        return len(self.server.requests)


@pytest.fixture
def life(freesound_server, workspace, tmp_path, client, alice, publisher):
    life = Life(freesound_server, workspace, client, alice, publisher)
    life.folder = tmp_path / "publications"
    return life


def test_from_processing_over_moderation_to_public_and_back_and_deleted(life):
    number = life.publish()
    assert life.stage() == "processing"
    life.state.process(number, duration=1.0)
    assert life.stage() == "in moderation"
    life.state.moderate(number, "DE")
    assert life.stage() == "in moderation"  # Freesound does not say that it was deferred
    life.state.moderate(number)
    assert life.stage() == "public"
    life.state.moderate(number, "DE")
    assert life.stage() == "set back"
    life.state.moderate(number)
    assert life.stage() == "public"
    life.state.reject(number)
    assert life.stage() == "deleted"


def test_a_sound_that_fails_stays_failed_until_its_uploader_removes_it(life):
    number = life.publish()
    life.state.process(number, failed=True)
    life.server.advance(10 * MIN_GONE_AGE_S)
    assert life.stage() == "failed"
    life.state.reject(number)
    assert life.stage() == "removed"


def test_a_sound_that_is_rejected_within_the_hour_is_gone_at_once(life):
    number = life.publish()
    assert life.stage() == "processing"
    life.state.reject(number)
    assert life.stage() == "removed"


@pytest.mark.parametrize("status", [200, 404])
def test_a_trusted_uploaders_sound_is_not_being_processed_for_ever(life, status):
    life.state.users["alice"].whitelisted = True
    life.server.unmoderated_status = status
    number = life.publish()
    assert life.stage() == "processing"
    life.server.advance(MAX_PROCESSING_S + 1)
    assert life.stage() == {200: "not processed", 404: "processing"}[status]
    life.state.process(number, failed=True)
    life.server.advance(MIN_GONE_AGE_S)
    assert life.stage() == {200: "not processed", 404: "removed"}[status]


def test_a_trusted_uploaders_sound_that_is_processed_late_is_public(life):
    life.state.users["alice"].whitelisted = True
    number = life.publish()
    life.server.advance(MAX_PROCESSING_S + 1)
    assert life.stage() == "not processed"
    life.state.process(number, duration=1.0)
    assert life.stage() == "public"


def test_what_was_edited_on_freesound_is_named(life):
    number = life.publish(description="Rain & wind,\nfrom inside. ")
    life.state.process(number, duration=1.0)
    stored = life.state.moderate(number)
    stored.description = "Rain &amp; wind,\r\nfrom inside."  # as the website writes it
    assert life.look()[number].edits == ()
    stored.name, stored.tags = "Hail", ["hail", "roof", "weather"]
    assert life.look()[number].edits == ("name", "tags")
    stored.license, stored.description = "Attribution", "Hail."
    assert life.look()[number].edits == ("name", "tags", "description", "license")


def test_all_public_sounds_cost_one_request_and_those_that_are_gone_none(life):
    numbers = [life.publish() for _ in range(4)]
    for number in numbers:
        life.state.process(number, duration=1.0)
        life.state.moderate(number)
    before = life.requests()
    life.look()
    assert life.requests() - before == 2  # what is pending, and what is public
    life.state.reject(numbers[0])
    life.look()
    before = life.requests()
    assert life.look()[numbers[0]].stage == "deleted"
    assert life.requests() - before == 2


def test_sounds_that_are_in_no_list_are_asked_for_a_few_at_a_time_and_each_in_turn(life):
    life.state.users["alice"].whitelisted = True
    numbers = {life.publish() for _ in range(MAX_LOOKUPS + 2)}
    before = life.requests()
    assert len(life.look()) == MAX_LOOKUPS
    assert life.requests() - before == MAX_LOOKUPS + 2
    life.server.advance(60)
    assert life.look().keys() == numbers


def test_what_is_known_outlasts_a_restart_and_a_freesound_that_is_away(life):
    number = life.publish()
    life.state.process(number, duration=1.0)
    life.state.moderate(number)
    life.look()
    uploads = life.publisher.uploads_of(life.alice.person)
    before = life.requests()
    assert life.standings().known(uploads)[number].stage == "public"
    assert life.requests() == before
