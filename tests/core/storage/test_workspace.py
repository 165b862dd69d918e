import json
import sqlite3
import threading
from dataclasses import replace

import numpy as np
import pytest

from core.events.errors import ConflictingEvent
from core.events.fold import undo
from core.events.query import Query
from core.events.types import RolledOut, Withdrawn, new_event, parse_event
from core.model import bundle
from core.storage.active_model import active_version
from core.storage.errors import ModelNotFound, StorageError
from core.storage.folder import DATABASE_NAME
from core.storage.local import open_local_workspace
from core.storage.runs import Run
from tests.helpers.events import V1, V2, predicted, reviewed

DERIVED_TABLES = (
    *("sounds", "sound_tags", "decisions", "predictions", "sound_media"),
    *("positions", "columns", "tag_lists", "counters", "codes", "sound_text"),
)


def page_ids(workspace, query=None):
    page = workspace.sounds.page(query or Query(), size=10)
    return [state.sound_id for state in page.sounds]


# ---- events


def test_events_come_back_as_they_were_written_oldest_first(workspace):
    first = predicted(1)
    change = reviewed([first], ["dog", "howl"])
    assert workspace.events.append([change, first]) == 2
    assert workspace.events.of_sound("freesound:1") == [first, change]
    assert workspace.sounds.get("freesound:1").tags == ("dog", "howl")


def test_writing_the_same_event_again_changes_nothing(workspace):
    event = predicted(1)
    assert workspace.events.append([event]) == 1
    assert workspace.events.append([event]) == 0
    assert len(workspace.events.of_sound("freesound:1")) == 1


def test_another_event_under_a_known_id_is_refused_not_dropped(workspace):
    first = predicted(1)
    change = reviewed([first], ["howl"])
    workspace.events.append([first, change])
    with pytest.raises(ConflictingEvent, match="Two different events"):
        workspace.events.append([change.model_copy(update={"actor": "somebody else"})])


def test_events_are_added_all_or_none(workspace):
    good, forged = predicted(1), predicted(2)
    workspace.events.append([good])
    clash = forged.model_copy(update={"event_id": good.event_id})
    with pytest.raises(ConflictingEvent, match="Two different events"):
        workspace.events.append([predicted(3), clash])
    assert workspace.sounds.get("freesound:3") is None


def test_everything_is_still_known_after_a_restart(opened):
    before = opened()
    first = predicted(1)
    before.events.append([first])
    before.events.append([reviewed([first], ["wolf"])])
    assert opened().sounds.get("freesound:1").tags == ("wolf",)


def test_a_model_version_predicts_a_sound_once_even_if_two_jobs_try(workspace):
    assert workspace.events.append([predicted(1)], once_per_model=True) == 1
    assert workspace.events.append([predicted(1)], once_per_model=True) == 0
    assert workspace.events.append([predicted(1, model=V2)], once_per_model=True) == 1
    assert len(workspace.events.of_sound("freesound:1")) == 2


def test_derived_tables_can_be_made_anew_from_the_events(workspace):
    events = [predicted(number, "dog", "rain") for number in range(1, 8)]
    workspace.events.append(events)
    workspace.events.append([reviewed([event], ["dog", "howl"]) for event in events[:3]])
    database = workspace.folder / DATABASE_NAME
    before = derived_rows(database)
    with sqlite3.connect(database) as connection:
        for table in DERIVED_TABLES:
            connection.execute(f"DELETE FROM {table}")
    assert workspace.sounds.counts().sounds == 0
    assert workspace.events.rebuild() == 7
    assert derived_rows(database) == before


def derived_rows(database):
    with sqlite3.connect(database) as connection:
        return {
            table: sorted(connection.execute(f"SELECT * FROM {table}")) for table in DERIVED_TABLES
        }


def test_the_log_gives_every_event_and_another_workspace_can_take_it_over(workspace, tmp_path):
    events = [predicted(number) for number in range(1, 1300)]
    workspace.events.append(events)
    lines = [event.to_json() for event in workspace.events.all()]
    assert len(lines) == len(events)
    other = open_local_workspace(tmp_path / "other")
    assert other.events.append(parse_event(line) for line in reversed(lines)) == len(events)
    ids, other_ids = (
        sorted(state.sound_id for state in each.sounds.all()) for each in (workspace, other)
    )
    assert ids == other_ids
    assert len(ids) == len(events)


def test_the_latest_rollout_names_the_active_version(workspace):
    assert active_version(workspace) is None
    first = new_event(RolledOut(model=V1, reason="first"), None, "ada")
    second = new_event(RolledOut(model=V2, reason="better"), None, "ada", base=first)
    workspace.events.append([second, first])
    assert active_version(workspace) == V2
    assert workspace.events.rollouts() == [second, first]
    assert workspace.events.rollouts(1) == [second]


# ---- sounds


