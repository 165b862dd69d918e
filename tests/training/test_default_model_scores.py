"""What the default model's files say of its training and scores holds.

The figures are computed again, from the model as it ships, on clips that it was not trained on.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from core.audio.decode import decode
from core.audio.types import Recording
from core.model import metrics
from core.model.predictor import Predictor
from training.datasets.clips import Clip, multi_hot, read_clips, read_split, vocabulary
from training.datasets.types import SUBSETS, trained_facts
from training.fine_tuning.data import tag_space
from training.fine_tuning.unknown_sounds import count
from training.pretrained import NOTICE
from training.recipes import EARMARK

ROOT = Path(__file__).parents[2]
SPLIT = ROOT / "training" / "splits" / "freesound_mini.json"
FORMER_NAMES = {
    "repeats_per_epoch": "passes",
    "batch_size": "batch",
    "synthetic_negatives": "without_tags",
}
"""Of the recipe's entries -> their names in runs.jsonl."""
SOFT = 0.01
STEPS_OF_16_BITS = 32_767


@pytest.fixture(scope="module")
def own_tags(predictor) -> tuple[str, ...]:
    """The tags that clips are labelled with."""
    own = trained_facts(predictor.bundle)["own_tags"]
    return tuple(tag for tag in predictor.vocabulary if tag in own)


@pytest.fixture(scope="module")
def held_out(clips, predictor) -> list[Clip]:
    """The clips of the recordings that model.json names as its test."""
    listed = set(trained_facts(predictor.bundle)["test_recordings"])
    return [clip for clip in read_clips(clips) if clip.recording in listed]


@pytest.fixture(scope="module")
def recordings(held_out, predictor) -> list[Recording]:
    return [decode(clip.path, rate=predictor.rate) for clip in held_out]


def probabilities(predictor: Predictor, recordings: list[Recording]) -> np.ndarray:
    return np.stack([predictor.predict(recording).probabilities for recording in recordings])


def columns(predictor: Predictor, tags: tuple[str, ...]) -> list[int]:
    return [predictor.vocabulary.index(tag) for tag in tags]


@pytest.fixture(scope="module")
def measured(predictor, recordings, own_tags) -> np.ndarray:
    """Probabilities of the own tags for the held-out clips."""
    return probabilities(predictor, recordings)[:, columns(predictor, own_tags)]


def thresholds(predictor: Predictor, tags: tuple[str, ...]) -> np.ndarray:
    return predictor.bundle.calibration.threshold[columns(predictor, tags)]


def test_the_scores_are_measured_again_on_the_test_recordings(
    held_out, measured, own_tags, predictor
):
    again = metrics.overall(multi_hot(held_out, own_tags), measured)
    stated = predictor.bundle.metrics
    assert len(held_out) == stated["clips"]
    scores = ("pr_auc_macro", "pr_auc_micro", "roc_auc_macro", "roc_auc_micro", "precision_at_5")
    for name in scores:
        assert again[name] == pytest.approx(stated["overall"][name], abs=0.01), name


def test_the_scores_of_each_tag_are_measured_again(held_out, measured, own_tags, predictor):
    labels = multi_hot(held_out, own_tags)
    names = np.array([clip.recording for clip in held_out])
    rows = metrics.per_tag(labels, measured, thresholds(predictor, own_tags), names)
    stated = predictor.bundle.metrics["per_tag"]
    differences = []
    for tag, again in zip(own_tags, rows, strict=True):
        assert again["clips"] == stated[tag]["clips"], tag
        for name in ("pr_auc", "precision", "recall"):
            differences.append(abs((again[name] or 0) - (stated[tag][name] or 0)))
            # The stated ones are of log-mels in half precision: a clip or two may change sides.
            assert differences[-1] <= 0.05 + 2 / stated[tag]["clips"], (tag, name)
    assert np.mean(differences) < 0.01


