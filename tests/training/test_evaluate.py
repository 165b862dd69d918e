import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.audio.decode import decode
from core.model import metrics
from core.model.bundle import Calibration
from core.model.front_end import network_frames
from core.model.logmel import COALA
from core.model.predictor import Predictor
from training import evaluate
from training.datasets.clips import Clip, multi_hot
from training.datasets.types import Frames, Subset
from training.errors import DatasetError


@st.composite
def scored(draw) -> tuple[np.ndarray, np.ndarray]:
    """Logits float32 [clips, tags] and labels that they agree with in part.

    They are overconfident or underconfident, and off the middle.
    """
    clips, tags = draw(st.integers(20, 80)), draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = (random.random((clips, tags)) < random.uniform(0.1, 0.6, tags)).astype(np.float32)
    truth = 2 * labels - 1 + random.normal(0, 1.5, (clips, tags))
    return (
        draw(st.sampled_from([0.3, 1.0, 3.0])) * truth + draw(st.sampled_from([-1.0, 0.0, 1.0]))
    ).astype(np.float32), labels


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    certain = np.clip(probabilities.astype(float), 1e-9, 1 - 1e-7)
    return float(-np.mean(labels * np.log(certain) + (1 - labels) * np.log(1 - certain)))


def untouched(tags: int) -> Calibration:
    return Calibration(
        np.ones(tags, np.float32), np.zeros(tags, np.float32), np.full(tags, 0.5, np.float32)
    )


@given(scored())
@settings(max_examples=15, deadline=None)
def test_calibration_never_worsens_the_log_loss_of_what_it_was_fitted_to(data):
    logits, labels = data
    calibration = evaluate.calibrate(logits, labels)
    before, after = (
        log_loss(each.probabilities(logits), labels)
        for each in (untouched(labels.shape[1]), calibration)
    )
    assert after <= before + 1e-4


@given(scored())
@settings(max_examples=15, deadline=None)
def test_thresholds_lie_within_the_grid_and_every_tag_has_a_threshold(data):
    logits, labels = data
    calibration = evaluate.calibrate(logits, labels)
    assert (
        calibration.slope.shape
        == calibration.offset.shape
        == calibration.threshold.shape
        == (labels.shape[1],)
    )
    assert ((calibration.threshold >= 0.1 - 1e-6) & (calibration.threshold <= 0.8 + 1e-6)).all()


def test_overconfident_logits_are_pulled_back_to_how_often_they_come_true():
    random = np.random.default_rng(0)
    wish = random.normal(0, 1.5, (4000, 3))
    labels = (random.random(wish.shape) < 1 / (1 + np.exp(-wish))).astype(np.float32)
    calibration = evaluate.calibrate((3 * wish + 2).astype(np.float32), labels)
    np.testing.assert_allclose(calibration.slope, 1 / 3, atol=0.05)
    np.testing.assert_allclose(calibration.offset, -2 / 3, atol=0.15)


def rare_and_common(examples: int) -> tuple[Calibration, Calibration]:
    """Calibrations of nine tags and one more, and of the nine alone.

    The nine agree; the other tag is the other way round and has so many `examples`.
    """
    random = np.random.default_rng(1)
    labels = np.zeros((400, 10), np.float32)
    labels[:, :9] = random.random((400, 9)) < 0.3
    labels[:examples, 9] = 1
    logits = (2 * labels - 1 + random.normal(0, 1.5, labels.shape)).astype(np.float32)
    logits[:, 9] = np.where(
        labels[:, 9] > 0, -4, 0
    )  # by itself this tag would want a slope below zero
    return evaluate.calibrate(logits, labels), evaluate.calibrate(logits[:, :9], labels[:, :9])


def test_a_tag_with_few_examples_borrows_its_calibration_and_threshold_from_the_others():
    common = rare_and_common(1)[1]
    distance = {}
    for examples in (1, 200):
        with_rare, _ = rare_and_common(examples)
        distance[examples] = abs(with_rare.slope[9] - common.slope.mean())
    assert distance[1] < 0.75 * distance[200]


def test_a_tag_that_validation_does_not_have_gets_finite_numbers_and_the_common_threshold():
    random = np.random.default_rng(2)
    labels = (random.random((100, 3)) < 0.4).astype(np.float32)
    labels[:, 2] = 0
    logits = (2 * labels - 1 + random.normal(0, 1, labels.shape)).astype(np.float32)
    calibration = evaluate.calibrate(logits, labels)
    assert all(np.isfinite(values).all() for values in (calibration.slope, calibration.offset))
    grid = np.linspace(0.1, 0.8, 71)
    assert np.abs(grid - calibration.threshold[2]).min() < 1e-6


def single_precision(clips: list[Clip]) -> Frames:
    """The frames as the predictor has them; the training cache is in half precision."""
    frames = [network_frames(decode(clip.path).samples, COALA).T for clip in clips]
    return Frames(np.concatenate(frames), np.cumsum([0, *map(len, frames)]))


@pytest.mark.parametrize(
    ("kept", "tolerance"),
    [(single_precision, 1e-4), (None, 0.02)],
    ids=["as-computed", "as-cached"],
)
def test_clips_are_scored_as_the_predictor_scores_them_from_the_saved_bundle(
    trained, labelled, kept, tolerance
):
    clips, cached = labelled
    frames = kept(clips) if kept else cached
    predictor = Predictor.from_folder(trained.folder)
    none = np.zeros((len(clips), 0), np.float32)
    subset = Subset(frames, np.arange(len(clips)), none, np.array([c.recording for c in clips]))
    network, scaler = trained.network(), trained.scaler
    logits = evaluate.clip_logits(network, subset, scaler, trained.pooling)
    predicted = np.stack([predictor.predict(decode(clip.path)).probabilities for clip in clips])
    lengths = {frames.clip(index).shape[1] for index in range(len(clips))}
    assert min(lengths) < 96 < max(lengths)  # one window that must be filled, and several
    np.testing.assert_allclose(trained.calibration.probabilities(logits), predicted, atol=tolerance)


