import json
import sqlite3
import threading

import numpy as np
import pytest
from events import V1, V2, predicted, reviewed

from core.id2prediction import Event, RolledOut, Withdrawn, new_event, undo
from core.model import bundle
from core.workspace import NoSuchModel, Query, Run, WorkspaceError
from core.workspace.local import LocalWorkspace


def test_events_come_back_as_they_were_written_oldest_first(workspace):
    first = predicted(1)
    change = reviewed([first], ["dog", "howl"])
    assert workspace.append([change, first]) == 2
    assert workspace.events("freesound:1") == [first, change]
    assert workspace.sound("freesound:1").tags == ("dog", "howl")


def test_writing_the_same_event_again_changes_nothing(workspace):
    event = predicted(1)
    assert workspace.append([event]) == 1
    assert workspace.append([event]) == 0
    assert len(workspace.events("freesound:1")) == 1


def test_another_event_under_a_known_id_is_refused_not_dropped(workspace):
    workspace.append([first := predicted(1)])
    workspace.append([change := reviewed([first], ["howl"])])
    with pytest.raises(WorkspaceError, match="Two different events"):
        workspace.append([change.model_copy(update={"actor": "somebody else"})])


def test_events_are_added_all_or_none(workspace):
    good, forged = predicted(1), predicted(2)
    workspace.append([good])
    clash = forged.model_copy(update={"event_id": good.event_id})
    with pytest.raises(WorkspaceError, match="Two different events"):
        workspace.append([predicted(3), clash])
    assert workspace.sound("freesound:3") is None


def test_everything_is_there_after_a_restart(opened):
    before = opened()
    before.append([first := predicted(1)])
    before.append([reviewed([first], ["wolf"])])
    before.close()
    assert opened().sound("freesound:1").tags == ("wolf",)


def test_pages_show_the_newest_arrival_first_and_leave_nothing_out(workspace):
    workspace.append(predicted(number) for number in range(1, 24))
    shown = [state.sound_id for page in (1, 2, 3) for state in workspace.page(Query(), page, 10).sounds]
    assert shown == [f"freesound:{number}" for number in range(23, 0, -1)]
    assert workspace.page(Query(), 1, 10).total == 23
    assert workspace.page(Query(), 9, 10).sounds == ()


def test_a_review_does_not_move_a_sound_in_the_list(workspace):
    workspace.append(events := [predicted(1), predicted(2)])
    workspace.append([reviewed(events[:1], ["howl"])])
    assert [state.sound_id for state in workspace.page(Query(), 1, 10).sounds] == ["freesound:2", "freesound:1"]


def test_the_list_can_be_narrowed_to_what_is_to_review_and_to_a_tag(workspace):
    workspace.append(events := [predicted(1, "dog"), predicted(2, "rain"), predicted(3, "rain")])
    workspace.append([change := reviewed(events[2:], ["rain", "night"])])

    def ids(query):
        return [state.sound_id for state in workspace.page(query, 1, 10).sounds]

    assert ids(Query("to review")) == ["freesound:2", "freesound:1"]
    assert ids(Query("reviewed")) == ["freesound:3"]
    assert ids(Query(tag="rain")) == ["freesound:3", "freesound:2"]
    assert ids(Query("to review", "rain")) == ["freesound:2"]
    workspace.append([undo(workspace.sound("freesound:3"), change.event_id, "ada")])
    assert ids(Query("reviewed")) == []
    assert ids(Query(tag="night")) == []


def test_counts_tags_in_use_and_verdicts_follow_the_events(workspace):
    workspace.append(events := [predicted(1, "dog", "bark"), predicted(2, "dog")])
    workspace.append([reviewed(events[:1], ["dog", "howl"])])
    assert (workspace.counts().sounds, workspace.counts().reviewed) == (2, 1)
    assert workspace.tags_in_use() == [("dog", 2), ("howl", 1)]
    assert workspace.peoples_tags() == ["howl"]
    assert workspace.verdicts()["bark"] == {"kept": 0, "removed": 1, "added": 0}


