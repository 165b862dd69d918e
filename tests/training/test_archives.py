import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from training.datasets import archives
from training.errors import ArchiveError

FILES = {
    "set/audio/a.wav": b"a" * 3000,
    "set/audio/b.wav": os.urandom(5000),
    "set/README.md": b"read me",
}


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


MAKERS = {"set.zip": make_zip, "set.tar.gz": make_tar}


@pytest.fixture(params=MAKERS)
def make(request, tmp_path):
    return lambda files=FILES: MAKERS[request.param](tmp_path / request.param, files)


def sounds(path: PurePosixPath) -> bool:
    return path.suffix == ".wav"


def read(place: Path) -> dict[str, bytes]:
    """The sounds in an archive or a folder."""
    return {str(path): data for path, data in archives.contents(place, sounds)}


SOUNDS = {name: data for name, data in FILES.items() if name.endswith(".wav")}


def test_expected_files_are_read_and_nothing_else(make):
    assert read(make()) == SOUNDS


def test_a_folder_with_the_same_files_does_as_well(tmp_path):
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert read(tmp_path) == SOUNDS


@pytest.mark.parametrize(
    "name",
    [
        "../outside.wav",
        "set/../../outside.wav",
        "/tmp/earmark-outside.wav",
        "..\\outside.wav",
        "C:/outside.wav",
    ],
)
def test_a_path_that_leads_out_of_the_folder_is_refused(make, name):
    with pytest.raises(ArchiveError, match="not to be trusted"):
        read(make({"set/a.wav": b"a", name: b"evil"}))


def test_links_are_passed_over(tmp_path):
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("set/link.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        entry = zipfile.ZipInfo("set/link.wav")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    for name in MAKERS:
        assert read(tmp_path / name) == {}


def test_an_archive_that_was_cut_off_is_said_to_be_damaged(make):
    path = make()
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ArchiveError, match="damaged") as raised:
        read(path)
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_no_archive_is_said(tmp_path, name):
    (tmp_path / name).write_bytes(b"<html>Too many requests</html>")
    with pytest.raises(ArchiveError, match="damaged"):
        read(tmp_path / name)


def test_a_file_larger_than_any_clip_is_not_read(make, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 1000)
    with pytest.raises(ArchiveError, match="which is no clip"):
        read(make())
