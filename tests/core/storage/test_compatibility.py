"""What version 0.1 wrote: it opens, loses nothing, and goes on being used.

tests/data/version_0_1 was written by that version: a local workspace, a shared folder with the
answer of its model registry, one machine's part of the shared workspace, and bundles.
"""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.events.formats import parse_lines, to_prototype_format
from core.events.query import Query
from core.events.types import ModelRef, parse_event
from core.model import bundle
from core.storage.active_model import active_version, resolve_model
from core.storage.folder import DATABASE_NAME
from core.storage.hopsworks import client
from core.storage.local import open_local_workspace
from tests.helpers.events import reviewed
from tests.helpers.shared_workspace import EVENTS, SHARED_FOLDER, open_shared
from tests.servers.hopsworks import HopsworksServer

DATA = Path(__file__).parents[2] / "data" / "version_0_1"
TABLES_OF_VERSION_1 = ("sounds", "sound_tags", "decisions", "predictions")
FILE_SOUND = "file:" + "ab" * 32
PROJECT = "earmark_demo"


def described(states):
    """Return sounds' states as the data's JSON files describe them."""
    return {
        state.sound_id: {
            "title": state.sound.title,
            "tags": list(state.tags),
            "suggestions": [suggestion.tag for suggestion in state.suggestions],
            "decisions": {tag: each.verdict for tag, each in state.decisions.items()},
            "reviewed": state.reviewed,
            "withdrawn": state.withdrawn,
            "model": str(state.model),
            "audio": state.media.audio,
            "spectrogram": state.media.spectrogram,
        }
        for state in states
    }


def read_json(name):
    return json.loads((DATA / name).read_text("utf-8"))


def rows(folder, *tables):
    """Return the rows of some tables of a workspace's database."""
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection:
        return {table: sorted(connection.execute(f"SELECT * FROM {table}")) for table in tables}


# ---- a local workspace


@pytest.fixture
def folder(tmp_path):
    """A copy of the local workspace, not opened yet."""
    return shutil.copytree(DATA / "workspace", tmp_path / "workspace")


def test_the_states_of_all_sounds_are_what_they_were(folder):
    workspace = open_local_workspace(folder)
    assert described(workspace.sounds.all()) == read_json("states.json")
    counts = workspace.sounds.counts()
    assert (counts.sounds, counts.reviewed) == (5, 2)
    assert [
        state.sound_id for state in workspace.sounds.page(Query("reviewed"), size=10).sounds
    ] == [
        "freesound:104",
        "freesound:101",
    ]
    assert workspace.sounds.get("freesound:103").withdrawn


def test_every_event_is_read_and_written_again_byte_by_byte(folder):
    lines = (DATA / "events.jsonl").read_text("utf-8").splitlines()
    assert [parse_event(line).to_json() for line in lines] == lines
    assert parse_lines((DATA / "events.jsonl").read_bytes()).refused == []
    workspace = open_local_workspace(folder)
    assert [event.to_json() for event in workspace.events.all()] == lines


def test_the_exported_prototype_file_is_what_it_was(folder):
    states = open_local_workspace(folder).sounds.all()
    assert to_prototype_format(states) == read_json("id2prediction.json")


def test_media_sidecars_runs_files_and_the_model_are_still_known(folder):
    workspace = open_local_workspace(folder)
    for state in workspace.sounds.page(Query(), size=10).sounds:
        for name in state.media.names:
            assert workspace.media.path(name) is not None
        if state.model is not None:
            arrays = workspace.sidecars.get(state.sound_id, state.model)
            assert {values.dtype for values in arrays.values()} == {np.dtype(np.float16)}
    runs = workspace.runs.latest()
    assert [(run.state, run.tagged, run.known) for run in runs] == [
        ("failed", 0, 0),
        ("finished", 4, 2),
    ]
    assert runs[0].note == "Freesound cannot be reached."
    assert runs[1].skipped == (("broken.wav", "broken.wav is cut off."),)
    assert workspace.file_ids.get("/sounds/rain.wav", 1234, 5678) == FILE_SOUND
    model = active_version(workspace)
    assert bundle.load(workspace.models.fetch(model)).vocabulary == ("bark", "dog", "rain")
    assert workspace.models.find("tiny", "best") == model


def test_the_database_gets_schema_versions_and_an_index_of_media_names(folder):
    before = rows(folder, "events", *TABLES_OF_VERSION_1)
    open_local_workspace(folder)
    assert rows(folder, "events", *TABLES_OF_VERSION_1) == before
    versions = dict(rows(folder, "schema_versions")["schema_versions"])
    assert versions == {"events": 4, "files": 1, "notices": 1, "purges": 1, "runs": 2}
    states = read_json("states.json")
    named = {
        (state[part], sound_id)
        for sound_id, state in states.items()
        for part in ("audio", "spectrogram")
        if state[part]
    }
    assert len(named) == 8
    assert set(rows(folder, "sound_media")["sound_media"]) == named
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection:
        # Version 0.1 refuses a file with a higher number than 1, so it cannot spoil the new tables.
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_derived_tables_made_anew_are_the_migrated_ones(folder):
    workspace = open_local_workspace(folder)
    tables = (*TABLES_OF_VERSION_1, "sound_media")
    migrated = rows(folder, *tables)
    assert workspace.events.rebuild() == 6
    assert rows(folder, *tables) == migrated


