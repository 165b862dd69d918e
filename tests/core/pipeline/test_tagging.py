"""Tagging a folder: what is kept of each sound, what a run records, and what a stop leaves."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio.decode import decode
from core.events.fold import confirm
from core.events.query import Query
from core.events.types import ModelRef
from core.pipeline.new_sounds import NewSounds
from core.pipeline.sources import FolderSource
from core.pipeline.tagging import tag_new_sounds
from core.storage.active_model import resolve_model
from core.storage.local import open_local_workspace
from core.work import stop_after

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path, examples):
    """Four of the example sounds."""
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for path in sorted(examples.glob("*.ogg"))[:4]:
        (sounds / path.name).write_bytes(path.read_bytes())
    return sounds


def ids(workspace):
    return [state.sound_id for state in workspace.sounds.page(Query(), size=50).sounds]


def test_new_sounds_are_tagged_with_media_sidecar_and_a_record_of_the_run(
    folder, predictor, workspace
):
    run = tag_new_sounds(FolderSource(folder), predictor, workspace, actor="ada")
    assert (run.tagged, run.known, run.skipped) == (4, 0, ())
    assert (run.state, run.actor, run.source) == ("finished", "ada", "folder sounds")
    assert workspace.runs.latest() == [run]
    assert sorted(workspace.sounds.ids(Query(run=run.run_id), limit=50)) == sorted(ids(workspace))
    for state in workspace.sounds.all():
        assert len(state.suggestions) == 5
        assert state.sound.seconds > 1
        assert workspace.media.path(state.media.audio).read_bytes()[:4] == b"OggS"
        assert workspace.media.path(state.media.spectrogram).read_bytes()[8:12] == b"WEBP"
        arrays = workspace.sidecars.get(state.sound_id, state.model)
        assert arrays["activations"].shape == (len(arrays["times"]), len(predictor.vocabulary))
        assert arrays["embedding"].ndim == 1


def test_the_first_file_by_name_stands_first_on_the_page(folder, predictor, workspace):
    tag_new_sounds(FolderSource(folder), predictor, workspace)
    assert ids(workspace) == [item.sound_id for item in FolderSource(folder).items()]


def test_running_twice_tags_nothing_twice(folder, predictor, workspace):
    tag_new_sounds(FolderSource(folder), predictor, workspace)
    run = tag_new_sounds(FolderSource(folder), predictor, workspace)
    assert (run.tagged, run.known) == (0, 4)
    assert all(len(workspace.events.of_sound(sound_id)) == 1 for sound_id in ids(workspace))


def test_a_limit_takes_the_first_and_the_next_run_the_rest(folder, predictor, workspace):
    source = FolderSource(folder)
    assert tag_new_sounds(source, predictor, workspace, 3).tagged == 3
    assert len(NewSounds(source, workspace).take()) == 1
    assert tag_new_sounds(source, predictor, workspace, 3).tagged == 1
    assert NewSounds(source, workspace).take() == []


def test_broken_files_are_skipped_with_a_reason_and_the_rest_goes_on(
    folder, predictor, workspace, caplog
):
    (folder / "a-broken.wav").write_bytes(b"RIFF nonsense")
    (folder / "b-empty.ogg").write_bytes(b"")
    soundfile.write(folder / "c-nan.wav", np.full(8000, np.nan, np.float32), 8000, subtype="FLOAT")
    with caplog.at_level("INFO", "core"):
        run = tag_new_sounds(FolderSource(folder), predictor, workspace, workers=2)
    assert run.tagged == 4
    assert sorted(name for name, _ in run.skipped) == ["a-broken.wav", "b-empty.ogg", "c-nan.wav"]
    assert all(reason.endswith(".") and name in reason for name, reason in run.skipped)
    assert workspace.runs.latest(1)[0].skipped == run.skipped
    skipped = [line for line in caplog.messages if line.startswith("sound skipped sound=file:")]
    assert len(skipped) == 3


def test_a_sound_that_takes_too_long_is_skipped_and_the_rest_goes_on(folder, predictor, workspace):
    slow = sorted(folder.iterdir())[1].name

    @contextmanager
    def turns(name):
        yield stop_after(-1 if name == slow else 60, name)

    run = tag_new_sounds(FolderSource(folder), predictor, workspace, turns=turns, workers=2)
    assert (run.state, run.tagged) == ("finished", 3)
    ((name, reason),) = run.skipped
    assert name == slow
    assert reason.startswith(f"{slow} takes too long and was given up")


def test_a_run_removes_what_a_killed_one_left_half_written(folder, predictor, workspace):
    old, new = (workspace.folder / "media" / "ab" / f".{digit * 32}.partial" for digit in "01")
    for path in (old, new):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    tag_new_sounds(FolderSource(folder), predictor, workspace)
    assert (old.exists(), new.exists()) == (False, True)


def test_the_log_tells_when_a_run_starts_and_ends(folder, predictor, workspace, caplog):
    with caplog.at_level("INFO", "core"):
        run = tag_new_sounds(FolderSource(folder), predictor, workspace, 1)
    lines = [line for line in caplog.messages if run.run_id in line]
    assert [line.split(" run=")[0] for line in lines] == ["run start", "run finished"]
    assert "tagged=1 known=0 skipped=0" in lines[1]


def test_a_new_model_version_tags_again_and_keeps_what_people_decided(folder, predictor, workspace):
    source = FolderSource(folder)
    first = resolve_model(workspace).model
    tag_new_sounds(source, predictor, workspace, model=first)
    state = workspace.sounds.get(ids(workspace)[0])
    workspace.events.append([confirm(state, ["howl"], "ada")])
    second = ModelRef(name=first.name, version=2, fingerprint="other")
    assert tag_new_sounds(source, predictor, workspace, model=second).tagged == 0
    assert tag_new_sounds(source, predictor, workspace, model=second, again=True).tagged == 4
    assert tag_new_sounds(source, predictor, workspace, model=second, again=True).tagged == 0
    after = workspace.sounds.get(state.sound_id)
    assert after.tags == ("howl",)
    assert after.model == second


class CountingSource(FolderSource):
    """Counts the items that it was asked for."""

    listed = 0

    def items(self):
        for item in super().items():
            self.listed += 1
            yield item


def test_a_source_that_was_listed_already_is_not_listed_again(folder, predictor, workspace):
    source = CountingSource(folder)
    new = NewSounds(source, workspace)
    assert not new.is_empty()
    assert tag_new_sounds(source, predictor, workspace, new=new).tagged == 4
    assert source.listed == 4
    assert NewSounds(source, workspace).is_empty()


def test_with_a_limit_another_sound_replaces_one_that_cannot_be_used(folder, predictor, workspace):
    (folder / "a-broken.wav").write_bytes(b"RIFF nonsense")
    run = tag_new_sounds(FolderSource(folder), predictor, workspace, 2)
    assert (run.tagged, len(run.skipped)) == (2, 1)


def test_progress_is_reported_for_every_sound(folder, predictor, workspace):
    steps = []
    tag_new_sounds(
        FolderSource(folder),
        predictor,
        workspace,
        workers=2,
        progress=lambda *step: steps.append(step),
    )
    assert [done for done, _, _ in steps] == [1, 2, 3, 4]
    assert {total for _, total, _ in steps} == {4}


def test_an_interrupted_run_keeps_what_it_tagged_and_the_next_takes_the_rest(
    folder, predictor, workspace
):
    def stop_after_two(done, total, name):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tag_new_sounds(FolderSource(folder), predictor, workspace, progress=stop_after_two)
    assert workspace.runs.latest(1)[0].state == "interrupted"
    assert workspace.sounds.counts().sounds == 2
    assert tag_new_sounds(FolderSource(folder), predictor, workspace).tagged == 2


def test_a_run_that_fails_is_recorded_as_failed(folder, predictor, workspace):
    class Vanishing(FolderSource):
        def items(self):
            yield next(super().items())
            raise RuntimeError("the disk is on fire")

    with pytest.raises(RuntimeError):
        tag_new_sounds(Vanishing(folder), predictor, workspace)
    assert workspace.runs.latest(1)[0].state == "failed"


def test_events_name_the_model_that_really_predicted(folder, predictor, workspace):
    tag_new_sounds(FolderSource(folder), predictor, workspace, 1)
    (state,) = workspace.sounds.all()
    assert state.model.fingerprint == predictor.bundle.fingerprint


def test_a_file_is_decoded_once_for_samples_and_preview(folder, predictor, workspace, monkeypatch):
    decoded = []

    def counting(source, **options):
        decoded.append(options["name"])
        return decode(source, **options)

    monkeypatch.setattr("core.pipeline.tagging.decode", counting)
    assert tag_new_sounds(FolderSource(folder), predictor, workspace).tagged == 4
    assert len(decoded) == 4


def test_the_job_killed_in_the_middle_loses_nothing_and_repeats_nothing(tmp_path, examples):
    environment = os.environ | {
        "EARMARK_SOUNDS": str(examples),
        "EARMARK_WORKSPACE": str(tmp_path / "w"),
    }
    job = [sys.executable, "-m", "jobs", "tag"]
    process = subprocess.Popen(job, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    media = tmp_path / "w" / "media"
    while process.poll() is None and not (media.is_dir() and any(media.rglob("*.webp"))):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    saved = open_local_workspace(tmp_path / "w").sounds.counts().sounds
    total = len(list(examples.glob("*.ogg")))
    result = subprocess.run(
        job, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert f"Tagged {total - saved} sounds" in result.stderr or saved == total
    workspace = open_local_workspace(tmp_path / "w")
    assert workspace.sounds.counts().sounds == total
    histories = [workspace.events.of_sound(state.sound_id) for state in workspace.sounds.all()]
    assert all(len(history) == 1 for history in histories)


EXAMPLES = {
    "alarm-clock": ("alarm", "clock alarm-clock beep"),
    "car-horn": ("horn", "car car-horn vehicle city street"),
    "chainsaw": ("chainsaw", "tool engine"),
    "clock-ticking": ("clock", "tick household"),
    "crackling-fire": ("fire", "crackle nature"),
    "crying-baby": ("baby", "cry human voice sobbing"),
    "dog-barking": ("dog", "bark animal pet"),
    "engine-idling": ("engine", "car vehicle motor idle"),
    "gun-shots": ("gun", "shot gunshot explosion"),
    "helicopter": ("helicopter", "engine vehicle aircraft motor"),
    "rain-on-leaves": ("rain", "water weather nature"),
    "rooster": ("rooster", "bird farm animal chicken"),
    "sea-waves": ("wave", "sea ocean water nature wind"),
    "siren": ("siren", "alarm city police vehicle"),
    "sneeze": ("sneeze", "human"),
    "street-music": ("music", "instrument guitar string city street"),
}
"""What each example imitates, and what else may be said of it."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_gets_the_tag_of_what_it_imitates_and_no_wrong_one(examples, predictor, name):
    imitated, others = EXAMPLES[name]
    top = predictor.predict(decode(examples / f"{name}.ogg", rate=predictor.rate)).top

    suggested = {score.tag for score in top if score.above_threshold}

    assert imitated in suggested
    assert suggested <= {imitated, *others.split()}


def test_every_example_is_known(examples):
    assert {path.stem for path in examples.glob("*.ogg")} == set(EXAMPLES)
