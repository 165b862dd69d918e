"""What a killed process leaves of a file that it was writing."""

import os
import time

import pytest

from core import files
from core.files import ABANDONED_S, remove_abandoned, write_atomic


class Killed(BaseException):
    """Nothing runs any more."""


@pytest.fixture
def killed_while_writing(tmp_path, monkeypatch):
    """Leaves what a process leaves that is killed before a file gets its name."""

    def write(path):
        def die(paths):
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(files.Path, "unlink", lambda *arguments, **options: None)
            patch.setattr(files.os, "fsync", die)
            with pytest.raises(Killed):
                write_atomic(path, b"half of it")
        (partial,) = path.parent.iterdir()
        return partial

    return write


def make_older(path, seconds):
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def test_it_is_removed_once_it_is_old(killed_while_writing, tmp_path):
    partial = killed_while_writing(tmp_path / "media" / "ab" / "sound.ogg")
    make_older(partial, ABANDONED_S + 60)
    assert remove_abandoned(tmp_path) == 1
    assert not partial.exists()
    assert remove_abandoned(tmp_path) == 0


def test_a_file_that_another_process_may_be_writing_stays(killed_while_writing, tmp_path):
    partial = killed_while_writing(tmp_path / "media" / "sound.ogg")
    make_older(partial, ABANDONED_S - 60)
    assert remove_abandoned(tmp_path) == 0
    assert partial.read_bytes() == b"half of it"


@pytest.mark.parametrize(
    "name", ["song.partial", ".partial", ".0123.partial", f"{'a' * 32}.partial", "sound.ogg"]
)
def test_files_of_other_names_stay_however_old_they_are(tmp_path, name):
    write_atomic(tmp_path / name, b"mine")
    make_older(tmp_path / name, 100 * ABANDONED_S)
    assert remove_abandoned(tmp_path) == 0
    assert (tmp_path / name).read_bytes() == b"mine"


def test_a_folder_that_does_not_exist_has_none(tmp_path):
    assert remove_abandoned(tmp_path / "none") == 0
