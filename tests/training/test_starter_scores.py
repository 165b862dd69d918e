"""What the shipped starter says of itself can be measured again."""

from pathlib import Path

import numpy as np
import pytest

from core import metrics
from core.model import audio
from training import benchmark, datasets
from training.benchmark import SPLIT

RESULTS = Path(__file__).parents[2] / "docs" / "results"


@pytest.fixture(scope="module")
def held_out(clips, starter) -> list[datasets.Clip]:
    """The clips of the recordings that the starter's model.json names as its test."""
    named = set(starter.bundle.description["trained"]["test_recordings"])
    return [clip for clip in datasets.read_clips(clips) if clip.recording in named]


def test_the_starters_scores_are_found_again_on_its_test_recordings(held_out, starter):
    probabilities = np.stack([starter.tag(audio.load(clip.path)).probabilities for clip in held_out])
    found = metrics.overall(datasets.multi_hot(held_out, starter.vocabulary), probabilities)
    stated = starter.bundle.metrics
    assert len(held_out) == stated["clips"]
    for name in ("pr_auc_macro", "pr_auc_micro", "roc_auc_macro", "roc_auc_micro", "precision_at_5"):
        assert found[name] == pytest.approx(stated["overall"][name], abs=0.01), name


@pytest.fixture(scope="module")
def parts(clips) -> list[list[datasets.Clip]]:
    """The clips of each part of the list that the repository holds."""
    found = datasets.read_clips(clips)
    part_of = datasets.read_split(SPLIT, found)
    return [[clip for clip, part in zip(found, part_of, strict=True) if part == wanted] for wanted in range(3)]


def test_no_test_recording_took_part_in_training(parts, starter):
    trained = starter.bundle.description["trained"]
    recordings = [{clip.recording for clip in part} for part in parts]
    assert recordings[2] == set(trained["test_recordings"])
    assert not recordings[2] & (recordings[0] | recordings[1])
    assert not recordings[0] & recordings[1]
    assert [len(one) for one in recordings] == [trained["recordings"][name] for name in datasets.SPLITS]
    assert [len(part) for part in parts] == [trained["clips"][name] for name in datasets.SPLITS]


def test_the_starters_vocabulary_is_that_of_its_training_recordings(parts, starter):
    assert starter.vocabulary == datasets.vocabulary(parts[0])


def test_the_starter_is_one_of_the_benchmarks_bundles(starter):
    """Its weights are those whose recipe the manifest names as chosen on validation."""
    chosen = benchmark.chosen_starter(benchmark.Manifest(RESULTS / "manifest.jsonl"))
    shipped = starter.bundle.description["trained"]
    recipe = {key: value for key, value in chosen["recipe"].items() if key not in ("architecture", "arguments", "pooling")}
    assert recipe.items() <= shipped["recipe"].items()
    assert shipped["best_epoch"] == chosen["scores"]["test"]["best_epoch"]
