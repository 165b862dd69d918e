import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.id2prediction import ModelRef, RolledOut, new_event, review
from core.model import bundle
from core.sources import FolderSource
from core.tagging import NewSounds, model_in_force, tag_new_sounds
from core.workspace import Query
from core.workspace.local import LocalWorkspace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, examples):
    """Four of the example sounds."""
    place = tmp_path / "sounds"
    place.mkdir()
    for path in sorted(examples.glob("*.ogg"))[:4]:
        (place / path.name).write_bytes(path.read_bytes())
    return place


def ids(workspace):
    return [state.sound_id for state in workspace.page(Query(), 1, 50).sounds]


def test_new_sounds_are_tagged_with_media_sidecar_and_a_record_of_the_run(folder, starter, workspace):
    run = tag_new_sounds(FolderSource(folder), starter, workspace, actor="ada")
    assert (run.tagged, run.known, run.skipped, run.state, run.actor) == (4, 0, (), "finished", "ada")
    assert workspace.runs() == [run]
    for state in workspace.states():
        assert len(state.suggestions) == 5
        assert state.sound.seconds > 1
        assert workspace.media_path(state.media.audio).read_bytes()[:4] == b"OggS"
        assert workspace.media_path(state.media.spectrogram).read_bytes()[8:12] == b"WEBP"
        arrays = workspace.sidecar(state.sound_id, state.model)
        assert arrays["activations"].shape == (len(arrays["times"]), len(starter.vocabulary))
        assert arrays["embedding"].ndim == 1


def test_the_first_file_by_name_stands_first_on_the_page(folder, starter, workspace):
    tag_new_sounds(FolderSource(folder), starter, workspace)
    titles = [one.name for one in FolderSource(folder).sounds(workspace)]
    order = {one.sound_id: one.name for one in FolderSource(folder).sounds(workspace)}
    assert [order[sound_id] for sound_id in ids(workspace)] == titles


def test_running_twice_tags_nothing_twice(folder, starter, workspace):
    tag_new_sounds(FolderSource(folder), starter, workspace)
    run = tag_new_sounds(FolderSource(folder), starter, workspace)
    assert (run.tagged, run.known) == (0, 4)
    assert all(len(workspace.events(sound_id)) == 1 for sound_id in ids(workspace))


def test_a_limit_takes_the_first_and_the_next_run_the_rest(folder, starter, workspace):
    source = FolderSource(folder)
    assert tag_new_sounds(source, starter, workspace, 3).tagged == 3
    assert len(NewSounds(source, workspace).take()) == 1
    assert tag_new_sounds(source, starter, workspace, 3).tagged == 1
    assert NewSounds(source, workspace).take() == []


def test_broken_files_are_skipped_with_a_reason_and_the_rest_goes_on(folder, starter, workspace):
    (folder / "a-broken.wav").write_bytes(b"RIFF nonsense")
    (folder / "b-empty.ogg").write_bytes(b"")
    soundfile.write(folder / "c-nan.wav", np.full(8000, np.nan, np.float32), 8000, subtype="FLOAT")
    run = tag_new_sounds(FolderSource(folder), starter, workspace, workers=2)
    assert run.tagged == 4
    assert sorted(name for name, _ in run.skipped) == ["a-broken.wav", "b-empty.ogg", "c-nan.wav"]
    assert all(reason.endswith(".") and name in reason for name, reason in run.skipped)
    assert workspace.runs()[0].skipped == run.skipped


def test_a_new_model_version_tags_again_what_an_older_one_tagged_and_keeps_what_people_decided(folder, starter, workspace):
    source = FolderSource(folder)
    first = model_in_force(workspace)
    tag_new_sounds(source, starter, workspace, model=first)
    state = workspace.sound(ids(workspace)[0])
    workspace.append([review(state, ["howl"], "ada")])
    second = ModelRef(name=first.name, version=2, fingerprint="other")
    assert tag_new_sounds(source, starter, workspace, model=second).tagged == 0
    assert tag_new_sounds(source, starter, workspace, model=second, again=True).tagged == 4
    assert tag_new_sounds(source, starter, workspace, model=second, again=True).tagged == 0
    after = workspace.sound(state.sound_id)
    assert after.tags == ("howl",)
    assert after.model == second


def test_a_source_that_was_looked_through_already_is_not_looked_through_again(folder, starter, workspace):
    class Counting(FolderSource):
        listed = 0

        def sounds(self, workspace):
            for found in super().sounds(workspace):
                self.listed += 1
                yield found

    source = Counting(folder)
    new = NewSounds(source, workspace)
    assert new.any()
    assert tag_new_sounds(source, starter, workspace, new=new).tagged == 4
    assert source.listed == 4
    assert not NewSounds(source, workspace).any()


