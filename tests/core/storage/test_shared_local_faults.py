"""What goes wrong on this machine while something is sent leaves a reason that people can read."""

import errno
import logging
import shutil
import tempfile

import pytest

from core.storage.errors import StorageError
from core.storage.local import open_local_workspace
from tests.helpers.events import predicted


def test_a_full_disk_is_the_reason_why_saves_wait(shared, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    ada = shared("ada")
    ada.events.append([predicted(1)])

    class Full(tempfile.TemporaryDirectory):
        def __enter__(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(tempfile, "TemporaryDirectory", Full)
        for _ in range(2):
            assert ada.sync.push() == 0
    status = ada.sync.status()
    assert status.waiting == 1
    assert status.problem.endswith("cannot be written on this machine (No space left on device).")
    assert caplog.text.count("upload stuck") == 1
    assert ada.sync.push() == 1
    assert ada.sync.status().problem == ""


def test_a_row_of_the_outbox_that_cannot_be_read_holds_up_no_other(shared, run_sql):
    ada, ben = shared("ada"), shared("ben")
    ada.events.append([predicted(1)])
    run_sql(ada, "UPDATE outbox SET body = 5")
    ada.events.append([predicted(2)])
    assert ada.sync.push() == 1
    assert ada.sync.status().waiting == 1
    assert "which waits to be sent, cannot be read on this machine" in ada.sync.status().problem
    assert ben.sync.pull() == 1


def test_a_medium_that_is_gone_is_named(shared):
    ada = shared("ada")
    name = ada.media.put(b"OggS", "ogg")
    ada.media.path(name).unlink()
    ada.sync.push()
    assert f"{name}, which waits to be sent, cannot be read" in ada.sync.status().problem


def test_a_lock_that_cannot_be_taken_is_one_sentence_and_a_reason(shared):
    ada = shared("ada")
    ada.events.append([predicted(1)])
    (ada.folder / ".outbox.lock").mkdir()
    with pytest.raises(StorageError, match=r"lock .*\.outbox\.lock cannot be taken \(.*\)\.$"):
        ada.sync.push()
    assert ".outbox.lock cannot be taken" in ada.sync.status().problem


def test_what_nobody_foresaw_leaves_a_reason_too(shared, monkeypatch):
    ada = shared("ada")

    def fail(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("core.storage.hopsworks.outbox.Outbox.paths", fail)
    with pytest.raises(PermissionError):
        ada.sync.push()
    assert ada.sync.status().problem == (
        "An unforeseen error on this machine (Permission denied); the log has it."
    )


def test_a_workspace_of_others_in_the_place_of_the_own_one_is_refused(shared, tmp_path):
    ada = shared("ada")
    ada.events.append([predicted(1)])
    ada.folder.rename(tmp_path / "elsewhere")
    open_local_workspace(ada.folder).events.append([predicted(2)])
    for work in (ada.sync.push, lambda: ada.events.append([predicted(3)]), ada.sounds.counts):
        with pytest.raises(StorageError, match="holds the workspace of this machine alone"):
            work()
    shutil.rmtree(ada.folder)
    (tmp_path / "elsewhere").rename(ada.folder)
    assert ada.sync.push() == 1
