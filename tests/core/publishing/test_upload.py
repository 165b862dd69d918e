"""Publishing against the local double, over real HTTP.

Each sound is there once, whatever goes wrong on the way.
"""

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from core.events.types import PredictedEvent
from core.freesound.client import FreesoundClient
from core.freesound.errors import FreesoundError
from core.freesound.rate_limit import Budget
from core.people import Person, user_id
from core.publishing.errors import AlreadyBeingPublished, FormError, UploadLogError
from core.publishing.upload import LISTING_DELAY_S, Publisher
from core.storage.local import open_local_workspace
from core.tags import MAX_TAGS, MAX_TAGS_LENGTH, MIN_TAGS, clean, freesound_tags
from tests.helpers.killed_publisher import KILLED
from tests.helpers.publishing import ANALYSIS, PLENTY, Uploader, noise_wav, upload_form
from tests.servers.freesound import clean_tags

ROOT = Path(__file__).parents[3]
VERSION_0_1 = ROOT / "tests" / "data" / "version_0_1" / "workspace" / "publications"
OPEN_IN_VERSION_0_1 = "d" * 32
MD5_IN_VERSION_0_1 = "1" * 32


def publish(publisher, alice, data, **changes):
    return publisher.publish(alice.person, alice, upload_form(data, **changes), data, ANALYSIS)


def on_freesound(server) -> list:
    return list(server.state.sounds.values())


def uploads(server) -> int:
    return sum(request.path.endswith("sounds/upload/") for request in server.requests)


def kinds(workspace, sound_id: int) -> list[str]:
    return [event.kind for event in workspace.events.of_sound(f"freesound:{sound_id}")]


def test_a_published_sound_is_on_freesound_and_in_the_workspace_with_what_it_really_stored(
    publisher, alice, workspace, freesound_server
):
    data = noise_wav()
    done = publish(publisher, alice, data, tags=("rain", "Roof", "naïve", "wind"))
    (stored,) = on_freesound(freesound_server)
    assert (done.state, done.sound_id, stored.audio) == ("published", stored.id, data)
    state = workspace.sounds.get(f"freesound:{stored.id}")
    assert set(state.tags) == set(stored.tags) == {"rain", "roof", "naive", "wind"}
    assert kinds(workspace, stored.id) == ["predicted", "published"]
    assert state.last_event.payload.decisions == {
        "rain": "kept",
        "dog": "removed",
        "roof": "added",
        "naive": "added",
        "wind": "added",
    }
    assert user_id(state.last_event.actor) == alice.person.user_id
    sound = state.sound
    assert (sound.title, sound.author, sound.source) == ("Rain on a roof", "alice", "Freesound")
    assert (sound.seconds, sound.container, sound.rate, sound.channels) == (4.0, "WAV", 48_000, 2)
    assert sound.license == "https://creativecommons.org/publicdomain/zero/1.0/"
    assert sound.category == "Soundscapes: Nature"
    assert workspace.media.path(state.media.audio).read_bytes() == ANALYSIS.preview
    assert workspace.media.path(state.media.spectrogram).read_bytes() == ANALYSIS.spectrogram
    assert workspace.sidecars.get(state.sound_id, ANALYSIS.model)["activations"].shape == (2, 3)


def test_progress_names_the_stages_and_the_share_sent(publisher, alice):
    data, steps = noise_wav(), []
    publisher.publish(
        alice.person,
        alice,
        upload_form(data),
        data,
        ANALYSIS,
        lambda stage, share: steps.append((stage, share)),
    )
    assert list(dict.fromkeys(stage for stage, _ in steps)) == [
        "Looking for an earlier attempt",
        "Sending to Freesound",
        "Keeping what Freesound stored",
    ]
    assert max(share for stage, share in steps if stage == "Sending to Freesound") == 1.0


def test_publishing_is_logged_by_ids_without_tokens_or_texts(publisher, alice, app, caplog):
    caplog.set_level(logging.DEBUG)
    done = publish(publisher, alice, noise_wav(), name="My secret title")
    assert f"publish sound={done.sound_id} actor={alice.person.user_id}" in caplog.text
    for secret in (alice.token.access, app.client_secret, "My secret title"):
        assert secret not in caplog.text


