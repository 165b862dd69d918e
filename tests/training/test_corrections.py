"""Corrections on a real workspace: example sounds and made-up clips, tagged by the starter, decided on by people."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from core.id2prediction import (
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
    undo,
)
from core.media import playable_ogg
from core.model import audio
from core.model.audio import AudioLimits
from core.model.logmel import log_mel
from core.sources import FolderSource
from core.tagging import tag_new_sounds
from core.workspace.local import LocalWorkspace
from training import clips as clip_training
from training import corrections, datasets
from training.corrections import CorrectionsError, join_training
from training.datasets import Clip
from training.solver import Part, Recipe

VOCABULARY = ("click", "hiss", "hum")
EXAMPLES = ("rain-on-leaves.ogg", "clock-ticking.ogg")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def put(workspace, examples):
    """Makes a sound that a model has predicted known to the workspace, with an example's audio."""
    audio = (examples / EXAMPLES[0]).read_bytes()

    def predicted(sound_id: str, data: bytes = audio) -> Event:
        media = Media(audio=workspace.put_media(playable_ogg(data, "clip", AudioLimits()), "ogg"))
        suggestion = Suggestion(tag="hum", probability=0.9, above_threshold=True)
        payload = Predicted(model=ModelRef(name="tiny", version=1), top=(suggestion,), sound=Sound(title="x", source="test"), media=media)
        event = new_event(payload, sound_id, "job")
        workspace.append([event])
        return event

    return predicted


def decide(workspace, basis: Event, **decisions) -> Event:
    event = new_event(Reviewed(decisions=decisions, basis=basis.event_id), basis.sound_id, "ann", base=workspace.sound(basis.sound_id).last)
    workspace.append([event])
    return event


def decided(workspace) -> dict[str, dict[str, bool]]:
    return {one.sound_id: one.decided for one in corrections.read(workspace)[0]}


def test_removed_is_no_kept_and_added_are_yes_and_the_rest_is_unknown(workspace, put):
    decide(workspace, put("freesound:7"), hum="removed", click="added")
    decide(workspace, put("freesound:8"), hum="kept")
    found, _ = corrections.read(workspace)
    labels, known = corrections.labels(found, VOCABULARY)
    assert labels.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert known.tolist() == [[True, False, True], [False, False, True]]
    assert [one.recording for one in found] == ["7", "8"]
    assert all(one.path.is_file() for one in found)


def test_a_sound_that_nobody_decided_on_teaches_nothing(workspace, put):
    put("freesound:7")
    workspace.append([new_event(Imported(tags=("hum",)), "freesound:8", "import")])
    assert corrections.read(workspace) == ([], 0)


def test_the_later_decision_counts(workspace, put):
    basis = put("freesound:7")
    decide(workspace, basis, hum="removed", click="added")
    decide(workspace, basis, hum="added")
    assert decided(workspace) == {"freesound:7": {"click": True, "hum": True}}


def test_what_was_undone_is_no_label_and_an_undone_undo_is_one_again(workspace, put):
    basis = put("freesound:7")
    review = decide(workspace, basis, hum="removed")
    back = undo(workspace.sound("freesound:7"), review.event_id, "ann")
    workspace.append([back])
    assert decided(workspace) == {}
    workspace.append([undo(workspace.sound("freesound:7"), back.event_id, "ann")])
    assert decided(workspace) == {"freesound:7": {"hum": False}}


def test_publishing_decides_like_a_review(workspace, put):
    basis = put("freesound:7")
    published = Published(decisions={"hum": "removed", "hiss": "added"}, basis=basis.event_id, tags=("hiss",))
    workspace.append([new_event(published, "freesound:7", "uploader", base=basis)])
    assert decided(workspace) == {"freesound:7": {"hum": False, "hiss": True}}


def test_a_withdrawn_sound_teaches_nothing(workspace, put):
    basis = put("freesound:7")
    review = decide(workspace, basis, hum="removed")
    workspace.append([new_event(Withdrawn(reason="deleted there"), "freesound:7", "job", base=review)])
    assert corrections.read(workspace) == ([], 0)


def test_a_sound_whose_audio_is_gone_is_counted(workspace, put):
    basis = put("freesound:7")
    decide(workspace, basis, hum="kept")
    workspace.media_path(basis.payload.media.audio).unlink()
    assert corrections.read(workspace) == ([], 1)


def test_a_tag_counts_as_the_data_spell_it_and_as_it_is_shown():
    def one(**tags: bool) -> corrections.Correction:
        return corrections.Correction("freesound:1", Path("x"), "1", tags)

    labels, known = corrections.labels([one(bass=True), one(bas=True), one(his=True, hiss=False), one(dog=True)], ("bas", "his"))
    assert labels.tolist() == [[1, 0], [1, 0], [0, 0], [0, 0]]
    assert known.tolist() == [[True, False], [True, False], [False, True], [False, False]]


@pytest.fixture
def data(labelled, parts) -> tuple[list[Clip], np.ndarray, Part]:
    """The made-up clips, which part each belongs to, and the training part."""
    clips, _ = labelled
    return clips, datasets.split_by_recording(clips, seed=1), parts[0]


def join(workspace, data, tmp_path, never=()):
    clips, part_of, part = data
    return join_training(part, clips, part_of, workspace, VOCABULARY, tmp_path / "cache", never)


