"""Publishing against the local double, over real HTTP: each sound is there once, whatever goes wrong on the way."""

import os
import subprocess
import sys
import wave
from io import BytesIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from core.freesound.budget import Budget, Limits
from core.freesound.client import FreesoundClient, SignInExpired
from core.freesound.form import FormError, UploadForm
from core.freesound.publishing import CERTAIN_AFTER_S, BeingPublished, Heard, Publisher
from core.id2prediction import ModelRef, Suggestion
from core.people import Person, user_id
from core.tags import FEWEST, LONGEST_TEXT, MOST, clean
from core.workspace.local import LocalWorkspace

PLENTY = Limits(10**6, 10**6, 10**6, 10**6)
HEARD = Heard(
    model=ModelRef(name="starter", version=1),
    top=(
        Suggestion(tag="rain", probability=0.9, above_threshold=True),
        Suggestion(tag="dog", probability=0.6, above_threshold=True),
        Suggestion(tag="wind", probability=0.1, above_threshold=False),
    ),
    seconds=4.0,
    container="WAV",
    rate=48_000,
    channels=2,
    ogg=b"OggS a preview",
    webp=b"a picture",
    arrays={"activations": np.zeros((2, 3), np.float32)},
)


def form(data: bytes, **changes) -> UploadForm:
    values = {
        "file_name": "rain on roof.wav", "size": len(data), "tags": ("rain", "roof", "weather"), "description": "Rain, from inside.",
        "license": "Creative Commons 0", "bst_category": "ss-n", "name": "Rain on a roof",
    }  # fmt: skip
    return UploadForm(**values | changes)


class Uploader:
    """Alice with her tokens, as the app would call for her: one refresh after a token that has run out."""

    def __init__(self, server, app, name="alice"):
        self.person = Person(server.state.users[name].id, name)
        self._server, self._app = server, app
        self.token = server.state.grant(name, app)

    def __call__(self, call):
        try:
            return call(SecretStr(self.token.access))
        except SignInExpired:
            self.token = self._server.state.grant(self.person.name, self._app)
            return call(SecretStr(self.token.access))


@pytest.fixture
def app(freesound_server):
    return freesound_server.state.add_client("earmark", owner="alice", get_limits=(10**9, 10**9), post_limits=(10**9, 10**9))


@pytest.fixture
def alice(freesound_server, app):
    return Uploader(freesound_server, app)


@pytest.fixture
def client(freesound_server, app, tmp_path):
    budget = Budget(tmp_path / "budget.sqlite", PLENTY, freesound_server.now)
    return FreesoundClient(SecretStr(app.client_secret), budget, f"{freesound_server.url}/apiv2", sleep=freesound_server.advance)


@pytest.fixture
def publisher(client, workspace, tmp_path, freesound_server):
    return Publisher(tmp_path / "publications", client, workspace, freesound_server.now)


def sound_bytes() -> bytes:
    """A short WAV file of noise, never the same twice."""
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(os.urandom(2000))
    return out.getvalue()


def publish(publisher, alice, data, **changes):
    return publisher.publish(alice.person, alice, form(data, **changes), data, HEARD)


def on_freesound(server) -> list:
    return list(server.state.sounds.values())


def uploads(server) -> int:
    return sum(one.path.endswith("sounds/upload/") for one in server.requests)


def test_a_published_sound_is_on_freesound_and_in_the_workspace_with_what_it_really_stored(publisher, alice, workspace, freesound_server):
    data = sound_bytes()
    done = publish(publisher, alice, data, tags=("rain", "Roof", "naïve", "wind"))
    (stored,) = on_freesound(freesound_server)
    assert (done.state, done.sound, stored.audio) == ("published", stored.id, data)
    state = workspace.sound(f"freesound:{stored.id}")
    assert set(state.tags) == set(stored.tags) == {"rain", "roof", "naive", "wind"}
    assert [event.kind for event in workspace.events(state.sound_id)] == ["predicted", "published"]
    assert state.last.payload.decisions == {"rain": "kept", "dog": "removed", "roof": "added", "naive": "added", "wind": "added"}
    assert user_id(state.last.actor) == alice.person.user_id
    assert (state.sound.title, state.sound.author, state.sound.source) == ("Rain on a roof", "alice", "Freesound")
    assert workspace.media_path(state.media.audio).read_bytes() == HEARD.ogg
    assert workspace.sidecar(state.sound_id, HEARD.model)["activations"].shape == (2, 3)


