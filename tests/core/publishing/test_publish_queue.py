"""Sounds published one after the other: each once, with its outcome, through stops and kills."""

from dataclasses import replace

import pytest

from core.people import Person
from core.publishing.bulk import BulkRow
from core.publishing.publish_queue import (
    MAX_AGE_S,
    PublishQueues,
    SoundToPublish,
    run_queue,
)
from tests.helpers.publishing import ANALYSIS, noise_wav

ROW = BulkRow(
    audio_filename="rain on roof.wav",
    tags=("rain", "roof", "weather"),
    description="Rain, from inside.",
    license="Creative Commons 0",
    bst_category="ss-n",
)


class Killed(BaseException):
    """The process ends here."""


class Batch:
    """A person who publishes many sounds."""

    def __init__(self, server, folder, alice, publisher):
        self.server, self.alice, self.publisher = server, alice, publisher
        self.folder = folder / "queues"
        self.files = [noise_wav() for _ in range(4)]

    @property
    def queues(self) -> PublishQueues:
        """Opened anew, as after a restart."""
        return PublishQueues(self.folder, self.server.now)

    @property
    def queue(self):
        return self.queues.of(self.alice.person)

    def begin(self, rows=None):
        rows = rows or [replace(ROW, name=f"Rain number {number}") for number in range(4)]
        pairs = zip(rows, self.files, strict=False)
        sounds = [SoundToPublish(row, data, ANALYSIS.model) for row, data in pairs]
        return self.queues.begin(self.alice.person, sounds)

    def publish(self, row, data):
        form = row.row.to_form(len(data))
        return self.publisher.publish(self.alice.person, self.alice, form, data, ANALYSIS)

    def run(self, should_stop=lambda: False, publish=None):
        run_queue(self.queues, self.queue, publish or self.publish, should_stop)
        return self.states()

    def states(self):
        return [row.state for row in self.queue.rows]

    def on_freesound(self):
        return [(sound.name, sound.audio) for sound in self.server.state.sounds.values()]

    def uploads(self):
        return sum(request.path.endswith("sounds/upload/") for request in self.server.requests)

    def kept_files(self):
        return sorted(path.name for path in self.folder.glob("*/*"))


@pytest.fixture
def batch(freesound_server, tmp_path, alice, publisher):
    return Batch(freesound_server, tmp_path, alice, publisher)


def test_every_sound_is_published_in_order_and_its_copy_deleted(batch):
    batch.begin()
    assert len(batch.kept_files()) == 4
    assert batch.run() == ["published"] * 4
    assert batch.on_freesound() == [(f"Rain number {n}", batch.files[n]) for n in range(4)]
    assert batch.queue.state == "finished"
    assert all(str(row.sound_id) in row.message for row in batch.queue.rows)
    assert batch.kept_files() == []


def test_a_stop_lets_the_rest_wait_and_it_goes_on_after_a_restart(batch):
    batch.begin()
    assert batch.run(lambda: batch.uploads() == 2) == ["published"] * 2 + ["waiting"] * 2
    assert (batch.queue.state, batch.queue.reason) == ("stopped", "")
    assert batch.run() == ["published"] * 4
    assert batch.uploads() == 4


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_while_a_sound_is_sent_publishes_it_once(batch, moment):
    batch.begin()

    def publish(row, data):
        if row.number == 1 and moment == "before":
            raise Killed
        upload = batch.publish(row, data)
        if row.number == 1:
            raise Killed
        return upload

    with pytest.raises(Killed):
        batch.run(publish=publish)
    assert batch.states() == ["published", "sending", "waiting", "waiting"]
    assert batch.queue.state == "running"
    assert batch.run() == ["published"] * 4
    assert batch.uploads() == 4
    assert not any("earlier upload" in row.message for row in batch.queue.rows)


def test_what_is_wrong_with_one_sound_is_said_and_the_others_follow(batch):
    batch.begin()
    refusal = '{"detail": {"name": ["This name is not good."]}}'
    batch.server.fail("sounds/upload", status=400, body=refusal, content_type="application/json")
    assert batch.run() == ["not published"] + ["published"] * 3
    assert "This name is not good" in batch.queue.rows[0].message
    batch.queues.try_again(batch.queue)
    assert batch.run() == ["published"] * 4


def test_a_form_that_freesound_would_refuse_is_not_sent(batch):
    batch.begin([replace(ROW, tags=("rain",)), ROW])
    assert batch.run() == ["not published", "published"]
    assert batch.uploads() == 1


def test_what_is_wrong_with_every_sound_stops_the_queue_with_its_reason(batch):
    batch.begin()
    spent = (
        '{"detail": "Request was throttled because of exceeding a request limit rate (2000/day)"}'
    )
    batch.server.fail("pending", None, status=429, body=spent, content_type="application/json")
    assert batch.run() == ["waiting"] * 4
    assert (batch.queue.state, batch.uploads()) == ("stopped", 0)
    assert "room again tomorrow" in batch.queue.reason
    batch.server.heal()
    assert batch.run() == ["published"] * 4
    assert batch.queue.reason == ""


def test_a_lost_answer_is_looked_up_and_the_sound_is_there_once(batch):
    batch.begin()
    batch.server.fail("sounds/upload", drop="after")
    assert batch.run() == ["published"] * 4
    assert batch.uploads() == len(batch.on_freesound()) == 4


def test_a_file_that_was_published_before_says_that_nothing_was_sent(batch):
    batch.begin([ROW])
    batch.run()
    batch.begin([replace(ROW, name="Another name")])
    assert batch.run() == ["published"]
    assert "nothing was sent now" in batch.queue.rows[0].message
    assert batch.uploads() == 1


def test_queues_are_each_persons_own_private_and_not_kept_for_ever(batch):
    batch.begin()
    bob = Person(batch.server.state.users["bob"].id, "bob")
    assert batch.queues.of(bob) is None
    (folder,) = (path for path in batch.folder.iterdir() if path.is_dir())
    assert folder.stat().st_mode & 0o077 == 0
    then = batch.queue.began + MAX_AGE_S + 1
    later = PublishQueues(batch.folder, clock=lambda: then)
    later.begin(bob, [SoundToPublish(ROW, noise_wav(), ANALYSIS.model)])
    assert batch.queue is None
    assert batch.kept_files() == ["0"]
    later.close(bob)
    assert batch.kept_files() == []
