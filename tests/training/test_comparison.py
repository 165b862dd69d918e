"""Champion against challenger: worked examples, and scikit-learn as the reference."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from training.retraining.comparison import Answers, Truth, compare, compare_shares, drawn_times
from training.retraining.report import report
from training.retraining.verdict import verdict

THRESHOLDS = np.array([0.5, 0.5], np.float32)


def answers(*rows):
    return Answers(np.array(rows, np.float32), THRESHOLDS)


def truth(labels, known=None, recordings=None):
    values = np.array(labels, np.float32)
    mask = np.ones(values.shape, bool) if known is None else np.array(known, bool)
    names = np.arange(len(values)).astype(str) if recordings is None else np.array(recordings)
    return Truth(values, mask, names)


def test_precision_and_recall_of_a_worked_example():
    # three suggestions of the champion, two right; of four present tags it finds two
    facts = truth([[1, 0], [1, 1], [0, 1], [0, 0]])
    champion = answers([0.9, 0.8], [0.9, 0.1], [0.2, 0.2], [0.1, 0.1])
    challenger = answers([0.9, 0.2], [0.9, 0.7], [0.2, 0.2], [0.1, 0.1])
    scores = compare(facts, champion, challenger)["scores"]
    assert scores["precision"]["champion"] == pytest.approx(2 / 3, abs=1e-4)
    assert scores["precision"]["challenger"] == 1
    assert scores["recall"]["champion"] == 0.5
    assert scores["recall"]["challenger"] == 0.75
    assert scores["recall"]["difference"] == 0.25


def test_only_decided_labels_count():
    facts = truth([[1, 0], [0, 0]], known=[[True, False], [True, False]])
    champion = answers([0.9, 0.9], [0.1, 0.9])
    part = compare(facts, champion, champion)
    assert part["decisions"] == 2
    assert part["scores"]["precision"]["champion"] == 1


def random_case(clips=60, tags=4, seed=3):
    random = np.random.default_rng(seed)
    labels = (random.random((clips, tags)) < 0.3).astype(np.float32)
    known = random.random((clips, tags)) < 0.8
    recordings = np.array([str(number // 2) for number in range(clips)])
    threshold = np.full(tags, 0.5, np.float32)
    weak, strong = (
        Answers((labels * share + random.random((clips, tags))).astype(np.float32), threshold)
        for share in (0.1, 1.5)
    )
    return Truth(labels, known, recordings), weak, strong


def test_pr_auc_is_that_of_scikit_learn():
    facts, weak, strong = random_case()
    scores = compare(facts, weak, strong)["scores"]
    by_tag = [
        average_precision_score(facts.labels[mask, tag], weak.probabilities[mask, tag])
        for tag, mask in enumerate(facts.known.T)
    ]
    assert scores["pr_auc_macro"]["champion"] == pytest.approx(np.mean(by_tag), abs=1e-4)
    micro = average_precision_score(facts.labels[facts.known], strong.probabilities[facts.known])
    assert scores["pr_auc_micro"]["challenger"] == pytest.approx(micro, abs=1e-4)


def test_each_round_weighs_the_recordings_that_it_drew_as_scikit_learn_does():
    facts, weak, strong = random_case()
    times = drawn_times(facts.recordings, seed=0, rounds=50)
    clip, tag = np.nonzero(facts.known)
    gains = [
        average_precision_score(
            facts.labels[clip, tag], strong.probabilities[clip, tag], sample_weight=drawn[clip]
        )
        - average_precision_score(
            facts.labels[clip, tag], weak.probabilities[clip, tag], sample_weight=drawn[clip]
        )
        for drawn in times[1:]
    ]
    interval = compare(facts, weak, strong, rounds=50)["scores"]["pr_auc_micro"]["interval"]
    assert interval == pytest.approx(np.percentile(gains, [2.5, 97.5]), abs=1e-4)


def test_clips_of_a_recording_are_drawn_together():
    times = drawn_times(np.array(["a", "a", "b", "c"]), seed=1)
    assert (times[:, 0] == times[:, 1]).all()
    assert (times[0] == 1).all()
    assert (times[1:, [0, 2, 3]].sum(axis=1) == 3).all()


def test_a_model_is_certainly_as_good_as_itself():
    facts, weak, _ = random_case()
    difference = compare(facts, weak, weak)["scores"]["pr_auc_macro"]
    assert difference["difference"] == 0
    assert difference["interval"] == [0, 0]


def test_few_recordings_have_no_interval():
    facts, weak, strong = random_case(clips=20)
    assert compare(facts, weak, strong)["scores"]["pr_auc_macro"]["interval"] is None


def test_shares_are_compared_recording_by_recording():
    recordings = np.array([str(n) for n in range(40)])
    before, after = np.arange(40) < 20, np.arange(40) < 10
    shares = compare_shares(before, after, recordings)
    assert (shares["champion"], shares["challenger"], shares["difference"]) == (0.5, 0.25, -0.25)
    low, high = shares["interval"]
    assert low < -0.25 < high < 0


def part(difference, interval):
    row = {"champion": 0.5, "challenger": 0.5 + difference, "difference": difference}
    scores = dict.fromkeys(
        ("pr_auc_macro", "pr_auc_micro", "precision", "recall"), row | {"interval": interval}
    )
    return {"clips": 30, "recordings": 30, "decisions": 60, "scores": scores}


@pytest.mark.parametrize(
    ("test", "held_back", "kind", "excludes_loss"),
    [
        (part(0.02, [0.0, 0.04]), None, "better", True),
        (part(0.02, [0.01, 0.04]), part(0.1, [0.02, 0.2]), "better", True),
        (part(0.02, [-0.01, 0.04]), None, "unclear", False),
        (part(0.02, [0.01, 0.04]), part(-0.1, [-0.2, 0.02]), "unclear", False),
        (part(0.02, [0.01, 0.04]), part(-0.1, [-0.2, -0.02]), "worse", False),
        (part(0.02, None), part(0.1, [0.02, 0.2]), "unclear", False),
    ],
)
def test_a_loss_is_excluded_only_where_every_interval_does(test, held_back, kind, excludes_loss):
    result = verdict({"test": test} | ({"held_back": held_back} if held_back else {}))
    assert (result["kind"], result["excludes_loss"]) == (kind, excludes_loss)


def test_the_report_names_both_models_the_data_and_what_was_left_out():
    parts = {"test": part(0.02, [0.01, 0.04])}
    counts = {"sounds": 9, "decisions": 20, "left_out": {"license unknown": 3}}
    text = report(
        {
            "champion": {"name": "cnn", "version": 3},
            "challenger": {"name": "cnn"},
            "verdict": verdict(parts),
            "parts": parts,
            "others": {},
            "corrections": counts | {"held_back": {"sounds": 2, "decisions": 5}},
        }
    )
    assert "cnn v3" in text
    assert "30 recordings" in text
    assert "+0.010 to +0.040" in text
    assert "3 license unknown" in text
