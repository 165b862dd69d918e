import os
import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
import soundfile

from core.pipeline.errors import SourceError
from core.pipeline.sources import FolderSource, UnusableItem
from tests.helpers.sound_files import encoded, wav_with_bext, wav_with_info, written
from tests.helpers.sound_files import tone as tone_samples


def tone(path, pitch: int = 0, **tags: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.3 * np.sin(np.arange(8000) * (0.1 + 0.01 * pitch)).astype(np.float32)
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for name, value in tags.items():
            setattr(file, name, value)
        file.write(samples)
    return path


def listed(folder, workspace, **options):
    return list(FolderSource(folder, workspace.file_ids, **options).items())


def test_a_folder_gives_its_audio_files_in_order_of_name_with_ids_by_content(tmp_path, workspace):
    tone(tmp_path / "b.wav", 1)
    tone(tmp_path / "sub" / "c.flac", 2)
    tone(tmp_path / "A.ogg", 3)
    (tmp_path / "notes.txt").write_text("no sound")
    tone(tmp_path / ".hidden" / "d.wav", 4)
    tone(tmp_path / ".e.wav", 5)
    sounds = listed(tmp_path, workspace)
    assert [item.name for item in sounds] == ["A.ogg", "b.wav", "sub/c.flac"]
    assert all(item.sound_id.startswith("file:") and len(item.sound_id) == 69 for item in sounds)


def test_a_copy_or_a_renamed_file_is_the_same_sound(tmp_path, workspace):
    tone(tmp_path / "a.wav")
    shutil.copy(tmp_path / "a.wav", tmp_path / "copy.wav")
    (first,) = listed(tmp_path, workspace)
    (tmp_path / "a.wav").rename(tmp_path / "z.wav")
    (again,) = listed(tmp_path, workspace)
    assert first.sound_id == again.sound_id


def test_a_file_whose_content_changes_is_another_sound(tmp_path, workspace):
    (before,) = listed(tone(tmp_path / "a.wav").parent, workspace)
    (after,) = listed(tone(tmp_path / "a.wav", 7).parent, workspace)
    assert before.sound_id != after.sound_id


def test_a_file_over_the_size_limit_is_reported_without_being_read(tmp_path, workspace):
    tone(tmp_path / "a.wav")
    (item,) = listed(tmp_path, workspace, max_megabytes=0.001)
    assert isinstance(item, UnusableItem)
    assert item.reason.startswith("a.wav is")
    assert "limit" in item.reason


def test_a_broken_link_is_left_out(tmp_path, workspace):
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    assert listed(tmp_path, workspace) == []


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(SourceError, match="There is no folder"):
        FolderSource(tmp_path / "nowhere")


def test_metadata_come_from_inside_the_file_and_else_from_its_name(tmp_path):
    tone(
        tmp_path / "a.ogg",
        title="Rain <b>on</b> leaves",
        artist="Ada",
        license="CC0",
        comment="at dawn",
    )
    tone(tmp_path / "b.wav")
    source = FolderSource(tmp_path)
    rain, plain = (item.describe(item.read()) for item in source.items())
    assert (rain.title, rain.author, rain.license, rain.description) == (
        "Rain <b>on</b> leaves",
        "Ada",
        "CC0",
        "at dawn",
    )
    assert (plain.title, plain.author) == ("b", "")
    assert plain.created.endswith("Z")


def test_names_that_are_not_utf8_and_times_that_never_were_do_no_harm(tmp_path, workspace):
    odd = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    os.rename(tone(tmp_path / "x.wav"), odd)
    os.utime(odd, (2**40, 2**40))
    source = FolderSource(tmp_path, workspace.file_ids)
    (item,) = source.items()
    assert item.name == "caf\\xe9.wav"
    assert item.describe(item.read()).title == "caf\\xe9"
    assert [again.sound_id for again in source.items()] == [item.sound_id]


def test_a_file_that_changes_between_look_and_read_is_not_kept_under_the_wrong_id(
    tmp_path, workspace
):
    path = tone(tmp_path / "a.wav")
    (item,) = listed(tmp_path, workspace)
    tone(path, 5)
    with pytest.raises(SourceError, match="changed while"):
        item.read()


def test_a_workspace_inside_the_folder_is_not_a_source(tmp_path, workspace):
    tone(tmp_path / "sounds" / "a.wav")
    tone(tmp_path / "sounds" / "workspace" / "media" / "b.wav", 1)
    source = FolderSource(tmp_path / "sounds", exclude=tmp_path / "sounds" / "workspace")
    assert [item.name for item in source.items()] == ["a.wav"]


def test_an_unchanged_file_is_known_without_being_readable(tmp_path, workspace):
    path = tone(tmp_path / "a.wav")
    (first,) = listed(tmp_path, workspace)
    facts = path.stat()
    path.write_bytes(b"x" * facts.st_size)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    (again,) = listed(tmp_path, workspace)
    assert again.sound_id == first.sound_id


def described(path, data):
    path.write_bytes(data)
    (item,) = FolderSource(path.parent).items()
    return item.describe(item.read())


@pytest.mark.parametrize("suffix", ["", ".mp2", ".w64", ".3gp", ".recording"])
def test_a_sound_is_listed_whatever_its_suffix(tmp_path, workspace, suffix):
    (tmp_path / f"sound{suffix}").write_bytes(written(tone_samples(), container="W64"))
    (item,) = listed(tmp_path, workspace)
    assert item.name == f"sound{suffix}"


@pytest.mark.parametrize("suffix", ["", ".wma", ".amr", ".sds"])
def test_what_people_take_for_a_sound_and_cannot_be_read_is_listed_with_the_reason(
    tmp_path, workspace, suffix
):
    (tmp_path / f"sound{suffix}").write_bytes(bytes.fromhex("f07e0001") + bytes(600))
    (item,) = listed(tmp_path, workspace)
    assert isinstance(item, UnusableItem)
    assert item.reason.startswith(f"sound{suffix} is not a sound file")


def test_files_that_nobody_takes_for_sounds_are_left_out_without_a_word(tmp_path, workspace):
    for name in ("notes.txt", "cover.jpg", "index.sqlite", "index.sqlite-wal", "project.rpp"):
        (tmp_path / name).write_bytes(b"something else" * 100)
    assert listed(tmp_path, workspace) == []


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        ("Möwe".encode("cp1252"), "Möwe"),
        ("Möwe".encode(), "Möwe"),
        ("Дождь в лесу".encode("cp1251"), "Дождь в лесу"),
        ("カラスの声".encode("cp932"), "カラスの声"),
    ],
)
def test_titles_of_any_encoding_are_read(tmp_path, raw, title):
    sound = described(tmp_path / "a.wav", wav_with_info({b"INAM": raw, b"ICOP": b"CC0"}))
    assert (sound.title, sound.license) == (title, "CC0")


