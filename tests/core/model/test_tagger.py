"""The tagger hears the whole of a clip of any length, says so in calibrated probabilities, and may be shared."""

import csv
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from small_bundle import saved

from core.model import audio
from core.model.audio import AudioFacts, Waveform
from core.model.tagger import Tagger, Tagging, pool

RATE = audio.MODEL_RATE
HOP_S = 512 / RATE


def wave(samples: np.ndarray, rate: int = RATE) -> Waveform:
    return Waveform(np.asarray(samples, np.float32), rate, AudioFacts("WAV", rate, 1, len(samples) / rate))


def noise(samples: int, seed: int = 0) -> Waveform:
    return wave(np.random.default_rng(seed).normal(0, 0.1, samples))


def check_same(ours: Tagging, theirs: Tagging) -> None:
    assert [score.tag for score in ours.top] == [score.tag for score in theirs.top]
    for part in ("probabilities", "activations", "times", "embedding", "log_mel"):
        np.testing.assert_allclose(getattr(ours, part), getattr(theirs, part), atol=1e-5, err_msg=part)


def threshold_of(tagger: Tagger, tag: str) -> float:
    return float(tagger.bundle.calibration.threshold[tagger.vocabulary.index(tag)])


@pytest.fixture(scope="module")
def sounds(examples) -> dict[str, Waveform]:
    return {path.stem: audio.load(path) for path in sorted(examples.glob("*.ogg"))}


@pytest.mark.parametrize("top", [1, 3, 5, 10, 45])
def test_the_best_tags_come_first_and_as_many_as_asked(starter, sounds, top):
    tagging = starter.tag(sounds["dog-barking"], top=top)
    probabilities = [score.probability for score in tagging.top]

    assert len(tagging.top) == len({score.tag for score in tagging.top}) == top
    assert probabilities == sorted(probabilities, reverse=True)
    assert probabilities == [tagging.probabilities[starter.vocabulary.index(score.tag)] for score in tagging.top]
    assert probabilities[0] == tagging.probabilities.max()


