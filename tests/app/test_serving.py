"""Serving without make: the port, the address of the health check, temporary files."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from app.__main__ import health_url, main, serving_environment
from app.temporary_folder import MAX_AGE_S, prepare_temporary_folder
from app.temporary_media import TemporaryMedia
from core.errors import EarmarkError
from tests.helpers.app_server import free_port
from tests.helpers.commands import command_runner


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "http://localhost:8501/_stcore/health"),
        ({"PORT": "7860"}, "http://localhost:7860/_stcore/health"),
        ({"STREAMLIT_SERVER_PORT": "9000"}, "http://localhost:9000/_stcore/health"),
        (
            {"PORT": "80", "STREAMLIT_SERVER_BASE_URL_PATH": "/earmark/"},
            "http://localhost:80/earmark/_stcore/health",
        ),
    ],
)
def test_the_health_check_asks_where_the_app_is_served(environment, url):
    assert health_url(serving_environment(environment)) == url


def test_a_user_without_a_home_is_at_home_in_the_workspace(monkeypatch, tmp_path):
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path))
    at_home = serving_environment({"HOME": "/somewhere"})
    assert at_home["HOME"] == "/somewhere"

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert serving_environment({})["HOME"] == str(tmp_path)


def test_a_server_that_does_not_answer_is_one_sentence(monkeypatch, capsys):
    run = command_runner(main, monkeypatch, capsys)
    result = run("health", PORT=free_port())
    assert result.returncode == 1
    assert "does not answer" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def temporary(monkeypatch, tmp_path):
    """Whatever a test chooses, other tests keep their folder."""
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())
    monkeypatch.setenv("TMPDIR", str(tmp_path / "named" / "folder"))
    return tmp_path


def nowhere() -> str:
    raise FileNotFoundError("No usable temporary directory found")


def test_the_folder_that_tmpdir_names_is_made(temporary):
    folder = prepare_temporary_folder(temporary)
    assert folder == temporary / "named" / "folder"
    assert tempfile.gettempdir() == str(folder)


def test_without_a_folder_of_the_system_temporary_files_go_to_the_workspace(temporary, monkeypatch):
    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    folder = prepare_temporary_folder(temporary)
    assert folder == temporary / "tmp"
    assert os.environ["TMPDIR"] == tempfile.tempdir == str(folder)


def test_without_any_folder_there_is_one_sentence(temporary, monkeypatch):
    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    (temporary / "tmp").write_text("a file is in the way")
    with pytest.raises(EarmarkError, match="no folder for temporary files"):
        prepare_temporary_folder(temporary)


def test_clips_that_a_killed_server_left_behind_are_removed_after_a_day(temporary):
    folder = prepare_temporary_folder(temporary)
    left = [folder / name for name in ("earmark-media-a/old.ogg", "earmark-media-a/new.ogg", "b")]
    left[0].parent.mkdir()
    for path in left:
        path.write_bytes(b"a")
    for path in (left[0], left[2]):
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - MAX_AGE_S - 1))
    prepare_temporary_folder(temporary)
    assert [path.exists() for path in left] == [False, True, True]


def test_a_server_without_room_for_clips_is_one_sentence(temporary, monkeypatch):
    media = TemporaryMedia()
    name = media.put(b"a clip", "ogg")

    def full(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EarmarkError, match=r"cannot keep clips at present \(No space left"):
        media.put(b"another", "ogg")
    assert media.path(name) is not None
