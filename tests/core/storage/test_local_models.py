"""Half a model version in the local registry: passed by, and named by the doctor."""

import json
import shutil

import pytest

from core.doctor import examine
from core.model import bundle as bundles
from core.storage.active_model import resolve_model
from core.storage.errors import ModelNotFound
from core.storage.local import open_local_workspace
from core.storage.model_versions import list_versions


@pytest.fixture
def workspace(tmp_path):
    return open_local_workspace(tmp_path / "w")


@pytest.fixture
def whole(workspace):
    """The reference of a whole version, number 1."""
    return resolve_model(workspace).model


def without(name):
    return lambda folder: (folder / name).unlink()


def torn(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-20])


def with_text(name, text):
    return lambda folder: (folder / name).write_text(text)


def emptied(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def replaced_by_a_file(folder):
    shutil.rmtree(folder)
    folder.write_bytes(b"")


FAULTS = {
    "no metrics": without("metrics.json"),
    "no weights": without(bundles.WEIGHTS),
    "torn metrics": torn("metrics.json"),
    "torn description": torn("model.json"),
    "torn vocabulary": torn("id2tag.json"),
    "metrics that are a list": with_text("metrics.json", "[]"),
    "scores that are no numbers": with_text("metrics.json", json.dumps({"overall": "good"})),
    "not UTF-8": lambda folder: (folder / "metrics.json").write_bytes(b"\xff\xfe"),
    "an empty folder": emptied,
    "a file": replaced_by_a_file,
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_the_best_version_is_a_whole_one_and_the_doctor_names_the_other(
    workspace, whole, fault, monkeypatch
):
    folder = workspace.folder / "models" / whole.name / "2"
    shutil.copytree(folder.with_name("1"), folder)
    FAULTS[fault](folder)
    assert workspace.models.find(whole.name, "best") == whole
    assert workspace.models.versions(whole.name) == [whole]
    assert [version.model for version in list_versions(workspace)] == [whole]
    monkeypatch.setenv("EARMARK_WORKSPACE", str(workspace.folder))
    findings = [finding for finding in examine() if finding.subject == "Models"]
    assert [finding.health for finding in findings] == ["broken"]
    assert str(folder) in findings[0].text


def test_with_no_whole_version_there_is_no_best_one_and_a_first_start_uses_the_next_number(
    workspace,
):
    name = bundles.load().name
    (workspace.folder / "models" / name / "3").mkdir(parents=True)
    with pytest.raises(ModelNotFound):
        workspace.models.find(name, "best")
    assert resolve_model(workspace).model.version == 4
