"""Retraining as a job: a challenger is registered with its comparison; a setting deploys it."""

import numpy as np
import pytest

from core.audio.decode import decode
from core.events.fold import confirm
from core.events.types import Media, Predicted, Sound, Suggestion, new_event
from core.storage.active_model import active_version, deploy_model, resolve_model
from core.storage.local import open_local_workspace
from jobs.cli import main
from jobs.modal_training import outcome_of
from jobs.training import RETRAINING, deploy_if_no_loss
from tests.helpers.commands import command_runner
from tests.helpers.model_versions import add_challenger, comparison
from tests.helpers.synthetic_clips import make_clips, write_clip


@pytest.fixture
def workspace(tmp_path):
    return open_local_workspace(tmp_path / "workspace")


def test_a_challenger_whose_interval_excludes_a_loss_is_deployed(workspace, tmp_path):
    champion = resolve_model(workspace).model
    challenger = add_challenger(workspace, tmp_path / "challenger")
    deploy_if_no_loss(workspace, challenger, comparison(champion))
    (event, *_) = workspace.events.rollouts()
    assert (event.payload.model, event.actor) == (challenger, RETRAINING)
    assert resolve_model(workspace).model == challenger  # and it stays


def test_another_one_is_not(workspace, tmp_path):
    champion = resolve_model(workspace).model
    challenger = add_challenger(workspace, tmp_path / "challenger")
    unclear = {"kind": "unclear", "excludes_loss": False, "text": ""}
    deploy_if_no_loss(workspace, challenger, comparison(champion) | {"verdict": unclear})
    assert active_version(workspace) == champion


def test_nothing_is_deployed_where_another_model_is_active_by_now(workspace, tmp_path):
    champion = resolve_model(workspace).model
    challenger = add_challenger(workspace, tmp_path / "challenger")
    other = add_challenger(workspace, tmp_path / "other")
    deploy_model(workspace, other.name, other.version, "ada", "meanwhile")
    deploy_if_no_loss(workspace, challenger, comparison(champion))
    assert active_version(workspace) == other


@pytest.fixture
def earmark(tmp_path, monkeypatch, capsys):
    """Runs a command of the jobs in this process."""
    folder = tmp_path / "workspace"
    return command_runner(main, monkeypatch, capsys, EARMARK_WORKSPACE=folder)


def test_without_data_the_command_says_what_is_missing(earmark):
    result = earmark("train", "retrain")
    assert result.returncode == 2
    assert "EARMARK_TRAINING_DATA" in result.stderr


def test_on_modal_what_fails_each_time_is_an_answer_and_not_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "workspace"))
    (tmp_path / "clips").mkdir()
    data = str(tmp_path / "clips")
    places = ["--run", str(tmp_path / "run"), "--out", str(tmp_path / "out")]
    no_clips = outcome_of(["clips", "--data", data, *places])
    assert no_clips["model"] == ""
    assert "There is no clips.csv" in no_clips["problem"]
    wrong_option = outcome_of(["clips", "--data", data, "--epochs", "none", *places])
    assert "--epochs" in wrong_option["problem"]


def test_on_modal_what_may_pass_is_tried_again(tmp_path, monkeypatch):
    from core.storage.hopsworks.errors import Unavailable

    settings = {"HOST": "localhost", "PORT": "1", "PROJECT": "demo", "API_KEY": "x"}
    for name, value in settings.items():
        monkeypatch.setenv(f"EARMARK_HOPSWORKS_{name}", value)
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "workspace"))
    with pytest.raises(Unavailable):
        outcome_of(["clips", "--data", str(tmp_path)])


def add_corrections(workspace, model, tmp_path):
    random = np.random.default_rng(3)
    for number in range(12):
        write_clip(tmp_path / "sound.wav", "hum", random)
        preview = decode(tmp_path / "sound.wav", name="x", with_preview=True).preview
        payload = Predicted(
            model=model,
            top=(Suggestion(tag="click", probability=0.9, above_threshold=True),),
            sound=Sound(title="x", source="test", gen_ai_preference=("", "no-gen-ai")[number < 2]),
            media=Media(audio=workspace.media.put(preview, "ogg")),
        )
        event = new_event(payload, f"freesound:{500_000 + number}", "job")
        workspace.events.append([event])
        workspace.events.append([confirm(workspace.sounds.get(event.sound_id), ["hum"], "ada")])


def test_the_job_registers_a_challenger_with_its_comparison_and_its_run(
    earmark, workspace, tmp_path
):
    data = make_clips(tmp_path / "clips")
    small = ("--epochs", "1", "--channels", "4,4,8,8", "--hidden", "8", "--min-recordings", "4")
    places = ("--run", tmp_path / "first", "--out", tmp_path / "first-bundle", "--name", "tiny")
    first = earmark("train", "clips", "--data", data, *places, *small)
    assert first.returncode == 0, first.stderr
    champion = deploy_model(workspace, "tiny", 1, "ada", "first")
    add_corrections(workspace, champion, tmp_path)
    places = ("--run", tmp_path / "retrain", "--out", tmp_path / "challenger")
    result = earmark("train", "retrain", "--data", data, *places)
    assert result.returncode == 0, result.stderr
    assert "Registered tiny v2." in result.stderr
    challenger = workspace.models.find("tiny", 2)
    (kept,) = workspace.models.notes(challenger, "comparison")
    assert kept["champion"]["version"] == 1
    assert kept["corrections"]["left_out"] == {"uploader's wish about generative AI": 2}
    assert active_version(workspace) == champion
    run = workspace.runs.page(0, 1).runs[0]
    assert workspace.runs.progress(run.run_id).total > 0  # epochs: the page has shown how far it is
    assert (run.kind, run.state, run.result) == ("training", "finished", "tiny v2")
