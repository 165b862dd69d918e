import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from core.errors import EarmarkError
from core.model import bundle
from training.datasets import Frames
from training.solver import CheckpointError, Part, masked_loss, train


class Stops(Exception):
    """A person who presses Ctrl-C."""


class ImpatientFrames(Frames):
    """Frames that can be asked for so many clips (validation does so, between the learning and the checkpoint)."""

    left = 10**9

    def clip(self, index: int) -> np.ndarray:
        object.__setattr__(self, "left", self.left - 1)
        if self.left < 0:
            raise Stops
        return super().clip(index)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """The folder of the run that was never stopped."""
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def never_stopped(recipe, parts, scaler, whole_run):
    torch.set_num_threads(1)
    return train(recipe, parts[0], parts[1], scaler, whole_run)


def stop_on_the_way(recipe, parts, scaler, folder, epochs: int) -> None:
    """Stop in the validation after so many whole epochs."""
    frames = ImpatientFrames(parts[1].frames.data, parts[1].frames.offsets)
    object.__setattr__(frames, "left", epochs * len(parts[1].clips) + 1)
    with pytest.raises(Stops):
        train(recipe, parts[0], replace(parts[1], frames=frames), scaler, folder)


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    wanted = other.state_dict()
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, wanted[name]), name


def test_a_few_epochs_teach_three_sounds_apart(recipe, parts, scaler, tmp_path):
    network, progress = train(replace(recipe, epochs=12), parts[0], parts[1], scaler, tmp_path)
    chance = parts[1].labels.mean()
    assert progress.history[progress.best_epoch - 1]["pr_auc_macro"] > chance + 0.4
    assert not network.training


def test_the_network_handed_back_is_that_of_the_best_epoch(never_stopped):
    _, progress = never_stopped
    scores = [row["pr_auc_macro"] for row in progress.history]
    assert progress.best_epoch == 1 + scores.index(max(scores))
    assert [row["epoch"] for row in progress.history] == list(range(1, 9))


@pytest.mark.parametrize("epochs", [1, 4, 7])
def test_a_run_that_was_stopped_ends_exactly_as_one_that_never_was(never_stopped, recipe, parts, scaler, tmp_path, epochs):
    folder = tmp_path / "stopped"
    stop_on_the_way(recipe, parts, scaler, folder, epochs)
    assert (folder / "last.safetensors").exists()
    network, progress = train(recipe, parts[0], parts[1], scaler, folder)
    assert progress == never_stopped[1]
    assert_same_weights(network, never_stopped[0])


def test_a_run_may_be_stopped_again_and_again(never_stopped, recipe, parts, scaler, tmp_path):
    folder = tmp_path / "stopped"
    for _ in range(3):
        stop_on_the_way(recipe, parts, scaler, folder, 1)
    network, progress = train(recipe, parts[0], parts[1], scaler, folder)
    assert progress == never_stopped[1]
    assert_same_weights(network, never_stopped[0])


def test_a_finished_run_is_only_read_again(never_stopped, recipe, parts, scaler, whole_run):
    before = {path.name: path.read_bytes() for path in whole_run.iterdir()}
    network, progress = train(recipe, parts[0], parts[1], scaler, whole_run)
    assert {path.name: path.read_bytes() for path in whole_run.iterdir()} == before
    assert progress == never_stopped[1]
    assert_same_weights(network, never_stopped[0])


def test_another_seed_is_another_run(never_stopped, recipe, parts, scaler, tmp_path):
    _, progress = train(replace(recipe, seed=4), parts[0], parts[1], scaler, tmp_path / "other")
    assert [row["loss"] for row in progress.history] != [row["loss"] for row in never_stopped[1].history]


def refused(recipe, parts, scaler, folder) -> str:
    with pytest.raises(CheckpointError) as raised:
        train(recipe, parts[0], parts[1], scaler, folder)
    assert isinstance(raised.value, EarmarkError)
    return str(raised.value)


def test_a_folder_with_a_run_of_another_recipe_is_refused_and_left_alone(never_stopped, recipe, parts, scaler, whole_run):
    before = (whole_run / "last.safetensors").read_bytes()
    assert "another recipe" in refused(replace(recipe, learning_rate=1e-3), parts, scaler, whole_run)
    assert (whole_run / "last.safetensors").read_bytes() == before


def test_a_folder_with_a_run_on_other_data_is_refused(never_stopped, recipe, parts, scaler, whole_run):
    fewer = Part(parts[0].frames, parts[0].clips[1:], parts[0].labels[1:], parts[0].recordings[1:])
    assert "other data" in refused(recipe, [fewer, parts[1]], scaler, whole_run)


@pytest.mark.parametrize("damage", [b"", b"\x10", b"not a checkpoint at all"], ids=["empty", "cut", "other"])
def test_a_damaged_checkpoint_is_refused_in_one_sentence(recipe, parts, scaler, tmp_path, damage):
    (tmp_path / "last.safetensors").write_bytes(damage)
    text = refused(recipe, parts, scaler, tmp_path)
    assert "damaged" in text
    assert "\n" not in text


