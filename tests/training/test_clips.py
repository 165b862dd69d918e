import os
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.audio.decode import decode
from core.audio.errors import AudioError
from core.model.front_end import network_frames
from core.model.logmel import COALA, LogMelSpec
from training.datasets.clips import (
    SPLIT_PROPORTIONS,
    Clip,
    load_frames,
    multi_hot,
    read_clips,
    split_by_recording,
    vocabulary,
)
from training.errors import DatasetError

HEADER = "file,freesound_id,tags\n"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A clip folder of one file, whose list each test writes."""
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "outside.wav").write_bytes(b"RIFF")
    return tmp_path / "clips"


def listed(folder: Path, text: str | bytes) -> Path:
    (folder / "clips.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def one_sentence(error: DatasetError) -> str:
    text = str(error)
    assert text.endswith(".")
    assert "\n" not in text
    return text


def test_a_list_gives_clips_with_recording_and_tags(folder):
    (clip,) = read_clips(listed(folder, HEADER + "a.wav,100032,dog  bark dog\n"))
    assert clip == Clip(folder / "a.wav", "100032", frozenset({"dog", "bark"}))


def test_a_list_saved_by_a_spreadsheet_with_a_byte_order_mark_is_read(folder):
    (clip,) = read_clips(listed(folder, b"\xef\xbb\xbf" + (HEADER + "a.wav,1,dog\n").encode()))
    assert clip.path.name == "a.wav"


def test_more_columns_than_needed_do_no_harm(folder):
    (clip,) = read_clips(listed(folder, "license,tags,file,freesound_id\nCC0,dog,a.wav,7\n"))
    assert (clip.recording, clip.tags) == ("7", {"dog"})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (HEADER + "gone.wav,1,dog\n", "Line 2 of .* names gone.wav"),
        (HEADER + "a.wav,1,dog\n../outside.wav,1,dog\n", "Line 3 of .* names ../outside.wav"),
        ("file,tags\na.wav,dog\n", "lacks the column freesound_id"),
        ("path,id\na.wav,1\n", "lacks the column file, freesound_id, tags"),
        ("", "lacks the column"),
        (HEADER, "lists no clips"),
        (HEADER + "a.wav,,dog\n", "Line 2 .* empty"),
        (HEADER + "a.wav,1,   \n", "Line 2 .* empty"),
        (HEADER + "a.wav,1\n", "Line 2 .* empty"),
        (HEADER.encode() + b"a.wav,1,caf\xe9\n", "not a UTF-8 CSV"),
        ("file,freesound_id,tags\n" + f"a.wav,1,{'x' * 200_000}\n", "not a UTF-8 CSV"),
    ],
    ids=[
        "missing-file",
        "escapes",
        "no-id",
        "no-column",
        "no-text",
        "no-rows",
        "no-recording",
        "blank-tags",
        "short-row",
        "latin-1",
        "huge-cell",
    ],
)
def test_a_list_that_cannot_be_used_is_refused_in_one_sentence(folder, text, named):
    with pytest.raises(DatasetError, match=named) as raised:
        read_clips(listed(folder, text))
    one_sentence(raised.value)


def test_an_absolute_path_outside_the_folder_is_refused(folder, tmp_path):
    with pytest.raises(DatasetError, match="not in the folder"):
        read_clips(listed(folder, HEADER + f"{tmp_path / 'outside.wav'},1,dog\n"))


def test_a_link_that_leads_out_of_the_folder_is_refused(folder, tmp_path):
    (folder / "link.wav").symlink_to(tmp_path / "outside.wav")
    with pytest.raises(DatasetError, match="not in the folder"):
        read_clips(listed(folder, HEADER + "link.wav,1,dog\n"))


def test_a_folder_without_a_list_is_refused(folder):
    with pytest.raises(DatasetError, match="no clips") as raised:
        read_clips(folder)
    one_sentence(raised.value)


def test_a_list_that_is_a_folder_is_refused(folder):
    (folder / "clips.csv").mkdir()
    with pytest.raises(DatasetError, match="cannot be read"):
        read_clips(folder)


def parts_of(clips: list[Clip], split: np.ndarray) -> dict[str, set[int]]:
    found = defaultdict(set)
    for clip, part in zip(clips, split, strict=True):
        found[clip.recording].add(int(part))
    return found


@st.composite
def labelled_clips(draw) -> list[Clip]:
    """40 to 120 recordings of 1 to 4 clips each with 1 to 3 of six tags.

    They are drawn evenly: only the seed and the number are searched.
    """
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    clips = []
    for recording in range(draw(st.integers(40, 120))):
        own = frozenset(
            map(str, random.choice(list("abcdef"), random.integers(1, 4), replace=False))
        )
        clips += [
            Clip(Path(f"{recording}-{n}.wav"), str(recording), own)
            for n in range(random.integers(1, 5))
        ]
    return clips


@given(labelled_clips(), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_a_split_keeps_recordings_whole_and_shares_near_what_was_asked(clips, seed):
    split = split_by_recording(clips, seed)
    parts = parts_of(clips, split)
    assert all(len(found) == 1 for found in parts.values())
    counts = Counter(next(iter(found)) for found in parts.values())
    for part, share in enumerate(SPLIT_PROPORTIONS):
        assert counts[part] >= 1
        assert abs(counts[part] / len(parts) - share) < 0.2


@given(labelled_clips(), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_the_same_seed_splits_the_same_way_whatever_the_order_of_the_clips(clips, seed):
    split = split_by_recording(clips, seed)
    assert split.tolist() == split_by_recording(clips, seed).tolist()
    assert split_by_recording(clips[::-1], seed)[::-1].tolist() == split.tolist()


def test_other_seeds_split_otherwise(labelled):
    clips, _ = labelled
    assert len({tuple(split_by_recording(clips, seed).tolist()) for seed in range(8)}) > 4


def test_every_subset_has_every_tag_that_can_be_shared(labelled):
    clips, _ = labelled
    split = split_by_recording(clips, 1)
    for part in range(3):
        assert {
            tag for clip, own in zip(clips, split, strict=True) if own == part for tag in clip.tags
        } == {"click", "hiss", "hum"}


def test_too_few_recordings_for_three_parts_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="2 recordings are too few") as raised:
        split_by_recording([Clip(tmp_path / f"{n}", str(n), frozenset("a")) for n in range(2)], 1)
    one_sentence(raised.value)


def test_the_real_clips_are_split_by_recording_near_the_shares(clips):
    found = read_clips(clips)
    split = split_by_recording(found, 1)
    parts = parts_of(found, split)
    assert all(len(numbers) == 1 for numbers in parts.values())
    counts = Counter(next(iter(numbers)) for numbers in parts.values())
    assert [counts[part] / len(parts) for part in range(3)] == pytest.approx(
        SPLIT_PROPORTIONS, abs=0.02
    )
    basis_tags = {clip.recording: clip.tags for clip in found}
    support = Counter(
        (tag, next(iter(parts[recording])))
        for recording, tags in basis_tags.items()
        for tag in tags
    )
    for tag in vocabulary(found, 8):
        assert all(support[tag, part] for part in range(3))


def test_the_vocabulary_counts_recordings_not_clips(tmp_path):
    many_cuts = [Clip(tmp_path / f"d{n}", "1", frozenset({"drill"})) for n in range(50)]
    few_each = [Clip(tmp_path / f"b{n}", str(n), frozenset({"bark", "dog"})) for n in range(3)]
    assert vocabulary(many_cuts + few_each, 3) == ("bark", "dog")


def test_a_vocabulary_that_would_be_empty_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="at least 2 recordings"):
        vocabulary([Clip(tmp_path / "a", "1", frozenset({"dog"}))], 2)


def test_multi_hot_labels_follow_the_vocabulary_and_leave_other_tags_out(tmp_path):
    clips = [
        Clip(tmp_path / "a", "1", frozenset({"dog", "rare"})),
        Clip(tmp_path / "b", "2", frozenset({"rare"})),
    ]
    labels = multi_hot(clips, ("cat", "dog"))
    assert labels.tolist() == [[0, 1], [0, 0]]
    assert labels.dtype == np.float32
    assert multi_hot([], ("cat", "dog")).shape == (0, 2)


def caches(folder: Path) -> list[Path]:
    return sorted(folder.glob("logmel-*"))


def test_frames_are_the_log_mels_of_each_clip_at_half_precision(labelled):
    clips, frames = labelled
    assert len(frames) == len(clips)
    for index in (0, 3, len(clips) - 1):
        wanted = network_frames(decode(clips[index].path).samples, COALA)
        np.testing.assert_allclose(frames.clip(index), wanted, atol=0.01)
        assert frames.clip(index).dtype == np.float32


def test_log_mels_are_computed_once(clip_folder, tmp_path):
    clips = read_clips(clip_folder)[:3]
    first = load_frames(clips, tmp_path)
    (path,) = caches(tmp_path)
    stored = dict(np.load(path))
    np.savez(
        path, data=stored["data"] + 1, offsets=stored["offsets"]
    )  # only who reads the cache sees this
    np.testing.assert_array_equal(load_frames(clips, tmp_path).data, first.data + 1)


def test_log_mels_are_computed_again_when_a_file_changes_even_to_one_of_the_same_size(
    clip_folder, tmp_path
):
    clips = [Clip(tmp_path / "a.wav", "1", frozenset({"hum"}))]
    originals = [clip.path for clip in read_clips(clip_folder)[:2]]
    assert originals[0].stat().st_size == originals[1].stat().st_size
    clips[0].path.write_bytes(originals[0].read_bytes())
    before = load_frames(clips, tmp_path)
    clips[0].path.write_bytes(originals[1].read_bytes())
    facts = clips[0].path.stat()
    os.utime(
        clips[0].path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1_000_000_000)
    )  # file systems have coarse clocks
    after = load_frames(clips, tmp_path)
    np.testing.assert_allclose(
        after.clip(0), network_frames(decode(originals[1]).samples, COALA), atol=0.01
    )
    assert not np.array_equal(before.data, after.data)


def test_log_mels_of_another_front_end_are_kept_apart(clip_folder, tmp_path):
    clips = read_clips(clip_folder)[:1]
    load_frames(clips, tmp_path, COALA)
    assert load_frames(clips, tmp_path, LogMelSpec(bands=32)).clip(0).shape[0] == 32
    assert len(caches(tmp_path)) == 2


def test_a_cache_that_was_cut_off_while_it_was_written_is_not_used(clip_folder, tmp_path):
    clips = read_clips(clip_folder)[:1]
    whole = load_frames(clips, tmp_path)
    (path,) = caches(tmp_path)
    path.rename(path.with_suffix(".partial.npz"))
    path.with_suffix(".partial.npz").write_bytes(b"PK torn")
    np.testing.assert_array_equal(load_frames(clips, tmp_path).data, whole.data)


def test_a_clip_that_is_not_sound_is_named(folder, tmp_path):
    clips = read_clips(listed(folder, HEADER + "a.wav,1,dog\n"))
    with pytest.raises(AudioError, match=r"a\.wav"):
        load_frames(clips, tmp_path)
