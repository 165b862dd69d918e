"""Media and sidecars in the shared folder: uploads per run, downloads, retention, purges."""

import hashlib
import threading
from dataclasses import replace

import numpy as np
import pytest

from core.events.query import Query
from core.events.types import Media, Published, Withdrawn, new_event
from core.storage.hopsworks import media
from core.storage.hopsworks.client import Project
from core.storage.runs import Run
from core.storage.workspace import Workspace
from tests.helpers.events import V1, predicted, reviewed
from tests.helpers.shared_workspace import SHARED_FOLDER

MEDIA = f"{SHARED_FOLDER}/media"
KEPT = f"{MEDIA}/kept"
RUN_1 = f"{MEDIA}/20261101T100000000000Z_r1"


def run_job(workspace: Workspace, number: int, *sounds: int) -> None:
    """Run the job once: it tags these sounds, with media and sidecars."""
    run = Run(f"r{number}", f"2026-11-{number:02}T10:00:00.000000Z", "test", V1, "earmark")
    workspace.runs.record(run)
    for sound in sounds:
        names = Media(
            audio=workspace.media.put(f"OggS {sound}".encode(), "ogg"),
            spectrogram=workspace.media.put(f"WEBP {sound}".encode(), "webp"),
        )
        workspace.sidecars.put(f"freesound:{sound}", V1, {"times": np.full((1, 2), sound)})
        workspace.events.append([predicted(sound, media=names)], once_per_model=True)
    workspace.runs.record(replace(run, state="finished"))
    workspace.sync.wait_until_synced()


def withdraw(workspace: Workspace, sound: int) -> None:
    """Withdraw a sound as a person does."""
    state = workspace.sounds.get(f"freesound:{sound}")
    payload = Withdrawn(reason="asked for")
    workspace.events.append([new_event(payload, state.sound_id, "ada", base=state.last_event)])
    workspace.purge(state.sound_id)


def audio_of(workspace: Workspace, sound: int) -> str:
    return workspace.sounds.get(f"freesound:{sound}").media.audio


def in_shared_folder(server, *fragments: str) -> list[str]:
    """Return the shared files whose names have one of these parts."""
    names = server.store.files(MEDIA)
    return [name for name in names if any(fragment in name for fragment in fragments)]


def deletions(server) -> int:
    return sum(request.method == "DELETE" for request in server.requests)


# ---- uploads and downloads


def test_media_go_to_a_folder_per_run_and_come_to_other_machines_when_asked_for(server, shared):
    cron, app = shared("cron"), shared("app")
    run_job(cron, 1, 10, 11)
    app.sync.pull()
    state = app.sounds.get("freesound:10")
    assert app.media.path(state.media.audio).read_bytes() == b"OggS 10"
    assert app.media.path(state.media.spectrogram).read_bytes() == b"WEBP 10"
    assert app.sidecars.get("freesound:10", V1)["times"].tolist() == [[10, 10]]
    assert len(server.store.files(RUN_1)) == 6
    requests = len(server.requests)
    assert app.media.path(state.media.audio) is not None
    assert len(server.requests) == requests


def test_a_medium_that_came_short_is_not_kept(server, shared):
    cron, app = shared("cron"), shared("app")
    run_job(cron, 1, 10)
    app.sync.pull()
    name = audio_of(app, 10)
    server.fail("with_auth", truncate=3)
    assert app.media.path(name) is None
    assert app.media.path(name).read_bytes() == b"OggS 10"


def test_a_medium_whose_name_was_spoilt_is_found_under_its_other_name(server, shared):
    cron, app = shared("cron"), shared("app")
    name = cron.media.put(b"OggS", "ogg")
    server.store.put(f"{KEPT}/{name}", b"Og")
    cron.sync.wait_until_synced()
    assert app.media.path(name).read_bytes() == b"OggS"


def test_looking_for_media_while_hopsworks_is_away_costs_one_try(server, shared, monkeypatch):
    app = shared("app")
    app.sync.pull()
    server.go_offline()
    try:
        assert app.media.path("a" * 64 + ".ogg") is None
        monkeypatch.setattr(Project, "read_file", lambda *_: pytest.fail("asked again"))
        monkeypatch.setattr(Project, "list_names", lambda *_: pytest.fail("asked again"))
        assert app.media.path("b" * 64 + ".ogg") is None
    finally:
        server.go_online()


