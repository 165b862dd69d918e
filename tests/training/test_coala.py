import json
import os
import pickle
import resource
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler

from tests.conftest import REAL_DATA_REQUIRED
from tests.helpers.synthetic_coala import FIRST_ID, FIRST_TEST_ID, TAGS, make_coala
from tests.servers.files import FileHost
from training.datasets import coala, coala_conversion
from training.datasets.coala import (
    MAX_ROUNDING_ERROR,
    SCALERS,
    TEST,
    TRAIN,
    VOCABULARY,
    Coala,
)
from training.errors import CoalaError, DownloadError

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "coala"


def convert(published: Path, out: Path) -> Coala:
    return coala_conversion.convert(coala.find(published), out, batch_size=16)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The published files, and what their patches were before scaling."""
    folder = tmp_path_factory.mktemp("published")
    return folder, make_coala(folder)


@pytest.fixture(scope="module")
def converted(made, tmp_path_factory):
    return convert(made[0], tmp_path_factory.mktemp("converted") / "coala")


@pytest.fixture
def published(made, tmp_path) -> Path:
    """A copy of the published files that a test may spoil."""
    return shutil.copytree(made[0], tmp_path / "published")


def refused(folder: Path, out: Path) -> str:
    with pytest.raises(CoalaError) as raised:
        convert(folder, out)
    assert not out.exists()
    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_patches_come_back_as_log_mels_within_the_stated_error(made, converted):
    wanted = np.concatenate([made[1][TRAIN].log_mel, made[1][TEST].log_mel])
    found = np.stack([converted.frames.clip(index) for index in range(len(converted.frames))])
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= MAX_ROUNDING_ERROR + 1e-5
    assert np.abs(found - wanted).max() > MAX_ROUNDING_ERROR / 4
    facts = json.loads((converted.folder / "coala.json").read_text())
    assert facts["largest_rounding_error"] == MAX_ROUNDING_ERROR


def test_labels_and_sounds_stay_with_their_patches(made, converted):
    both = [made[1][TRAIN], made[1][TEST]]
    assert (
        converted.labels(np.arange(78)).tolist()
        == np.concatenate([patches.labels for patches in both]).tolist()
    )
    assert (
        converted.ids.tolist() == np.concatenate([patches.ids[:, 0] for patches in both]).tolist()
    )
    assert converted.tags == TAGS


def test_the_set_takes_two_bytes_a_value_and_is_mapped_not_read(converted):
    assert (converted.folder / "patches.f16").stat().st_size == 78 * 96 * 96 * 2
    assert isinstance(converted.frames.data, np.memmap)


def test_the_scaler_is_per_time_column_and_can_be_put_back(made, converted):
    with h5py.File(made[0] / TRAIN) as file:
        published = file["dataset/data"][:]
    again = converted.scaler(np.stack([converted.frames.clip(index) for index in range(60)]))
    np.testing.assert_allclose(
        again, published, atol=MAX_ROUNDING_ERROR * converted.scaler.scale.max() + 1e-6
    )


def test_training_and_validation_share_the_training_file_70_to_30_and_the_other_is_the_test(
    converted,
):
    train, validation, test = (
        set(converted.ids[converted.patches(part)].tolist()) for part in range(3)
    )
    assert (len(train), len(validation)) == (42, 18)
    assert train | validation == set(range(FIRST_ID, FIRST_ID + 60))
    assert test == set(range(FIRST_TEST_ID, FIRST_TEST_ID + 18))
    stored = json.loads((converted.folder / "split.json").read_text())
    assert set(stored["validation"]) == validation


def test_the_split_is_the_same_for_everybody_and_keeps_sounds_whole():
    ids = np.repeat(np.arange(1, 101, dtype=np.int32), 3)
    validation = coala_conversion.validation_ids(ids)
    assert len(validation) == 30
    assert validation.tolist() == coala_conversion.validation_ids(ids[::-1]).tolist()
    assert validation[:5].tolist() == [5, 6, 9, 10, 11]


def test_a_sound_of_the_test_part_is_in_no_other(published, tmp_path):
    with h5py.File(published / TRAIN, "r+") as file:
        file["dataset/id"][5] = FIRST_TEST_ID
    again = convert(published, tmp_path / "out")
    assert again.subset_of[5] == -1
    assert not set(again.ids[again.patches(2)]) & {
        *again.ids[again.patches(0)],
        *again.ids[again.patches(1)],
    }


def test_a_converted_set_is_only_opened_again(published, tmp_path):
    first = convert(published, tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    convert(published, tmp_path / "out")
    assert {path.name: path.stat().st_mtime_ns for path in first.folder.iterdir()} == before


def test_a_set_that_was_converted_from_other_files_is_refused_and_left_alone(published, tmp_path):
    first = convert(published, tmp_path / "out")
    make_coala(published, train=20)
    with pytest.raises(CoalaError, match="converted from other files"):
        convert(published, tmp_path / "out")
    assert len(coala.load(first.folder).frames) == 78


@pytest.mark.parametrize("batch_size", [1, 7, 20, 1000])
def test_the_size_of_the_blocks_changes_nothing_whatever_an_earlier_run_left(
    made, converted, tmp_path, batch_size
):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40 * 96 * 96 * 2, hard))
    try:
        with pytest.raises(CoalaError):
            convert(made[0], tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    same_bytes(
        coala_conversion.convert(coala.find(made[0]), tmp_path / "out", batch_size).folder,
        converted.folder,
    )


def same_bytes(folder: Path, other: Path) -> None:
    for name in ("patches.f16", "labels.bits", "ids.i32", "split.json"):
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name


def test_a_full_disk_is_one_sentence_and_the_conversion_is_done_when_there_is_room(
    made, converted, tmp_path
):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (40 * 96 * 96 * 2, hard)
    )  # a write beyond it ends half-way, as on a full disk
    try:
        assert "cannot be written" in refused(made[0], tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    same_bytes(convert(made[0], tmp_path / "out").folder, converted.folder)
    assert not (tmp_path / "out.partial").exists()


def test_a_real_small_disk_that_is_full_says_so(made, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(
            "no small disk can be mounted here; the test above limits the size of files instead"
        )
    try:
        assert "No space left on device" in refused(made[0], disk / "out")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_remains_of_other_files_are_not_used(made, converted, published, tmp_path):
    with h5py.File(published / TEST, "r+") as file:
        file["dataset/data"][17] = np.nan
    assert "no numbers" in refused(published, tmp_path / "out")
    same_bytes(convert(made[0], tmp_path / "out").folder, converted.folder)


def test_a_folder_with_something_else_is_left_alone(made, tmp_path):
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("years of work")
    with pytest.raises(CoalaError, match="something else"):
        convert(made[0], tmp_path / "papers")
    assert [path.name for path in (tmp_path / "papers").iterdir()] == ["thesis.txt"]


def cut_off(folder: Path) -> str:
    whole = (folder / TRAIN).read_bytes()
    (folder / TRAIN).write_bytes(whole[: len(whole) // 2])
    return "not a whole HDF5 file"


def no_hdf5(folder: Path) -> str:
    (folder / TEST).write_bytes(b"<html>Too many requests</html>")
    return "not a whole HDF5 file"


def hole_inside(folder: Path) -> str:
    with h5py.File(folder / TRAIN) as file:
        data, labels, ids = (file[f"dataset/{name}"][:] for name in ("data", "label", "id"))
    with h5py.File(folder / TRAIN, "w") as file:
        file["dataset/label"], file["dataset/id"] = labels, ids
        stored = file.create_dataset(
            "dataset/data", data=data, chunks=(16, 96, 96), compression="gzip"
        )
        place = stored.id.get_chunk_info(2).byte_offset
    with (folder / TRAIN).open("r+b") as raw:
        raw.seek(place)
        raw.write(bytes(200))
    return "damaged or cut off near patch 32"


def replace_dataset(folder: Path, name: str, change) -> None:
    with h5py.File(folder / TRAIN, "r+") as file:
        data = change(file[f"dataset/{name}"][:])
        del file[f"dataset/{name}"]
        if data is not None:
            file[f"dataset/{name}"] = data


def wrong_shape(folder: Path) -> str:
    replace_dataset(folder, "data", lambda data: data[:, :64])
    return "has the shape (60, 64, 96)"


def fewer_columns(folder: Path) -> str:
    replace_dataset(folder, "label", lambda labels: labels[:, :4])
    return "it must be (5,), for 5 tags"


def no_labels(folder: Path) -> str:
    replace_dataset(folder, "label", lambda labels: None)
    return "has no dataset/label"


def fewer_labels(folder: Path) -> str:
    replace_dataset(folder, "label", lambda labels: labels[:50])
    return "different lengths"


def counts_for_labels(folder: Path) -> str:
    replace_dataset(folder, "label", lambda labels: labels * 3)
    return "not all 0 or 1"


def whole_numbers(folder: Path) -> str:
    replace_dataset(folder, "data", lambda data: data.astype(np.int16))
    return "holds int16"


def not_numbers(folder: Path) -> str:
    def spoil(data):
        data[21, 3, 4] = np.nan
        return data

    replace_dataset(folder, "data", spoil)
    return f"Patch 21 of {folder / TRAIN} (sound {FIRST_ID + 21}) has values that are no numbers"


def not_scaled(folder: Path) -> str:
    replace_dataset(folder, "data", lambda data: data * -12)
    return "far outside of 0..1"


def torn_vocabulary(folder: Path) -> str:
    (folder / VOCABULARY).write_text('{"0": "click", "2": "bas"}')
    return "by their index from 0"


def other_scaler(folder: Path) -> str:
    (folder / SCALERS[0]).write_text(json.dumps({"scale": [1.0] * 64, "min": [0.0] * 64}))
    return "96 positive scales"


SPOILS = [
    cut_off,
    no_hdf5,
    hole_inside,
    wrong_shape,
    fewer_columns,
    no_labels,
    fewer_labels,
    counts_for_labels,
    whole_numbers,
    not_numbers,
    not_scaled,
    torn_vocabulary,
    other_scaler,
]


@pytest.mark.parametrize("spoil", SPOILS)
def test_what_is_wrong_with_the_published_files_is_said_in_one_sentence(published, tmp_path, spoil):
    said = spoil(published)
    assert said in refused(published, tmp_path / "out")


@pytest.mark.parametrize("name", [TRAIN, TEST, VOCABULARY, SCALERS[0]])
def test_a_missing_file_is_named(published, name):
    (published / name).unlink()
    with pytest.raises(CoalaError, match=f"There is no {name} in"):
        coala.find(published)


def test_the_files_may_lie_in_subfolders_as_in_the_authors_repository(published):
    (published / "hdf5_ds").mkdir()
    (published / TRAIN).rename(published / "hdf5_ds" / f"{TRAIN}.hdf5")
    assert coala.find(published).train == published / "hdf5_ds" / f"{TRAIN}.hdf5"


@pytest.mark.parametrize(
    "name", ["patches.f16", "labels.bits", "ids.i32", "split.json", "coala.json"]
)
def test_a_converted_set_that_lost_a_part_is_said_to_be_damaged(converted, tmp_path, name):
    copy = shutil.copytree(converted.folder, tmp_path / "copy")
    (copy / name).write_bytes((copy / name).read_bytes()[:20])
    with pytest.raises(CoalaError, match="damaged"):
        coala.load(copy)


def test_the_authors_scaler_is_read_without_running_what_it_says(tmp_path):
    random = np.random.default_rng(3)
    fitted = MinMaxScaler().fit(random.normal(size=(50, 96)))
    for protocol in (3, 4, 5):
        (tmp_path / "scaler.pkl").write_bytes(pickle.dumps(fitted, protocol=protocol))
        found = coala.read_scaler(tmp_path / "scaler.pkl")
        np.testing.assert_allclose(found.scale, fitted.scale_, rtol=1e-6)
        np.testing.assert_allclose(found.offset, fitted.min_, rtol=1e-6)


class Malice:
    def __reduce__(self):
        return os.mkdir, ("/tmp/earmark-was-here",)


@pytest.mark.parametrize(
    "data", [pickle.dumps(Malice()), b"", b"\x80\x04garbage", pickle.dumps({"scale_": 1})]
)
def test_another_file_in_the_scalers_place_is_refused_and_does_nothing(tmp_path, data):
    (tmp_path / "scaler.pkl").write_bytes(data)
    with pytest.raises(CoalaError, match="not COALA's scaler"):
        coala.read_scaler(tmp_path / "scaler.pkl")
    assert not Path("/tmp/earmark-was-here").exists()


@pytest.fixture
def hosts(made):
    """A host that has COALA as Zenodo and the authors' repository have it."""
    scaler = json.loads((made[0] / SCALERS[0]).read_text())
    scale, offset = np.array(scaler["scale"]), np.array(scaler["min"])
    fitted = MinMaxScaler().fit(np.stack([-offset / scale, (1 - offset) / scale]))
    with FileHost() as host:
        host.put_record("3887261", {name: (made[0] / name).read_bytes() for name in (TRAIN, TEST)})
        host.files[f"/coala/json/{VOCABULARY}"] = (made[0] / VOCABULARY).read_bytes()
        host.files[f"/coala/{SCALERS[1]}"] = pickle.dumps(fitted)
        yield host


