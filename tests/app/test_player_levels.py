"""The player gets the levels of frames and, of sounds analysed earlier, those of windows."""

import numpy as np
import pytest

from app.components.player.levels import MAX_STOPS, levels_over_time, levels_text, steps
from core.audio.decode import decode
from core.events.types import Suggestion
from core.storage.sidecars import decode_arrays, encode_arrays

VOCABULARY = ("bark", "dog", "rain")
SUGGESTIONS = tuple(
    Suggestion(tag=tag, probability=0.9, above_threshold=True) for tag in ("rain", "bark")
)


def windows(seconds: float) -> np.ndarray:
    """Return windows of 2.6 s every 1.1 s, as sidecars of version 0.1 have them."""
    starts = np.arange(0, seconds - 2.6, 1.117)
    return np.stack([starts, starts + 2.6], axis=1)


def frames(seconds: float) -> np.ndarray:
    starts = np.arange(0, seconds, 0.372)
    return np.stack([starts, np.minimum(starts + 0.372, seconds)], axis=1)


@pytest.mark.parametrize("spans", [windows, frames])
@pytest.mark.parametrize("seconds", [3, 10, 600])
def test_an_event_is_drawn_where_it_is(spans, seconds):
    times = spans(seconds).astype(np.float32)
    activations = np.zeros((len(times), 3), np.float32)
    loud = len(times) * 2 // 3
    activations[loud, VOCABULARY.index("bark")] = 0.75
    stored = decode_arrays(encode_arrays({"times": times, "activations": activations}))

    drawn_times, levels = levels_over_time(stored, VOCABULARY, SUGGESTIONS)

    assert drawn_times is not None
    assert levels is not None
    assert levels.shape == (len(drawn_times), 2)
    assert len(drawn_times) == min(len(times), len(drawn_times)) <= MAX_STOPS
    assert levels[:, 1].max() == 0.75
    start, end = drawn_times[levels[:, 1].argmax()]
    assert start - 0.3 <= times[loud, 0] <= times[loud, 1] <= end + 0.3
    assert not levels[:, 0].any()


def test_what_the_default_model_predicts_can_be_drawn(predictor, examples):
    prediction = predictor.predict(decode(examples / "siren.ogg", rate=predictor.rate))
    siren = (Suggestion(tag="siren", probability=0.9, above_threshold=True),)
    arrays = {"times": prediction.times, "activations": prediction.activations}

    times, levels = levels_over_time(arrays, predictor.vocabulary, siren)

    assert times is not None
    assert levels is not None
    assert len(times) == len(levels) == len(prediction.times) > 10


def test_steps_are_the_stretches_around_the_middles_of_overlapping_windows():
    first, step = steps(windows(20))
    assert (first, step) == (pytest.approx(1.3 - 1.117 / 2, abs=1e-3), pytest.approx(1.117))
    assert steps(frames(20)) == (0, pytest.approx(0.372))
    assert steps(None) == steps(np.zeros((0, 2))) == (0, 0)


def test_levels_are_a_character_each_and_long_runs_are_counted():
    assert levels_text(np.array([0, 1, 0.5, 0, 0, 0])) == "A_gAAA"
    assert levels_text(np.array([0.0] * 300 + [1.0])) == "(300)A_"
    assert levels_text(np.array([-1.0, 2.0])) == "A_"
    assert len(levels_text(np.zeros(MAX_STOPS))) < 10
