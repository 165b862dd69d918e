"""A prediction covers the whole of a clip of any length in calibrated probabilities."""

import csv
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from core.audio.decode import decode
from core.audio.types import AudioFacts, Recording
from core.model import bundle as bundles
from core.model.bundle import Bundle, Calibration
from core.model.front_end import network_frames
from core.model.logmel import COALA, log_mel
from core.model.pooling import RISE, pool, pool_recording
from core.model.predictor import MAX_TOP, Prediction, Predictor
from core.settings import settings
from core.work import WorkStopped
from tests.helpers.small_bundle import DESCRIPTION, METRICS, saved, tiny_network

FRONT_END = bundles.load().front_end
RATE, HOP_S = FRONT_END.rate, FRONT_END.seconds(1)
"""Of the default model."""


def wave(samples: np.ndarray, rate: int = RATE) -> Recording:
    facts = AudioFacts("WAV", rate, 1, len(samples) / rate)
    return Recording("a.wav", facts, np.asarray(samples, np.float32), rate)


def noise(samples: int, seed: int = 0, rate: int = RATE) -> Recording:
    return wave(np.random.default_rng(seed).normal(0, 0.1, samples), rate)


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
    return {path.stem: decode(path, rate=RATE) for path in sorted(examples.glob("*.ogg"))}


@pytest.mark.parametrize("top", [3, 5, 10, 45])
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
        frames = len(prediction.times)

        assert prediction.probabilities.shape == (len(predictor.vocabulary),), name
        assert prediction.activations.shape == (frames, len(predictor.vocabulary)), name
        assert prediction.times.shape == (frames, 2), name
        assert prediction.log_mel.shape[0] == FRONT_END.bands, name
        assert prediction.log_mel.shape[1] * HOP_S == pytest.approx(
            len(recording.samples) / RATE, abs=2 * HOP_S
        ), name
        assert ((prediction.probabilities >= 0) & (prediction.probabilities <= 1)).all(), name
        assert ((prediction.activations >= 0) & (prediction.activations <= 1)).all(), name
        assert np.linalg.norm(prediction.embedding) == pytest.approx(1, abs=1e-5), name


def test_a_tag_is_above_threshold_exactly_where_the_calibration_says(predictor, sounds):
    thresholds = dict(
        zip(predictor.vocabulary, predictor.bundle.calibration.threshold, strict=True)
    )
    counts = {True: 0, False: 0}

    for recording in sounds.values():
        for score in predictor.predict(recording, top=999).top:
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
        prediction = predictor.predict(decode(clips / row["file"], rate=RATE))
        return not {score.tag for score in prediction.top}.isdisjoint(row["tags"].split())

    assert np.mean([is_right(row) for row in rows]) >= 0.7


@pytest.mark.parametrize(
    "samples", [1, 2, 511, 512, 513, 2200, RATE, 96 * 512 - 1, 96 * 512, 96 * 512 + 1]
)
def test_short_clips_have_a_frame_for_each_part(predictor, samples):
    prediction = predictor.predict(noise(samples))

    assert len(prediction.top) == (5 if prediction.probabilities.any() else 0)
    assert prediction.probabilities.any() or samples == 1  # pre-emphasis needs two
    assert len(prediction.times) == len(prediction.activations) >= 1
    assert prediction.times[0, 0] == 0
    assert prediction.times[-1, 1] == pytest.approx(samples / RATE, abs=2 * HOP_S)
    assert (prediction.times[:, 1] > prediction.times[:, 0]).all()
    assert np.isfinite(prediction.probabilities).all()


@pytest.mark.parametrize("seconds", [2.3, 5.0, 10.0, 60.0, 61.7])
def test_the_frames_cover_the_whole_clip_one_after_the_other(predictor, seconds):
    prediction = predictor.predict(noise(round(seconds * RATE)))
    starts, ends = prediction.times.T

    assert starts[0] == 0
    assert ends[-1] == pytest.approx(seconds, abs=2 * HOP_S)
    np.testing.assert_allclose(starts[1:], ends[:-1], rtol=1e-6)
    assert 0.3 < ends[0] - starts[0] < 0.4


def activation_of(prediction: Prediction, predictor: Predictor, tag: str) -> np.ndarray:
    return prediction.activations[:, predictor.vocabulary.index(tag)]


