"""What the registry knows of versions beside their bundles, on one machine and on several."""

import json

import pytest

from core.model import bundle as bundles
from core.storage.active_model import deploy_model, resolve_model
from core.storage.model_versions import list_versions, previous_model, reject_version
from tests.helpers.model_versions import add_challenger, comparison


@pytest.fixture(params=["local", "shared"])
def machines(request, tmp_path):
    """Two programs on one workspace: in a folder, or on two machines."""
    if request.param == "local":
        from core.storage.local import open_local_workspace

        return [open_local_workspace(tmp_path / "workspace") for _ in range(2)]
    shared = request.getfixturevalue("shared")
    return [shared("first"), shared("second")]


def test_versions_are_listed_newest_first(machines, tmp_path):
    first, second = machines
    default = resolve_model(first).model
    challenger = add_challenger(first, tmp_path / "challenger")
    assert second.models.versions(default.name) == [challenger, default]
    assert second.models.versions("unknown") == []


def test_a_comparison_is_read_by_the_others_as_it_was_written(machines, tmp_path):
    first, second = machines
    default = resolve_model(first).model
    challenger = add_challenger(first, tmp_path / "challenger")
    assert second.models.notes(challenger, "comparison") == [comparison(default)]
    assert second.models.notes(challenger, "comparison") == [comparison(default)]
    assert second.models.notes(default, "comparison") == []


def test_a_rejection_is_seen_by_the_others(machines, tmp_path):
    first, second = machines
    challenger = add_challenger(first, tmp_path / "challenger")
    reject_version(first, challenger, "ada", "worse on birds")
    second.sync.pull()
    (version,) = (each for each in list_versions(second) if each.model == challenger)
    assert (version.decision.actor, version.decision.reason) == ("ada", "worse on birds")
    assert not version.is_active


def test_notes_are_no_part_of_a_bundle_and_no_version(machines, tmp_path):
    first, _ = machines
    challenger = add_challenger(first, tmp_path / "challenger")
    folder = first.models.fetch(challenger)
    reject_version(first, challenger, "ada", "")
    assert bundles.fingerprint(folder) == challenger.fingerprint
    assert first.models.find(challenger.name, "latest") == challenger
    third = add_challenger(first, tmp_path / "third")
    assert third.version == challenger.version + 1


def test_a_version_knows_since_when_and_by_whom_it_is_active(machines, tmp_path):
    first, _ = machines
    default = resolve_model(first).model
    assert previous_model(first) is None
    challenger = add_challenger(first, tmp_path / "challenger")
    deploy_model(first, challenger.name, challenger.version, "ada", "better")
    states = {version.model: version for version in list_versions(first)}
    assert states[challenger].is_active
    assert states[challenger].rollout.actor == "ada"
    assert not states[default].is_active
    assert states[default].rollout is not None
    assert previous_model(first) == default


def test_a_note_of_a_newer_program_is_left_out(machines, tmp_path):
    first, _ = machines
    challenger = add_challenger(first, tmp_path / "challenger")
    first.models.add_note(challenger, "decision", {"decision": "on trial", "actor": "ada"})
    (version,) = (each for each in list_versions(first) if each.model == challenger)
    assert version.decision is None


def test_a_damaged_note_is_left_out(tmp_path):
    from core.storage.local import open_local_workspace

    workspace = open_local_workspace(tmp_path / "workspace")
    challenger = add_challenger(workspace, tmp_path / "challenger")
    folder = tmp_path / "workspace" / "models" / challenger.name / "notes"
    (path,) = (folder / str(challenger.version)).glob("*.json")
    path.write_text(json.dumps(["not", "an", "object"]))
    assert workspace.models.notes(challenger, "comparison") == []
