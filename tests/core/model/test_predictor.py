"""A prediction covers the whole of a clip of any length in calibrated probabilities."""

import csv
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from core.audio.decode import MODEL_RATE_HZ, decode
from core.audio.types import AudioFacts, Recording
from core.model.pooling import pool
from core.model.predictor import Prediction, Predictor
from tests.helpers.small_bundle import DESCRIPTION, saved

RATE = MODEL_RATE_HZ
HOP_S = 512 / RATE


def wave(samples: np.ndarray, rate: int = RATE) -> Recording:
    facts = AudioFacts("WAV", rate, 1, len(samples) / rate)
    return Recording("a.wav", facts, np.asarray(samples, np.float32), rate)


def noise(samples: int, seed: int = 0) -> Recording:
    return wave(np.random.default_rng(seed).normal(0, 0.1, samples))


def check_same(actual: Prediction, expected: Prediction) -> None:
    assert [score.tag for score in actual.top] == [score.tag for score in expected.top]
    for part in ("probabilities", "activations", "times", "embedding", "log_mel"):
        np.testing.assert_allclose(
            getattr(actual, part), getattr(expected, part), atol=1e-5, err_msg=part
        )


def threshold_of(predictor: Predictor, tag: str) -> float:
    thresholds = predictor.bundle.calibration.threshold
    return float(thresholds[predictor.vocabulary.index(tag)])


@pytest.fixture(scope="module")
def sounds(examples) -> dict[str, Recording]:
    return {path.stem: decode(path) for path in sorted(examples.glob("*.ogg"))}


@pytest.mark.parametrize("top", [1, 3, 5, 10, 45])
def test_the_best_tags_come_first_and_as_many_as_asked(predictor, sounds, top):
    prediction = predictor.predict(sounds["dog-barking"], top=top)
    probabilities = [score.probability for score in prediction.top]

    assert len(prediction.top) == len({score.tag for score in prediction.top}) == top
    assert probabilities == sorted(probabilities, reverse=True)
    assert probabilities == [
        prediction.probabilities[predictor.vocabulary.index(score.tag)] for score in prediction.top
    ]
    assert probabilities[0] == prediction.probabilities.max()


