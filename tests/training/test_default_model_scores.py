"""What the default model's files say of its training and scores holds."""

import json
from pathlib import Path

import numpy as np
import pytest

from core.audio.decode import decode
from core.model import bundle, metrics
from training.datasets.clips import Clip, multi_hot, read_clips, read_split, vocabulary
from training.datasets.types import SUBSETS, trained_facts
from training.recipes import EARMARK

ROOT = Path(__file__).parents[2]
SPLIT = ROOT / "training" / "splits" / "freesound_mini.json"
FORMER_NAMES = {
    "repeats_per_epoch": "passes",
    "batch_size": "batch",
    "synthetic_negatives": "without_tags",
}
"""Of the recipe's entries -> their names in the default model's model.json."""


@pytest.fixture(scope="module")
def held_out(clips, predictor) -> list[Clip]:
    """The clips of the recordings that model.json names as its test."""
    listed = set(trained_facts(predictor.bundle)["test_recordings"])
    return [clip for clip in read_clips(clips) if clip.recording in listed]


def test_the_scores_are_measured_again_on_the_test_recordings(held_out, predictor):
    predictions = [predictor.predict(decode(clip.path)).probabilities for clip in held_out]
    labels = multi_hot(held_out, predictor.vocabulary)
    measured, stated = metrics.overall(labels, np.stack(predictions)), predictor.bundle.metrics
    assert len(held_out) == stated["clips"]
    scores = ("pr_auc_macro", "pr_auc_micro", "roc_auc_macro", "roc_auc_micro", "precision_at_5")
    for name in scores:
        assert measured[name] == pytest.approx(stated["overall"][name], abs=0.01), name


@pytest.fixture(scope="module")
def parts(clips) -> list[list[Clip]]:
    """The clips of each part of the list that the repository holds."""
    read = read_clips(clips)
    subset_of = read_split(SPLIT, read)
    pairs = list(zip(read, subset_of, strict=True))
    return [[clip for clip, subset in pairs if subset == number] for number in range(3)]


def test_no_test_recording_took_part_in_training(parts, predictor):
    trained = trained_facts(predictor.bundle)
    recordings = [{clip.recording for clip in part} for part in parts]
    assert recordings[2] == set(trained["test_recordings"])
    assert not recordings[2] & (recordings[0] | recordings[1])
    assert not recordings[0] & recordings[1]
    counts = [len(part) for part in recordings]
    assert counts == [trained["recordings"][name] for name in SUBSETS]
    assert [len(part) for part in parts] == [trained["clips"][name] for name in SUBSETS]


def test_the_vocabulary_is_that_of_the_training_recordings(parts, predictor):
    assert predictor.vocabulary == vocabulary(parts[0])


def test_the_earmark_recipe_is_the_one_that_the_default_model_was_trained_with():
    model = bundle.load()
    shipped = trained_facts(model)["recipe"]
    for name, value in EARMARK.training_settings.items():
        if name != "patch_frames":  # then the network's window, 144; it was shortened later
            assert shipped[FORMER_NAMES.get(name, name)] == value, name
    assert shipped["mixup"] == 0
    assert (EARMARK.architecture, EARMARK.pooling) == (model.architecture, model.pooling)
    assert EARMARK.arguments == model.arguments


def test_the_default_model_is_the_run_with_the_best_validation_scores():
    lines = (ROOT / "docs" / "results" / "runs.jsonl").read_text("utf-8").splitlines()
    candidates = [
        run
        for run in map(json.loads, lines)
        if run["benchmark"] == "mini" and "validation" in run["scores"]
    ]

    def mean_score(run: dict) -> float:
        scores = run["scores"]["validation"]
        return scores["pr_auc_macro"] + scores["pr_auc_micro"]

    best = max(candidates, key=mean_score)
    trained = trained_facts(bundle.load())
    assert best["configuration"] == "200 passes, no mixing"
    assert trained["best_epoch"] == best["scores"]["test"]["best_epoch"]
    for name, value in best["recipe"].items():
        if name not in ("architecture", "arguments", "pooling"):
            assert trained["recipe"][FORMER_NAMES.get(name, name)] == value, name