def test_progress_tells_the_stages_and_the_share_sent(publisher, alice):
    data, heard = sound_bytes(), []
    publisher.publish(alice.person, alice, form(data), data, HEARD, lambda stage, share: heard.append((stage, share)))
    assert [stage for stage, _ in dict.fromkeys((stage, 0) for stage, _ in heard)] == [
        "Looking for an earlier attempt", "Sending to Freesound", "Keeping what Freesound stored",
    ]  # fmt: skip
    assert max(share for stage, share in heard if stage == "Sending to Freesound") == 1.0


def test_nothing_is_sent_or_written_for_a_form_that_freesound_would_refuse(publisher, alice, freesound_server):
    with pytest.raises(FormError):
        publish(publisher, alice, sound_bytes(), tags=("rain",))
    assert freesound_server.requests == []
    assert publisher.of(alice.person) == []


@pytest.mark.parametrize("kind", ["minute", "day"])
def test_a_throttled_upload_is_not_repeated_and_says_so(publisher, alice, freesound_server, kind):
    data = sound_bytes()
    rate = {"minute": "30/minute", "day": "500/day"}[kind]
    detail = f'{{"detail": "Request was throttled because of exceeding a request limit rate ({rate})"}}'
    freesound_server.fail("sounds/upload", status=429, body=detail, content_type="application/json")
    done = publish(publisher, alice, data)
    assert (done.state, uploads(freesound_server)) == ("refused", 1)
    assert done.message.startswith("Nothing was sent: Freesound asks for fewer requests")
    assert publish(publisher, alice, data).state == "published"


def test_the_servers_own_refusal_is_told_field_by_field_in_plain_words(publisher, alice, freesound_server):
    body = '{"detail": {"tags": ["You should add at least 3 tags..."], "license": ["\\"x\\" is not a valid choice."]}}'
    freesound_server.fail("sounds/upload", status=400, body=body, content_type="application/json")
    done = publish(publisher, alice, sound_bytes())
    assert done.state == "refused"
    assert "Freesound wants at least 3 tags" in done.message
    assert "licence" in done.message
    assert on_freesound(freesound_server) == []


@pytest.mark.parametrize("fault", [{"drop": "after"}, {"status": 500, "processed": True}, {"status": 502, "processed": True}])
def test_a_lost_answer_is_looked_up_and_the_sound_is_there_once(publisher, alice, workspace, freesound_server, fault):
    freesound_server.fail("sounds/upload", **fault)
    done = publish(publisher, alice, sound_bytes())
    assert (done.state, uploads(freesound_server), len(on_freesound(freesound_server))) == ("published", 1, 1)
    assert workspace.sound(f"freesound:{done.sound}").last.kind == "published"


@pytest.mark.parametrize("fault", [{"drop": "before"}, {"status": 500}, {"status": 503, "body": "<html>busy</html>"}])
def test_an_upload_that_did_not_arrive_stays_open_until_that_is_certain_and_can_then_be_repeated(publisher, alice, freesound_server, fault):
    data = sound_bytes()
    freesound_server.fail("sounds/upload", **fault)
    done = publish(publisher, alice, data)
    assert (done.state, on_freesound(freesound_server)) == ("uncertain", [])
    with pytest.raises(BeingPublished, match="not settled yet"):
        publish(publisher, alice, data)
    assert uploads(freesound_server) == 1
    freesound_server.advance(CERTAIN_AFTER_S + 1)
    (settled,) = publisher.settle(alice.person, alice)
    assert (settled.state, "can safely be published again" in settled.message) == ("not there", True)
    assert publish(publisher, alice, data).state == "published"
    assert len(on_freesound(freesound_server)) == 1


def test_a_sound_that_freesound_half_made_is_found_and_not_sent_again(publisher, alice, client, freesound_server):
    """A 500 with the sound stored, and no list of the uploader's at hand at first."""
    data = sound_bytes()
    freesound_server.fail("sounds/upload", status=500, processed=True)
    pending = freesound_server.fail("sounds/pending_uploads", times=None, status=500)
    with pytest.raises(Exception, match="trouble"):
        publish(publisher, alice, data)
    freesound_server.heal()
    freesound_server.fail("sounds/upload", status=500, processed=True)
    assert pending not in freesound_server.faults
    done = publish(publisher, alice, data)
    assert (done.state, uploads(freesound_server)) == ("published", 1)