def test_pages_show_the_newest_arrival_first_and_leave_nothing_out(workspace):
    workspace.events.append(predicted(number) for number in range(1, 24))
    first = workspace.sounds.page(Query(), size=10)
    second = workspace.sounds.page(Query(), cursor=first.next, size=10)
    third = workspace.sounds.page(Query(), cursor=second.next, size=10)
    shown = [state.sound_id for page in (first, second, third) for state in page.sounds]
    assert shown == [f"freesound:{number}" for number in range(23, 0, -1)]
    assert first.total == third.total == 23
    assert (first.previous, third.next) == (None, None)
    assert workspace.sounds.page(Query(), cursor="9", size=10) == first


def test_a_review_does_not_move_a_sound_in_the_list(workspace):
    events = [predicted(1), predicted(2)]
    workspace.events.append(events)
    workspace.events.append([reviewed(events[:1], ["howl"])])
    assert page_ids(workspace) == ["freesound:2", "freesound:1"]


def test_the_list_can_be_narrowed_to_what_is_to_review_and_to_a_tag(workspace):
    events = [predicted(1, "dog"), predicted(2, "rain"), predicted(3, "rain")]
    change = reviewed(events[2:], ["rain", "night"])
    workspace.events.append([*events, change])
    assert page_ids(workspace, Query("to review")) == ["freesound:2", "freesound:1"]
    assert page_ids(workspace, Query("reviewed")) == ["freesound:3"]
    assert page_ids(workspace, Query(tag="rain")) == ["freesound:3", "freesound:2"]
    assert page_ids(workspace, Query("to review", "rain")) == ["freesound:2"]
    state = workspace.sounds.get("freesound:3")
    workspace.events.append([undo(state, change.event_id, "ada")])
    assert page_ids(workspace, Query("reviewed")) == []
    assert page_ids(workspace, Query(tag="night")) == []


def test_counts_and_tags_follow_the_events(workspace):
    events = [predicted(1, "dog", "bark"), predicted(2, "dog")]
    workspace.events.append(events)
    workspace.events.append([reviewed(events[:1], ["dog", "howl"])])
    counts = workspace.sounds.counts()
    assert (counts.sounds, counts.reviewed) == (2, 1)
    assert workspace.sounds.tag_counts() == [("dog", 2), ("howl", 1)]
    assert workspace.sounds.added_tags() == ["howl"]
    assert workspace.sounds.verdict_counts()["bark"] == {"kept": 0, "removed": 1, "added": 0}


def test_a_withdrawn_sound_leaves_every_view_but_keeps_its_history(workspace):
    first = predicted(1, "dog")
    gone = new_event(Withdrawn(reason="gone"), "freesound:1", "ada", base=first)
    workspace.events.append([first, reviewed([first], ["howl"]), gone])
    assert workspace.sounds.page(Query(), size=10).total == 0
    assert workspace.sounds.counts().sounds == 0
    assert workspace.sounds.tag_counts() == []
    assert workspace.sounds.added_tags() == []
    assert workspace.sounds.verdict_counts() == {}
    assert len(workspace.events.of_sound("freesound:1")) == 3
    assert workspace.sounds.tagged(["freesound:1"], V2) == {"freesound:1"}


def test_sounds_that_need_no_tagging_are_told_apart_from_the_others(workspace):
    workspace.events.append([predicted(1, model=V1)])
    ids = ["freesound:1", "freesound:2"]
    assert workspace.sounds.tagged(ids) == {"freesound:1"}
    assert workspace.sounds.tagged(ids, V1) == {"freesound:1"}
    assert workspace.sounds.tagged(ids, V2) == set()
    many = [f"freesound:{number}" for number in range(1, 3000)]
    assert workspace.sounds.tagged(many) == {"freesound:1"}


# ---- media and sidecars


def test_media_are_named_by_their_content_and_kept_once(workspace):
    name = workspace.media.put(b"OggS", "ogg")
    assert workspace.media.put(b"OggS", "ogg") == name
    assert workspace.media.path(name).read_bytes() == b"OggS"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../index.sqlite",
        "a" * 64,
        "a" * 64 + ".ogg",
        "A" * 64 + ".ogg",
        "x/" + "a" * 64 + ".ogg",
    ],
)
def test_nothing_but_media_is_handed_out(workspace, name):
    assert workspace.media.path(name) is None


def test_sidecars_come_back_in_half_precision_by_model_version(workspace):
    values = np.linspace(0, 1, 6).reshape(2, 3)
    workspace.sidecars.put("freesound:1", V1, {"activations": values})
    stored = workspace.sidecars.get("freesound:1", V1)["activations"]
    assert stored.dtype == np.float16
    np.testing.assert_allclose(stored, values, atol=1e-3)
    assert workspace.sidecars.get("freesound:1", V2) is None