def test_everything_is_fetched_checked_and_converted(hosts, converted, tmp_path):
    found = coala.download(tmp_path / "published", hosts.url, f"{hosts.url}/coala")
    got = coala_conversion.convert(found, tmp_path / "out")
    assert got.labels(np.arange(78)).tolist() == converted.labels(np.arange(78)).tolist()
    np.testing.assert_allclose(
        got.frames.data[:960].astype(np.float32),
        converted.frames.data[:960].astype(np.float32),
        atol=0.01,
    )
    asked = len(hosts.asked)
    assert coala.download(tmp_path / "published", hosts.url, f"{hosts.url}/coala") == found
    assert len(hosts.asked) == asked


@pytest.mark.parametrize("path", [f"/coala/json/{VOCABULARY}", f"/coala/{SCALERS[1]}"])
def test_a_page_in_the_place_of_a_small_file_is_not_kept(hosts, tmp_path, path):
    whole, hosts.files[path] = hosts.files[path], b"<html>Please sign in to this network</html>"
    with pytest.raises(CoalaError, match="it was not kept"):
        coala.download(tmp_path / "published", hosts.url, f"{hosts.url}/coala")
    hosts.files[path] = whole
    assert coala.download(tmp_path / "published", hosts.url, f"{hosts.url}/coala").train.is_file()