def test_freesound_unreachable_after_sending_is_said_and_settled_later(publisher, alice, freesound_server):
    data = sound_bytes()

    def cut_off(stage, share):
        if stage.startswith("Asking"):
            freesound_server.fail("pending_uploads", times=None, drop="before")

    freesound_server.fail("sounds/upload", drop="after")
    done = publisher.publish(alice.person, alice, form(data), data, HEARD, cut_off)
    assert (done.state, "cannot be looked up just now" in done.message) == ("uncertain", True)
    freesound_server.heal()
    (settled,) = publisher.settle(alice.person, alice)
    assert (settled.state, uploads(freesound_server)) == ("published", 1)


def test_a_token_that_runs_out_before_or_while_sending_is_refreshed_and_the_sound_sent_once(publisher, alice, freesound_server):
    freesound_server.state.expire_tokens()
    assert publish(publisher, alice, sound_bytes()).state == "published"

    data, once = sound_bytes(), []

    def expire_once(stage, share):
        if stage == "Sending to Freesound" and not once:
            once.append(True)
            freesound_server.state.expire_tokens()

    done = publisher.publish(alice.person, alice, form(data), data, HEARD, expire_once)
    assert (done.state, once) == ("published", [True])
    assert len(on_freesound(freesound_server)) == 2


def test_the_same_bytes_twice_are_one_sound(publisher, alice, freesound_server):
    data = sound_bytes()
    first = publish(publisher, alice, data)
    assert publish(publisher, alice, data) == first
    assert (len(on_freesound(freesound_server)), uploads(freesound_server)) == (1, 1)


def test_somebody_elses_copy_of_the_file_is_named(publisher, alice, freesound_server):
    data = sound_bytes()
    other = freesound_server.state.add_sound("bob", audio=data)
    done = publish(publisher, alice, data)
    assert (done.state, f"sound {other.id} by bob" in done.message) == ("refused", True)


def test_a_duplicate_of_which_freesound_says_nothing_is_told_as_such(publisher, alice, freesound_server):
    data = sound_bytes()
    freesound_server.state.add_sound("bob", audio=data, public=False)
    done = publish(publisher, alice, data)
    assert (done.state, "does not say where" in done.message) == ("refused", True)


def test_an_own_sound_of_the_same_name_is_not_mistaken_for_the_lost_one(publisher, alice, freesound_server):
    freesound_server.state.add_sound("alice", audio=b"other", public=False, name="Rain on a roof")
    freesound_server.fail("sounds/upload", drop="before")
    assert publish(publisher, alice, sound_bytes()).state == "uncertain"


def test_an_unmoderated_sound_that_freesound_hides_is_found_by_its_name(publisher, alice, freesound_server):
    freesound_server.unmoderated_status = 404
    freesound_server.fail("sounds/upload", drop="after")
    done = publish(publisher, alice, sound_bytes())
    assert (done.state, len(on_freesound(freesound_server))) == ("published", 1)


def test_a_whitelisted_uploaders_lost_answer_is_found_by_md5(publisher, alice, freesound_server):
    """Their sounds are in none of the lists."""
    freesound_server.state.users["alice"].whitelisted = True
    freesound_server.auto_process = True
    freesound_server.fail("sounds/upload", drop="after")
    done = publish(publisher, alice, sound_bytes())
    assert (done.state, len(on_freesound(freesound_server))) == ("published", 1)


def test_a_sound_too_large_for_the_site_is_one_sentence(publisher, alice, freesound_server):
    freesound_server.fail("sounds/upload", status=413)
    assert publish(publisher, alice, sound_bytes()).message == "Nothing was published. The file is larger than Freesound takes."