def test_the_calibration_error_is_measured_again(held_out, measured, own_tags, predictor):
    again = metrics.reliability(multi_hot(held_out, own_tags), measured)["ece"]
    assert again == pytest.approx(predictor.bundle.metrics["reliability"]["ece"], abs=0.005)


def test_soft_recordings_get_nearly_the_tags_that_loud_ones_get(
    held_out, recordings, measured, own_tags, predictor
):
    """At -40 dB, rounded to 16 bits as a file of that level is."""
    drawn = range(0, len(held_out), 6)
    soft = [
        Recording(
            each.name,
            each.facts,
            np.float32(
                np.round(SOFT * each.samples / np.abs(each.samples).max() * STEPS_OF_16_BITS)
                / STEPS_OF_16_BITS
            ),
            each.rate,
        )
        for each in (recordings[index] for index in drawn)
    ]
    softly = probabilities(predictor, soft)[:, columns(predictor, own_tags)]
    labels = multi_hot([held_out[index] for index in drawn], own_tags) > 0
    limits = thresholds(predictor, own_tags)
    loud_recall = ((measured[list(drawn)] >= limits) & labels).sum() / labels.sum()
    soft_recall = ((softly >= limits) & labels).sum() / labels.sum()
    assert soft_recall >= 0.9 * loud_recall


def test_sounds_of_other_kinds_seldom_get_a_tag_that_they_lack(clips, own_tags, predictor):
    """They took part in the training, without these tags; docs/results/ has those that did not."""
    folder = clips.parent / "negatives"
    others = [clip for index, clip in enumerate(read_clips(folder)) if index % 3 == 0]
    answers = probabilities(predictor, [decode(clip.path, rate=predictor.rate) for clip in others])
    suggested = answers >= predictor.bundle.calibration.threshold
    counts = count(suggested, others, tag_space(own_tags))
    assert counts.sounds > 100
    assert counts.with_wrong_own_tag <= 0.2 * counts.sounds
    assert counts.with_wrong_tag <= 0.25 * counts.judged


@pytest.fixture(scope="module")
def parts(clips) -> list[list[Clip]]:
    """The clips of each part of the list that the repository holds."""
    read = read_clips(clips)
    subset_of = read_split(SPLIT, read)
    pairs = list(zip(read, subset_of, strict=True))
    return [[clip for clip, subset in pairs if subset == number] for number in range(3)]


def test_no_test_recording_took_part_in_training(parts, predictor):
    trained = trained_facts(predictor.bundle)
    names = [{clip.recording for clip in part} for part in parts]
    assert names[2] == set(trained["test_recordings"])
    assert not names[2] & (names[0] | names[1])
    assert not names[0] & names[1]
    for number, subset in enumerate(SUBSETS):
        assert 0 < trained["recordings"][subset] <= len(names[number])
        assert 0 < trained["clips"][subset] <= len(parts[number])


def test_the_vocabulary_is_audiosets_and_that_of_the_training_recordings(
    parts, own_tags, predictor
):
    assert set(own_tags) <= set(vocabulary(parts[0]))
    assert predictor.vocabulary == tag_space(own_tags).tags


def test_the_model_says_what_it_was_made_from(predictor):
    bundle = predictor.bundle
    assert bundle.origin == NOTICE
    assert bundle.license
    assert bundle.data
    notice = (ROOT / "core" / "model" / "EFFICIENTAT_LICENSE").read_text("utf-8")
    assert "Copyright (c) 2022 Florian Schmid" in notice
    assert "Permission is hereby granted" in notice


def test_the_readme_states_the_models_license(predictor):
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.split("## License and data")[1]
    assert "EfficientAT" in section
    assert ("CC BY-NC 4.0" in section) == predictor.bundle.license.startswith("CC BY-NC 4.0")


def test_the_earmark_recipe_is_the_run_with_the_best_validation_scores():
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
    assert best["configuration"] == "200 passes, no mixing"
    for name, value in EARMARK.training_settings.items():
        if FORMER_NAMES.get(name, name) in best["recipe"]:
            assert best["recipe"][FORMER_NAMES.get(name, name)] == value, name