def test_nothing_is_sent_or_written_for_a_form_that_freesound_would_refuse(
    publisher, alice, freesound_server
):
    with pytest.raises(FormError):
        publish(publisher, alice, noise_wav(), tags=("rain",))
    assert freesound_server.requests == []
    assert publisher.uploads_of(alice.person) == []


@pytest.mark.parametrize("rate", ["30/minute", "500/day"])
def test_a_throttled_upload_is_not_repeated_and_says_so(publisher, alice, freesound_server, rate):
    data = noise_wav()
    reason = f"Request was throttled because of exceeding a request limit rate ({rate})"
    freesound_server.fail(
        "sounds/upload",
        status=429,
        body=f'{{"detail": "{reason}"}}',
        content_type="application/json",
    )
    done = publish(publisher, alice, data)
    assert (done.state, uploads(freesound_server)) == ("refused", 1)
    assert done.message.startswith("Nothing was sent: Freesound asks for fewer requests")
    assert publish(publisher, alice, data).state == "published"


def test_the_servers_own_refusal_is_explained_field_by_field_in_plain_words(
    publisher, alice, freesound_server, caplog
):
    body = (
        '{"detail": {"tags": ["You should add at least 3 tags..."], '
        '"license": ["\\"x\\" is not a valid choice."]}}'
    )
    freesound_server.fail("sounds/upload", status=400, body=body, content_type="application/json")
    done = publish(publisher, alice, noise_wav())
    assert done.state == "refused"
    assert "Freesound requires at least 3 tags" in done.message
    assert "license" in done.message
    assert on_freesound(freesound_server) == []
    assert f"publish refused upload={done.upload_id}" in caplog.text


@pytest.mark.parametrize(
    "fault",
    [{"drop": "after"}, {"status": 500, "processed": True}, {"status": 502, "processed": True}],
)
def test_a_lost_answer_is_looked_up_and_the_sound_is_there_once(
    publisher, alice, workspace, freesound_server, fault
):
    freesound_server.fail("sounds/upload", **fault)
    done = publish(publisher, alice, noise_wav())
    assert (done.state, uploads(freesound_server)) == ("published", 1)
    assert len(on_freesound(freesound_server)) == 1
    assert workspace.sounds.get(f"freesound:{done.sound_id}").last_event.kind == "published"


@pytest.mark.parametrize(
    "fault",
    [{"drop": "before"}, {"status": 500}, {"status": 503, "body": "<html>busy</html>"}],
)
def test_an_upload_that_did_not_arrive_stays_open_until_that_is_certain_and_can_be_repeated(
    publisher, alice, freesound_server, fault
):
    data = noise_wav()
    freesound_server.fail("sounds/upload", **fault)
    done = publish(publisher, alice, data)
    assert (done.state, on_freesound(freesound_server)) == ("uncertain", [])
    with pytest.raises(AlreadyBeingPublished, match="no outcome yet"):
        publish(publisher, alice, data)
    assert uploads(freesound_server) == 1
    freesound_server.advance(LISTING_DELAY_S + 1)
    (resolved,) = publisher.resolve_uploads(alice.person, alice)
    assert resolved.state == "not there"
    assert "can safely be published again" in resolved.message
    assert publish(publisher, alice, data).state == "published"
    assert len(on_freesound(freesound_server)) == 1


def test_a_sound_that_freesound_half_made_is_found_and_not_sent_again(
    publisher, alice, client, freesound_server
):
    """A 500 with the sound stored, and no list of the uploader's at hand at first."""
    data = noise_wav()
    freesound_server.fail("sounds/upload", status=500, processed=True)
    pending = freesound_server.fail("sounds/pending_uploads", times=None, status=500)
    with pytest.raises(FreesoundError, match="trouble"):
        publish(publisher, alice, data)
    freesound_server.heal()
    freesound_server.fail("sounds/upload", status=500, processed=True)
    assert pending not in freesound_server.faults
    done = publish(publisher, alice, data)
    assert (done.state, uploads(freesound_server)) == ("published", 1)


