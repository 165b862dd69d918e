import json
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.model import metrics

LABELS = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]], np.float32)
SCORES = np.array([[0.9, 0.8, 0.1], [0.2, 0.7, 0.3], [0.6, 0.4, 0.2], [0.7, 0.1, 0.1]], np.float32)


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    """Fail where an undefined number is computed with a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@st.composite
def decisions(draw) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels and scores [clips, tags], with ties; any clip or tag may have all or none."""
    shape = draw(st.integers(1, 9)), draw(st.integers(1, 7))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = (random.random(shape) < draw(st.floats(0, 1))).astype(np.float32)
    return labels, random.integers(0, draw(st.integers(1, 20)) + 1, shape) / 20


def naive_roc_auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Return the chance that a true tag is scored above a false one, ties counting half."""
    true_scores, false_scores = score[truth > 0], score[truth == 0]
    return float(np.mean([(a > b) + 0.5 * (a == b) for a in true_scores for b in false_scores]))


def naive_average_precision(truth: np.ndarray, score: np.ndarray) -> float:
    """Sum precision times the recall that it adds, over falling thresholds."""
    total, before = 0.0, 0.0
    for cut in sorted(set(score.tolist()), reverse=True):
        predicted = score >= cut
        recall = truth[predicted].sum() / truth.sum()
        total, before = total + (recall - before) * truth[predicted].mean(), recall
    return float(total)


def test_auc_and_average_precision_are_those_of_scikit_learn_with_and_without_equal_scores():
    from sklearn.metrics import average_precision_score, roc_auc_score

    random = np.random.default_rng(0)
    for steps in (3, 50, 10**9):
        truth = random.random(3000) < 0.03
        score = ((random.integers(0, steps, 3000) + steps * 0.3 * truth) / steps).astype(np.float32)
        assert metrics.roc_auc_and_average_precision(truth, score) == pytest.approx(
            (roc_auc_score(truth, score), average_precision_score(truth, score)), abs=1e-9
        )


def test_a_worked_example_has_these_scores():
    result = metrics.overall(LABELS, SCORES)
    # Each tag has four pairs of a clip with it and one without: three of the first tag's are in
    # order, two of the second's; no clip has the third.
    assert result["roc_auc_macro"] == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert result["pr_auc_macro"] == pytest.approx(((1 + 2 / 3) / 2 + (1 / 2 + 2 / 3) / 2) / 2)
    assert result["exact_match_accuracy"] == 0.25
    assert result["precision_at_5"] == pytest.approx((1 / 3 + 1 / 3 + 2 / 3) / 3)
    assert result["recall_at_5"] == 1


@given(decisions())
@settings(deadline=None)
def test_overall_scores_are_those_of_naive_loops_over_the_tags_that_have_both_kinds_of_clips(data):
    labels, scores = data
    result = metrics.overall(labels, scores)
    used = [k for k in range(labels.shape[1]) if 0 < labels[:, k].sum() < len(labels)]
    for name, naive in (("roc_auc", naive_roc_auc), ("pr_auc", naive_average_precision)):
        macro = np.mean([naive(labels[:, k], scores[:, k]) for k in used]) if used else None
        micro = naive(labels.ravel(), scores.ravel()) if 0 < labels.sum() < labels.size else None
        assert result[f"{name}_macro"] == (pytest.approx(macro) if used else None)
        assert result[f"{name}_micro"] == (pytest.approx(micro) if micro is not None else None)
    right = [
        all((scores[i, k] >= 0.5) == (labels[i, k] == 1) for k in range(labels.shape[1]))
        for i in range(len(labels))
    ]
    assert result["exact_match_accuracy"] == pytest.approx(np.mean(right))


@given(decisions(), st.integers(1, 8))
@settings(deadline=None)
def test_precision_and_recall_at_k_are_those_of_naive_loops(data, k):
    labels, scores = data
    best = [
        sorted(range(labels.shape[1]), key=lambda tag, i=i: (-scores[i, tag], tag))[:k]
        for i in range(len(labels))
    ]
    precision = np.mean([np.mean([labels[i, tag] for tag in top]) for i, top in enumerate(best)])
    assert metrics.precision_at(labels, scores, k) == pytest.approx(precision)
    tagged = [i for i in range(len(labels)) if labels[i].any()]
    recall = (
        np.mean([sum(labels[i, tag] for tag in best[i]) / labels[i].sum() for i in tagged])
        if tagged
        else None
    )
    assert metrics.recall_at(labels, scores, k) == (pytest.approx(recall) if tagged else None)


def test_equal_scores_keep_the_order_of_the_vocabulary():
    labels = np.array([[1, 0, 0]])
    assert metrics.precision_at(labels, np.zeros((1, 3)), 1) == 1
    assert metrics.precision_at(labels[:, ::-1], np.zeros((1, 3)), 1) == 0


@pytest.mark.parametrize(
    "labels", [np.zeros((3, 2)), np.ones((3, 2)), np.zeros((0, 2)), np.zeros((3, 0))], ids=str
)
def test_what_labels_do_not_define_is_none_and_fits_into_json(labels):
    scores = np.full(labels.shape, 0.4)
    result = metrics.overall(labels, scores)
    assert [
        result[name] for name in ("roc_auc_macro", "roc_auc_micro", "pr_auc_macro", "pr_auc_micro")
    ] == [None] * 4
    rest = (metrics.curves(labels, scores), metrics.reliability(labels, scores))
    json.dumps([result, *rest], allow_nan=False)
    assert metrics.curves(labels, scores)["roc"]["true_positive_rate"] == []


def test_clips_without_tags_count_for_precision_at_five_neither_way():
    labels, scores = np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.1], [0.9, 0.1]])
    assert (
        metrics.overall(labels, scores)["precision_at_5"]
        == metrics.overall(labels[:1], scores[:1])["precision_at_5"]
        == 0.5
    )
    assert metrics.overall(labels, scores)["recall_at_5"] == 1


def test_each_tag_has_its_own_row_at_its_own_threshold():
    thresholds, recordings = np.array([0.65, 0.5, 0.5]), np.array(["9", "8", "9", "7"])
    first, second, third = metrics.per_tag(LABELS, SCORES, thresholds, recordings)
    assert first == {
        "pr_auc": pytest.approx(1 / 2 + 1 / 3),
        "roc_auc": 0.75,
        "precision": 0.5,
        "recall": 0.5,
        "clips": 2,
        "recordings": 1,
    }
    assert second["precision"] == 0.5
    assert second["recall"] == 0.5
    assert (second["clips"], second["recordings"]) == (2, 2)
    assert third == {
        "pr_auc": None,
        "roc_auc": None,
        "precision": None,
        "recall": None,
        "clips": 0,
        "recordings": 0,
    }


def test_a_tag_that_every_clip_has_has_no_roc_auc():
    (row,) = metrics.per_tag(
        np.ones((3, 1)), np.array([[0.1], [0.6], [0.7]]), np.array([0.5]), np.array([1, 2, 2])
    )
    assert row == {
        "pr_auc": 1,
        "roc_auc": None,
        "precision": 1,
        "recall": pytest.approx(2 / 3),
        "clips": 3,
        "recordings": 2,
    }


@given(decisions())
@settings(max_examples=40, deadline=None)
def test_rows_per_tag_agree_with_the_overall_average(data):
    labels, scores = data
    rows = metrics.per_tag(labels, scores, np.full(labels.shape[1], 0.5), np.arange(len(labels)))
    defined = [row for row in rows if row["roc_auc"] is not None]
    assume(defined)
    result = metrics.overall(labels, scores)
    assert np.mean([row["roc_auc"] for row in defined]) == pytest.approx(result["roc_auc_macro"])
    assert np.mean([row["pr_auc"] for row in defined]) == pytest.approx(result["pr_auc_macro"])
    assert [row["recordings"] for row in rows] == [row["clips"] for row in rows]


@given(decisions())
@settings(deadline=None)
def test_curves_run_over_the_whole_axis_and_the_roc_curve_never_falls(data):
    labels, scores = data
    assume(0 < labels.sum() < labels.size)
    result = metrics.curves(labels, scores)
    roc, precision_recall = result["roc"], result["precision_recall"]
    assert (
        roc["false_positive_rate"]
        == precision_recall["recall"]
        == [round(x / 100, 4) for x in range(101)]
    )
    assert (np.diff(roc["true_positive_rate"]) >= 0).all()
    assert roc["true_positive_rate"][-1] == 1
    assert all(
        0 <= value <= 1 for value in roc["true_positive_rate"] + precision_recall["precision"]
    )
    assert (
        precision_recall["precision"][-1] == pytest.approx(labels.mean(), abs=1e-4)
        or scores.min() < scores[labels == 1].min()
    )


def test_the_area_under_the_thinned_roc_curve_is_the_roc_auc():
    random = np.random.default_rng(0)
    labels = (random.random((400, 5)) < 0.3).astype(float)
    scores = random.random((400, 5)) + 0.5 * labels
    roc = metrics.curves(labels, scores)["roc"]
    area = np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"])
    assert area == pytest.approx(metrics.overall(labels, scores)["roc_auc_micro"], abs=0.005)


def test_reliability_compares_what_was_said_with_what_was_so():
    labels = np.array([[1, 0], [1, 1]])
    probabilities = np.array([[0.95, 0.05], [0.85, 1.0]])
    result = metrics.reliability(labels, probabilities)
    assert result["count"] == [1, 1, 2]
    assert result["predicted"] == [0.05, 0.85, 0.975]
    assert result["observed"] == [0, 1, 1]
    assert result["ece"] == pytest.approx((0.05 + 0.15 + 2 * 0.025) / 4)


@given(decisions(), st.integers(1, 12))
@settings(deadline=None)
def test_reliability_is_that_of_a_naive_loop_over_bins(data, bins):
    labels, probabilities = data
    truth, predicted = labels.ravel().astype(float), probabilities.ravel()
    error, counts = 0.0, []
    for lower in range(bins):
        inside = [
            i for i, value in enumerate(predicted) if min(int(value * bins), bins - 1) == lower
        ]
        if inside:
            counts.append(len(inside))
            error += (
                len(inside)
                * abs(np.mean(truth[inside]) - np.mean(predicted[inside]))
                / len(predicted)
            )
    result = metrics.reliability(labels, probabilities, bins)
    assert result["count"] == counts
    assert result["ece"] == pytest.approx(error)


def test_probabilities_that_come_true_have_no_calibration_error():
    predicted = np.repeat([0.05, 0.25, 0.75], 100)
    truth = np.concatenate([np.arange(100) < share * 100 for share in (0.05, 0.25, 0.75)])
    assert metrics.reliability(truth[:, None], predicted[:, None])["ece"] == pytest.approx(
        0, abs=1e-9
    )
