import os
import sqlite3

import pytest
from events import predicted

from core.model import bundle
from core.workspace import WorkspaceError
from core.workspace.index import Index
from core.workspace.local import LocalWorkspace


@pytest.fixture
def workspace(tmp_path):
    return LocalWorkspace(tmp_path / "workspace")


def test_a_file_that_is_no_index_is_said_to_be_none_and_is_left_alone(tmp_path):
    (tmp_path / "index.sqlite").write_bytes(b"this is not a database" * 100)
    with pytest.raises(WorkspaceError, match="is not a readable Earmark index"):
        LocalWorkspace(tmp_path)
    assert (tmp_path / "index.sqlite").read_bytes().startswith(b"this is not")


def test_an_index_of_a_newer_earmark_is_refused(tmp_path):
    Index(tmp_path / "index.sqlite").close()
    with sqlite3.connect(tmp_path / "index.sqlite") as connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(WorkspaceError, match="newer Earmark"):
        Index(tmp_path / "index.sqlite")


def test_a_workspace_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be made"):
        LocalWorkspace(tmp_path / "file" / "workspace")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_workspace_that_may_not_be_written_says_so(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(WorkspaceError, match="cannot be"):
        LocalWorkspace(tmp_path)


def test_an_event_that_cannot_be_written_is_said_and_nothing_is_half_there(workspace):
    workspace.append([predicted(1)])
    with sqlite3.connect(workspace.path) as connection:
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON sound_tags BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    with pytest.raises(WorkspaceError, match=r"cannot be written .*disk is full.*nothing was saved"):
        workspace.append([predicted(2)])
    assert workspace.sound("freesound:2") is None


def test_a_model_that_was_changed_is_not_loaded(workspace):
    model = workspace.push(bundle.load())
    metrics = workspace.pull(model) / "metrics.json"
    metrics.write_text(metrics.read_text() + " ")
    with pytest.raises(WorkspaceError, match="was changed"):
        workspace.pull(model)


def test_media_that_cannot_be_written_are_said(workspace):
    (workspace.folder / "media").write_text("in the way")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        workspace.put_media(b"x", "ogg")


def test_a_folder_with_odd_characters_is_a_folder_like_any_other(tmp_path):
    for name in ("what?x", "50% #1", "ü & co"):
        LocalWorkspace(tmp_path / name).append([predicted(1)])
        assert (tmp_path / name / "index.sqlite").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["what?x", "50% #1", "ü & co"])