@pytest.mark.parametrize("container", ["m4a", "wv"])
def test_tags_are_read_from_files_that_libsndfile_does_not_read(tmp_path, container):
    kind = {"m4a": ("ipod", "aac"), "wv": ("wv", "wavpack")}[container]
    tags = {"title": "Möwe 雨", "artist": "Ada", "copyright": "CC0"}
    data = encoded(tone_samples(), 44_100, *kind, metadata=tags)
    sound = described(tmp_path / f"a.{container}", data)
    assert (sound.title, sound.author, sound.license) == ("Möwe 雨", "Ada", "CC0")


RECORDED = {
    "bext": (wav_with_bext(b"2024-05-01", b"10:00:00"), "2024-05-01T10:00:00.000000Z"),
    "bext with other signs": (
        wav_with_bext(b"2024:05:01", b"10-00-00"),
        "2024-05-01T00:00:00.000000Z",
    ),
    "ICRD": (wav_with_info({b"ICRD": b"2024-05-01"}), "2024-05-01T00:00:00.000000Z"),
    "creation_time": (
        encoded(tone_samples(), metadata={"creation_time": "2024-05-01T10:00:00Z"}),
        "2024-05-01T10:00:00.000000Z",
    ),
}


@pytest.mark.parametrize(("data", "created"), RECORDED.values(), ids=RECORDED.keys())
def test_the_time_of_recording_comes_from_inside_the_file(tmp_path, data, created):
    assert described(tmp_path / "a.wav", data).created == created


@pytest.mark.parametrize("date", [b"0000-00-00", b"2024", b"1970-01-01", b"2999-01-01", b"soon"])
def test_a_date_that_is_none_leaves_the_files_own(tmp_path, date):
    sound = described(tmp_path / "a.wav", wav_with_info({b"ICRD": date}))
    assert sound.created[:4] == str(datetime.now(UTC).year)
