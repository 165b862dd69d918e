"""Small archives in the layout of the real ones, made into a clip folder."""

import csv
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio.decode import decode
from tests.servers.files import FileHost
from training.datasets import archives
from training.datasets.clips import read_clips
from training.datasets.public_sets import CATEGORY_TAGS, prepare
from training.errors import ArchiveError, PrepareError

RATE = 44_100
ESC_TABLE = """filename,fold,target,category,esc10,src_file,take
1-100032-A-0.wav,1,0,dog,True,100032,A
1-100210-A-36.wav,1,36,vacuum_cleaner,False,100210,A
5-9032-A-0.wav,5,0,dog,True,9032,A
"""
PEOPLE = "http://www.freesound.org/people"
ESC_LICENSE = f"""# ESC-50
- [1-100032-A.ogg]: clip derived from rose_bark.wav ({PEOPLE}/nfrae/sounds/100032/) by nfrae [CC0]
- [5-9032-A.ogg]:  clip derived from A dog (old) by me.wav ({PEOPLE}/x/1/) by Mister Tood [CC-BY]
"""
US8K_TABLE = """slice_file_name,fsID,start,end,salience,fold,classID,class
100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark
99192-4-0-10.wav,99192,5.0,9.0,2,1,4,drilling
"""
US8K_CREDITS = "UrbanSound8K contains excerpts of:\n\n100032 by nfrae\n99192 by Digging Company\n"


def tone(seconds: float, channels: int = 1, subtype: str = "PCM_16", rate: int = RATE) -> bytes:
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)
    out = io.BytesIO()
    soundfile.write(out, np.stack([wave] * channels, axis=1), rate, format="WAV", subtype=subtype)
    return out.getvalue()


def esc_files() -> dict[str, bytes]:
    names = [line.split(",")[0] for line in ESC_TABLE.splitlines()[1:]]
    sounds = {f"ESC-50-master/audio/{name}": tone(0.5 + index) for index, name in enumerate(names)}
    texts = {
        "ESC-50-master/LICENSE": ESC_LICENSE.encode(),
        "ESC-50-master/meta/esc50.csv": ESC_TABLE.encode(),
    }
    return texts | sounds | {"ESC-50-master/tests/test_dataset.py": b"raise SystemExit"}


def us8k_files() -> dict[str, bytes]:
    return {
        "UrbanSound8K/audio/fold5/100032-3-0-0.wav": tone(
            0.3, channels=2, subtype="PCM_24", rate=48_000
        ),
        "UrbanSound8K/audio/fold1/99192-4-0-10.wav": tone(4, subtype="FLOAT", rate=96_000),
        "UrbanSound8K/audio/fold1/._99192-4-0-10.wav": b"\x00\x05\x16\x07",
        "UrbanSound8K/FREESOUNDCREDITS.txt": US8K_CREDITS.encode(),
        "UrbanSound8K/metadata/UrbanSound8K.csv": US8K_TABLE.encode(),
    }


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("archives")
    return {
        "esc50": make_zip(folder / "ESC-50-master.zip", esc_files()),
        "us8k": make_tar(folder / "UrbanSound8K.tar.gz", us8k_files()),
    }


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "clips.csv").open(newline="") as file:
        return {Path(row["file"]).stem: row for row in csv.DictReader(file)}


def prepared(places: dict, folder: Path) -> Path:
    assert prepare(folder / "out", places, folder / "downloads") == []
    return folder / "out"


def test_both_archives_become_one_clip_folder_that_training_reads(places, tmp_path):
    out = prepared(places, tmp_path)
    clips = {clip.path.stem: clip for clip in read_clips(out)}
    assert set(clips) == {
        "esc50-1-100032-A-0",
        "esc50-1-100210-A-36",
        "esc50-5-9032-A-0",
        "us8k-100032-3-0-0",
        "us8k-99192-4-0-10",
    }
    assert clips["esc50-1-100210-A-36"].tags == {"vacuum", "motor", "household"}
    assert clips["us8k-99192-4-0-10"].tags == {"drill", "tool", "construction"}
    assert clips["esc50-1-100032-A-0"].recording == clips["us8k-100032-3-0-0"].recording == "100032"


def test_every_clip_says_where_it_is_from_and_who_made_it(places, tmp_path):
    found = rows(prepared(places, tmp_path))
    assert list(found["us8k-99192-4-0-10"].values()) == [
        "audio/us8k-99192-4-0-10.flac",
        "99192",
        "us8k",
        "drilling",
        "1",
        "drill tool construction",
        "CC-BY-NC",
        "Digging Company",
        "4.000",
    ]
    assert [found["esc50-5-9032-A-0"][name] for name in ("dataset", "license", "author")] == [
        "esc10",
        "CC-BY",
        "Mister Tood",
    ]
    assert [found["esc50-1-100210-A-36"][name] for name in ("dataset", "license", "author")] == [
        "esc50",
        "CC-BY-NC",
        "",
    ]


def test_clips_are_mono_at_the_front_ends_rate_and_sound_as_before(places, tmp_path):
    out = prepared(places, tmp_path)
    facts = soundfile.info(str(out / "audio" / "us8k-100032-3-0-0.flac"))
    assert (facts.samplerate, facts.channels, facts.format) == (22_000, 1, "FLAC")
    before = decode(us8k_files()["UrbanSound8K/audio/fold5/100032-3-0-0.wav"]).samples
    np.testing.assert_allclose(
        decode(out / "audio" / "us8k-100032-3-0-0.flac").samples, before, atol=2**-15
    )


