"""What is behind the scores of each tag, against scikit-learn and worked examples."""

import json

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_auc_score,
)

from core.model import metrics, metrics_detail
from core.model.metrics_detail import ScoredClip, ScoredTags
from core.proportions import wilson

TAGS = ("rain", "wind")


def scored(labels, probabilities, recordings=None, thresholds=(0.5, 0.5), tags=TAGS) -> ScoredTags:
    labels, probabilities = np.array(labels), np.array(probabilities, float)
    names = recordings or [str(row) for row in range(len(labels))]
    clips = [
        ScoredClip(name, tuple(tag for tag, has in zip(tags, row, strict=True) if has), f"{row}")
        for name, row in zip(names, labels, strict=True)
    ]
    return ScoredTags(labels, probabilities, np.array(thresholds), tags, clips)


def random_scored(seed=0, clips=120, per_recording=3) -> ScoredTags:
    random = np.random.default_rng(seed)
    names = [str(row // per_recording) for row in range(clips)]
    labels = random.random((clips, 2)) < (0.4, 0.2)
    probabilities = (0.6 * labels + random.random((clips, 2))).round(2) / 1.6
    return scored(labels, probabilities, names)


def test_scores_of_clips_counted_several_times_are_scikit_learns_with_weights():
    data = random_scored()
    times = metrics_detail.drawn_times(data.recordings, 20, seed=3)
    truth, values = data.labels[:, 0], data.probabilities[:, 0]
    precisions, roc_aucs = metrics_detail.weighted_auc(truth, values, times)
    for weights, precision, roc_auc in zip(times, precisions, roc_aucs, strict=True):
        expected = average_precision_score(truth, values, sample_weight=weights)
        assert precision == pytest.approx(expected)
        assert roc_auc == pytest.approx(roc_auc_score(truth, values, sample_weight=weights))


def test_clips_of_a_recording_are_drawn_together_and_as_many_recordings_as_there_are():
    names = np.array(["a", "a", "a", "b", "c", "c"])
    times = metrics_detail.drawn_times(names, 50)
    assert (times[:, 0] == times[:, 1]).all()
    assert (times[:, 4] == times[:, 5]).all()
    assert (times[:, [0, 3, 4]].sum(axis=1) == 3).all()


def test_intervals_of_a_tag_hold_scikit_learns_scores_and_are_the_same_every_time():
    data = random_scored()
    first, second = (metrics_detail.tag_details(data)["rain"]["intervals"] for _ in range(2))
    assert first == second
    truth, values = data.labels[:, 0], data.probabilities[:, 0]
    scores = {
        "pr_auc": average_precision_score(truth, values),
        "roc_auc": roc_auc_score(truth, values),
        "precision": precision_score(truth, values >= 0.5),
        "recall": recall_score(truth, values >= 0.5),
    }
    for name, score in scores.items():
        low, high = first[name]
        assert low < score < high, name


def test_an_interval_covers_the_true_share_in_about_95_of_100_samples():
    covered = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        truth = np.ones(80, bool)
        truth[40:] = False
        values = np.where(random.random(80) < 0.7, 0.9, 0.1) * truth
        names = np.arange(80).astype(str)
        times = metrics_detail.drawn_times(names, 300, seed)
        low, high = metrics_detail.tag_intervals(truth, values, 0.5, times, names)["recall"]
        covered += low <= 0.7 <= high
    assert covered >= 53


def test_clips_of_one_recording_make_an_interval_wider_than_single_ones():
    random = np.random.default_rng(0)
    found = np.repeat(random.random(20) < 0.6, 6)  # all clips of a recording alike
    truth, values = np.ones(240, bool), np.zeros(240)
    truth[120:] = False
    values[:120] = found

    def width(names) -> float:
        times = metrics_detail.drawn_times(names, 500)
        low, high = metrics_detail.tag_intervals(truth, values, 0.5, times, names)["recall"]
        return high - low

    assert width(np.arange(240) // 6) > 1.7 * width(np.arange(240))


def test_ten_of_ten_recordings_do_not_prove_that_all_are_found():
    data = scored([[1, 0]] * 10 + [[0, 1]] * 10, [[0.9, 0.1]] * 10 + [[0.1, 0.9]] * 10)
    intervals = metrics_detail.tag_details(data)["rain"]["intervals"]
    assert intervals["recall"] == pytest.approx([round(each, 4) for each in wilson(1.0, 10)])
    assert intervals["recall"][0] < 0.75
    assert intervals["pr_auc"] is None


def test_two_recordings_give_no_interval():
    data = scored([[1, 0], [1, 0], [0, 1], [0, 1]], [[0.9, 0], [0.2, 0], [0.1, 0.9], [0.6, 0.9]])
    assert set(metrics_detail.tag_details(data)["rain"]["intervals"].values()) == {None}


def test_intervals_of_all_tags_hold_the_scores_and_know_every_one_of_them():
    random = np.random.default_rng(1)
    labels = random.random((240, 7)) < 0.4
    names = [str(row // 3) for row in range(240)]
    probabilities = (0.6 * labels + random.random((240, 7))) / 1.6
    data = scored(labels, probabilities, names, np.full(7, 0.5), tuple("abcdefg"))
    overall = metrics.overall(data.labels, data.probabilities)
    intervals = metrics_detail.overall_intervals(data, rounds=200)
    assert intervals.keys() == overall.keys()
    for name, (low, high) in intervals.items():
        assert low <= overall[name] <= high, name
    by_recording = metrics.bootstrap(data.labels, data.probabilities, data.recordings, rounds=200)
    assert intervals["pr_auc_macro"] == pytest.approx(by_recording["pr_auc_macro"], abs=0.02)


def test_precision_and_recall_trade_off_as_scikit_learn_has_it():
    data = random_scored()
    truth, values = data.labels[:, 0], data.probabilities[:, 0]
    precisions, _, thresholds = precision_recall_curve(truth, values)
    for precision in (0.6, 0.8, 0.9):
        reached = [
            threshold
            for threshold, share in zip(thresholds, precisions, strict=False)
            if share >= precision
            and (truth & (values >= threshold)).sum() >= metrics_detail.MIN_TRUE_POSITIVES
        ]
        assert metrics_detail.threshold_for(values, truth, precision) == pytest.approx(min(reached))


def test_a_precision_that_no_threshold_reaches_leaves_no_suggestions():
    data = scored([[0, 1]] * 4 + [[1, 0]] * 4, [[0.9, 0.9]] * 4 + [[0.1, 0.1]] * 4)
    now, strict = metrics_detail.threshold_choices(data, [0.9])
    assert now["precision"] is None
    assert now["per_tag"]["rain"]["suggested"] == 4
    assert strict["per_tag"]["rain"] == {
        **{"threshold": None, "precision": None, "recall": 0.0},
        **{"suggested": 0, "true_positives": 0},
    }
    assert strict["per_tag"]["wind"]["threshold"] == 0.9
    assert (strict["tags"], strict["overall"]["suggested"]) == (1, 4)
    assert strict["overall"]["recall"] == 0.5


def test_a_missed_tag_names_what_was_suggested_instead_and_a_wrong_one_what_it_was():
    data = scored(
        [[1, 0], [1, 0], [1, 0], [0, 1], [0, 0]],
        [[0.2, 0.9], [0.1, 0.8], [0.9, 0.1], [0.1, 0.9], [0.7, 0.1]],
    )
    details = metrics_detail.tag_details(data)
    assert details["rain"]["missed_for"] == {"wind": 2}
    assert details["wind"]["wrong_for"] == {"rain": 2}
    assert details["rain"]["wrong_for"] == {}  # the clip has no tag at all
    assert [each["recording"] for each in details["rain"]["false_positives"]] == ["4"]
    assert [each["recording"] for each in details["rain"]["false_negatives"]] == ["1", "0"]
    assert details["wind"]["false_positives"][0] == {
        **{"recording": "0", "file": "[1 0]", "start_s": None},
        **{"probability": 0.9, "tags": ["rain"]},
    }


def test_examples_are_one_of_each_recording_and_bounded():
    clips = 200
    names = [str(row // 4) for row in range(clips)]
    data = scored([[0, 1]] * clips + [[1, 0]], [[0.9, 0.1]] * clips + [[0.9, 0]], [*names, "x"])
    examples = metrics_detail.tag_details(data, rounds=10)["rain"]["false_positives"]
    assert len(examples) == metrics_detail.MAX_ERRORS_OF_TAG
    assert len({each["recording"] for each in examples}) == len(examples)


def test_reliability_and_curves_of_a_tag_are_those_of_its_own_decisions():
    data = random_scored()
    detail = metrics_detail.tag_details(data, rounds=10)["wind"]
    truth, values = data.labels[:, 1], data.probabilities[:, 1]
    assert detail["reliability"] == metrics.reliability(truth, values, 5)
    assert sum(detail["reliability"]["count"]) == len(truth)
    recall = detail["curves"]["precision_recall"]["recall"]
    assert (len(recall), recall[0], recall[-1]) == (metrics_detail.CURVE_POINTS, 0, 1)
    assert detail["curves"]["precision_recall"]["precision"][-1] == pytest.approx(
        truth.mean(), abs=0.2
    )


def test_all_of_it_is_json():
    data = random_scored()
    contents = [metrics_detail.tag_details(data, rounds=20), metrics_detail.threshold_choices(data)]
    assert json.loads(json.dumps(contents, allow_nan=False)) == contents
