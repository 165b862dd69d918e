import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import metrics
from core.model import audio
from core.model.bundle import Calibration
from core.model.logmel import log_mel
from core.model.tagger import Tagger, pool
from training import datasets, evaluate
from training.datasets import Frames


@st.composite
def scored(draw) -> tuple[np.ndarray, np.ndarray]:
    """Logits float32 [clips, tags] that know something of the labels, too sure of themselves or too shy, and off the middle."""
    clips, tags = draw(st.integers(20, 80)), draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = (random.random((clips, tags)) < random.uniform(0.1, 0.6, tags)).astype(np.float32)
    truth = 2 * labels - 1 + random.normal(0, 1.5, (clips, tags))
    return (draw(st.sampled_from([0.3, 1.0, 3.0])) * truth + draw(st.sampled_from([-1.0, 0.0, 1.0]))).astype(np.float32), labels


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    told = np.clip(probabilities.astype(float), 1e-9, 1 - 1e-7)
    return float(-np.mean(labels * np.log(told) + (1 - labels) * np.log(1 - told)))


def untouched(tags: int) -> Calibration:
    return Calibration(np.ones(tags, np.float32), np.zeros(tags, np.float32), np.full(tags, 0.5, np.float32))


@given(scored())
@settings(max_examples=15, deadline=None)
def test_calibration_never_worsens_the_log_loss_of_what_it_was_fitted_to(data):
    logits, labels = data
    calibration = evaluate.calibrate(logits, labels)
    before, after = (log_loss(one.probabilities(logits), labels) for one in (untouched(labels.shape[1]), calibration))
    assert after <= before + 1e-4


@given(scored())
@settings(max_examples=15, deadline=None)
def test_thresholds_lie_within_the_grid_and_there_is_one_for_every_tag(data):
    logits, labels = data
    calibration = evaluate.calibrate(logits, labels)
    assert calibration.slope.shape == calibration.offset.shape == calibration.threshold.shape == (labels.shape[1],)
    assert ((calibration.threshold >= 0.1 - 1e-6) & (calibration.threshold <= 0.8 + 1e-6)).all()


def test_overconfident_logits_are_pulled_back_to_how_often_they_come_true():
    random = np.random.default_rng(0)
    wish = random.normal(0, 1.5, (4000, 3))
    labels = (random.random(wish.shape) < 1 / (1 + np.exp(-wish))).astype(np.float32)
    calibration = evaluate.calibrate((3 * wish + 2).astype(np.float32), labels)
    np.testing.assert_allclose(calibration.slope, 1 / 3, atol=0.05)
    np.testing.assert_allclose(calibration.offset, -2 / 3, atol=0.15)


def rare_and_common(examples: int) -> tuple[Calibration, Calibration]:
    """Calibrations of nine tags that agree and one that is the other way round, which has so many examples; and of the nine alone."""
    random = np.random.default_rng(1)
    labels = np.zeros((400, 10), np.float32)
    labels[:, :9] = random.random((400, 9)) < 0.3
    labels[:examples, 9] = 1
    logits = (2 * labels - 1 + random.normal(0, 1.5, labels.shape)).astype(np.float32)
    logits[:, 9] = np.where(labels[:, 9] > 0, -4, 0)  # by itself this tag would want a slope below zero
    return evaluate.calibrate(logits, labels), evaluate.calibrate(logits[:, :9], labels[:, :9])


def test_a_tag_with_few_examples_borrows_its_calibration_and_threshold_from_the_others():
    common = rare_and_common(1)[1]
    distance = {}
    for examples in (1, 200):
        with_rare, _ = rare_and_common(examples)
        distance[examples] = abs(with_rare.slope[9] - common.slope.mean())
    assert distance[1] < 0.75 * distance[200]


def test_a_tag_that_validation_never_heard_gets_finite_numbers_and_the_common_threshold():
    random = np.random.default_rng(2)
    labels = (random.random((100, 3)) < 0.4).astype(np.float32)
    labels[:, 2] = 0
    logits = (2 * labels - 1 + random.normal(0, 1, labels.shape)).astype(np.float32)
    calibration = evaluate.calibrate(logits, labels)
    assert all(np.isfinite(values).all() for values in (calibration.slope, calibration.offset))
    grid = np.linspace(0.1, 0.8, 71)
    assert np.abs(grid - calibration.threshold[2]).min() < 1e-6


def single_precision(clips: list[datasets.Clip]) -> Frames:
    """The frames as the tagger has them: not rounded to half precision, as the training cache is."""
    frames = [log_mel(audio.load(clip.path).samples).T for clip in clips]
    return Frames(np.concatenate(frames), np.cumsum([0, *map(len, frames)]))


@pytest.mark.parametrize(("kept", "tolerance"), [(single_precision, 1e-4), (None, 0.02)], ids=["as-computed", "as-cached"])
def test_clips_are_scored_as_the_tagger_scores_them_from_the_saved_bundle(trained, labelled, kept, tolerance):
    clips, cached = labelled
    frames = kept(clips) if kept else cached
    tagger = Tagger.from_folder(trained.folder)
    logits = evaluate.clip_logits(
        trained.network(), frames, np.arange(len(clips)), trained.scaler, lambda windows: pool(windows, trained.pooling)
    )
    told = np.stack([tagger.tag(audio.load(clip.path)).probabilities for clip in clips])
    lengths = {frames.clip(index).shape[1] for index in range(len(clips))}
    assert min(lengths) < 96 < max(lengths)  # one window that must be filled, and several
    np.testing.assert_allclose(trained.calibration.probabilities(logits), told, atol=tolerance)


def test_scores_in_the_bundle_are_those_of_its_tagger_on_the_test_recordings(trained, labelled):
    clips, _ = labelled
    held_out = set(trained.description["trained"]["test_recordings"])
    test = [clip for clip in clips if clip.recording in held_out]
    tagger = Tagger.from_folder(trained.folder)
    probabilities = np.stack([tagger.tag(audio.load(clip.path)).probabilities for clip in test])
    labels = datasets.multi_hot(test, trained.vocabulary)
    assert len(test) == trained.metrics["clips"]
    assert metrics.reliability(labels, probabilities)["ece"] == pytest.approx(trained.metrics["reliability"]["ece"], abs=0.01)
    assert metrics.overall(labels, probabilities)["pr_auc_macro"] == pytest.approx(trained.metrics["overall"]["pr_auc_macro"], abs=0.01)


def test_numbers_are_rounded_and_what_is_no_number_is_left(trained):
    assert evaluate.rounded({"a": 0.123456, "b": None, "c": 3}) == {"a": 0.1235, "b": None, "c": 3}
    json.dumps(trained.metrics, allow_nan=False)
