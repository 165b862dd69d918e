"""Backup and restore: complete, checked, safe beside writers and kills, nothing overwritten."""

import hashlib
import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
from contextlib import closing
from pathlib import Path

import pytest

from core import cli
from core.events.types import Media
from core.storage.archive import ABOUT_NAME, CHECKSUMS_NAME, BackupError
from core.storage.backup import back_up
from core.storage.local import open_local_workspace
from core.storage.restore import restore
from core.storage.sidecars import Sidecar
from tests.helpers.commands import command_runner
from tests.helpers.events import V1, predicted, reviewed
from tests.helpers.source_tree import ROOT
from tests.helpers.waiting import wait_until

OLD = ROOT / "tests" / "data" / "version_0_1"
SOUNDS = 12


def add_sound(workspace, number):
    audio = workspace.media.put(f"sound {number}".encode() * 1000, "ogg")
    workspace.sidecars.put_all([Sidecar(f"freesound:{number}", V1, {})])
    event = predicted(number, media=Media(audio=audio))
    workspace.events.append([event])
    return event


@pytest.fixture
def folder(tmp_path):
    """A workspace with sounds, a review, a publication's files, sign-ins and a draft."""
    folder = tmp_path / "workspace"
    workspace = open_local_workspace(folder)
    for number in range(1, SOUNDS + 1):
        add_sound(workspace, number)
    workspace.events.append([reviewed(workspace.events.of_sound("freesound:3"), ["frog"])])
    for name in ("publications/abc/ogg", "drafts/someone/data", "similar/index.npy", "name.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    databases = ("people.sqlite", "publications/publications.sqlite", "publications/a/b.sqlite")
    for name in databases:
        (folder / name).parent.mkdir(exist_ok=True)
        with closing(sqlite3.connect(folder / name)) as connection, connection:
            connection.execute("CREATE TABLE kept (name)")
            connection.execute("INSERT INTO kept VALUES (?)", [name])
    return folder


def contents(folder: Path) -> dict[str, str]:
    """The checksums of a workspace's files but for databases, whose bytes may differ."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".sqlite" not in path.name
    }


def events_of(folder: Path):
    return list(open_local_workspace(folder).events.all())


def names_in(file: Path) -> list[str]:
    with tarfile.open(file) as tar:
        return tar.getnames()


def test_a_restored_workspace_is_the_one_that_was_backed_up_without_secrets_and_drafts(
    folder, tmp_path
):
    done = back_up(folder, tmp_path / "backup.tar")
    restore(tmp_path / "backup.tar", tmp_path / "restored")
    kept = {
        name: digest
        for name, digest in contents(folder).items()
        if not name.startswith(("drafts/", "similar/"))
    }
    assert contents(tmp_path / "restored") == kept
    assert events_of(tmp_path / "restored") == events_of(folder)
    assert open_local_workspace(tmp_path / "restored").sounds.get("freesound:3").tags == ("frog",)
    for name in ("publications/publications.sqlite", "publications/a/b.sqlite"):
        with closing(sqlite3.connect(tmp_path / "restored" / name)) as log:
            assert log.execute("SELECT name FROM kept").fetchall() == [(name,)]
    assert not (tmp_path / "restored" / "people.sqlite").exists()
    assert any("people.sqlite" in text for text in done.left_out)
    assert any("drafts" in text for text in done.left_out)
    assert not (tmp_path / "restored" / ".restoring").exists()


def test_the_archive_can_be_checked_with_the_system_s_own_tools(folder, tmp_path):
    back_up(folder, tmp_path / "backup.tar")
    with tarfile.open(tmp_path / "backup.tar") as tar:
        lines = tar.extractfile(CHECKSUMS_NAME).read().decode().splitlines()
        sums = {line.partition("  ")[2]: line.partition("  ")[0] for line in lines}
        data = {name: tar.extractfile(name).read() for name in sums}
    assert {name: hashlib.sha256(each).hexdigest() for name, each in data.items()} == sums
    assert [*sums, CHECKSUMS_NAME] == names_in(tmp_path / "backup.tar")
    assert os.stat(tmp_path / "backup.tar").st_mode & 0o077 == 0


def test_while_people_save_a_backup_holds_one_moment_with_everything_that_it_names(
    folder, tmp_path
):
    workspace, stop, saved = open_local_workspace(folder), threading.Event(), []

    def save():
        while not stop.is_set():
            saved.append(add_sound(workspace, 1000 + len(saved)))

    writer = threading.Thread(target=save)
    writer.start()
    wait_until(lambda: len(saved) > 3)
    before = len(saved)
    back_up(folder, tmp_path / "backup.tar")
    stop.set()
    writer.join()
    restore(tmp_path / "backup.tar", tmp_path / "restored")
    restored = open_local_workspace(tmp_path / "restored")
    known = {event.event_id for event in restored.events.all()}
    assert {event.event_id for event in saved[:before]} <= known
    for event in restored.events.all():
        if event.kind == "predicted":
            assert restored.media.path(event.payload.media.audio) is not None
            assert restored.sidecars.get(event.sound_id, V1) is not None


def test_nothing_is_overwritten(folder, tmp_path):
    file = tmp_path / "backup.tar"
    file.write_text("something else")
    with pytest.raises(BackupError, match="exists already"):
        back_up(folder, file)
    assert file.read_text() == "something else"
    file.unlink()
    back_up(folder, file)
    before = contents(folder)
    with pytest.raises(BackupError, match="holds a workspace already"):
        restore(file, folder)
    assert contents(folder) == before


def test_a_folder_without_a_workspace_and_a_file_that_is_none_are_one_sentence(tmp_path):
    with pytest.raises(BackupError, match="There is no workspace in"):
        back_up(tmp_path / "nowhere", tmp_path / "backup.tar")
    with pytest.raises(BackupError, match="There is no file"):
        restore(tmp_path / "missing.tar", tmp_path / "restored")
    (tmp_path / "text").write_text("no archive" * 1000)
    with pytest.raises(BackupError, match="no complete backup"):
        restore(tmp_path / "text", tmp_path / "restored")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_byte_that_has_changed_is_noticed_and_nothing_is_restored(folder, tmp_path, share):
    file = tmp_path / "backup.tar"
    back_up(folder, file)
    data = bytearray(file.read_bytes())
    with tarfile.open(file) as tar:
        large = [entry for entry in tar if entry.size > 1000]
    entry = large[int(share * len(large))]
    data[entry.offset_data + entry.size // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(BackupError, match="damaged"):
        restore(file, tmp_path / "restored")
    assert not (tmp_path / "restored" / "index.sqlite").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.8, 0.9])
def test_an_archive_that_was_cut_off_is_noticed(folder, tmp_path, share):
    file = tmp_path / "backup.tar"
    back_up(folder, file)
    os.truncate(file, int(share * file.stat().st_size))
    with pytest.raises(BackupError, match=r"no complete backup|not complete|no backup"):
        restore(file, tmp_path / "restored")
    assert not (tmp_path / "restored" / "index.sqlite").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.5, 0.8, 0.999])
def test_an_interrupted_backup_goes_on_where_it_was(folder, tmp_path, share):
    back_up(folder, tmp_path / "whole.tar")
    partial = tmp_path / ".backup.tar.partial"
    shutil.copy(tmp_path / "whole.tar", partial)
    os.truncate(partial, int(share * partial.stat().st_size))
    (tmp_path / ".backup.tar.partial.end").write_text(str(partial.stat().st_size))
    done = back_up(folder, tmp_path / "backup.tar")
    assert done.continued == (share > 0.1)
    assert names_in(tmp_path / "backup.tar") == names_in(tmp_path / "whole.tar")
    assert not list(tmp_path.glob(".backup.tar*"))
    restore(tmp_path / "backup.tar", tmp_path / "restored")
    assert events_of(tmp_path / "restored") == events_of(folder)


def test_what_a_power_cut_may_have_left_unwritten_is_written_anew(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("core.storage.backup.SYNC_BYTES", 100_000)

    def power_cut(*_arguments):
        raise OSError(5, "the disk has no power")

    with monkeypatch.context() as patched:
        patched.setattr("core.storage.backup.ArchiveWriter.close", power_cut)
        with pytest.raises(BackupError, match="goes on with it"):
            back_up(folder, tmp_path / "backup.tar")
    partial = tmp_path / ".backup.tar.partial"
    certain = int((tmp_path / ".backup.tar.partial.end").read_text())
    data = bytearray(partial.read_bytes())
    assert 0 < certain < len(data)
    data[certain:] = bytes(len(data) - certain)
    partial.write_bytes(data)
    assert back_up(folder, tmp_path / "backup.tar").continued
    restore(tmp_path / "backup.tar", tmp_path / "restored")
    assert events_of(tmp_path / "restored") == events_of(folder)


@pytest.mark.skipif(os.name != "posix", reason="processes are killed by a signal of POSIX")
def test_a_killed_backup_leaves_no_file_and_the_next_call_finishes(folder, tmp_path):
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from core.storage import archive\n"
        "from core.storage.backup import back_up\n"
        "def audit(name, arguments):\n"
        "    if name == 'open' and 'sidecars' in str(arguments[0]):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(audit)\n"
        f"back_up(Path({str(folder)!r}), Path({str(tmp_path / 'backup.tar')!r}))\n"
    )
    process = subprocess.run([sys.executable, "-c", script], cwd=ROOT)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "backup.tar").exists()
    assert back_up(folder, tmp_path / "backup.tar").files > SOUNDS
    restore(tmp_path / "backup.tar", tmp_path / "restored")
    assert events_of(tmp_path / "restored") == events_of(folder)


@pytest.mark.parametrize("moved", [[], ["media"], ["media", "name.txt", "publications"]])
def test_an_interrupted_restore_is_finished(folder, tmp_path, moved):
    file, target = tmp_path / "backup.tar", tmp_path / "restored"
    back_up(folder, file)
    restore(file, target)
    whole = contents(target)
    staging = target / ".restoring"
    staging.mkdir()
    for path in list(target.iterdir()):
        if path.name not in (".restoring", *moved):
            path.rename(staging / path.name)
    with tarfile.open(file) as tar:
        (staging / ".verified").write_bytes(tar.extractfile(ABOUT_NAME).read())
    restore(file, target)
    assert contents(target) == whole
    assert events_of(target) == events_of(folder)


@pytest.mark.parametrize(
    "name", ["../outside", "media/../../outside", "/etc/outside", "people.sqlite", "media/a\\..\\b"]
)
def test_an_archive_with_other_files_writes_none_of_them(tmp_path, name):
    file = tmp_path / "backup.tar"
    with tarfile.open(file, "w") as tar:
        about = b'{"format": 1, "created": "2026-01-01T00:00:00+00:00"}'
        for entry, data in ((ABOUT_NAME, about), (name, b"text")):
            info = tarfile.TarInfo(entry)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with pytest.raises(BackupError, match="is no backup"):
        restore(file, tmp_path / "deep" / "restored")
    assert not list(tmp_path.rglob("outside"))


def test_links_and_backups_of_a_newer_version_are_refused(tmp_path):
    for text, entry_type, reason in (
        (b'{"format": 1, "created": "2026-01-01"}', tarfile.SYMTYPE, "is no file"),
        (b'{"format": 2, "created": "2026-01-01"}', tarfile.REGTYPE, "newer Earmark"),
        (b'{"format": [], "created": "2026-01-01"}', tarfile.REGTYPE, "no backup"),
    ):
        with tarfile.open(tmp_path / "backup.tar", "w") as tar:
            about = tarfile.TarInfo(ABOUT_NAME)
            about.size = len(text)
            tar.addfile(about, io.BytesIO(text))
            link = tarfile.TarInfo("media/ab/x.ogg")
            link.type, link.linkname = entry_type, "/etc/passwd"
            tar.addfile(link)
        with pytest.raises(BackupError, match=reason):
            restore(tmp_path / "backup.tar", tmp_path / "restored")


def test_a_damaged_database_is_said_and_makes_no_backup(folder, tmp_path):
    database = folder / "index.sqlite"
    data = bytearray(database.read_bytes())
    data[5000:60000] = b"\xff" * 55000
    database.write_bytes(data)
    for suffix in ("-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    with pytest.raises(BackupError, match=r"index\.sqlite (cannot be copied|is damaged)"):
        back_up(folder, tmp_path / "backup.tar")
    assert not (tmp_path / "backup.tar").exists()


def test_an_earlier_version_s_workspace_is_backed_up_unchanged_and_opens_after_its_restore(
    tmp_path,
):
    old = tmp_path / "old"
    shutil.copytree(OLD / "workspace", old)
    before = (old / "index.sqlite").read_bytes()
    back_up(old, tmp_path / "backup.tar")
    assert (old / "index.sqlite").read_bytes() == before
    restore(tmp_path / "backup.tar", tmp_path / "restored")
    assert contents(tmp_path / "restored") == contents(old)
    assert events_of(tmp_path / "restored") == events_of(old)


def test_the_commands_say_what_they_did_and_what_is_left_out(folder, tmp_path, monkeypatch, capsys):
    run = command_runner(cli.main, monkeypatch, capsys)
    file = tmp_path / "backup.tar"
    done = run("backup", file, EARMARK_WORKSPACE=folder)
    assert done.returncode == 0
    assert "sign-ins (people.sqlite)" in done.stderr
    again = run("backup", file, EARMARK_WORKSPACE=folder)
    assert (again.returncode, "exists already" in again.stderr) == (1, True)
    restored = run("restore", file, EARMARK_WORKSPACE=tmp_path / "restored")
    assert restored.returncode == 0
    assert "signs in anew" in restored.stderr
    impossible = run("backup", "/proc/nowhere/backup.tar", EARMARK_WORKSPACE=folder)
    assert (impossible.returncode, "Traceback" in impossible.stderr) == (1, False)