@pytest.mark.parametrize("start", [0, 20, 57])
@pytest.mark.parametrize(
    ("example", "tag"), [("dog-barking", "dog"), ("siren", "siren"), ("clock-ticking", "clock")]
)
def test_a_sound_in_silence_is_seen_where_it_is_and_only_there(
    predictor, sounds, example, tag, start
):
    minute = np.zeros(60 * RATE, np.float32)
    minute[start * RATE : (start + 3) * RATE] = sounds[example].samples[: 3 * RATE]

    prediction = predictor.predict(wave(minute))
    activation = activation_of(prediction, predictor, tag)
    outside = (prediction.times[:, 1] < start) | (prediction.times[:, 0] > start + 3)

    assert activation.max() > threshold_of(predictor, tag)
    assert not prediction.activations[outside].any()
    assert outside.sum() > 145


@pytest.mark.parametrize(
    ("event", "background", "tag"),
    [
        ("dog-barking", "rain-on-leaves", "dog"),
        ("siren", "rain-on-leaves", "siren"),
        ("crying-baby", "engine-idling", "baby"),
        ("rooster", "sea-waves", "rooster"),
    ],
)
def test_a_sound_in_another_is_seen_within_a_second(predictor, sounds, event, background, tag):
    mixed = np.resize(sounds[background].samples, 15 * RATE).copy()
    mixed[6 * RATE : 9 * RATE] = sounds[event].samples[: 3 * RATE]

    prediction = predictor.predict(wave(mixed))
    activation = activation_of(prediction, predictor, tag)
    far = (prediction.times[:, 1] < 5) | (prediction.times[:, 0] > 10)

    assert 6 <= prediction.times[activation.argmax()].mean() <= 9
    assert activation[far].max() < 0.5 * activation.max()


def test_a_clip_that_falls_silent_activates_nothing_from_then_on(predictor, sounds):
    sneeze = sounds["sneeze"].samples.copy()
    sneeze[RATE:] = 0

    prediction = predictor.predict(wave(sneeze))

    assert prediction.activations[prediction.times[:, 1] <= 1].any()
    assert not prediction.activations[prediction.times[:, 0] > 1 + HOP_S].any()


@pytest.mark.parametrize("level_db", [-120, -90, -np.inf])
def test_a_silent_clip_has_no_tags(predictor, level_db):
    samples = 10 ** (level_db / 20) * np.sign(noise(5 * RATE).samples)

    prediction = predictor.predict(wave(samples))

    assert prediction.top == ()
    assert not prediction.probabilities.any()
    assert not prediction.activations.any()


@pytest.mark.parametrize("seconds", [1, 3, 30])
def test_silence_around_a_sound_does_not_change_its_tags(predictor, sounds, seconds):
    sound = sounds["dog-barking"].samples
    silence = np.zeros(seconds * RATE, np.float32)

    alone = predictor.predict(wave(sound))
    between = predictor.predict(wave(np.concatenate([silence, sound, silence])))

    suggested, expected = (
        {score.tag for score in prediction.top if score.above_threshold}
        for prediction in (between, alone)
    )
    assert suggested == expected
    np.testing.assert_allclose(between.probabilities, alone.probabilities, atol=0.15)


# --- The level of a recording


@pytest.mark.parametrize("level_db", [-40, -20, 20, 40])
def test_the_level_does_not_decide(predictor, sounds, level_db):
    for name in ("dog-barking", "rain-on-leaves", "siren", "sneeze"):
        samples = sounds[name].samples
        changed = predictor.predict(wave(samples * np.float32(10 ** (level_db / 20))))
        expected = predictor.predict(wave(samples))

        np.testing.assert_allclose(changed.probabilities, expected.probabilities, atol=1e-3)
        np.testing.assert_allclose(changed.activations, expected.activations, atol=1e-3)