def test_a_tagging_has_the_shapes_it_promises(starter, sounds):
    for name, waveform in sounds.items():
        tagging = starter.tag(waveform)
        windows = len(tagging.times)

        assert tagging.probabilities.shape == (45,), name
        assert tagging.activations.shape == (windows, 45), name
        assert tagging.times.shape == (windows, 2), name
        assert tagging.log_mel.shape == (96, 1 + len(waveform.samples) // 512), name
        assert ((tagging.probabilities >= 0) & (tagging.probabilities <= 1)).all(), name
        assert ((tagging.activations >= 0) & (tagging.activations <= 1)).all(), name
        assert np.linalg.norm(tagging.embedding) == pytest.approx(1, abs=1e-5), name


def test_a_tag_is_above_threshold_exactly_where_the_calibration_says(starter, sounds):
    thresholds = dict(zip(starter.vocabulary, starter.bundle.calibration.threshold, strict=True))
    heard = {True: 0, False: 0}

    for waveform in sounds.values():
        for score in starter.tag(waveform, top=45).top:
            assert score.above_threshold == (score.probability >= thresholds[score.tag])
            heard[score.above_threshold] += 1

    assert min(heard.values()) > 10, "both cases must have been seen"


@pytest.mark.parametrize(
    ("example", "tag"),
    [
        ("dog-barking", "dog"),
        ("rain-on-leaves", "rain"),
        ("siren", "siren"),
        ("gun-shots", "gun"),
        ("street-music", "music"),
        ("crying-baby", "baby"),
        ("clock-ticking", "clock"),
        ("chainsaw", "chainsaw"),
    ],
)
def test_the_starter_hears_what_the_examples_are(starter, sounds, example, tag):
    [score] = [score for score in starter.tag(sounds[example]).top if score.tag == tag]

    assert score.above_threshold


def test_the_starter_hears_most_real_clips(starter, clips):
    with (clips / "clips.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[::12]
    assert len(rows) > 100

    right = [bool({score.tag for score in starter.tag(audio.load(clips / row["file"])).top} & set(row["tags"].split())) for row in rows]

    assert np.mean(right) >= 0.7


@pytest.mark.parametrize("samples", [1, 2, 511, 512, 513, 2200, RATE, 96 * 512 - 1, 96 * 512, 96 * 512 + 1])
def test_short_clips_have_one_window_or_two(starter, samples):
    tagging = starter.tag(noise(samples))

    assert len(tagging.top) == 5
    assert len(tagging.times) in (1, 2)
    assert tagging.times[0, 0] == 0
    assert tagging.times[-1, 1] == pytest.approx(samples / RATE, abs=HOP_S + 1e-6)
    assert (tagging.times[:, 1] > tagging.times[:, 0]).all()
    assert np.isfinite(tagging.probabilities).all()


@pytest.mark.parametrize("seconds", [2.3, 5.0, 10.0, 60.0, 61.7])
def test_the_windows_cover_the_whole_clip_without_gaps(starter, seconds):
    tagging = starter.tag(wave(np.zeros(round(seconds * RATE))))
    starts, ends = tagging.times.T

    assert starts[0] == 0
    assert ends[-1] == pytest.approx(seconds, abs=HOP_S)
    assert (starts[1:] <= ends[:-1]).all()
    assert (np.diff(starts) > 0).all()
    np.testing.assert_allclose(ends[:-1] - starts[:-1], starter.bundle.network().window * HOP_S, rtol=1e-4)


@pytest.mark.parametrize(("example", "tag"), [("dog-barking", "dog"), ("siren", "siren"), ("clock-ticking", "clock")])
def test_a_sound_at_the_very_end_is_seen_there_and_only_there(starter, sounds, example, tag):
    sound = sounds[example].samples[: 3 * RATE]
    minute = np.zeros(60 * RATE, np.float32)
    minute[-len(sound) :] = sound

    tagging = starter.tag(wave(minute))
    activation, threshold = tagging.activations[:, starter.vocabulary.index(tag)], threshold_of(starter, tag)
    before = tagging.times[:, 1] < 57

    assert activation[-1] > max(0.5, threshold)
    assert activation[before].max() < min(0.25, threshold)
    assert before.sum() > 45


def test_a_sound_at_the_start_is_seen_at_the_start(starter, sounds):
    sound = sounds["siren"].samples[: 3 * RATE]

    activation = starter.tag(wave(np.pad(sound, (0, 20 * RATE)))).activations[:, starter.vocabulary.index("siren")]

    assert activation[0] > max(0.5, threshold_of(starter, "siren"))
    assert activation[4:].max() < min(0.25, threshold_of(starter, "siren"))


def silence(samples: int) -> np.ndarray:
    return np.zeros(samples)


def hiss(samples: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(samples)


def direct_current(samples: int) -> np.ndarray:
    return np.full(samples, 0.3)


@pytest.mark.parametrize("sound", [silence, hiss, direct_current])
@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.0, 5.0, 7.3, 30.0])
def test_what_is_no_sound_has_no_tag_above_its_threshold(starter, sound, seconds):
    tagging = starter.tag(wave(sound(round(seconds * RATE))), top=45)

    assert not any(score.above_threshold for score in tagging.top)
    assert np.linalg.norm(tagging.embedding) == pytest.approx(1, abs=1e-5)


def test_several_clips_at_once_get_the_answers_they_get_alone(starter, sounds):
    clips = [*list(sounds.values())[:6], noise(1), noise(22_000 * 40), wave(np.zeros(5000))]

    together = starter.tag_many(clips)

    assert len(together) == len(clips)
    for clip, tagging in zip(clips, together, strict=True):
        check_same(tagging, starter.tag(clip))


def test_no_clips_give_no_taggings(starter):
    assert starter.tag_many([]) == []


def test_threads_that_share_a_tagger_get_the_same_answers(starter, sounds):
    alone = [starter.tag(waveform) for waveform in sounds.values()]

    with ThreadPoolExecutor(8) as threads:
        shared = list(threads.map(starter.tag, list(sounds.values()) * 2))

    for ours, theirs in zip(shared, alone * 2, strict=True):
        check_same(ours, theirs)


def test_like_sounds_lie_closer_together_than_unlike_ones(starter, sounds):
    def embedding(name: str, part: slice) -> np.ndarray:
        return starter.tag(wave(sounds[name].samples[part])).embedding

    first, second = slice(0, 2 * RATE), slice(2 * RATE, 4 * RATE)
    dog = embedding("dog-barking", first)

    assert dog @ embedding("dog-barking", second) > dog @ embedding("rain-on-leaves", second)


def test_a_waveform_at_another_rate_is_refused(starter):
    with pytest.raises(ValueError, match="22000 Hz, not 44100 Hz"):
        starter.tag(wave(np.zeros(44_100), rate=44_100))


def test_a_clip_is_not_changed_by_being_heard(starter):
    clip = noise(60_000)
    before = clip.samples.copy()

    starter.tag(clip)

    np.testing.assert_array_equal(clip.samples, before)


def test_a_short_clip_sounds_like_itself_with_silence_behind_it(starter, sounds):
    half_second = sounds["dog-barking"].samples[: RATE // 2].copy()
    half_second[-1100:] = 0  # what is reflected at the end of the clip
    followed_by_silence = np.pad(half_second, (0, 95 * 512 - len(half_second)))

    alone, followed = starter.tag(wave(half_second)), starter.tag(wave(followed_by_silence))

    np.testing.assert_allclose(alone.probabilities, followed.probabilities, atol=1e-3)


def test_a_bundle_from_a_folder_tags_with_its_own_vocabulary(tmp_path):
    tagger = Tagger(saved(tmp_path / "tiny"))
    tagging = tagger.tag(noise(22_000 * 5))

    assert {score.tag for score in tagging.top} == {"bark", "dog", "rain"}
    assert tagging.embedding.shape == (7,)


def test_pooling_is_what_its_name_says():
    logits = np.array([[0, 9], [2, 1], [4, 5], [6, 1]], np.float32)

    np.testing.assert_allclose(pool(logits, "mean"), [3, 4])
    np.testing.assert_allclose(pool(logits, "max"), [6, 9])
    np.testing.assert_allclose(pool(logits, "top_half"), [5, 7])
    np.testing.assert_allclose(pool(logits[:3], "top_half"), [3, 7])
    for pooling in ("mean", "max", "top_half"):
        np.testing.assert_allclose(pool(logits[:1], pooling), logits[0])
