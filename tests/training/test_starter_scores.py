"""What the shipped starter says of itself can be measured again."""

import numpy as np
import pytest

from core import metrics
from core.model import audio
from training import datasets


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


def test_no_test_recording_took_part_in_training(clips, starter):
    trained = starter.bundle.description["trained"]
    found = datasets.read_clips(clips)
    part_of = datasets.split_by_recording(found, trained["recipe"]["seed"])
    recordings = [{clip.recording for clip, part in zip(found, part_of, strict=True) if part == wanted} for wanted in range(3)]
    assert recordings[2] == set(trained["test_recordings"])
    assert not recordings[2] & (recordings[0] | recordings[1])
    assert not recordings[0] & recordings[1]
    assert [len(one) for one in recordings] == [trained["recordings"][name] for name in datasets.SPLITS]


def test_the_starters_vocabulary_is_that_of_its_training_recordings(clips, starter):
    found = datasets.read_clips(clips)
    part_of = datasets.split_by_recording(found, starter.bundle.description["trained"]["recipe"]["seed"])
    training = [clip for clip, part in zip(found, part_of, strict=True) if part == 0]
    assert set(starter.vocabulary) <= {tag for clip in training for tag in clip.tags}
    assert any(datasets.vocabulary(training, least) == starter.vocabulary for least in range(1, 20))