def test_the_suggestions_for_thirty_real_clips_are_the_same_at_any_level(predictor, clips):
    with (clips / "clips.csv").open(encoding="utf-8") as file:
        files = [row["file"] for row in csv.DictReader(file)][::80]
    recordings = [decode(clips / name, rate=RATE) for name in files]
    assert len(recordings) >= 30

    def suggestions(level_db: int) -> list[set[str]]:
        factor = np.float32(10 ** (level_db / 20))
        predictions = [predictor.predict(wave(factor * clip.samples)) for clip in recordings]
        return [{tag.tag for tag in clip.top if tag.above_threshold} for clip in predictions]

    expected = suggestions(0)
    for level_db in (-40, -30, -20, -10, 10, 20, 30, 40):
        same = [a == b for a, b in zip(suggestions(level_db), expected, strict=True)]
        assert sum(same) >= len(same) - 1, level_db
    assert sum(map(len, expected)) > 30


# --- How many tags are suggested


@pytest.fixture(scope="module")
def talkative(tmp_path_factory) -> Bundle:
    """A bundle that finds all its 40 tags, of which none is related, in every sound."""
    tags = tuple(f"tag{number}" for number in range(40))
    everywhere = np.zeros(40, np.float32)
    calibration = Calibration(everywhere, np.linspace(0.1, 2, 40, dtype=np.float32), everywhere)
    return saved(
        tmp_path_factory.mktemp("talkative") / "bundle",
        weights=tiny_network(tags=40).state_dict(),
        vocabulary=tags,
        calibration=calibration,
        metrics=METRICS | {"per_tag": {tag: {} for tag in tags}},
    )


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.5, 5), (5, 5), (10, 5), (11, 10), (45, 25), (600, MAX_TOP)]
)
def test_five_tags_at_most_are_suggested_for_ten_seconds(talkative, seconds, expected):
    prediction = Predictor(talkative).predict(noise(round(22_000 * seconds), rate=22_000))

    assert [score.tag for score in prediction.top] == [f"tag{39 - k}" for k in range(expected)]
    assert all(score.above_threshold for score in prediction.top)


def test_the_setting_says_how_many_are_suggested(talkative, monkeypatch):
    monkeypatch.setenv("EARMARK_MAX_SUGGESTIONS", "2")
    settings.cache_clear()

    prediction = Predictor(talkative).predict(noise(22_000, rate=22_000))

    assert len(prediction.top) == 2
    assert len(Predictor(talkative, max_suggestions=7).predict(noise(9, rate=22_000)).top) == 7


# --- Long recordings


LONG = {
    "dog-barking": "dog",
    "rain-on-leaves": "rain",
    "siren": "siren",
    "gun-shots": "gun",
    "crying-baby": "baby",
    "clock-ticking": "clock",
    "chainsaw": "chainsaw",
    "rooster": "rooster",
    "crackling-fire": "fire",
    "sea-waves": "sea",
}


def test_a_minute_of_several_sounds_is_tagged_with_most_of_them(predictor, sounds):
    minute = np.concatenate([sounds[name].samples for name in LONG])

    prediction = predictor.predict(wave(minute))
    suggested = {score.tag for score in prediction.top if score.above_threshold}

    assert len(suggested & set(LONG.values())) >= 7
    assert len(suggested) <= MAX_TOP


def test_ten_minutes_of_rain_with_a_dog_in_it_are_tagged_with_both(predictor, sounds):
    long = np.resize(sounds["rain-on-leaves"].samples, 600 * RATE).copy()
    dog = sounds["dog-barking"].samples
    long[300 * RATE : 300 * RATE + len(dog)] = dog

    prediction = predictor.predict(wave(long))
    suggested = {score.tag for score in prediction.top if score.above_threshold}

    assert {"rain", "dog"} <= suggested
    assert len(suggested) <= 10


def test_a_checkpoint_is_called_all_along_and_may_stop_the_work(predictor):
    calls: list[int] = []
    predictor.predict(noise(5 * RATE), checkpoint=lambda: calls.append(0))
    short = len(calls)
    predictor.predict(noise(300 * RATE), checkpoint=lambda: calls.append(0))

    def stop() -> None:
        raise WorkStopped("enough")

    assert short >= 2
    assert len(calls) - short >= 10
    with pytest.raises(WorkStopped):
        predictor.predict(noise(RATE), checkpoint=stop)


def silence(samples: int) -> np.ndarray:
    return np.zeros(samples)


