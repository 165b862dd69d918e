"""Thresholds learned from verdicts: the fit against scikit-learn, and changes as events."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from core.curation.errors import CurationError
from core.curation.feedback import open_feedback
from core.curation.tag_thresholds import (
    apply_automatically,
    apply_learned,
    fit,
    judged,
    learn,
    learn_tag,
    reset,
    revert,
)
from core.events.fold import confirm, fold
from core.events.types import (
    ModelRef,
    Predicted,
    Sound,
    Suggestion,
    ThresholdsSet,
    new_event,
    parse_event,
)
from core.storage.active_model import AUTOMATIC
from core.storage.local import open_local_workspace
from core.storage.tag_thresholds import changes_of, current_thresholds
from tests.helpers.events import V1, V2


def verdicts(n=400, seed=0, intercept=-0.5, slope=1.5):
    """Draw verdicts whose share of right ones follows a logistic curve of the score."""
    chance = np.random.default_rng(seed)
    scores = chance.uniform(0.05, 0.99, n)
    share = 1 / (1 + np.exp(-(intercept + slope * np.log(scores / (1 - scores)))))
    numbers = {}
    for score, right in zip(scores, chance.random(n) < share, strict=True):
        key = f"{int(score * 200):03d} {'right' if right else 'wrong'}"
        numbers[key] = numbers.get(key, 0) + 1
    return judged(numbers)


def each_verdict(sample):
    """Return logits of scores [n, 1] and verdicts [n], one row a verdict."""
    logits = np.log(sample.scores / (1 - sample.scores))
    right, wrong = sample.positives.astype(int), sample.negatives.astype(int)
    x = np.concatenate([np.repeat(logits, right), np.repeat(logits, wrong)])
    return x[:, np.newaxis], np.arange(len(x)) < right.sum()


@pytest.mark.parametrize("seed", range(5))
def test_the_fitted_curve_is_that_of_scikit_learn(seed):
    sample = verdicts(seed=seed)
    x, y = each_verdict(sample)
    expected = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000).fit(x, y)
    curve = fit(sample)
    assert curve.intercept == pytest.approx(expected.intercept_[0], abs=1e-5)
    assert curve.slope == pytest.approx(expected.coef_[0, 0], abs=1e-5)


def test_scores_that_part_right_and_wrong_perfectly_have_a_curve_too():
    sample = judged({"020 wrong": 30, "060 wrong": 30, "140 right": 30, "180 right": 30})
    x, y = each_verdict(sample)
    expected = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000).fit(x, y)
    assert fit(sample).slope == pytest.approx(expected.coef_[0, 0], abs=1e-4)


def test_the_points_are_where_the_curve_reaches_the_precision():
    sample = verdicts(2000)
    learned = learn_tag("dog", sample, 50)
    assert sorted(learned.points) == [0.85, 0.9, 0.95, 0.99]
    for precision, point in learned.points.items():
        x, y = each_verdict(sample)
        model = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000).fit(x, y)
        logit = math.log(point.threshold / (1 - point.threshold))
        assert model.predict_proba([[logit]])[0, 1] == pytest.approx(precision, abs=1e-5)
        low, high = point.interval
        assert low < point.threshold < high
        above = sample.scores >= point.threshold
        assert point.observed.part == sample.positives[above].sum()
        assert point.observed.n == sample.positives[above].sum() + sample.negatives[above].sum()


def test_intervals_of_points_hold_the_true_score_about_95_times_in_100():
    true = 1 / (1 + math.exp(-(math.log(0.9 / 0.1) + 0.5) / 1.5))
    intervals = [
        learn_tag("dog", verdicts(seed=seed), 50).points[0.9].interval for seed in range(200)
    ]
    held = sum(low <= true <= high for low, high in intervals)
    assert 180 <= held <= 198


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ({"100 right": 3}, "Too few verdicts: 3 of 50"),
        ({"100 right": 60}, "All 60 are right"),
        ({"100 wrong": 60}, "All 60 are wrong"),
        ({"100 right": 30, "100 wrong": 5, "180 right": 5, "180 wrong": 30}, "not more often"),
        ({"020 wrong": 90, "020 right": 1, "060 right": 30, "060 wrong": 60}, "No score"),
    ],
)
def test_verdicts_that_decide_nothing_give_no_threshold(numbers, reason):
    learned = learn_tag("dog", judged(numbers), 50)
    assert learned.points == {}
    assert reason in learned.reason


def test_no_threshold_lies_below_the_scores_that_were_judged():
    numbers = {"100 right": 200, "100 wrong": 20, "190 right": 300}
    learned = learn_tag("dog", judged(numbers), 50)
    assert learned.points[0.85].threshold == pytest.approx(100.5 / 200)


# ---- in a workspace


@pytest.fixture
def workspace(tmp_path):
    return open_local_workspace(tmp_path / "workspace")


def add_reviewed(workspace, number, probability, right, model=V1):
    top = (Suggestion(tag="dog", probability=probability, above_threshold=True),)
    sound = Sound(title="a sound", source="test")
    payload = Predicted(model=model, top=top, sound=sound)
    shown = new_event(payload, f"freesound:{number}", "job")
    review = confirm(fold([shown]), ["dog"] if right else [], "ada")
    workspace.events.append([shown, review])


@pytest.fixture
def reviewed_workspace(workspace):
    """Sixty reviewed sounds: suggestions below .7 are often wrong."""
    for number in range(1, 61):
        low = number % 2
        right = number % 6 == 1 if low else number % 20 != 0
        add_reviewed(workspace, number, 0.3 + number / 200 if low else 0.7 + number / 250, right)
    return workspace


def learned_of(workspace, model=V1, min_verdicts=50):
    return learn(open_feedback(workspace), model, min_verdicts)


def test_thresholds_are_learned_from_reviews_and_used_once_they_are_applied(reviewed_workspace):
    [dog] = learned_of(reviewed_workspace)
    assert (dog.tag, dog.n) == ("dog", 60)
    assert current_thresholds(reviewed_workspace, V1) == {}
    event = apply_learned(reviewed_workspace, V1, [dog], 0.85, "ada")
    assert current_thresholds(reviewed_workspace, V1) == {
        "dog": round(dog.points[0.85].threshold, 4)
    }
    assert event.payload.verdicts == {"dog": 60}
    assert current_thresholds(reviewed_workspace, V2) == {}
    assert apply_learned(reviewed_workspace, V1, [dog], 0.85, "ada") is None


def test_thresholds_learn_by_themselves_only_where_no_person_decided(reviewed_workspace):
    def learn_by_itself(min_verdicts=50):
        return apply_automatically(reviewed_workspace, V1, 0.85, min_verdicts)

    assert learn_by_itself(min_verdicts=61) is None
    event = learn_by_itself()
    assert event.actor == AUTOMATIC
    assert list(current_thresholds(reviewed_workspace, V1)) == ["dog"]
    assert learn_by_itself() is None
    revert(reviewed_workspace, V1, event.event_id, "ada")
    assert learn_by_itself() is None
    assert current_thresholds(reviewed_workspace, V1) == {}


def test_verdicts_on_another_version_teach_nothing(reviewed_workspace):
    assert learned_of(reviewed_workspace, V2) == []


def test_a_change_can_be_reverted_and_the_models_own_thresholds_be_restored(workspace):
    def change(tag, threshold):
        payload = ThresholdsSet(model=V1, thresholds={tag: threshold})
        changes = changes_of(workspace, V1)
        event = new_event(payload, None, "ada", base=changes[-1] if changes else None)
        workspace.events.append([event])
        return event.event_id

    change("dog", 0.5)
    second = change("dog", 0.7)
    change("rain", 0.9)
    revert(workspace, V1, second, "bob")
    assert current_thresholds(workspace, V1) == {"dog": 0.5, "rain": 0.9}
    assert revert(workspace, V1, second, "bob") is None
    reset(workspace, V1, "bob")
    assert current_thresholds(workspace, V1) == {}
    assert [event.actor for event in changes_of(workspace, V1)] == ["ada"] * 3 + ["bob"] * 2
    with pytest.raises(CurationError):
        revert(workspace, V1, "0" * 32, "bob")


def test_a_change_of_thresholds_is_no_verdict_and_changes_no_sound(reviewed_workspace):
    before = list(reviewed_workspace.sounds.all())
    counts = reviewed_workspace.sounds.verdict_counts()
    apply_learned(reviewed_workspace, V1, learned_of(reviewed_workspace), 0.85, "ada")
    assert list(reviewed_workspace.sounds.all()) == before
    assert reviewed_workspace.sounds.verdict_counts() == counts
    reviewed_workspace.events.rebuild()
    assert len(changes_of(reviewed_workspace, V1)) == 1


def test_a_change_survives_the_interchange_format():
    payload = ThresholdsSet(model=V1, thresholds={"dog": 0.5, "rain": None}, precision=0.9)
    event = new_event(payload, None, "ada")
    assert parse_event(event.to_json()) == event


def test_other_bundles_of_a_versions_name_keep_their_own_thresholds(workspace):
    payload = ThresholdsSet(model=V1, thresholds={"dog": 0.5})
    workspace.events.append([new_event(payload, None, "ada")])
    other = ModelRef(name=V1.name, version=V1.version, fingerprint="other")
    assert current_thresholds(workspace, other) == {}