def test_a_prediction_has_the_shapes_it_promises(predictor, sounds):
    for name, recording in sounds.items():
        prediction = predictor.predict(recording)
        windows = len(prediction.times)

        assert prediction.probabilities.shape == (45,), name
        assert prediction.activations.shape == (windows, 45), name
        assert prediction.times.shape == (windows, 2), name
        assert prediction.log_mel.shape == (96, 1 + len(recording.samples) // 512), name
        assert ((prediction.probabilities >= 0) & (prediction.probabilities <= 1)).all(), name
        assert ((prediction.activations >= 0) & (prediction.activations <= 1)).all(), name
        assert np.linalg.norm(prediction.embedding) == pytest.approx(1, abs=1e-5), name


def test_a_tag_is_above_threshold_exactly_where_the_calibration_says(predictor, sounds):
    thresholds = dict(
        zip(predictor.vocabulary, predictor.bundle.calibration.threshold, strict=True)
    )
    counts = {True: 0, False: 0}

    for recording in sounds.values():
        for score in predictor.predict(recording, top=45).top:
            assert score.above_threshold == (score.probability >= thresholds[score.tag])
            counts[score.above_threshold] += 1

    assert min(counts.values()) > 10, "both cases must have been seen"


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
def test_the_default_model_predicts_what_the_examples_are(predictor, sounds, example, tag):
    [score] = [score for score in predictor.predict(sounds[example]).top if score.tag == tag]

    assert score.above_threshold


def test_the_default_model_is_right_about_most_real_clips(predictor, clips):
    with (clips / "clips.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[::12]
    assert len(rows) > 100

    def is_right(row: dict[str, str]) -> bool:
        prediction = predictor.predict(decode(clips / row["file"]))
        return not {score.tag for score in prediction.top}.isdisjoint(row["tags"].split())

    assert np.mean([is_right(row) for row in rows]) >= 0.7


@pytest.mark.parametrize(
    "samples", [1, 2, 511, 512, 513, 2200, RATE, 96 * 512 - 1, 96 * 512, 96 * 512 + 1]
)
def test_short_clips_have_a_window_or_two(predictor, samples):
    prediction = predictor.predict(noise(samples))

    assert len(prediction.top) == 5
    assert len(prediction.times) in (1, 2)
    assert prediction.times[0, 0] == 0
    assert prediction.times[-1, 1] == pytest.approx(samples / RATE, abs=HOP_S + 1e-6)
    assert (prediction.times[:, 1] > prediction.times[:, 0]).all()
    assert np.isfinite(prediction.probabilities).all()


@pytest.mark.parametrize("seconds", [2.3, 5.0, 10.0, 60.0, 61.7])
def test_the_windows_cover_the_whole_clip_without_gaps(predictor, seconds):
    prediction = predictor.predict(wave(np.zeros(round(seconds * RATE))))
    starts, ends = prediction.times.T

    assert starts[0] == 0
    assert ends[-1] == pytest.approx(seconds, abs=HOP_S)
    assert (starts[1:] <= ends[:-1]).all()
    assert (np.diff(starts) > 0).all()
    np.testing.assert_allclose(ends[:-1] - starts[:-1], predictor.bundle.window * HOP_S, rtol=1e-4)


@pytest.mark.parametrize(
    ("example", "tag"), [("dog-barking", "dog"), ("siren", "siren"), ("clock-ticking", "clock")]
)
def test_a_sound_at_the_very_end_is_seen_there_and_only_there(predictor, sounds, example, tag):
    sound = sounds[example].samples[: 3 * RATE]
    minute = np.zeros(60 * RATE, np.float32)
    minute[-len(sound) :] = sound

    prediction = predictor.predict(wave(minute))
    activation, threshold = (
        prediction.activations[:, predictor.vocabulary.index(tag)],
        threshold_of(predictor, tag),
    )
    before = prediction.times[:, 1] < 57

    assert activation[-1] > max(0.5, threshold)
    assert activation[before].max() < min(0.25, threshold)
    assert before.sum() > 45


def test_a_sound_at_the_start_is_seen_at_the_start(predictor, sounds):
    sound = sounds["siren"].samples[: 3 * RATE]

    activation = predictor.predict(wave(np.pad(sound, (0, 20 * RATE)))).activations[
        :, predictor.vocabulary.index("siren")
    ]

    assert activation[0] > max(0.5, threshold_of(predictor, "siren"))
    assert activation[4:].max() < min(0.25, threshold_of(predictor, "siren"))


def silence(samples: int) -> np.ndarray:
    return np.zeros(samples)


def hiss(samples: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(samples)


def direct_current(samples: int) -> np.ndarray:
    return np.full(samples, 0.3)


@pytest.mark.parametrize("sound", [silence, hiss, direct_current])
@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.0, 5.0, 7.3, 30.0])
def test_what_is_no_sound_has_no_tag_above_its_threshold(predictor, sound, seconds):
    prediction = predictor.predict(wave(sound(round(seconds * RATE))), top=45)

    assert not any(score.above_threshold for score in prediction.top)
    assert np.linalg.norm(prediction.embedding) == pytest.approx(1, abs=1e-5)


def test_several_clips_at_once_get_the_answers_they_get_alone(predictor, sounds):
    clips = [*list(sounds.values())[:6], noise(1), noise(22_000 * 40), wave(np.zeros(5000))]

    together = predictor.predict_many(clips)

    assert len(together) == len(clips)
    for clip, prediction in zip(clips, together, strict=True):
        check_same(prediction, predictor.predict(clip))


def test_no_clips_give_no_predictions(predictor):
    assert predictor.predict_many([]) == []


def test_threads_that_share_a_predictor_get_the_same_answers(predictor, sounds):
    alone = [predictor.predict(recording) for recording in sounds.values()]

    with ThreadPoolExecutor(8) as threads:
        shared = list(threads.map(predictor.predict, list(sounds.values()) * 2))

    for actual, expected in zip(shared, alone * 2, strict=True):
        check_same(actual, expected)


def test_like_sounds_lie_closer_together_than_unlike_ones(predictor, sounds):
    def embedding(name: str, part: slice) -> np.ndarray:
        return predictor.predict(wave(sounds[name].samples[part])).embedding

    first, second = slice(0, 2 * RATE), slice(2 * RATE, 4 * RATE)
    dog = embedding("dog-barking", first)

    assert dog @ embedding("dog-barking", second) > dog @ embedding("rain-on-leaves", second)


def test_a_waveform_at_another_rate_is_refused(predictor):
    with pytest.raises(ValueError, match="22000 Hz, not 44100 Hz"):
        predictor.predict(wave(np.zeros(44_100), rate=44_100))


def test_a_clip_is_not_changed_by_prediction(predictor):
    clip = noise(60_000)
    before = clip.samples.copy()

    predictor.predict(clip)

    np.testing.assert_array_equal(clip.samples, before)


def test_a_short_clip_gets_the_tags_of_itself_with_silence_behind_it(predictor, sounds):
    half_second = sounds["dog-barking"].samples[: RATE // 2].copy()
    half_second[-1100:] = 0  # what is reflected at the end of the clip
    followed_by_silence = np.pad(half_second, (0, 95 * 512 - len(half_second)))

    alone, followed = (
        predictor.predict(wave(half_second)),
        predictor.predict(wave(followed_by_silence)),
    )

    np.testing.assert_allclose(alone.probabilities, followed.probabilities, atol=1e-3)


def test_a_bundle_from_a_folder_predicts_with_its_own_vocabulary(tmp_path):
    predictor = Predictor(saved(tmp_path / "tiny"))
    prediction = predictor.predict(noise(22_000 * 5))

    assert {score.tag for score in prediction.top} == {"bark", "dog", "rain"}
    assert prediction.embedding.shape == (7,)
    assert predictor.vocabulary == ("bark", "dog", "rain")


def test_the_rate_is_that_of_the_bundles_front_end(tmp_path):
    front_end = {"rate": 16_000}
    bundle = saved(tmp_path / "tiny", description=DESCRIPTION | {"front_end": front_end})

    predictor = Predictor(bundle)

    assert predictor.rate == 16_000
    assert len(predictor.predict(wave(np.zeros(16_000), rate=16_000)).top) == 3
    with pytest.raises(ValueError, match="16000 Hz, not 22000 Hz"):
        predictor.predict(wave(np.zeros(22_000)))


def test_pooling_is_what_its_name_says():
    logits = np.array([[0, 9], [2, 1], [4, 5], [6, 1]], np.float32)

    np.testing.assert_allclose(pool(logits, "mean"), [3, 4])
    np.testing.assert_allclose(pool(logits, "max"), [6, 9])
    np.testing.assert_allclose(pool(logits, "top_half"), [5, 7])
    np.testing.assert_allclose(pool(logits[:3], "top_half"), [3, 7])
    for pooling in ("mean", "max", "top_half"):
        np.testing.assert_allclose(pool(logits[:1], pooling), logits[0])