def hiss(samples: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(samples)


def direct_current(samples: int) -> np.ndarray:
    return np.full(samples, 0.3)


@pytest.mark.parametrize("sound", [silence, hiss, direct_current])
@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.0, 5.0, 7.3, 30.0])
def test_what_is_no_sound_of_anything_has_no_tag_but_those_of_noise(predictor, sound, seconds):
    prediction = predictor.predict(wave(sound(round(seconds * RATE))))

    suggested = {score.tag for score in prediction.top if score.above_threshold}
    assert suggested <= {"noise", "static", "white-noise", "hiss", "sine", "tone"}
    assert np.linalg.norm(prediction.embedding) == pytest.approx(1, abs=1e-5)


def test_several_clips_at_once_get_the_answers_they_get_alone(predictor, sounds):
    clips = [*list(sounds.values())[:6], noise(1), noise(RATE * 40), wave(np.zeros(5000))]

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
    with pytest.raises(ValueError, match=f"{RATE} Hz, not 44100 Hz"):
        predictor.predict(wave(np.zeros(44_100), rate=44_100))


def test_a_clip_is_not_changed_by_prediction(predictor):
    clip = noise(60_000)
    before = clip.samples.copy()

    predictor.predict(clip)

    np.testing.assert_array_equal(clip.samples, before)


def test_a_short_clip_gets_the_tags_of_itself_with_silence_behind_it(predictor, sounds):
    half_second = sounds["dog-barking"].samples[: RATE // 2].copy()
    half_second[-1100:] = 0  # what is reflected at the end of the clip
    followed_by_silence = np.pad(half_second, (0, 10 * RATE))

    alone, followed = (
        predictor.predict(wave(half_second)),
        predictor.predict(wave(followed_by_silence)),
    )

    np.testing.assert_allclose(alone.probabilities, followed.probabilities, atol=1e-3)


def test_a_bundle_from_a_folder_predicts_with_its_own_vocabulary(tmp_path):
    predictor = Predictor(saved(tmp_path / "tiny"))
    prediction = predictor.predict(noise(22_000 * 5, rate=22_000))

    assert {score.tag for score in prediction.top} == {"bark", "dog", "rain"}
    assert prediction.embedding.shape == (7,)
    assert predictor.vocabulary == ("bark", "dog", "rain")


def test_the_rate_is_that_of_the_bundles_front_end(tmp_path):
    front_end = {"rate": 16_000}
    bundle = saved(tmp_path / "tiny", description=DESCRIPTION | {"front_end": front_end})

    predictor = Predictor(bundle)

    assert predictor.rate == 16_000
    assert len(predictor.predict(wave(noise(16_000).samples, rate=16_000)).top) == 3
    with pytest.raises(ValueError, match="16000 Hz, not 22000 Hz"):
        predictor.predict(wave(np.zeros(22_000), rate=22_000))


def test_pooling_is_what_its_name_says():
    logits = np.array([[0, 9], [2, 1], [4, 5], [6, 1]], np.float32)

    np.testing.assert_allclose(pool(logits, "mean"), [3, 4])
    np.testing.assert_allclose(pool(logits, "max"), [6, 9])
    np.testing.assert_allclose(pool(logits, "top_half"), [5, 7])
    np.testing.assert_allclose(pool(logits[:3], "top_half"), [3, 7])
    for pooling in ("mean", "max", "top_half"):
        np.testing.assert_allclose(pool(logits[:1], pooling), logits[0])


def test_a_tag_of_a_long_recording_is_in_all_of_it_or_surer_in_a_segment():
    logits = np.zeros((40, 3), np.float32)
    logits[:, 0] = 2  # all the time
    logits[20:24, 1] = 9  # in a segment
    logits[30, 2] = 9  # in a window
    needed = RISE * np.log(40 / 4)

    pooled = pool_recording(logits, "top_half", 4)

    np.testing.assert_allclose(pooled, [2, 9 - needed, 4.5 - needed], rtol=1e-5)
    np.testing.assert_array_equal(
        pool_recording(logits[20:24], "top_half", 4), pool(logits[20:24], "top_half")
    )


def test_a_front_end_in_stretches_is_that_of_the_whole(sounds):
    samples = np.resize(sounds["dog-barking"].samples, 100 * RATE + 77)

    stretches = network_frames(samples, COALA)

    gain = np.float32(10 ** (COALA.peak_db / 20) / np.abs(samples).max())
    np.testing.assert_allclose(stretches, log_mel(samples * gain), atol=1e-4)
