import io
import os
import resource
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from training.archives import ArchiveError, unpack

FILES = {"set/audio/a.wav": b"a" * 3000, "set/audio/b.wav": os.urandom(5000), "set/README.md": b"read me"}


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


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_wanted_is_unpacked_and_nothing_else(make, tmp_path):
    assert unpack(make(), tmp_path / "out", sounds) == 2
    assert contents(tmp_path / "out") == {name: data for name, data in FILES.items() if name.endswith(".wav")}


@pytest.mark.parametrize(
    "name", ["../outside.wav", "set/../../outside.wav", "/tmp/earmark-outside.wav", "..\\outside.wav", "C:/outside.wav"]
)
def test_a_path_that_leads_out_of_the_folder_is_refused(make, tmp_path, name):
    with pytest.raises(ArchiveError, match="not to be trusted"):
        unpack(make({"set/a.wav": b"a", name: b"evil"}), tmp_path / "in" / "out", sounds)
    assert contents(tmp_path / "in") == {"out/set/a.wav": b"a"}
    assert not (tmp_path / "outside.wav").exists()
    assert not Path("/tmp/earmark-outside.wav").exists()


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
        assert unpack(tmp_path / name, tmp_path / "out", sounds) == 0
    assert not (tmp_path / "out").exists()


def test_a_second_run_goes_on_where_the_first_stopped(make, tmp_path):
    unpack(make(), tmp_path / "out", sounds)
    kept = tmp_path / "out" / "set" / "audio" / "a.wav"
    before = kept.stat().st_mtime_ns
    (tmp_path / "out" / "set" / "audio" / "b.wav").write_bytes(b"half")
    unpack(make(), tmp_path / "out", sounds)
    assert kept.stat().st_mtime_ns == before
    assert contents(tmp_path / "out")["set/audio/b.wav"] == FILES["set/audio/b.wav"]


def test_an_archive_that_was_cut_off_is_said_to_be_damaged(make, tmp_path):
    path = make()
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ArchiveError, match=r"damaged|unpacked") as raised:
        unpack(path, tmp_path / "out", sounds)
    assert str(raised.value).endswith(".")
    assert "set/audio/b.wav" not in contents(tmp_path / "out")


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_no_archive_is_said(tmp_path, name):
    (tmp_path / name).write_bytes(b"<html>Too many requests</html>")
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(tmp_path / name, tmp_path / "out", sounds)


def test_a_full_disk_is_said_and_unpacking_goes_on_when_there_is_room(make, tmp_path):
    path = make()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(ArchiveError, match="goes on from here"):
            unpack(path, tmp_path / "out", sounds)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert unpack(path, tmp_path / "out", sounds) == 2
    assert contents(tmp_path / "out")["set/audio/b.wav"] == FILES["set/audio/b.wav"]