# ---- retention


def test_media_of_old_runs_go_and_those_of_decided_sounds_stay(server, shared):
    cron = shared("cron")
    for number in range(1, 6):
        run_job(cron, number, 10 * number, 10 * number + 1)
    basis = cron.events.of_sound("freesound:20")[0]
    payload = Published(decisions={}, basis=basis.event_id)
    published = new_event(payload, "freesound:20", "ada", base=basis)
    review = reviewed(cron.events.of_sound("freesound:10"), ["howl"])
    cron.events.append([published, review])
    server.store.put(f"{MEDIA}/my-own/notes.txt", b"not of a run")
    cron.sync.maintain(keep_runs=2)
    cron.sync.maintain(keep_runs=2)
    assert "my-own/notes.txt" in server.store.files(MEDIA)
    app = shared("app")
    app.sync.pull()
    sounds = (10, 11, 20, 21, 30, 40, 41, 50, 51)
    playable = {sound for sound in sounds if app.media.path(audio_of(app, sound)) is not None}
    assert playable == {10, 20, 40, 41, 50, 51}
    assert app.sidecars.get("freesound:10", V1) is not None
    assert app.sidecars.get("freesound:11", V1) is None
    assert app.sounds.counts().sounds == 10
    assert len(server.store.files(KEPT)) == 6


def test_a_machine_that_knew_the_old_place_finds_what_was_kept(shared, monkeypatch):
    monkeypatch.setattr(media, "RELIST_INTERVAL_S", 0)
    cron, app = shared("cron"), shared("app")
    run_job(cron, 1, 10, 11)
    app.sync.pull()
    assert app.media.path(audio_of(app, 11)) is not None
    cron.events.append([reviewed(cron.events.of_sound("freesound:10"), ["howl"])])
    run_job(cron, 2, 20)
    cron.sync.maintain(keep_runs=1)
    assert app.media.path(audio_of(app, 10)).read_bytes() == b"OggS 10"


def test_a_decided_sound_whose_medium_cannot_be_copied_keeps_its_folder(server, shared):
    cron = shared("cron")
    run_job(cron, 1, 10)
    run_job(cron, 2, 20)
    cron.events.append([reviewed(cron.events.of_sound("freesound:10"), ["howl"])])
    server.fail("media/kept", None, method="GET", status=400, code=110050)
    cron.sync.maintain(keep_runs=1)
    assert len(server.store.files(RUN_1)) == 3
    server.heal()
    cron.sync.maintain(keep_runs=1)
    assert server.store.files(RUN_1) == {}
    assert len(server.store.files(KEPT)) == 3


# ---- purges


def test_media_of_a_withdrawn_sound_go_everywhere_also_those_still_waiting(server, shared):
    cron, app = shared("cron"), shared("app")
    run_job(cron, 1, 10, 11)
    app.sync.pull()
    audio = audio_of(app, 10)
    assert app.media.path(audio) is not None
    assert app.sidecars.get("freesound:10", V1) is not None
    withdraw(cron, 10)
    cron.sync.wait_until_synced()
    app.sync.pull()
    assert app.sounds.page(Query(), size=10).total == 1
    assert app.media.path(audio) is None
    assert app.sidecars.get("freesound:10", V1) is None
    assert in_shared_folder(server, audio[:64], "freesound-10.") == []
    unsent = cron.media.put(b"OggS 12", "ogg")
    cron.events.append([predicted(12, media=Media(audio=unsent))])
    withdraw(cron, 12)
    cron.sync.wait_until_synced()
    assert in_shared_folder(server, unsent[:64]) == []


def test_a_sound_that_another_machine_withdraws_takes_its_waiting_media_out_of_the_outbox(
    server, shared
):
    ada, ben = shared("ada"), shared("ben")
    server.fail("/upload/", None, status=503)
    names = Media(audio=ada.media.put(b"OggS 10", "ogg"))
    ada.events.append([predicted(10, media=names)])
    server.heal()
    ben.events.append([predicted(10, media=names)])
    withdraw(ben, 10)
    ben.sync.wait_until_synced()
    ada.sync.pull()
    assert ada.media.path(names.audio) is None
    ada.sync.wait_until_synced()
    assert ada.sync.status().problem == ""
    assert in_shared_folder(server, names.audio[:64]) == []