def test_freesound_unreachable_after_sending_is_said_and_resolved_later(
    publisher, alice, freesound_server
):
    data = noise_wav()

    def cut_off(stage, share):
        if stage.startswith("Asking"):
            freesound_server.fail("pending_uploads", times=None, drop="before")

    freesound_server.fail("sounds/upload", drop="after")
    form = upload_form(data)
    done = publisher.publish(alice.person, alice, form, data, ANALYSIS, cut_off)
    assert done.state == "uncertain"
    assert "cannot be looked up just now" in done.message
    freesound_server.heal()
    (resolved,) = publisher.resolve_uploads(alice.person, alice)
    assert (resolved.state, uploads(freesound_server)) == ("published", 1)


def test_a_token_that_runs_out_before_or_while_sending_is_refreshed_and_the_sound_sent_once(
    publisher, alice, freesound_server
):
    freesound_server.state.expire_tokens()
    assert publish(publisher, alice, noise_wav()).state == "published"

    data, expired = noise_wav(), []

    def expire_once(stage, share):
        if stage == "Sending to Freesound" and not expired:
            expired.append(True)
            freesound_server.state.expire_tokens()

    form = upload_form(data)
    done = publisher.publish(alice.person, alice, form, data, ANALYSIS, expire_once)
    assert (done.state, expired) == ("published", [True])
    assert len(on_freesound(freesound_server)) == 2


def test_the_same_bytes_twice_are_one_sound(publisher, alice, freesound_server):
    data = noise_wav()
    first = publish(publisher, alice, data)
    assert publish(publisher, alice, data) == first
    assert (len(on_freesound(freesound_server)), uploads(freesound_server)) == (1, 1)


def test_somebody_elses_copy_of_the_file_is_named(publisher, alice, freesound_server):
    data = noise_wav()
    other = freesound_server.state.add_sound("bob", audio=data)
    done = publish(publisher, alice, data)
    assert (done.state, f"sound {other.id} by bob" in done.message) == ("refused", True)


def test_a_duplicate_of_which_freesound_shows_nothing_is_explained_as_such(
    publisher, alice, freesound_server
):
    data = noise_wav()
    freesound_server.state.add_sound("bob", audio=data, public=False)
    done = publish(publisher, alice, data)
    assert (done.state, "does not say where" in done.message) == ("refused", True)


def test_an_own_sound_of_the_same_name_is_not_mistaken_for_the_lost_one(
    publisher, alice, freesound_server
):
    freesound_server.state.add_sound("alice", audio=b"other", public=False, name="Rain on a roof")
    freesound_server.fail("sounds/upload", drop="before")
    assert publish(publisher, alice, noise_wav()).state == "uncertain"


def test_an_unmoderated_sound_that_freesound_hides_is_found_by_its_name(
    publisher, alice, freesound_server
):
    freesound_server.unmoderated_status = 404
    freesound_server.fail("sounds/upload", drop="after")
    done = publish(publisher, alice, noise_wav())
    assert (done.state, len(on_freesound(freesound_server))) == ("published", 1)


def test_a_whitelisted_uploaders_lost_answer_is_found_by_md5(publisher, alice, freesound_server):
    """Their sounds are in none of the lists."""
    freesound_server.state.users["alice"].whitelisted = True
    freesound_server.auto_process = True
    freesound_server.fail("sounds/upload", drop="after")
    done = publish(publisher, alice, noise_wav())
    assert (done.state, len(on_freesound(freesound_server))) == ("published", 1)


def test_a_sound_too_large_for_the_site_is_one_sentence(publisher, alice, freesound_server):
    freesound_server.fail("sounds/upload", status=413)
    message = publish(publisher, alice, noise_wav()).message
    assert message == "Nothing was published. The file is larger than Freesound takes."