def test_with_a_limit_another_sound_takes_the_place_of_one_that_cannot_be_heard(folder, starter, workspace):
    (folder / "a-broken.wav").write_bytes(b"RIFF nonsense")
    run = tag_new_sounds(FolderSource(folder), starter, workspace, 2)
    assert (run.tagged, len(run.skipped)) == (2, 1)


def test_progress_is_told_for_every_sound(folder, starter, workspace):
    told = []
    tag_new_sounds(FolderSource(folder), starter, workspace, workers=2, progress=lambda *step: told.append(step))
    assert [done for done, _, _ in told] == [1, 2, 3, 4]
    assert {total for _, total, _ in told} == {4}


def test_an_interrupted_run_keeps_what_it_tagged_and_the_next_takes_the_rest(folder, starter, workspace):
    def stop_after_two(done, total, name):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tag_new_sounds(FolderSource(folder), starter, workspace, progress=stop_after_two)
    assert workspace.runs()[0].state == "interrupted"
    assert workspace.counts().sounds == 2
    assert tag_new_sounds(FolderSource(folder), starter, workspace).tagged == 2


def test_a_run_that_fails_is_recorded_as_failed(folder, starter, workspace):
    class Vanishing(FolderSource):
        def sounds(self, workspace):
            yield next(super().sounds(workspace))
            raise RuntimeError("the disk is on fire")

    with pytest.raises(RuntimeError):
        tag_new_sounds(Vanishing(folder), starter, workspace)
    assert workspace.runs()[0].state == "failed"


def test_the_first_start_rolls_the_starter_out_and_says_so(workspace):
    model = model_in_force(workspace)
    assert workspace.rolled_out().payload.reason == "first start"
    assert model_in_force(workspace) == model
    assert len(list(workspace.log())) == 1


def test_events_name_the_model_that_really_listened(folder, starter, workspace):
    tag_new_sounds(FolderSource(folder), starter, workspace, 1)
    (state,) = workspace.states()
    assert state.model.fingerprint == starter.bundle.fingerprint


def test_what_a_maintainer_rolled_out_stays_in_force(workspace):
    model_in_force(workspace)
    chosen = ModelRef(name="better", version=7, fingerprint="f")
    workspace.append([new_event(RolledOut(model=chosen, reason="better"), None, "maintainer", base=workspace.rolled_out())])
    assert model_in_force(workspace) == chosen


def test_a_new_starter_takes_over_where_nobody_decided_otherwise(workspace, tmp_path, monkeypatch):
    first = model_in_force(workspace)
    bundle.copy(bundle.load(), tmp_path / "starter")
    metrics = tmp_path / "starter" / "metrics.json"
    metrics.write_text(metrics.read_text() + "\n")
    monkeypatch.setattr(bundle, "STARTER", tmp_path / "starter")
    newer = model_in_force(workspace)
    assert newer.version == first.version + 1

    monkeypatch.undo()  # an older program that is still running does not take it back
    assert model_in_force(workspace) == newer
    assert len(workspace.rollouts()) == 2


def test_the_job_killed_in_the_middle_loses_nothing_and_repeats_nothing(tmp_path, examples):
    environment = os.environ | {"EARMARK_SOUNDS": str(examples), "EARMARK_WORKSPACE": str(tmp_path / "w")}
    job = [sys.executable, "-m", "jobs.tagging"]
    process = subprocess.Popen(job, cwd=ROOT, env=environment, stderr=subprocess.PIPE)
    media = tmp_path / "w" / "media"
    while process.poll() is None and not (media.is_dir() and any(media.rglob("*.webp"))):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    saved = LocalWorkspace(tmp_path / "w").counts().sounds
    total = len(list(examples.glob("*.ogg")))
    result = subprocess.run(job, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert f"Tagged {total - saved} sounds" in result.stderr or saved == total
    workspace = LocalWorkspace(tmp_path / "w")
    assert workspace.counts().sounds == total
    assert all(len(workspace.events(state.sound_id)) == 1 for state in workspace.states())


def test_most_example_sounds_are_heard_as_what_they_imitate(examples, starter):
    from core.model import audio

    imitated = {
        "alarm-clock": "alarm", "car-horn": "horn", "chainsaw": "chainsaw", "clock-ticking": "clock", "crackling-fire": "fire",
        "crying-baby": "baby", "dog-barking": "dog", "engine-idling": "engine", "gun-shots": "gun", "helicopter": "helicopter",
        "rain-on-leaves": "rain", "rooster": "rooster", "sea-waves": "wave", "siren": "siren", "sneeze": "sneeze", "street-music": "music",
    }  # fmt: skip
    heard = [
        name
        for name, tag in imitated.items()
        if tag in [one.tag for one in starter.tag(audio.load(examples / f"{name}.ogg")).top if one.above_threshold]
    ]
    assert len(heard) >= 8, heard