def test_scores_in_the_bundle_are_those_of_its_predictor_on_the_test_recordings(trained, labelled):
    clips, _ = labelled
    held_out = set(trained.description["trained"]["test_recordings"])
    test = [clip for clip in clips if clip.recording in held_out]
    predictor = Predictor.from_folder(trained.folder)
    probabilities = np.stack([predictor.predict(decode(clip.path)).probabilities for clip in test])
    labels = multi_hot(test, trained.vocabulary)
    assert len(test) == trained.metrics["clips"]
    assert metrics.reliability(labels, probabilities)["ece"] == pytest.approx(
        trained.metrics["reliability"]["ece"], abs=0.01
    )
    assert metrics.overall(labels, probabilities)["pr_auc_macro"] == pytest.approx(
        trained.metrics["overall"]["pr_auc_macro"], abs=0.01
    )


def test_numbers_are_rounded_and_what_is_no_number_is_left(trained):
    assert evaluate.rounded({"a": 0.123456, "b": None, "c": 3}) == {"a": 0.1235, "b": None, "c": 3}
    json.dumps(trained.metrics, allow_nan=False)


def test_the_precision_thresholds_reach_their_precision_and_no_lower_one_does():
    random = np.random.default_rng(4)
    labels = (random.random((200, 2)) < 0.4).astype(np.float32)
    probabilities = (0.3 * labels + 0.7 * random.random(labels.shape)).astype(np.float32)
    for key, precision in (("precision_0.8", 0.8), ("precision_0.9", 0.9)):
        thresholds = evaluate.thresholds_for_precision(probabilities, labels, ("a", "b"))[key]
        for column, tag in enumerate(("a", "b")):
            threshold = thresholds[tag]
            assert threshold is not None
            lower = np.unique(probabilities[:, column])
            for candidate in lower[lower < threshold - 1e-4]:
                assert labels[probabilities[:, column] >= candidate, column].mean() < precision
            above = probabilities[:, column] >= threshold - 1e-4
            assert labels[above, column].mean() == pytest.approx(precision, abs=0.05)


def test_a_precision_that_no_threshold_reaches_has_none():
    labels = np.array([[0.0], [0.0], [1.0]], np.float32)
    probabilities = np.array([[0.9], [0.8], [0.1]], np.float32)
    thresholds = evaluate.thresholds_for_precision(probabilities, labels, ("a",))
    assert thresholds == {"precision_0.8": {"a": None}, "precision_0.9": {"a": None}}


def test_the_bundle_is_scored_again_on_its_test_recordings(trained, clip_folder, tmp_path):
    scores = evaluate.evaluate_bundle(trained, clip_folder, tmp_path)
    assert scores["overall"] == pytest.approx(trained.metrics["overall"], abs=2e-3)
    assert (scores["clips"], scores["split"]) == (
        trained.metrics["clips"],
        trained.metrics["split"],
    )
    lines = "\n".join(evaluate.summary_lines(scores))
    assert f"{scores['overall']['pr_auc_macro']:.3f}" in lines
    assert all(tag in lines for tag in trained.vocabulary)


def test_only_the_tags_that_clips_are_labelled_with_are_scored(trained, clip_folder, tmp_path):
    own = trained.vocabulary[1:]
    described = dict(trained.description)
    described["trained"] = {**trained.description["trained"], "own_tags": list(reversed(own))}

    scores = evaluate.evaluate_bundle(
        replace(trained, description=described), clip_folder, tmp_path
    )

    assert tuple(scores["per_tag"]) == own
    for tag in own:
        assert scores["per_tag"][tag] == pytest.approx(trained.metrics["per_tag"][tag], abs=2e-3)
    pr_aucs = [row["pr_auc"] for row in scores["per_tag"].values() if row["pr_auc"] is not None]
    assert scores["overall"]["pr_auc_macro"] == pytest.approx(np.mean(pr_aucs), abs=1e-3)


def test_a_split_may_name_other_test_recordings(trained, clip_folder, labelled, tmp_path):
    clips, _ = labelled
    recordings = sorted({clip.recording for clip in clips})
    split = tmp_path / "split.json"
    listed = {"train": recordings[::2], "validation": [], "test": recordings[1::2]}
    split.write_text(json.dumps(listed))
    scores = evaluate.evaluate_bundle(trained, clip_folder, tmp_path, split)
    assert scores["recordings"] == len(recordings[1::2])


def test_a_folder_without_the_test_recordings_is_refused(predictor, clip_folder, tmp_path):
    with pytest.raises(DatasetError, match="no clips of the test recordings"):
        evaluate.evaluate_bundle(predictor.bundle, clip_folder, tmp_path)


def test_an_interval_holds_the_score_and_is_wider_when_recordings_are_drawn():
    random = np.random.default_rng(3)
    recordings = np.repeat(np.arange(20), 10)
    labels = (random.random((20, 4)) < 0.4)[recordings]
    offsets = random.normal(0, 1, (20, 4))[recordings]
    scores = labels + offsets + random.normal(0, 0.2, labels.shape)
    whole = metrics.overall(labels, scores)
    by_clip = metrics.bootstrap(labels, scores)
    by_recording = metrics.bootstrap(labels, scores, recordings)
    for name in ("pr_auc_macro", "pr_auc_micro"):
        for low, high in (by_clip[name], by_recording[name]):
            assert low <= whole[name] + 0.05
            assert whole[name] - 0.05 <= high
        assert np.ptp(by_recording[name]) > np.ptp(by_clip[name])
