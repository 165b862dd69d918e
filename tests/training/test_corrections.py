"""Corrections in a real workspace: example sounds and made-up clips that people decided on."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from core.audio.decode import decode
from core.events.fold import confirm, fold, mark, save_changes, undo
from core.events.types import (
    Event,
    Imported,
    Media,
    ModelRef,
    Predicted,
    Published,
    Reviewed,
    Sound,
    Suggestion,
    Withdrawn,
    new_event,
)
from core.model.bundle import Bundle
from core.model.front_end import network_frames
from core.model.logmel import COALA
from core.pipeline.sources import FolderSource
from core.pipeline.tagging import tag_new_sounds
from core.storage.local import open_local_workspace
from training.datasets import clips as clip_data
from training.datasets import corrections
from training.datasets.clip_folder import ClipSource, load_training_data
from training.datasets.clips import Clip
from training.datasets.types import Subset
from training.errors import CorrectionsError
from training.pipeline import train_and_evaluate
from training.recipes import Recipe

VOCABULARY = ("click", "hiss", "hum")
EXAMPLES = ("rain-on-leaves.ogg", "clock-ticking.ogg")


@pytest.fixture
def put(workspace, examples):
    """Makes a sound that a model has predicted known to the workspace, with an example's audio."""
    audio = (examples / EXAMPLES[0]).read_bytes()

    def predicted(sound_id: str, data: bytes = audio) -> Event:
        media = Media(
            audio=workspace.media.put(decode(data, name="clip", with_preview=True).preview, "ogg")
        )
        suggestion = Suggestion(tag="hum", probability=0.9, above_threshold=True)
        payload = Predicted(
            model=ModelRef(name="tiny", version=1),
            top=(suggestion,),
            sound=Sound(title="x", source="test"),
            media=media,
        )
        event = new_event(payload, sound_id, "job")
        workspace.events.append([event])
        return event

    return predicted


def decide(workspace, basis: Event, **decisions) -> Event:
    event = new_event(
        Reviewed(decisions=decisions, basis=basis.event_id),
        basis.sound_id,
        "ann",
        base=workspace.sounds.get(basis.sound_id).last_event,
    )
    workspace.events.append([event])
    return event


def decided(workspace) -> dict[str, dict[str, bool]]:
    return {
        correction.sound_id: correction.decisions
        for correction in corrections.read_corrections(workspace)[0]
    }


def test_removed_is_no_kept_and_added_are_yes_and_the_rest_is_unknown(workspace, put):
    decide(workspace, put("freesound:7"), hum="removed", click="added")
    decide(workspace, put("freesound:8"), hum="kept")
    read, _ = corrections.read_corrections(workspace)
    labels, known = corrections.correction_labels(read, VOCABULARY)
    assert labels.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert known.tolist() == [[True, False, True], [False, False, True]]
    assert [correction.recording for correction in read] == ["7", "8"]
    assert all(correction.path.is_file() for correction in read)


def test_a_sound_that_nobody_decided_on_teaches_nothing(workspace, put):
    put("freesound:7")
    workspace.events.append([new_event(Imported(tags=("hum",)), "freesound:8", "import")])
    assert corrections.read_corrections(workspace) == ([], 0)


def test_of_a_changed_sound_only_the_changes_are_known(workspace, put):
    basis = put("freesound:1")
    event = save_changes(fold([basis]), ["hum", "hiss"], "ada")
    workspace.events.append([event])
    assert decided(workspace) == {"freesound:1": {"hiss": True}}


@pytest.mark.parametrize("outcome", ["not sure", "untaggable"])
def test_a_doubtful_sound_teaches_nothing_until_somebody_is_sure(workspace, put, outcome):
    basis = put("freesound:1")
    done = confirm(fold([basis]), ["hum"], "ada")
    doubt = mark(fold([basis, done]), outcome, "bob")
    workspace.events.append([done, doubt])
    assert decided(workspace) == {}
    workspace.events.append([undo(fold([basis, done, doubt]), doubt.event_id, "bob")])
    assert decided(workspace) == {"freesound:1": {"hum": True}}


def test_the_later_decision_counts(workspace, put):
    basis = put("freesound:7")
    decide(workspace, basis, hum="removed", click="added")
    decide(workspace, basis, hum="added")
    assert decided(workspace) == {"freesound:7": {"click": True, "hum": True}}


