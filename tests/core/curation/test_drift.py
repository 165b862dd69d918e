"""Drift against worked examples, and that chance alone is none."""

import numpy as np
import pytest

from core.curation.drift import (
    MAX_EMBEDDINGS,
    embedding_drift,
    newest_and_earlier,
    newest_embeddings,
    psi,
    score_drift,
)
from core.model.reference import HIGHEST_BINS, read_reference, summary
from core.storage.local import open_local_workspace
from tests.helpers.events import V1, V2, predicted


def counts(values):
    bins = np.minimum((np.asarray(values) * HIGHEST_BINS).astype(int), HIGHEST_BINS - 1)
    return np.bincount(bins, minlength=HIGHEST_BINS)


def test_psi_is_that_of_a_worked_example():
    # (.5 - .2) ln(.5 / .2) + (.3 - .3) ln 1 + (.2 - .5) ln(.2 / .5), of so many that the half that
    # is added does not matter.
    new, reference = np.array([500, 300, 200]) * 1000, np.array([200, 300, 500]) * 1000
    assert psi(new, reference) == pytest.approx(0.6 * np.log(2.5), abs=1e-4)
    assert psi(reference, reference) == 0


def test_scores_of_the_same_kind_of_sounds_have_no_drift():
    chance = np.random.default_rng(0)
    levels = [
        score_drift(counts(chance.beta(2, 3, 300)), counts(chance.beta(2, 3, 400))).level
        for _ in range(100)
    ]
    assert levels.count("none") >= 95


def test_other_scores_are_drift():
    chance = np.random.default_rng(1)
    reference = counts(chance.beta(2, 3, 2000))
    assert score_drift(counts(chance.beta(2.6, 3, 2000)), reference).level == "some"
    strong = score_drift(counts(chance.beta(4, 2, 2000)), reference)
    assert strong.level == "strong"
    assert strong.value > strong.by_chance
    assert (strong.sounds, strong.reference) == (2000, 2000)


@pytest.mark.parametrize(("new", "reference"), [(0, 500), (99, 500), (500, 99)])
def test_few_sounds_say_nothing(new, reference):
    drift = score_drift(counts(np.full(new, 0.5)), counts(np.full(reference, 0.5)))
    assert (drift.level, drift.value) == ("too few", None)


def reference_of(highest, embeddings=None):
    return read_reference({"reference": summary(np.asarray(highest, float), embeddings)})


def test_a_shift_of_embeddings_is_measured_in_standard_deviations():
    chance = np.random.default_rng(2)
    reference = reference_of(chance.random(5000), chance.normal(3, 2, (5000, 8)))
    shifted = chance.normal(3, 2, (5000, 8)) + 0.6 * 2
    drift = embedding_drift(shifted, reference.mean, reference.variance, reference.clips)
    assert drift.value == pytest.approx(0.6, abs=0.05)
    assert drift.level == "strong"
    same = embedding_drift(
        chance.normal(3, 2, (200, 8)), reference.mean, reference.variance, reference.clips
    )
    assert same.level == "none"


def test_embeddings_of_another_size_are_not_compared():
    reference = reference_of(np.full(200, 0.5), np.ones((200, 4)))
    drift = embedding_drift(np.ones((200, 3)), reference.mean, reference.variance, 200)
    assert drift.level == "too few"


def test_a_summary_holds_counts_and_moments_of_what_was_predicted():
    embeddings = np.array([[0.0, 2.0], [2.0, 2.0]])
    kept = summary(np.array([0.02, 1.0]), embeddings)
    assert (kept["clips"], kept["highest"][0], kept["highest"][-1]) == (2, 1, 1)
    assert kept["embedding_mean"] == [1.0, 2.0]
    assert kept["embedding_variance"] == [1.0, 0.0]
    assert summary(np.array([np.nan, 0.5]))["clips"] == 2


@pytest.mark.parametrize(
    "reference",
    [
        None,
        [],
        {},
        {"clips": 3},
        {"clips": 3, "highest": [1, 2]},
        {"clips": "x", "highest": [0] * 20},
    ],
)
def test_a_damaged_reference_is_as_none(reference):
    assert read_reference({"reference": reference}) is None
    assert read_reference({}) is None


def test_the_newest_days_are_compared_with_all_before():
    numbers = {("2026-01-01", "03"): 900, ("2026-01-02", "04"): 700, ("2026-01-03", "05"): 600}
    numbers[("2026-01-03", "none")] = 5
    newest, earlier, first = newest_and_earlier(numbers)
    assert (newest[4], newest[5], newest.sum()) == (700, 600, 1300)
    assert (earlier[3], earlier.sum(), first) == (900, 900, "2026-01-02")
    assert newest_and_earlier({})[2] == ""


def test_embeddings_of_the_newest_sounds_are_read_from_their_sidecars(tmp_path):
    workspace = open_local_workspace(tmp_path / "workspace")
    for number in range(1, 4):
        workspace.events.append([predicted(number)])
        arrays = {"embedding": np.full(4, number, np.float32)}
        workspace.sidecars.put(f"freesound:{number}", V1, arrays)
    assert sorted(newest_embeddings(workspace, V1)[:, 0]) == [1, 2, 3]
    assert newest_embeddings(workspace, V2).shape == (0, 0)
    assert MAX_EMBEDDINGS >= 100