def test_a_checkpoint_from_another_kind_of_device_is_refused(never_stopped, recipe, parts, scaler, whole_run, tmp_path):
    with safe_open(whole_run / "last.safetensors", "pt") as file:
        state = json.loads(file.metadata()["state"])
    save_file(load_file(whole_run / "last.safetensors"), tmp_path / "last.safetensors", {"state": json.dumps(state | {"device": "cuda"})})
    assert "begun on cuda, not cpu" in refused(recipe, parts, scaler, tmp_path)


def test_without_validation_the_last_epoch_counts(recipe, parts, scaler, tmp_path):
    _, progress = train(replace(recipe, epochs=2), parts[0], None, scaler, tmp_path)
    assert progress.best_epoch == progress.epoch == 2
    assert set(progress.history[0]) == {"epoch", "loss"}


def test_a_run_that_gets_no_better_stops_early(recipe, parts, scaler, tmp_path):
    _, progress = train(replace(recipe, epochs=30, learning_rate=1e-9, ema=0.0, patience=2), parts[0], parts[1], scaler, tmp_path)
    assert progress.epoch < 30
    assert progress.epoch == progress.best_epoch + 2


def test_more_passes_are_more_steps_of_one_epoch(recipe, parts, scaler, tmp_path):
    seen = []
    train(replace(recipe, epochs=1, passes=3), parts[0], None, scaler, tmp_path, watch=lambda progress: seen.append(progress.epoch))
    assert seen == [1]


@pytest.mark.parametrize(
    "lever",
    [
        {"mixing": "overlay"}, {"equalise_db": 6.0, "hiss": 0.5}, {"stretch": 0.1, "shift_bands": 2.0}, {"roll": True}, {"balance": 0.5},
        {"smoothing": 0.1}, {"ema": 0.9}, {"loss": "softmax"}, {"crop": 64}, {"architecture": "seed_cnn", "mixup": 0.0, "masks": False},
    ],
    ids=lambda lever: " ".join(lever),
)  # fmt: skip
def test_every_lever_gives_a_network_that_answers(recipe, parts, scaler, tmp_path, lever):
    network, progress = train(replace(recipe, epochs=1, **lever), parts[0], None, scaler, tmp_path)
    assert np.isfinite(progress.history[0]["loss"])
    [scores] = network.score([torch.zeros(96, 200)])
    assert torch.isfinite(scores.logits).all()


def test_what_nobody_decided_teaches_nothing():
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]], requires_grad=True)
    known = torch.tensor([[True, False], [True, True]])
    masked_loss(logits, torch.ones(2, 2), known, "binary").backward()
    assert logits.grad is not None
    assert (logits.grad != 0).equal(known)


def test_a_run_with_a_mask_is_another_run_and_ignores_wrong_labels_under_it(recipe, parts, scaler, tmp_path):
    part = parts[0]
    known = np.ones(part.labels.shape, bool)
    known[:, 1] = False
    wrong = part.labels.copy()
    wrong[:, 1] = 1 - wrong[:, 1]
    short = replace(recipe, epochs=1)
    one, _ = train(short, replace(part, known=known), None, scaler, tmp_path / "one")
    other, _ = train(short, replace(part, known=known, labels=wrong), None, scaler, tmp_path / "other")
    assert_same_weights(one, other)


def test_rare_tags_are_drawn_more_often_the_more_balance_is_asked_for(parts):
    labels = np.zeros((20, 2), np.float32)
    labels[:, 0], labels[0] = 1, (0, 1)
    part = Part(parts[0].frames, np.arange(20), labels, np.arange(20).astype(str))
    chances = [part.balanced(strength)[0] for strength in (0.0, 0.5, 1.0)]
    assert chances[0] == pytest.approx(1 / 20)
    assert chances == sorted(chances)
    assert chances[2] == pytest.approx(0.5)


def test_two_processes_share_the_work_and_end_with_one_network(clip_folder, tmp_path):
    script = (
        "import sys; from pathlib import Path; from training import clips; from training.recipes import changed;"
        "from dataclasses import replace;"
        "clips.run(data=Path(sys.argv[1]), out=Path(sys.argv[2]) / 'bundle', run=Path(sys.argv[2]) / 'run', name='tiny',"
        " recipe=replace(changed('earmark', 1, 2, (4, 4, 8, 8), 8), batch=8), least_recordings=4)"
    )
    path = tmp_path / "script.py"
    path.write_text(script)
    root = Path(__file__).parents[2]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "--standalone",
        str(path),
        str(clip_folder),
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch   1") == 1, "one process speaks"
    assert bundle.load(tmp_path / "bundle").metrics["history"][-1]["epoch"] == 2


def test_what_a_killed_writer_left_behind_does_not_count(never_stopped, recipe, parts, scaler, tmp_path):
    folder = tmp_path / "stopped"
    stop_on_the_way(recipe, parts, scaler, folder, 7)
    for name in ("last", "best"):
        (folder / f"{name}.partial").write_bytes((folder / f"{name}.safetensors").read_bytes()[:100])
    network, progress = train(recipe, parts[0], parts[1], scaler, folder)
    assert progress == never_stopped[1]
    assert_same_weights(network, never_stopped[0])


def test_a_recording_cut_into_many_clips_is_not_drawn_many_times_as_often(parts):
    recordings = np.array(["1"] * 16 + ["2"])
    weights = Part(parts[0].frames, np.arange(17), np.zeros((17, 1)), recordings).weights
    assert weights.sum() == pytest.approx(1)
    assert weights[:16].sum() == pytest.approx(4 * weights[16])