def test_unpacked_folders_do_as_well(places, tmp_path):
    with zipfile.ZipFile(places["esc50"]) as archive:
        archive.extractall(tmp_path / "esc")
    with tarfile.open(places["us8k"]) as tar:
        tar.extractall(tmp_path / "us8k", filter="data")
    unpacked = {
        "esc50": tmp_path / "esc" / "ESC-50-master",
        "us8k": tmp_path / "us8k" / "UrbanSound8K",
    }
    assert rows(prepared(unpacked, tmp_path)) == rows(prepared(places, tmp_path / "again"))


def test_a_second_run_makes_only_what_is_missing(places, tmp_path):
    out = prepared(places, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in (out / "audio").iterdir()}
    (out / "audio" / "us8k-99192-4-0-10.flac").unlink()
    table = (out / "clips.csv").read_bytes()
    prepared(places, tmp_path)
    after = {path.name: path.stat().st_mtime_ns for path in (out / "audio").iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"us8k-99192-4-0-10.flac"}
    assert (out / "clips.csv").read_bytes() == table


def test_data_sets_may_be_prepared_one_after_the_other(places, tmp_path):
    out = prepared({"us8k": places["us8k"]}, tmp_path)
    assert len(rows(out)) == 2
    prepared({"esc50": places["esc50"]}, tmp_path)
    assert rows(out) == rows(prepared(places, tmp_path / "at-once"))


def test_what_is_cut_off_gives_no_list_and_the_whole_archive_goes_on_from_there(places, tmp_path):
    whole = places["us8k"].read_bytes()
    (tmp_path / "UrbanSound8K.tar.gz").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ArchiveError, match="cut off"):
        prepare(tmp_path / "out", {"us8k": tmp_path / "UrbanSound8K.tar.gz"}, tmp_path)
    assert not (tmp_path / "out" / "clips.csv").exists()
    kept = tmp_path / "out" / "audio" / "us8k-100032-3-0-0.flac"
    made = kept.stat().st_mtime_ns
    prepared({"us8k": places["us8k"]}, tmp_path)
    assert kept.stat().st_mtime_ns == made


def test_a_clip_that_cannot_be_decoded_is_left_out_and_named(tmp_path):
    files = us8k_files() | {"UrbanSound8K/audio/fold5/100032-3-0-0.wav": b"RIFF"}
    place = make_tar(tmp_path / "us8k.tar.gz", files)
    assert prepare(tmp_path / "out", {"us8k": place}, tmp_path) == ["100032-3-0-0.wav"]
    assert set(rows(tmp_path / "out")) == {"us8k-99192-4-0-10"}


def without(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if not path.endswith(name)}


def with_table(text: str) -> dict[str, bytes]:
    return us8k_files() | {"UrbanSound8K/metadata/UrbanSound8K.csv": text.encode()}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            without(us8k_files(), "99192-4-0-10.wav"),
            "lacks 1 of the 2 clips that it lists, 99192-4-0-10.wav",
        ),
        (without(us8k_files(), "UrbanSound8K.csv"), "has no UrbanSound8K.csv"),
        (with_table("slice_file_name,fsID\na.wav,1\n"), "lacks the column 'class'"),
        (
            with_table(US8K_TABLE.replace("drilling", "singing")),
            "'99192-4-0-10.wav' with a category",
        ),
        (with_table(US8K_TABLE.splitlines()[0]), "lists no clips"),
        (us8k_files() | {"../evil.wav": b"x"}, "not to be trusted"),
    ],
    ids=["lacks-clip", "no-table", "no-column", "unknown-category", "empty", "escapes"],
)
def test_an_archive_that_is_not_the_data_set_is_refused_in_one_sentence(tmp_path, files, said):
    place = make_tar(tmp_path / "us8k.tar.gz", files)
    with pytest.raises((PrepareError, ArchiveError)) as raised:
        prepare(tmp_path / "out", {"us8k": place}, tmp_path)
    assert said in str(raised.value)
    assert str(raised.value).endswith(".")
    assert not (tmp_path / "out" / "clips.csv").exists()
    assert not (tmp_path / "evil.wav").exists()


def test_a_list_that_somebody_else_wrote_is_left_alone(places, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clips.csv").write_text("file,freesound_id,tags\nmine.wav,1,dog\n")
    with pytest.raises(PrepareError, match="not written by this program"):
        prepare(tmp_path / "out", places, tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clips.csv"]
    assert "mine.wav" in (tmp_path / "out" / "clips.csv").read_text()


def test_what_is_no_archive_is_said(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(PrepareError, match="neither a folder nor an archive"):
        prepare(tmp_path / "out", {"us8k": tmp_path / "notes.txt"}, tmp_path)


def test_archives_are_downloaded_where_no_copy_is_given(places, tmp_path):
    with FileHost() as host:
        host.put_record("1203745", {"UrbanSound8K.tar.gz": places["us8k"].read_bytes()})
        host.files["/master.zip"] = places["esc50"].read_bytes()
        prepare(
            tmp_path / "out",
            {"esc50": None, "us8k": None},
            tmp_path / "downloads",
            host.url,
            f"{host.url}/master.zip",
        )
        assert len(rows(tmp_path / "out")) == 5
        asked = len(host.asked)
        prepare(
            tmp_path / "out",
            {"esc50": None},
            tmp_path / "downloads",
            host.url,
            f"{host.url}/master.zip",
        )
        assert len(host.asked) == asked


def test_the_tags_are_those_of_the_real_clips(clips):
    for row in csv.DictReader((clips / "clips.csv").open(newline="")):
        assert CATEGORY_TAGS[row["category"]] == row["tags"]
    assert len(CATEGORY_TAGS) == 58


def test_a_file_larger_than_any_clip_is_not_read(places, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 1000)
    with pytest.raises(ArchiveError, match="not to be trusted"):
        prepare(tmp_path / "out", places, tmp_path)
