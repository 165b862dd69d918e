import os
import sqlite3
import sys
from pathlib import Path

import pytest

from core.model import bundle
from core.sqlite import DatabaseError
from core.storage.errors import StorageError
from core.storage.folder import DATABASE_NAME, has_workspace
from core.storage.local import open_local_workspace
from tests.helpers.events import predicted


@pytest.fixture
def workspace(tmp_path):
    return open_local_workspace(tmp_path / "workspace")


def test_a_file_that_is_no_database_is_reported_and_left_alone(tmp_path):
    (tmp_path / DATABASE_NAME).write_bytes(b"this is not a database" * 100)
    with pytest.raises(DatabaseError, match=r"is not a readable Earmark database .*move it away"):
        open_local_workspace(tmp_path)
    assert (tmp_path / DATABASE_NAME).read_bytes().startswith(b"this is not")


def test_a_folder_holds_a_workspace_once_it_was_opened(tmp_path):
    assert not has_workspace(tmp_path)
    open_local_workspace(tmp_path)
    assert has_workspace(tmp_path)


def test_a_workspace_that_cannot_be_created_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be created"):
        open_local_workspace(tmp_path / "file" / "workspace")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_workspace_that_may_not_be_written_says_so(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="cannot be"):
        open_local_workspace(tmp_path)


def test_an_event_that_cannot_be_written_is_an_error_and_nothing_is_half_saved(workspace):
    workspace.events.append([predicted(1)])
    trigger = "BEFORE INSERT ON sound_tags BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    with sqlite3.connect(workspace.folder / DATABASE_NAME) as connection:
        connection.execute(f"CREATE TRIGGER full {trigger}")
    reason = r"cannot be written .*disk is full.*nothing was saved"
    with pytest.raises(DatabaseError, match=reason):
        workspace.events.append([predicted(2)])
    assert workspace.sounds.get("freesound:2") is None


def test_a_model_that_was_changed_is_not_loaded(workspace):
    model = workspace.models.register(bundle.load())
    metrics = workspace.models.fetch(model) / "metrics.json"
    metrics.write_text(metrics.read_text() + " ")
    with pytest.raises(StorageError, match="was changed"):
        workspace.models.fetch(model)
    assert workspace.models.cached(model) is None


def test_a_damaged_model_does_not_keep_the_next_version_from_being_registered(workspace):
    model = workspace.models.register(bundle.load())
    (workspace.models.fetch(model) / "metrics.json").unlink()
    with pytest.raises(StorageError, match="is damaged; restore it or delete it"):
        workspace.models.find(model.name, "latest")
    assert workspace.models.register(bundle.load()).version == 2
    assert workspace.models.find(model.name, "best").version == 2


def test_media_that_cannot_be_written_are_an_error(workspace):
    (workspace.folder / "media").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        workspace.media.put(b"x", "ogg")


def test_many_media_wait_for_the_disk_together(workspace, monkeypatch):
    waits = []
    monkeypatch.setattr(os, "sync", lambda: waits.append("all"))
    monkeypatch.setattr(os, "fsync", waits.append)

    names = workspace.media.put_all([(bytes([number]), "ogg") for number in range(50)])

    assert [workspace.media.path(name).read_bytes()[0] for name in names] == list(range(50))
    assert len(waits) < 5 or sys.platform != "linux"
    assert waits


def test_no_file_of_many_appears_before_all_are_on_the_disk(workspace, monkeypatch):
    media = workspace.folder / "media"

    def lose_power(*_arguments):
        raise OSError(5, "the power is gone")

    monkeypatch.setattr(os, "sync", lose_power)
    monkeypatch.setattr(os, "fsync", lose_power)
    with pytest.raises(StorageError, match="cannot be written"):
        workspace.media.put_all([(bytes([number]), "ogg") for number in range(50)])
    assert [path for path in media.rglob("*") if path.is_file()] == []


def test_media_that_cannot_be_deleted_are_an_error(workspace, monkeypatch):
    name = workspace.media.put(b"x", "ogg")

    def refuse(*_arguments, **_options):
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StorageError, match=r"cannot be deleted \(not permitted\)"):
        workspace.media.delete([name])


def test_a_model_that_cannot_be_written_is_an_error(workspace):
    (workspace.folder / "models").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be kept"):
        workspace.models.register(bundle.load())


def test_a_folder_with_odd_characters_is_a_folder_like_any_other(tmp_path):
    names = ["what?x", "50% #1", "ü & co"]
    for name in names:
        open_local_workspace(tmp_path / name).events.append([predicted(1)])
        assert has_workspace(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
