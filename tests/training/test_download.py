import hashlib
import resource
from pathlib import Path

import numpy as np
import pytest

from tests.servers.files import FileHost
from training.datasets.download import (
    MAX_ATTEMPTS,
    NETWORK_BLOCK_BYTES,
    RemoteFile,
    fetch,
    zenodo_files,
)
from training.errors import DownloadError

DATA = np.random.default_rng(0).bytes(1_000_000)
MD5 = f"md5:{hashlib.md5(DATA).hexdigest()}"


@pytest.fixture
def host():
    with FileHost({"/patches": DATA}) as running:
        yield running


@pytest.fixture
def remote(host) -> RemoteFile:
    return RemoteFile("patches", f"{host.url}/patches", MD5, len(DATA))


def no_pause(seconds: float) -> None:
    """Waits for nothing."""


def refused(remote: RemoteFile, path: Path) -> str:
    with pytest.raises(DownloadError) as raised:
        fetch(remote, path, no_pause)
    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_file_arrives_whole(remote, tmp_path):
    path = fetch(remote, tmp_path / "new" / "patches", no_pause)
    assert path.read_bytes() == DATA
    assert [entry.name for entry in path.parent.iterdir()] == ["patches"]


def test_a_file_that_is_there_is_not_asked_for_again(host, remote, tmp_path):
    (tmp_path / "patches").write_bytes(b"mine")
    assert fetch(remote, tmp_path / "patches", no_pause).read_bytes() == b"mine"
    assert host.asked == []


def test_a_connection_that_breaks_goes_on_where_it_broke(host, remote, tmp_path):
    host.break_after = [18 * NETWORK_BLOCK_BYTES, 12 * NETWORK_BLOCK_BYTES + 5, 1]
    assert fetch(remote, tmp_path / "patches", no_pause).read_bytes() == DATA
    assert [asked for _, asked in host.asked] == [
        "",
        *(f"bytes={blocks * NETWORK_BLOCK_BYTES}-" for blocks in (18, 30, 30)),
    ]


def test_a_later_run_goes_on_with_what_an_earlier_one_left(host, remote, tmp_path):
    (tmp_path / "patches.partial").write_bytes(DATA[:999_990])
    assert fetch(remote, tmp_path / "patches", no_pause).read_bytes() == DATA
    assert host.asked == [("/patches", "bytes=999990-")]


def test_what_is_complete_but_unnamed_is_checked_and_named_without_asking(host, remote, tmp_path):
    (tmp_path / "patches.partial").write_bytes(DATA)
    assert fetch(remote, tmp_path / "patches", no_pause).read_bytes() == DATA
    assert host.asked == []


def test_a_host_without_ranges_sends_everything_again(host, remote, tmp_path):
    host.ranges, host.break_after = False, [300_000]
    assert fetch(remote, tmp_path / "patches", no_pause).read_bytes() == DATA


def test_a_busy_host_is_asked_again(host, remote, tmp_path):
    host.statuses = [503, 429, 500]
    assert fetch(remote, tmp_path / "patches", no_pause).read_bytes() == DATA


def test_attempts_without_a_byte_come_to_an_end_and_keep_what_there_is(host, remote, tmp_path):
    (tmp_path / "patches.partial").write_bytes(DATA[:5])
    host.break_after = [NETWORK_BLOCK_BYTES] + [0] * MAX_ATTEMPTS
    said = refused(remote, tmp_path / "patches")
    assert "goes on from here" in said
    assert (tmp_path / "patches.partial").read_bytes() == DATA[: 5 + NETWORK_BLOCK_BYTES]
    assert fetch(remote, tmp_path / "patches", no_pause).read_bytes() == DATA


def test_pauses_grow_between_attempts(host, remote, tmp_path):
    host.statuses, paused = [503] * 4, []
    fetch(remote, tmp_path / "patches", paused.append)
    assert paused == [2.0, 4.0, 8.0, 16.0]


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(host, remote, tmp_path):
    host.files["/patches"] = DATA[:-1] + bytes([DATA[-1] ^ 1])
    assert "does not match its checksum" in refused(remote, tmp_path / "patches")
    assert list(tmp_path.iterdir()) == []


def test_the_remains_of_another_file_are_found_out_and_dropped(remote, tmp_path):
    (tmp_path / "patches.partial").write_bytes(b"x" * 1000)
    assert "does not match its checksum" in refused(remote, tmp_path / "patches")
    assert fetch(remote, tmp_path / "patches", no_pause).read_bytes() == DATA


def test_remains_that_are_longer_than_the_file_are_dropped(remote, tmp_path):
    (tmp_path / "patches.partial").write_bytes(DATA + b"x")
    assert "1,000,001 bytes instead of 1,000,000" in refused(remote, tmp_path / "patches")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_truncated_on_the_host_is_refused(host, remote, tmp_path):
    host.files["/patches"] = DATA[:-10]
    refused(remote, tmp_path / "patches")
    assert not (tmp_path / "patches").exists()


def test_a_file_that_is_not_there_is_said(host, tmp_path):
    assert "answered 404" in refused(RemoteFile("gone", f"{host.url}/gone"), tmp_path / "gone")


def test_a_host_that_is_not_there_is_said(tmp_path):
    with FileHost() as gone:
        url = gone.url
    assert "ConnectionError" in refused(RemoteFile("x", f"{url}/x"), tmp_path / "x")


def test_a_full_disk_is_said_and_what_is_there_is_kept(remote, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (600_000, hard)
    )  # a write beyond it fails, as on a full disk
    try:
        assert "cannot be written" in refused(remote, tmp_path / "patches")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert fetch(remote, tmp_path / "patches", no_pause).read_bytes() == DATA


def test_a_zenodo_record_lists_files_with_checksums_that_are_verified(host, tmp_path):
    host.put_record("3887261", {"train": DATA, "val": b"small"})
    found = {remote.name: remote for remote in zenodo_files("3887261", host.url)}
    assert (found["train"].size, found["train"].checksum) == (len(DATA), MD5)
    assert fetch(found["val"], tmp_path / "val", no_pause).read_bytes() == b"small"


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"<html>", "does not describe"), (b"{}", "does not describe"), (None, "answered 404")],
)
def test_what_is_no_record_is_said(host, body, said):
    if body is not None:
        host.files["/api/records/1"] = body
    with pytest.raises(DownloadError, match=said):
        zenodo_files("1", host.url)