@pytest.mark.parametrize(
    "moment", ["before sending", "after sending", "before the events", "after the events"]
)
def test_the_upload_of_a_server_killed_while_publishing_is_resolved_after_its_restart(
    moment, freesound_server, app, alice, tmp_path
):
    """A real process, ended without warning at that moment; then another looks up the truth."""
    (tmp_path / "sound.wav").write_bytes(noise_wav())
    api = f"{freesound_server.url}/apiv2"
    arguments = [str(tmp_path), moment, api, app.client_secret, alice.token.access]
    command = [sys.executable, "-m", "tests.helpers.killed_publisher"]
    user = str(alice.person.user_id)
    ended = subprocess.run([*command, *arguments, user], cwd=ROOT, env=os.environ)
    assert ended.returncode == KILLED

    workspace = open_local_workspace(tmp_path / "workspace")
    client = FreesoundClient(
        SecretStr(app.client_secret), Budget(tmp_path / "budget.sqlite", PLENTY), api
    )
    later = Publisher(
        tmp_path / "publications",
        client,
        workspace,
        lambda: freesound_server.now() + LISTING_DELAY_S + 1,
    )
    (resolved,) = later.resolve_uploads(alice.person, alice)
    if moment == "before sending":
        assert (resolved.state, on_freesound(freesound_server)) == ("not there", [])
    else:
        (stored,) = on_freesound(freesound_server)
        assert (resolved.state, resolved.sound_id) == ("published", stored.id)
        assert kinds(workspace, stored.id) == ["predicted", "published"]
    assert later.resolve_uploads(alice.person, alice) == []


def test_what_bob_published_is_not_alices(publisher, alice, freesound_server, app):
    publish(publisher, alice, noise_wav())
    bob = Uploader(freesound_server, app, "bob")
    assert publisher.uploads_of(bob.person) == []
    assert publisher.resolve_uploads(bob.person, bob) == []


# Uploads that the version before left open


@pytest.fixture
def old_log(tmp_path):
    """A copy of version 0.1's log with one upload whose outcome is uncertain."""
    folder = tmp_path / "version_0_1"
    shutil.copytree(VERSION_0_1, folder)
    return folder


@pytest.fixture
def old_alice(freesound_server, app):
    """Alice with the user id that she has in that log."""
    alice = Uploader(freesound_server, app)
    alice.person = Person(11, "alice")
    return alice


def uploaded_by_version_0_1(server, name="Rain on a roof"):
    """Add the sound that the open upload became."""
    return server.state.add_sound(
        "alice",
        audio=b"anything",
        public=False,
        name=name,
        tags=["rain", "roof", "weather"],
        description="Rain.",
    )


def test_an_upload_that_version_0_1_left_open_is_kept_with_everything_once_it_is_found(
    old_log, old_alice, client, workspace, freesound_server
):
    freesound_server.unmoderated_status = 404
    stored = uploaded_by_version_0_1(freesound_server)
    preview = (old_log / OPEN_IN_VERSION_0_1 / "ogg").read_bytes()
    spectrogram = (old_log / OPEN_IN_VERSION_0_1 / "webp").read_bytes()
    publisher = Publisher(old_log, client, workspace, freesound_server.now)

    (resolved,) = publisher.resolve_uploads(old_alice.person, old_alice)

    assert (resolved.state, resolved.sound_id) == ("published", stored.id)
    assert kinds(workspace, stored.id) == ["predicted", "published"]
    state = workspace.sounds.get(f"freesound:{stored.id}")
    sound, predicted = state.sound, state.basis
    assert isinstance(predicted, PredictedEvent)
    assert (sound.title, sound.author, sound.description) == ("Rain on a roof", "alice", "Rain.")
    assert (sound.seconds, sound.container, sound.rate, sound.channels) == (0.6, "WAV", 8000, 1)
    assert [(tag.tag, tag.probability) for tag in predicted.payload.top] == [
        ("rain", 0.5066),
        ("bark", 0.5065),
        ("dog", 0.4084),
    ]
    assert str(predicted.payload.model) == "tiny v1"
    assert state.last_event.payload.decisions == {
        "rain": "added",
        "roof": "added",
        "weather": "added",
        "bark": "removed",
        "dog": "removed",
    }
    assert workspace.media.path(state.media.audio).read_bytes() == preview
    assert workspace.media.path(state.media.spectrogram).read_bytes() == spectrogram
    arrays = workspace.sidecars.get(state.sound_id, predicted.payload.model)
    assert {"activations", "embedding"} <= set(arrays)
    assert not (old_log / OPEN_IN_VERSION_0_1).exists()
    assert publisher.resolve_uploads(old_alice.person, old_alice) == []