def test_what_was_undone_is_no_label_and_an_undone_undo_is_one_again(workspace, put):
    basis = put("freesound:7")
    review = decide(workspace, basis, hum="removed")
    back = undo(workspace.sounds.get("freesound:7"), review.event_id, "ann")
    workspace.events.append([back])
    assert decided(workspace) == {}
    workspace.events.append([undo(workspace.sounds.get("freesound:7"), back.event_id, "ann")])
    assert decided(workspace) == {"freesound:7": {"hum": False}}


def test_publishing_decides_like_a_review(workspace, put):
    basis = put("freesound:7")
    published = Published(
        decisions={"hum": "removed", "hiss": "added"}, basis=basis.event_id, tags=("hiss",)
    )
    workspace.events.append([new_event(published, "freesound:7", "uploader", base=basis)])
    assert decided(workspace) == {"freesound:7": {"hum": False, "hiss": True}}


def test_a_withdrawn_sound_teaches_nothing(workspace, put):
    basis = put("freesound:7")
    review = decide(workspace, basis, hum="removed")
    workspace.events.append(
        [new_event(Withdrawn(reason="deleted there"), "freesound:7", "job", base=review)]
    )
    assert corrections.read_corrections(workspace) == ([], 0)


def test_a_sound_whose_audio_is_gone_is_counted(workspace, put):
    basis = put("freesound:7")
    decide(workspace, basis, hum="kept")
    workspace.media.path(basis.payload.media.audio).unlink()
    assert corrections.read_corrections(workspace) == ([], 1)


def test_a_tag_counts_as_the_data_spell_it_and_as_it_is_shown():
    def correction(**tags: bool) -> corrections.Correction:
        return corrections.Correction("freesound:1", Path("x"), "1", tags)

    labels, known = corrections.correction_labels(
        [
            correction(bass=True),
            correction(bas=True),
            correction(his=True, hiss=False),
            correction(dog=True),
        ],
        ("bas", "his"),
    )
    assert labels.tolist() == [[1, 0], [1, 0], [0, 0], [0, 0]]
    assert known.tolist() == [[True, False], [True, False], [False, True], [False, False]]


@pytest.fixture
def data(labelled, subsets) -> tuple[list[Clip], np.ndarray, Subset]:
    """The made-up clips, the subset of each, and the training subset."""
    clips, _ = labelled
    return clips, clip_data.split_by_recording(clips, seed=1), subsets[0]


def join(workspace, data, tmp_path):
    clips, subset_of, train = data
    cache = tmp_path / "cache"
    return corrections.join(train, clips, subset_of, workspace, VOCABULARY, cache)


def test_corrected_sounds_join_the_training_part_with_what_is_known(
    workspace, put, data, tmp_path, examples
):
    decide(workspace, put("freesound:7"), hum="removed")
    subset, counts = join(workspace, data, tmp_path)
    old = data[2]
    assert len(subset.clips) == len(old.clips) + 1
    assert (counts.sounds, counts.decisions) == (1, 1)
    assert subset.labels[-1].tolist() == [0, 0, 0]
    assert subset.known[-1].tolist() == [False, False, True]
    assert subset.known[:-1].all()
    assert subset.recordings[-1] == "7"
    expected = network_frames(decode(examples / EXAMPLES[0]).samples, COALA)
    np.testing.assert_allclose(subset.frames.clip(subset.clips[-1]), expected, atol=0.01)
    np.testing.assert_array_equal(subset.frames.clip(old.clips[0]), old.frames.clip(old.clips[0]))


def test_nothing_held_out_is_ever_learned_from(workspace, put, data, tmp_path):
    clips, subset_of, _ = data
    for clip in clips:
        decide(workspace, put(f"freesound:{clip.recording}"), hum="kept")
    decide(workspace, put("freesound:7"), hum="kept")
    subset, counts = join(workspace, data, tmp_path)
    held_out = {clip.recording for clip, n in zip(clips, subset_of, strict=True) if n}
    assert not held_out & set(subset.recordings.tolist())
    assert counts.held_out == len(held_out)
    assert "7" in subset.recordings