def test_a_withdrawn_sound_leaves_every_view_but_keeps_its_history(workspace):
    workspace.append([first := predicted(1, "dog")])
    workspace.append([reviewed([first], ["howl"]), new_event(Withdrawn(reason="gone"), "freesound:1", "ada", base=first)])
    assert workspace.page(Query(), 1, 10).total == 0
    assert workspace.counts().sounds == 0
    assert workspace.tags_in_use() == []
    assert workspace.peoples_tags() == []
    assert workspace.verdicts() == {}
    assert len(workspace.events("freesound:1")) == 3
    assert workspace.known(["freesound:1"], V2) == {"freesound:1"}


def test_known_tells_what_needs_no_tagging(workspace):
    workspace.append([predicted(1, model=V1)])
    ids = ["freesound:1", "freesound:2"]
    assert workspace.known(ids) == {"freesound:1"}
    assert workspace.known(ids, V1) == {"freesound:1"}
    assert workspace.known(ids, V2) == set()
    assert workspace.known([f"freesound:{number}" for number in range(1, 3000)]) == {"freesound:1"}


def test_a_model_version_predicts_a_sound_once_even_if_two_jobs_try(workspace):
    assert workspace.append([predicted(1)], once_per_model=True) == 1
    assert workspace.append([predicted(1)], once_per_model=True) == 0
    assert workspace.append([predicted(1, model=V2)], once_per_model=True) == 1
    assert len(workspace.events("freesound:1")) == 2


def test_derived_tables_can_be_made_anew_from_the_events(workspace):
    events = [predicted(number, "dog", "rain") for number in range(1, 8)]
    workspace.append(events)
    workspace.append([reviewed([event], ["dog", "howl"]) for event in events[:3]])
    before = dump(workspace.path)
    with sqlite3.connect(workspace.path) as connection:
        for table in ("sounds", "sound_tags", "decisions", "predictions"):
            connection.execute(f"DELETE FROM {table}")
    workspace.rebuild()
    assert dump(workspace.path) == before


def dump(path):
    with sqlite3.connect(path) as connection:
        return {
            table: sorted(connection.execute(f"SELECT * FROM {table}")) for table in ("sounds", "sound_tags", "decisions", "predictions")
        }


def test_the_log_gives_every_event_and_another_workspace_can_take_it_over(workspace, tmp_path):
    events = [predicted(number) for number in range(1, 1300)]
    workspace.append(events)
    lines = [event.to_json() for event in workspace.log()]
    assert len(lines) == len(events)
    other = LocalWorkspace(tmp_path / "other")
    assert other.append(Event.from_json(line) for line in reversed(lines)) == len(events)
    assert sorted(state.sound_id for state in other.states()) == sorted(state.sound_id for state in workspace.states())


def test_media_are_named_by_their_content_and_kept_once(workspace):
    name = workspace.put_media(b"OggS", "ogg")
    assert workspace.put_media(b"OggS", "ogg") == name
    assert workspace.media_path(name).read_bytes() == b"OggS"


@pytest.mark.parametrize("name", ["", "..", "../index.sqlite", "a" * 64, "a" * 64 + ".ogg", "A" * 64 + ".ogg", "x/" + "a" * 64 + ".ogg"])
def test_nothing_but_media_is_handed_out(workspace, name):
    assert workspace.media_path(name) is None


def test_sidecars_come_back_in_half_precision_by_model_version(workspace):
    workspace.put_sidecar("freesound:1", V1, {"activations": np.linspace(0, 1, 6).reshape(2, 3)})
    back = workspace.sidecar("freesound:1", V1)["activations"]
    assert back.dtype == np.float16
    np.testing.assert_allclose(back, np.linspace(0, 1, 6).reshape(2, 3), atol=1e-3)
    assert workspace.sidecar("freesound:1", V2) is None