def test_an_upload_of_version_0_1_that_never_arrived_is_said_to_be_lost(
    old_log, old_alice, client, workspace, freesound_server
):
    publisher = Publisher(old_log, client, workspace, lambda: 1_795_000_000.0 + LISTING_DELAY_S + 1)
    (resolved,) = publisher.resolve_uploads(old_alice.person, old_alice)
    assert resolved.state == "not there"
    assert list(workspace.events.all()) == []


def test_an_upload_of_version_0_1_that_freesound_had_accepted_needs_its_events_only(
    old_log, old_alice, client, workspace, freesound_server
):
    stored = uploaded_by_version_0_1(freesound_server, name="renamed since")
    with sqlite3.connect(old_log / "publications.sqlite") as database:
        database.execute(
            "UPDATE publications SET state = 'accepted', sound = ? WHERE intent = ?",
            (stored.id, OPEN_IN_VERSION_0_1),
        )
    database.close()
    publisher = Publisher(old_log, client, workspace, freesound_server.now)
    (resolved,) = publisher.resolve_uploads(old_alice.person, old_alice)
    assert (resolved.state, resolved.sound_id) == ("published", stored.id)
    assert kinds(workspace, stored.id) == ["predicted", "published"]


def test_uploads_of_version_0_1_are_listed_with_their_states(old_log, client, workspace):
    publisher = Publisher(old_log, client, workspace)
    states = {upload.title: upload.state for upload in publisher.uploads_of(Person(11, "alice"))}
    assert states == {"Published earlier": "published", "Rain on a roof": "uncertain"}


def test_an_open_upload_whose_files_are_gone_is_one_sentence(
    old_log, old_alice, client, workspace, freesound_server
):
    freesound_server.unmoderated_status = 404
    uploaded_by_version_0_1(freesound_server)
    shutil.rmtree(old_log / OPEN_IN_VERSION_0_1)
    publisher = Publisher(old_log, client, workspace, freesound_server.now)
    with pytest.raises(UploadLogError, match=r"rain-on-a-roof-dddddddd\.wav cannot be read .*\.$"):
        publisher.resolve_uploads(old_alice.person, old_alice)


# Tags: what was shown is what is stored

TRICKY = [
    "field_recording",
    "café",
    "Zug Bahnhof",
    "the",
    "of the",
    "--x--",
    "日本語",
    "naïve",
    "a,b;c",
    "#rain",
    "THE",
    "it's",
    "ÆØÅ",
    "x" * 101,
]
TYPED = st.lists(
    st.text(max_size=40) | st.sampled_from(TRICKY) | st.just("x" * 101), min_size=1, max_size=8
)
BASE_TAGS = ("rain", "roof", "weather")


def acceptable(typed) -> bool:
    """Return True if Freesound accepts these tags together with the base tags."""
    cleaned = clean((*typed, *BASE_TAGS))
    too_long = any("longer" in reason for _, reason in cleaned.dropped)
    fits = len(" ".join(cleaned.tags)) <= MAX_TAGS_LENGTH
    return MIN_TAGS <= len(cleaned.tags) <= MAX_TAGS and fits and not too_long


@settings(max_examples=1000, deadline=None)
@given(typed=TYPED)
def test_what_the_person_was_shown_is_what_goes_into_the_form_and_what_freesound_would_store(
    typed,
):
    form = upload_form(b"data", tags=(*typed, *BASE_TAGS))
    if not acceptable(typed):
        with pytest.raises(FormError):
            form.to_description()
        return
    shown = clean((*typed, *BASE_TAGS)).tags
    sent = form.to_description().form()["tags"]
    assert sent == " ".join(shown)
    assert tuple(freesound_tags(sent)) == shown
    assert sorted(clean_tags(sent)) == sorted(shown)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(typed=TYPED)
def test_what_the_person_was_shown_is_what_freesound_stores_over_http(
    publisher, alice, freesound_server, workspace, typed
):
    data = noise_wav()
    tags = (*typed, *BASE_TAGS)
    if not acceptable(typed):
        with pytest.raises(FormError):
            publish(publisher, alice, data, tags=tags)
        return
    done = publish(publisher, alice, data, tags=tags)
    assert done.state == "published"
    shown = sorted(clean(tags).tags)
    assert sorted(freesound_server.state.sounds[done.sound_id].tags) == shown
    assert sorted(workspace.sounds.get(f"freesound:{done.sound_id}").tags) == shown