def test_a_file_that_was_changed_on_its_way_is_not_kept(hosts, tmp_path):
    path = f"/api/records/3887261/files/{TRAIN}/content"
    hosts.files[path] = bytes(len(hosts.files[path]))
    with pytest.raises(DownloadError, match="does not match its checksum"):
        coala.download(tmp_path / "published", hosts.url, f"{hosts.url}/coala")
    assert not (tmp_path / "published" / TRAIN).exists()


@pytest.fixture(scope="module")
def real() -> Path:
    if not REAL.is_dir():
        (pytest.fail if REAL_DATA_REQUIRED else pytest.skip)(
            "COALA's vocabulary and scaler (shared/data/coala) are not on this machine"
        )
    return REAL


def test_the_real_vocabulary_and_scaler_are_read(real):
    tags, scaler = coala.read_vocabulary(real / VOCABULARY), coala.read_scaler(real / SCALERS[0])
    assert len(tags) == 1000
    assert tags[:3] == ("close", "closing", "drawer")
    facts = json.loads((real / SCALERS[0]).read_text())
    lowest = scaler.undo(np.zeros((1, 96), np.float32))[0]
    np.testing.assert_allclose(lowest, facts["data_min"], rtol=1e-4)
    np.testing.assert_allclose(
        scaler.undo(np.ones((1, 96), np.float32))[0], facts["data_max"], rtol=1e-3, atol=1e-4
    )
    assert (
        np.abs(np.concatenate([lowest, facts["data_max"]])).max() < 16
    )  # so that MAX_ROUNDING_ERROR holds