def test_a_damaged_sidecar_is_no_sidecar(workspace):
    workspace.put_sidecar("freesound:1", V1, {"times": np.zeros((1, 2))})
    (path,) = (workspace.folder / "sidecars").rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:20])
    assert workspace.sidecar("freesound:1", V1) is None


def test_pushing_a_model_twice_gives_one_version(workspace):
    first, second = workspace.push(bundle.load()), workspace.push(bundle.load())
    assert first == second
    assert first.version == 1
    assert bundle.load(workspace.pull(first)).fingerprint == bundle.load().fingerprint


def test_two_who_push_at_once_lose_no_version(workspace, tmp_path):
    starters = []
    for number in range(4):
        bundle.copy(bundle.load(), folder := tmp_path / str(number))
        metrics = json.loads((folder / "metrics.json").read_text()) | {"number": number}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        starters.append(bundle.load(folder))
    threads = [threading.Thread(target=workspace.push, args=(one,)) for one in starters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = {workspace.push(one).version for one in starters}
    assert versions == {1, 2, 3, 4}


def pushed(workspace, tmp_path, name, **scores):
    """The starter as another bundle of its name, with these scores."""
    bundle.copy(bundle.load(), folder := tmp_path / name)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["overall"] |= scores
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return workspace.push(bundle.load(folder))


def test_a_version_is_found_by_number_as_the_latest_and_as_the_best_by_a_named_score(workspace, tmp_path):
    first = pushed(workspace, tmp_path, "1", pr_auc_macro=0.5, roc_auc_macro=0.9)
    second = pushed(workspace, tmp_path, "2", pr_auc_macro=0.8, roc_auc_macro=0.8)
    third = pushed(workspace, tmp_path, "3", pr_auc_macro=None, roc_auc_macro=0.1)
    assert workspace.find_model(first.name, "best") == second
    assert workspace.find_model(first.name, "best", "roc_auc_macro") == first
    assert workspace.find_model(first.name, "latest") == third
    assert workspace.find_model(first.name, 1) == first
    assert bundle.load(workspace.pull(second)).metrics["overall"]["pr_auc_macro"] == 0.8


@pytest.mark.parametrize(("name", "version"), [("seed_cnn", 7), ("other", "best"), ("other", "latest")])
def test_a_version_that_is_not_kept_is_said(workspace, name, version):
    workspace.push(bundle.load())
    with pytest.raises(NoSuchModel, match=f"no such version of the model {name}: {version}"):
        workspace.find_model(name, version)


def test_everything_kept_is_settled_in_the_end_and_an_open_question_to_no_home_is_answered(workspace):
    workspace.append([event := predicted(1)])
    workspace.settle()
    assert workspace.waiting([event.event_id]) == set()
    assert workspace.flush() == 0
    assert workspace.mirror() == 0
    workspace.upkeep(keep_runs=10)
    assert len(workspace.events("freesound:1")) == 1


def test_a_model_that_is_missing_is_said(workspace):
    model = workspace.push(bundle.load())
    with pytest.raises(WorkspaceError, match="is not in the workspace"):
        workspace.pull(model.model_copy(update={"version": 9}))


def test_the_latest_rollout_is_in_force(workspace):
    assert workspace.rolled_out() is None
    first = new_event(RolledOut(model=V1, reason="first"), None, "ada")
    second = new_event(RolledOut(model=V2, reason="better"), None, "ada", base=first)
    workspace.append([second, first])
    assert workspace.rolled_out() == second


def test_runs_are_recorded_and_updated(workspace):
    run = Run(run_id="r1", started="2026-01-01", source="here", model=V1, actor="ada", skipped=(("a.wav", "is empty."),))
    workspace.record_run(run)
    workspace.record_run(done := Run(**{**run.__dict__, "state": "finished", "tagged": 3}))
    workspace.record_run(newer := Run(run_id="r2", started="2026-01-02", source="here", model=V1, actor="ada"))
    assert workspace.runs() == [newer, done]