def test_a_damaged_sidecar_is_no_sidecar(workspace):
    workspace.sidecars.put("freesound:1", V1, {"times": np.zeros((1, 2))})
    (path,) = (workspace.folder / "sidecars").rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:20])
    assert workspace.sidecars.get("freesound:1", V1) is None


@pytest.mark.parametrize("type_name", ["BF16", "F8_E4M3", "F4", "X"])
def test_a_sidecar_of_numbers_that_numpy_lacks_is_no_sidecar(workspace, type_name):
    workspace.sidecars.put("freesound:1", V1, {"times": np.zeros(2)})
    (path,) = (workspace.folder / "sidecars").rglob("*.safetensors")
    described = {"times": {"dtype": type_name, "shape": [4], "data_offsets": [0, 8]}}
    header = json.dumps(described).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    assert workspace.sidecars.get("freesound:1", V1) is None


# ---- models


def scored_bundle(folder, **scores):
    """Write the default model as another bundle of its name, with these scores."""
    bundle.copy(bundle.load(), folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["overall"] |= scores
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return bundle.load(folder)


def test_registering_a_model_twice_gives_one_version(workspace):
    first = workspace.models.register(bundle.load())
    second = workspace.models.register(bundle.load())
    assert first == second
    assert first.version == 1
    fetched = bundle.load(workspace.models.fetch(first))
    assert fetched.fingerprint == bundle.load().fingerprint


def test_versions_that_are_registered_at_once_are_all_kept(workspace, tmp_path):
    bundles = [scored_bundle(tmp_path / str(n), pr_auc_macro=n / 10) for n in range(4)]
    threads = [threading.Thread(target=workspace.models.register, args=(each,)) for each in bundles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = {workspace.models.register(each).version for each in bundles}
    assert versions == {1, 2, 3, 4}


def test_a_version_is_found_by_number_as_the_latest_and_as_the_best_by_a_score(workspace, tmp_path):
    scores = [
        {"pr_auc_macro": 0.5, "roc_auc_macro": 0.9},
        {"pr_auc_macro": 0.8, "roc_auc_macro": 0.8},
        {"pr_auc_macro": None, "roc_auc_macro": 0.1},
    ]
    first, second, third = (
        workspace.models.register(scored_bundle(tmp_path / str(number), **overall))
        for number, overall in enumerate(scores)
    )
    assert workspace.models.find(first.name, "best") == second
    assert workspace.models.find(first.name, "best", "roc_auc_macro") == first
    assert workspace.models.find(first.name, "latest") == third
    assert workspace.models.find(first.name, 1) == first
    fetched = bundle.load(workspace.models.fetch(second))
    assert fetched.metrics["overall"]["pr_auc_macro"] == 0.8


@pytest.mark.parametrize("version", [7, "best", "latest"])
def test_a_version_that_is_not_kept_is_an_error(workspace, version):
    model = workspace.models.register(bundle.load())
    name = model.name if version == 7 else "other"
    with pytest.raises(ModelNotFound, match=f"no such version of the model {name}: {version}"):
        workspace.models.find(name, version)


def test_a_model_that_is_missing_is_an_error(workspace):
    model = workspace.models.register(bundle.load())
    with pytest.raises(StorageError, match="is not in"):
        workspace.models.fetch(model.model_copy(update={"version": 9}))


# ---- runs, files, sync


def test_runs_are_recorded_and_updated(workspace):
    skipped = (("a.wav", "is empty."),)
    run = Run("r1", "2026-01-01", "here", V1, "ada", skipped=skipped)
    workspace.runs.record(run)
    done = replace(run, state="finished", tagged=3)
    workspace.runs.record(done)
    newer = Run("r2", "2026-01-02", "here", V1, "ada")
    workspace.runs.record(newer)
    assert workspace.runs.latest() == [newer, done]
    assert workspace.runs.latest(1) == [newer]


def test_the_sound_id_of_a_file_is_remembered_until_the_file_changes(workspace):
    workspace.file_ids.remember("/a.wav", 10, 99, "file:" + "a" * 64)
    assert workspace.file_ids.get("/a.wav", 10, 99) == "file:" + "a" * 64
    assert workspace.file_ids.get("/a.wav", 11, 99) is None
    assert workspace.file_ids.get("/a.wav", 10, 98) is None
    workspace.file_ids.remember("/a.wav", 11, 99, "file:" + "b" * 64)
    assert workspace.file_ids.get("/a.wav", 11, 99) == "file:" + "b" * 64


def test_everything_saved_is_synced_in_the_end(workspace):
    event = predicted(1)
    workspace.events.append([event])
    workspace.sync.wait_until_synced()
    assert workspace.sync.waiting([event.event_id]) == set()
    assert workspace.sync.push() == 0
    assert workspace.sync.pull() == 0
    workspace.sync.maintain(keep_runs=10)
    assert len(workspace.events.of_sound("freesound:1")) == 1