def test_it_is_migrated_once_and_saving_goes_on(folder):
    workspace = open_local_workspace(folder)
    history = workspace.events.of_sound("freesound:101")
    workspace.events.append([reviewed(history, ["dog", "yard"])])
    again = open_local_workspace(folder)
    assert again.sounds.get("freesound:101").tags == ("dog", "yard")
    assert len(again.events.of_sound("freesound:101")) == len(history) + 1
    assert again.purges.pending("local") == ["freesound:103"]
    again.purge("freesound:103")
    assert again.purges.pending("local") == []
    assert again.models.register(bundle.load(DATA / "bundle")).version == 1


def test_a_workspace_that_nobody_decided_about_follows_the_default_model(folder):
    workspace = open_local_workspace(folder)
    active = resolve_model(workspace)
    assert active.model.fingerprint == bundle.load().fingerprint
    assert resolve_model(workspace) == active
    assert len(workspace.events.rollouts()) == 2


@pytest.mark.parametrize("name", ["bundle", "bundle_columns", "workspace/models/tiny/1"])
def test_bundles_load(name):
    loaded = bundle.load(DATA / name)
    assert loaded.network() is not None
    assert loaded.license


# ---- a shared folder


@pytest.fixture(scope="module")
def running_server():
    """A double with the project that wrote the data."""
    with HopsworksServer(project=PROJECT) as server:
        yield server
        client.disconnect()
        assert server.errors == []


@pytest.fixture
def old_server(server):
    """The double with the shared folder and the registered model of version 0.1."""
    for path in (DATA / "shared").rglob("*"):
        if path.is_file():
            server.store.put(str(path.relative_to(DATA / "shared")), path.read_bytes())
    for model in read_json("registry.json"):
        server.store.models[model["name"], model["version"]] = model
    return server


@pytest.fixture
def machine(old_server, tmp_path):
    """A copy of one machine's part, not opened yet; the double's port is the noted one."""
    folder = shutil.copytree(DATA / "machine", tmp_path / "machine")
    address = f"{old_server.host}:{old_server.port}/{PROJECT}/{SHARED_FOLDER}"
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection, connection:
        connection.execute("UPDATE notes SET value = ? WHERE name = 'home'", (address,))
    return folder


def test_a_new_machine_pulls_the_shared_log(old_server, tmp_path):
    workspace = open_shared(old_server, tmp_path / "new")
    assert workspace.sync.pull() > 0
    assert described(workspace.sounds.all()) == read_json("shared_states.json")
    assert [run.state for run in workspace.runs.latest()] == ["finished", "failed", "finished"]
    assert workspace.sync.status().problem == ""
    assert workspace.sync.pull() == 0


def test_a_new_machine_gets_media_sidecars_and_the_model(old_server, tmp_path):
    workspace = open_shared(old_server, tmp_path / "new")
    workspace.sync.pull()
    for state in workspace.sounds.page(Query(), size=10).sounds:
        for name in state.media.names:
            assert workspace.media.path(name) is not None
        if state.model is not None:
            assert workspace.sidecars.get(state.sound_id, state.model) is not None
    (registered,) = read_json("registry.json")
    model = active_version(workspace)
    assert model == ModelRef(name="tiny", version=1, fingerprint=model.fingerprint)
    assert model.fingerprint in registered["description"]
    assert bundle.load(workspace.models.fetch(model)).vocabulary == ("bark", "dog", "rain")
    assert workspace.models.find("tiny", "latest") == model


def test_a_machine_keeps_its_waiting_save_and_sends_it(old_server, machine, tmp_path):
    event_id = read_json("waiting.json")["event_id"]
    files = len(old_server.store.files(EVENTS))
    workspace = open_shared(old_server, machine)
    assert workspace.sync.waiting([event_id]) == {event_id}
    assert workspace.sync.status().waiting == 1
    assert workspace.sync.status().last_contact
    workspace.sync.wait_until_synced()
    assert workspace.sync.waiting([event_id]) == set()
    assert len(old_server.store.files(EVENTS)) == files + 1
    reader = open_shared(old_server, tmp_path / "reader")
    reader.sync.pull()
    assert event_id in {event.event_id for event in reader.events.all()}


def test_a_machine_knows_what_it_had_pulled_and_goes_on(old_server, machine):
    workspace = open_shared(old_server, machine)
    old_server.requests.clear()
    assert workspace.sync.pull() == 0
    assert not any("with_auth" in request.path for request in old_server.requests)
    workspace.sync.maintain(keep_runs=10)
    new = open_shared(old_server, machine.parent / "new")
    new.sync.pull()
    assert described(new.sounds.all()) == described(workspace.sounds.all())
    versions = dict(rows(machine, "schema_versions")["schema_versions"])
    assert versions["outbox"] == 1
    assert versions["sync_state"] == 3