def test_a_medium_that_is_withdrawn_while_it_is_sent_does_not_stay(server, shared):
    cron = shared("cron")
    name = cron.media.put(b"OggS 10", "ogg")
    cron.events.append([predicted(10, media=Media(audio=name))])
    withdrawn = threading.Event()

    def withdraw_once(request):
        if "/upload/" in request.path and not withdrawn.is_set():
            withdrawn.set()
            withdraw(cron, 10)

    server.before = withdraw_once
    cron.sync.wait_until_synced()
    assert withdrawn.is_set()
    assert in_shared_folder(server, name[:64]) == []


def test_a_medium_that_another_sound_has_too_stays_until_that_one_is_withdrawn(server, shared):
    cron = shared("cron")
    name = cron.media.put(b"OggS both", "ogg")
    events = [predicted(number, media=Media(audio=name)) for number in (1, 2)]
    cron.events.append(events)
    cron.sync.wait_until_synced()
    withdraw(cron, 1)
    assert cron.media.path(name) is not None
    assert len(in_shared_folder(server, name[:64])) == 1
    withdraw(cron, 2)
    assert cron.media.path(name) is None
    assert in_shared_folder(server, name[:64]) == []


def test_a_withdrawn_sound_is_purged_once_and_again_only_when_new_events_of_it_arrive(
    server, shared
):
    cron, other = shared("cron"), shared("other")
    run_job(cron, 1, 10, 11)
    other.sync.pull()
    withdraw(cron, 11)  # one that nothing more arrives of
    withdraw(cron, 10)
    assert in_shared_folder(server, "freesound-10.", "freesound-11.") == []
    cron.sync.maintain(keep_runs=10)
    assert cron.purges.pending("shared") == []

    # Another job, which did not know of the withdrawal, brings media of the sound again.
    audio = other.media.put(b"OggS 10 again", "ogg")
    other.events.append([predicted(10, media=Media(audio=audio))])
    other.sync.wait_until_synced()
    assert len(in_shared_folder(server, audio[:64])) == 1
    cron.sync.pull()
    assert cron.purges.pending("shared") == ["freesound:10"]
    cron.sync.maintain(keep_runs=10)
    assert in_shared_folder(server, audio[:64]) == []
    assert cron.purges.pending("shared") == []
    server.requests.clear()
    cron.sync.maintain(keep_runs=10)
    replaced_tags_file = 1
    assert deletions(server) == replaced_tags_file


def test_a_purge_that_failed_because_hopsworks_was_away_is_done_later(server, shared, caplog):
    cron = shared("cron")
    run_job(cron, 1, 10)
    audio = audio_of(cron, 10)
    server.fail("", times=None, status=503)
    withdraw(cron, 10)
    assert "purge incomplete sound=freesound:10" in caplog.text
    assert cron.media.path(audio) is None
    assert not list((cron.folder / "sidecars").rglob("*.safetensors"))
    server.heal()
    assert len(in_shared_folder(server, audio[:64], "freesound-10.")) == 2
    cron.sync.maintain(keep_runs=10)
    assert in_shared_folder(server, audio[:64], "freesound-10.") == []


def test_a_machine_purges_its_own_copies_once(shared, monkeypatch):
    cron, app = shared("cron"), shared("app")
    run_job(cron, 1, 10)
    app.sync.pull()
    name = audio_of(app, 10)
    app.media.path(name)
    withdraw(cron, 10)
    cron.sync.wait_until_synced()
    app.sync.pull()
    copy = app.folder / "media" / name[:2] / name
    assert not copy.exists()
    assert app.purges.pending("local") == []
    assert app.purges.pending("shared") == ["freesound:10"]
    assert cron.purges.pending("local") == cron.purges.pending("shared") == []


def test_a_hash_in_a_medium_name_is_checked(server, shared):
    app = shared("app")
    content = b"OggS of somebody else"
    name = f"{hashlib.sha256(b'OggS').hexdigest()}.ogg"
    server.store.put(f"{KEPT}/{name}", content)
    assert app.media.path(name) is None