@pytest.mark.parametrize("moment", ["before sending", "after sending", "before the events", "after the events"])
def test_a_server_killed_while_publishing_settles_after_its_restart(moment, freesound_server, app, alice, tmp_path):
    """A real process, ended without warning at that moment; then another one looks up the truth."""
    data = sound_bytes()
    (tmp_path / "sound.wav").write_bytes(data)
    script = f"""
import os, sys
from pathlib import Path
from pydantic import SecretStr
from core.freesound import publishing
from core.freesound.budget import Budget
from core.freesound.client import FreesoundClient
from core.freesound.publishing import Publisher
from core.people import Person
from core.workspace.local import LocalWorkspace
from tests.core.freesound.test_publishing import HEARD, PLENTY, form

class Killed(LocalWorkspace):
    def append(self, events, **more):
        events = list(events)
        if {moment!r} == "before the events": os._exit(9)
        added = super().append(events, **more)
        if {moment!r} == "after the events": os._exit(9)
        return added

def stage(name, share):
    if {moment!r} == "before sending" and name.startswith("Sending"): os._exit(9)
    if {moment!r} == "after sending" and name.startswith("Keeping"): os._exit(9)

data = Path(sys.argv[1], "sound.wav").read_bytes()
budget = Budget(Path(sys.argv[1], "budget.sqlite"), PLENTY)
client = FreesoundClient(SecretStr({app.client_secret!r}), budget, {freesound_server.url!r} + "/apiv2")
publisher = Publisher(Path(sys.argv[1], "publications"), client, Killed(Path(sys.argv[1], "workspace")))
alice, token = Person({alice.person.user_id}, "alice"), SecretStr({alice.token.access!r})
publisher.publish(alice, lambda call: call(token), form(data), data, HEARD, stage)
"""
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=os.getcwd(), env=os.environ | {"PYTHONPATH": "."})
    assert ended.returncode == 9
    workspace = LocalWorkspace(tmp_path / "workspace")
    client = FreesoundClient(SecretStr(app.client_secret), Budget(tmp_path / "budget.sqlite", PLENTY), f"{freesound_server.url}/apiv2")
    later = Publisher(tmp_path / "publications", client, workspace, lambda: freesound_server.now() + CERTAIN_AFTER_S + 1)
    (settled,) = later.settle(alice.person, alice)
    if moment == "before sending":
        assert (settled.state, on_freesound(freesound_server)) == ("not there", [])
    else:
        (stored,) = on_freesound(freesound_server)
        assert (settled.state, settled.sound) == ("published", stored.id)
        assert [event.kind for event in workspace.events(f"freesound:{stored.id}")] == ["predicted", "published"]
    assert later.settle(alice.person, alice) == []


def test_what_bob_published_is_not_alices(publisher, alice, freesound_server, app):
    publish(publisher, alice, sound_bytes())
    bob = Uploader(freesound_server, app, "bob")
    assert publisher.of(bob.person) == []
    assert publisher.settle(bob.person, bob) == []


def test_the_states_of_ones_uploads(publisher, alice, freesound_server):
    one, two, three, four = (publish(publisher, alice, sound_bytes(), name=name).sound for name in "abcd")
    freesound_server.state.process(two)
    freesound_server.state.process(three)
    freesound_server.state.moderate(three)
    freesound_server.state.process(four)
    freesound_server.state.reject(four)
    freesound_server.state.process(one, failed=True)
    pending, others = publisher.states(alice.person, alice)
    assert [(entry.id, entry.processing_state) for entry in pending.pending_processing] == [(one, "Failed")]
    assert [entry.id for entry in pending.pending_moderation] == [two]
    assert others[three].id == three
    assert others[four] is None


tricky = [
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
anything = st.text(max_size=40) | st.sampled_from(tricky) | st.just("x" * 101)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(typed=st.lists(anything, min_size=1, max_size=8))
def test_what_the_person_was_shown_is_what_freesound_stores(publisher, alice, freesound_server, workspace, typed):
    """A thousand generated sets of tags through the whole path: preview, form, HTTP, the double's own cleaning, the events."""
    base = ("rain", "roof", "weather")
    shown = clean((*typed, *base)).tags
    if not FEWEST <= len(shown) <= MOST or len(" ".join(shown)) > LONGEST_TEXT or any("longer" in why for _, why in clean(typed).dropped):
        with pytest.raises(FormError):
            publish(publisher, alice, sound_bytes(), tags=(*typed, *base))
        return
    done = publish(publisher, alice, sound_bytes(), tags=(*typed, *base))
    assert done.state == "published"
    assert sorted(freesound_server.state.sounds[done.sound].tags) == sorted(shown)
    assert sorted(workspace.sound(f"freesound:{done.sound}").tags) == sorted(shown)
