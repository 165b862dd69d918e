"""The fine-tuning: levels, splits, thresholds, a run that goes on, and the bundle at its end."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from core.audio.decode import decode
from core.model.efficientat import AudioSetNetwork, TagHead
from core.model.front_end import network_frames
from core.model.logmel import AUDIOSET
from core.model.predictor import Predictor
from core.tags import clean
from training.datasets.audioset import label_tags
from training.datasets.clips import Clip
from training.datasets.types import Frames
from training.errors import CheckpointError
from training.fine_tuning import body as tuning
from training.fine_tuning import pipeline
from training.fine_tuning.body import FineTuning, cut, silent_columns
from training.fine_tuning.data import (
    CHANGES,
    Sounds,
    clipped,
    faster,
    few_of_each_recording,
    loudest_second,
    parts_by_source,
    slower,
    softened,
    tag_space,
)
from training.fine_tuning.head import Whole, looped, loud_columns, network_input
from training.fine_tuning.material import is_noncommercial
from training.fine_tuning.study import folds_by_recording, predicted_by_fold
from training.fine_tuning.thresholds import (
    LABEL_FLOOR,
    calibrate_own,
    label_thresholds,
    possible_tags,
)
from training.fine_tuning.unknown_sounds import (
    UnknownSounds,
    allowed_tags,
    count,
    read_allowed_tags,
)
from training.pretrained import convert

OWN = ("bark", "metal", "rain")
BANDS = 64
COPIES = 1 + len(CHANGES)


def tone(hz: float, level: float = 0.5, seconds: float = 1.5) -> np.ndarray:
    time = np.arange(round(seconds * AUDIOSET.rate)) / AUDIOSET.rate
    return (level * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def sounds(count: int, seed: int = 0) -> Sounds:
    random = np.random.default_rng(seed)
    clips = [random.normal(0, 2, (BANDS, 300 + 50 * n)).astype(np.float32) for n in range(count)]
    targets = (random.random((count, 3)) < 0.5).astype(np.float32)
    frames = Frames.joined(clips)
    return Sounds((frames,) * COPIES, targets, np.array([str(n) for n in range(count)]))


def parts() -> tuple[AudioSetNetwork, TagHead]:
    torch.manual_seed(0)
    body = AudioSetNetwork(width=0.1, labels=7)
    return body.eval(), TagHead(body.channels + body.hidden_size, 3, 8, 0.4)


# Levels and splits


def test_sounds_are_brought_to_one_peak():
    frames = network_frames(tone(440, 0.9), AUDIOSET)

    np.testing.assert_allclose(network_frames(tone(440, 1e-3), AUDIOSET), frames, atol=0.01)
    np.testing.assert_allclose(network_frames(tone(440, 40), AUDIOSET), frames, atol=0.01)
    silence = network_frames(np.zeros(1000, np.float32), AUDIOSET)
    np.testing.assert_allclose(silence, AUDIOSET.floor, rtol=1e-6)


def test_soft_copies_have_steps_and_clipped_ones_flat_tops():
    soft, loud = softened(tone(440)), clipped(tone(440, 0.8))

    assert len(np.unique(soft)) <= 2 * 328 + 1
    assert np.abs(soft).max() == pytest.approx(0.01, abs=1e-4)
    assert np.abs(loud).max() == 1
    assert (np.abs(loud) == 1).mean() > 0.8


def test_few_clips_of_a_recording_are_kept():
    recordings = np.array(["a"] * 9 + ["b"] * 2)

    kept = few_of_each_recording(np.arange(11), recordings, np.random.default_rng(0))

    assert sorted(recordings[kept]) == ["a"] * 4 + ["b"] * 2
    assert len(set(kept)) == 6


def test_no_source_is_in_two_parts():
    sources = np.repeat(["a", "b", "c", "d", "e", "f"], [30, 12, 9, 8, 7, 6])

    parts = parts_by_source(sources, 3)

    assert all(len(set(parts[sources == name])) == 1 for name in set(sources))
    assert sorted(np.bincount(parts)) == [19, 23, 30]


def test_copies_are_played_slower_and_faster():
    assert len(slower(tone(440))) == round(len(tone(440)) / 0.8)
    crossings = [np.sum(np.diff(np.sign(change(tone(440)))) != 0) for change in (slower, faster)]
    assert crossings == pytest.approx([2 * 440 * 1.5] * 2, rel=0.01)


@pytest.mark.parametrize(
    ("license_name", "expected"),
    [
        ("CC-BY-NC", True),
        ("CC BY-NC 3.0", True),
        ("CC-Sampling+", True),
        ("CC0", False),
        ("CC-BY", False),
        ("CC BY-SA 4.0", False),
        ("", False),
    ],
)
def test_noncommercial_licenses_are_told_apart(license_name, expected):
    assert is_noncommercial(license_name) == expected


# Thresholds


def test_a_clip_may_have_what_goes_with_one_of_its_tags():
    space = tag_space(OWN)
    clip, unknown = frozenset({"music"}), frozenset({"squelch"})

    possible = possible_tags([clip, unknown], space)

    assert possible[0, space.tags.index("guitar")]
    assert not possible[0, space.tags.index("dog")]
    assert possible[1].all()


def test_thresholds_of_labels_rise_where_a_tag_is_invented():
    space = tag_space(OWN)
    dog, guitar = space.tags.index("dog"), space.tags.index("guitar")
    probabilities = np.zeros((1000, len(space.tags)), np.float32)
    probabilities[:10, guitar] = 0.7
    probabilities[:, dog] = 0.9

    thresholds = label_thresholds(probabilities, [frozenset({"dog"})] * 1000, space)

    assert thresholds[guitar] == pytest.approx(0.7)
    assert thresholds[dog] == LABEL_FLOOR
    assert thresholds[space.tags.index("piano")] == LABEL_FLOOR


def test_sounds_outside_our_tags_raise_thresholds():
    random = np.random.default_rng(0)
    labels = (random.random((400, 3)) < 0.4).astype(np.float32)
    logits = (4 * labels - 2 + random.normal(0, 1, labels.shape)).astype(np.float32)
    lookalikes = random.normal(1, 1, (200, 3)).astype(np.float32)

    alone = calibrate_own(logits, labels, logits[:1], labels[:1])
    careful = calibrate_own(logits, labels, lookalikes, np.zeros((200, 3), np.float32))

    assert (careful.threshold > alone.threshold + 0.1).all()
    np.testing.assert_allclose(careful.slope, alone.slope)


# The training of every layer


def test_columns_of_silence_are_noticed():
    frames = torch.zeros(2, BANDS, 130)
    frames[0, :, 32:97] = AUDIOSET.floor

    assert silent_columns(frames).tolist() == [[False, True, True, False, False], [False] * 5]


def test_crops_have_one_length_and_short_sounds_lie_in_silence_or_are_repeated():
    rows = np.array([0, 1] * 20)
    crops = cut(sounds(2), rows, (400, 400), np.random.default_rng(0))

    assert crops.frames.shape == (40, BANDS, 400)
    assert torch.isfinite(crops.frames).all()
    short = crops.frames[rows == 0]  # 300 frames
    silent = (short == AUDIOSET.floor).all(dim=1)
    both_sound = ~silent[:, :100] & ~silent[:, 300:]
    is_same = (short[:, :, :100] == short[:, :, 300:]).all(dim=1)
    is_repeated = (both_sound.any(dim=1)) & (is_same | ~both_sound).all(dim=1)
    assert 0 < is_repeated.sum() < len(short)
    assert (silent.sum(dim=1)[~is_repeated] >= 100).all()


@pytest.mark.parametrize(("frames", "expected"), [(3, [0, 1, 2, 0, 1]), (5, [0, 1, 2, 3, 4])])
def test_short_sounds_are_repeated_whole(frames, expected):
    clip = np.arange(frames, dtype=np.float32)[None]
    assert looped(clip, 5)[0].tolist() == expected


def test_the_loudest_second_is_found_wherever_it_is():
    samples = np.full(3000, 0.1, np.float32)
    samples[1700:1900] = 0.5
    second = loudest_second(samples, rate=1000)
    assert len(second) == 1000
    assert np.count_nonzero(second == np.float32(0.5)) == 200
    assert len(loudest_second(samples[:900], rate=1000)) == 900


def test_a_head_learns_from_loud_columns_by_themselves():
    body, _ = parts()
    burst, steady = np.full((BANDS, 480), AUDIOSET.floor, np.float32), sounds(1).frames.clip(0)
    burst[:, 5 * 32 : 6 * 32] = 0

    columns = loud_columns(body, Frames.joined([burst, steady]))

    assert columns.clips.tolist() == [0, 1, 1]
    with torch.inference_mode():
        expected = body.columns(network_input(burst).unsqueeze(0))[0, 5]
    torch.testing.assert_close(columns.features.pooled[0], expected)
    assert columns.of(np.array([1])).clips.tolist() == [1, 1]
    assert len(columns.of(np.array([1])).features.hidden) == 2


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(tuning, "CLIP_FRAMES", (96, 128))
    monkeypatch.setattr(tuning, "OTHER_FRAMES", (96, 128))


def tuned(folder, seed: int = 3) -> FineTuning:
    return FineTuning(*parts(), folder, seed)


@pytest.mark.usefixtures("short")
def test_a_run_that_was_stopped_goes_on_as_if_it_never_had_been(monkeypatch, tmp_path):
    whole = tuned(tmp_path / "whole")
    whole.run(sounds(6), sounds(3, 1))

    with monkeypatch.context() as stopped:
        stopped.setattr(FineTuning, "_train_epoch", fail_in_epoch(1))
        with pytest.raises(KeyboardInterrupt):
            tuned(tmp_path / "stopped").run(sounds(6), sounds(3, 1))
    resumed = tuned(tmp_path / "stopped")
    resumed.run(sounds(6), sounds(3, 1))

    for name, value in whole.body.state_dict().items():
        assert torch.equal(value, resumed.body.state_dict()[name]), name
    for name, value in whole.head.state_dict().items():
        assert torch.equal(value, resumed.head.state_dict()[name]), name


def fail_in_epoch(number: int):
    train_epoch = FineTuning._train_epoch

    def train(self, *data):
        if self._epoch == number:
            raise KeyboardInterrupt
        return train_epoch(self, *data)

    return train


@pytest.mark.usefixtures("short")
def test_every_layer_learns_and_no_statistic_changes(tmp_path):
    before = {name: value.clone() for name, value in parts()[0].state_dict().items()}

    run = tuned(tmp_path)
    run.run(sounds(6), sounds(3, 1))

    after = run.body.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert {name for name, value in after.items() if value.ndim == 4} <= changed
    assert not [name for name in changed if "running" in name or "tracked" in name]
    assert all(torch.equal(value, before[name]) for name, value in run.teacher.state_dict().items())


@pytest.mark.usefixtures("short")
def test_another_run_is_not_gone_on_with(tmp_path):
    tuned(tmp_path).run(sounds(4), sounds(3, 1))

    with pytest.raises(CheckpointError, match="another run"):
        tuned(tmp_path, seed=4).run(sounds(4), sounds(3, 1))


# From folders to a bundle


def write_clips(folder, names: dict[str, tuple[str, float]]):
    """Write a clip folder: recording -> (tags, pitch)."""
    folder.mkdir()
    random = np.random.default_rng(0)
    with (folder / "clips.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "freesound_id", "tags"])
        for name, (tags, hz) in names.items():
            sound = tone(hz) + 0.01 * random.standard_normal(48_000).astype(np.float32)
            soundfile.write(folder / f"{name}.wav", sound, AUDIOSET.rate)
            table.writerow([f"{name}.wav", name, tags])
    return folder


def test_a_bundle_is_written_that_predicts(pretrained_file, monkeypatch, tmp_path):
    monkeypatch.setattr(tuning, "EPOCHS", 1)
    monkeypatch.setattr(tuning, "CLIP_FRAMES", (96, 128))
    tags = {"siren alarm": 900.0, "hum motor": 60.0}
    clips = {f"{n}{tag[0]}": (tag, hz + n) for n in range(10) for tag, hz in tags.items()}
    others = {f"o{n}": ("music synth", 300.0 + 20 * n) for n in range(10)}
    source = pipeline.Source(
        write_clips(tmp_path / "clips", clips),
        write_clips(tmp_path / "others", others),
        convert(pretrained_file, tmp_path / "mn04"),
        tmp_path / "run",
        min_recordings=2,
    )

    bundle = pipeline.fine_tune(source, "tiny", tmp_path / "bundle")

    assert {"siren", "alarm", "hum", "motor", "music", "guitar"} <= set(bundle.vocabulary)
    assert set(bundle.vocabulary) >= set(label_tags().vocabulary)
    assert bundle.front_end == dataclasses.replace(AUDIOSET)
    prediction = Predictor(bundle).predict(
        decode(tmp_path / "clips" / "0s.wav", rate=AUDIOSET.rate)
    )
    assert len(prediction.probabilities) == len(bundle.vocabulary)
    assert np.isfinite(prediction.probabilities).all()


# Sounds that the tagger does not know


def sound_of(category: str, *tags: str) -> Clip:
    return Clip(Path("a.wav"), "1", frozenset(tags), category=category)


def test_what_is_allowed_of_a_sound_depends_on_its_category():
    rules = [
        ("drum-*", frozenset({"percussion"})),
        ("*-loop", frozenset({"loop"})),
        ("hall", frozenset("?")),
    ]

    assert allowed_tags(sound_of("drum-loop", "drum"), rules) == {"drum", "percussion", "loop"}
    assert allowed_tags(sound_of("bell", "bell"), rules) == {"bell"}
    assert allowed_tags(sound_of("hall", "echo"), rules) is None


def test_wrong_suggestions_of_unknown_sounds_are_counted_by_both_lists():
    space = tag_space(OWN)
    suggested = np.zeros((4, len(space.tags)), bool)
    for row, tags in enumerate((["metal"], ["drum"], ["rain"], [])):
        for tag in tags:
            suggested[row, space.tags.index(tag)] = True
    sounds = [sound_of("trashcan-hit", "hit"), sound_of("kick-drum", "kick")]
    sounds += [sound_of("city-ambience", "city"), sound_of("piano-note", "piano")]

    counts = count(suggested, sounds, space)

    assert counts == UnknownSounds(4, 2, 3, 0, 1)
    assert (counts + counts).cells == ("8", "50.0%", "0.0%", "25.0%")


def test_every_tag_that_is_allowed_is_a_clean_one():
    allowed = {tag for _, tags in read_allowed_tags() for tag in tags}

    assert allowed - {"?"} == set(clean(sorted(allowed - {"?"})).tags)


def test_folds_share_no_recording_and_have_the_same_tags():
    clips = [
        Clip(Path(f"{n}.wav"), str(n // 4), frozenset({("rain", "dog")[n // 4 % 2]}))
        for n in range(160)
    ]

    folds = folds_by_recording(clips, 5, seed=1)

    assert np.bincount(folds).tolist() == [32] * 5
    for fold in range(5):
        inside = [clip for clip, number in zip(clips, folds, strict=True) if number == fold]
        outside = [clip for clip, number in zip(clips, folds, strict=True) if number != fold]
        assert not {clip.recording for clip in inside} & {clip.recording for clip in outside}
        assert sum("rain" in clip.tags for clip in inside) == 16


def test_a_fold_is_predicted_by_a_head_that_has_not_seen_it():
    random = np.random.default_rng(0)
    classes = np.repeat([0, 1], 40)
    folds = np.tile(["1", "2", "3", "4"], 20)
    marked = random.normal(size=(80, 6)).astype(np.float32)
    marked[:, 0] += 6 * classes
    by_heart = np.eye(80, dtype=np.float32)  # each clip has a feature of its own, and nothing else

    def predicted(features: np.ndarray) -> np.ndarray:
        whole = Whole(*(torch.from_numpy(part) for part in (features, features, features)))
        return predicted_by_fold([whole, whole], classes, folds, seed=1)

    assert (predicted(marked) == classes).mean() > 0.95
    assert (predicted(by_heart) == classes).mean() < 0.8