def test_corrected_sounds_join_the_training_part_with_what_is_known(workspace, put, data, tmp_path, examples):
    decide(workspace, put("freesound:7"), hum="removed")
    part, tally = join(workspace, data, tmp_path)
    old = data[2]
    assert len(part.clips) == len(old.clips) + 1
    assert (tally.sounds, tally.decisions) == (1, 1)
    assert part.labels[-1].tolist() == [0, 0, 0]
    assert part.known[-1].tolist() == [False, False, True]
    assert part.known[:-1].all()
    assert part.recordings[-1] == "7"
    heard = log_mel(audio.load(examples / EXAMPLES[0]).samples)
    np.testing.assert_allclose(part.frames.clip(part.clips[-1]), heard, atol=0.01)
    np.testing.assert_array_equal(part.frames.clip(old.clips[0]), old.frames.clip(old.clips[0]))


def test_nothing_held_out_is_ever_learned_from(workspace, put, data, tmp_path):
    clips, part_of, _ = data
    for clip in clips:
        decide(workspace, put(f"freesound:{clip.recording}"), hum="kept")
    decide(workspace, put("freesound:7"), hum="kept")
    decide(workspace, put("freesound:8"), hum="kept")
    part, tally = join(workspace, data, tmp_path, never={"8"})
    held_out = {clip.recording for clip, which in zip(clips, part_of, strict=True) if which}
    assert not held_out & set(part.recordings.tolist())
    assert tally.held_out == len(held_out) + 1
    assert "8" not in part.recordings
    assert "7" in part.recordings


def file_id(path: Path) -> str:
    return f"file:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_a_file_that_is_held_out_is_recognised_by_its_bytes(workspace, put, data, tmp_path):
    clips, part_of, old = data
    for index in np.flatnonzero(part_of):
        decide(workspace, put(file_id(clips[index].path), clips[index].path.read_bytes()), hum="kept")
    part, tally = join(workspace, data, tmp_path)
    assert tally.held_out == (part_of > 0).sum()
    assert part is old


def test_decisions_about_a_training_file_replace_its_labels(workspace, put, data, tmp_path):
    clips, _, old = data
    row = int(np.argmax(old.labels[:, 2]))
    clip = clips[old.clips[row]]
    decide(workspace, put(file_id(clip.path), clip.path.read_bytes()), hum="removed", hiss="added")
    part, tally = join(workspace, data, tmp_path)
    assert len(part.clips) == len(old.clips)
    assert old.labels[row].tolist() == [0, 0, 1]
    assert part.labels[row].tolist() == [0, 1, 0]
    assert np.delete(part.labels, row, 0).tolist() == np.delete(old.labels, row, 0).tolist()
    assert tally.sounds == 1


def test_decisions_about_other_tags_alone_are_counted_and_left_out(workspace, put, data, tmp_path):
    decide(workspace, put("freesound:7"), trombone="added")
    part, tally = join(workspace, data, tmp_path)
    assert part is data[2]
    assert (tally.sounds, tally.no_known_tag) == (0, 1)
    assert "1 about other tags only" in str(tally)


def test_no_recording_of_a_published_test_is_learned_from(workspace, put, data, tmp_path):
    tested = corrections.published_test_recordings()
    assert len(tested) > 100
    for recording in [*sorted(tested)[:3], "7"]:
        decide(workspace, put(f"freesound:{recording}"), hum="kept")
    clips, part_of, old = data
    part, tally = corrections.join(workspace.folder, old, clips, part_of, VOCABULARY, tmp_path / "cache")
    assert (tally.sounds, tally.held_out) == (1, 3)
    assert part.recordings[-1] == "7"


def test_a_folder_without_a_workspace_is_refused_and_none_is_made(tmp_path):
    with pytest.raises(CorrectionsError, match="holds no workspace"):
        corrections.open_workspace(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sounds_that_the_job_tagged_and_a_curator_reviewed_join(starter, examples, data, tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for name in EXAMPLES:
        shutil.copy(examples / name, folder / name)
    workspace = LocalWorkspace(tmp_path / "workspace")
    tag_new_sounds(FolderSource(folder), starter, workspace)
    for state in workspace.states():
        decide(workspace, state.prediction, hum="removed", click="added")
    part, tally = join(corrections.open_workspace(tmp_path / "workspace"), data, tmp_path)
    assert (tally.sounds, tally.decisions) == (2, 4)
    assert part.labels[-2:].tolist() == [[1, 0, 0], [1, 0, 0]]
    assert part.known[-2:].tolist() == [[True, False, True], [True, False, True]]


def test_training_with_a_workspace_notes_what_it_learned_from_and_is_tested_on_the_same_clips(workspace, put, clip_folder, tmp_path):
    for number in (7, 8, 9):
        decide(workspace, put(f"freesound:{number}"), hum="removed")
    recipe = Recipe("seed_cnn", {"channels": [4, 4, 8, 8], "hidden": 8}, epochs=1, batch=8)
    given = {"data": clip_folder, "name": "tiny", "recipe": recipe, "least_recordings": 4, "quiet": True, "cache": tmp_path / "cache"}
    plain = clip_training.run(out=tmp_path / "plain", run=tmp_path / "run-plain", **given)
    taught = clip_training.run(out=tmp_path / "taught", run=tmp_path / "run-taught", corrections=workspace.folder, **given)
    assert taught.description["corrections"] == {"sounds": 3, "decisions": 3, "held_out": 0, "no_audio": 0, "no_known_tag": 0}
    clips, without = taught.description["trained"]["clips"], plain.description["trained"]["clips"]
    assert clips == without | {"train": without["train"] + 3}
    assert taught.description["trained"]["test_recordings"] == plain.description["trained"]["test_recordings"]
    np.testing.assert_array_equal(taught.scaler.mean, plain.scaler.mean)