def file_id(path: Path) -> str:
    return f"file:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_a_file_that_is_held_out_is_recognised_by_its_bytes(workspace, put, data, tmp_path):
    clips, subset_of, old = data
    for index in np.flatnonzero(subset_of):
        decide(
            workspace, put(file_id(clips[index].path), clips[index].path.read_bytes()), hum="kept"
        )
    subset, counts = join(workspace, data, tmp_path)
    assert counts.held_out == (subset_of > 0).sum()
    assert subset is old


def test_decisions_about_a_training_file_replace_its_labels(workspace, put, data, tmp_path):
    clips, _, old = data
    row = int(np.argmax(old.labels[:, 2]))
    clip = clips[old.clips[row]]
    decide(workspace, put(file_id(clip.path), clip.path.read_bytes()), hum="removed", hiss="added")
    subset, counts = join(workspace, data, tmp_path)
    assert len(subset.clips) == len(old.clips)
    assert old.labels[row].tolist() == [0, 0, 1]
    assert subset.labels[row].tolist() == [0, 1, 0]
    assert np.delete(subset.labels, row, 0).tolist() == np.delete(old.labels, row, 0).tolist()
    assert counts.sounds == 1


def test_decisions_about_other_tags_alone_are_counted_and_left_out(workspace, put, data, tmp_path):
    decide(workspace, put("freesound:7"), trombone="added")
    subset, counts = join(workspace, data, tmp_path)
    assert subset is data[2]
    assert (counts.sounds, counts.no_known_tag) == (0, 1)


def test_no_recording_of_a_published_test_is_learned_from(workspace, put, data, tmp_path):
    tested = corrections.published_test_recordings()
    assert len(tested) > 100
    for recording in [*sorted(tested)[:3], "7"]:
        decide(workspace, put(f"freesound:{recording}"), hum="kept")
    subset, counts = join(workspace, data, tmp_path)
    assert (counts.sounds, counts.held_out) == (1, 3)
    assert subset.recordings[-1] == "7"


def test_a_folder_without_a_workspace_is_refused_and_none_is_made(tmp_path):
    with pytest.raises(CorrectionsError, match="holds no workspace"):
        corrections.open_workspace(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sounds_that_the_job_tagged_and_a_curator_reviewed_join(
    predictor, examples, data, tmp_path
):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for name in EXAMPLES:
        shutil.copy(examples / name, folder / name)
    workspace = open_local_workspace(tmp_path / "workspace")
    tag_new_sounds(FolderSource(folder), predictor, workspace)
    for state in workspace.sounds.all():
        decide(workspace, state.prediction, hum="removed", click="added")
    subset, counts = join(corrections.open_workspace(tmp_path / "workspace"), data, tmp_path)
    assert (counts.sounds, counts.decisions) == (2, 4)
    assert subset.labels[-2:].tolist() == [[1, 0, 0], [1, 0, 0]]
    assert subset.known[-2:].tolist() == [[True, False, True], [True, False, True]]


def test_training_with_a_workspace_notes_what_it_learned_from_and_is_tested_on_the_same_clips(
    workspace, put, clip_folder, tmp_path
):
    for number in (7, 8, 9):
        decide(workspace, put(f"freesound:{number}"), hum="removed")
    recipe = Recipe(
        "prototype_cnn", {"channels": [4, 4, 8, 8], "hidden": 8}, epochs=1, batch_size=8
    )

    def train(name: str, **source) -> Bundle:
        folder = tmp_path / name
        clips = ClipSource(clip_folder, tmp_path / "cache", min_recordings=4, **source)
        data = load_training_data(clips, seed=1)
        bundle = train_and_evaluate(
            data, recipe, name="tiny", run=folder / "run", out=folder / "bundle"
        )
        assert bundle is not None
        return bundle

    plain, taught = train("plain"), train("taught", corrections=workspace.folder)
    assert taught.description["corrections"] == {
        "sounds": 3,
        "decisions": 3,
        "held_out": 0,
        "held_back": 0,
        "refused": 0,
        "no_audio": 0,
        "no_known_tag": 0,
    }
    clips, without = taught.description["trained"]["clips"], plain.description["trained"]["clips"]
    assert clips == without | {"train": without["train"] + 3}
    assert (
        taught.description["trained"]["test_recordings"]
        == plain.description["trained"]["test_recordings"]
    )
    np.testing.assert_array_equal(taught.scaler.mean, plain.scaler.mean)
