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
from training.datasets.types import Frames, Subset
from training.errors import CheckpointError
from training.recipes import PROTOTYPE
from training.trainer import masked_loss, train

ROOT = Path(__file__).parents[2]
TINY = {"channels": [4, 4, 8, 8], "hidden": 8}


class Stopped(Exception):
    """Stands for a person who presses Ctrl-C."""


class ImpatientFrames(Frames):
    """Frames that can be asked for so many clips.

    Validation asks for them, between the training of an epoch and its checkpoint.
    """

    remaining = 10**9

    def clip(self, index: int) -> np.ndarray:
        object.__setattr__(self, "remaining", self.remaining - 1)
        if self.remaining < 0:
            raise Stopped
        return super().clip(index)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """The folder of the run that was never stopped."""
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def never_stopped(recipe, subsets, scaler, whole_run):
    return train(recipe, subsets[0], subsets[1], scaler, whole_run)


def stop_on_the_way(recipe, subsets, scaler, folder, epochs: int) -> None:
    """Stop in the validation after so many whole epochs."""
    validation = subsets[1]
    frames = ImpatientFrames(validation.frames.data, validation.frames.offsets)
    object.__setattr__(frames, "remaining", epochs * len(validation.clips) + 1)
    with pytest.raises(Stopped):
        train(recipe, subsets[0], replace(validation, frames=frames), scaler, folder)


def assert_same_weights(network: torch.nn.Module, other: torch.nn.Module) -> None:
    expected = other.state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_a_few_epochs_teach_three_sounds_apart(recipe, subsets, scaler, tmp_path):
    longer = replace(recipe, epochs=12)
    network, progress = train(longer, subsets[0], subsets[1], scaler, tmp_path)
    chance = subsets[1].labels.mean()
    assert progress.history[progress.best_epoch - 1]["pr_auc_macro"] > chance + 0.4
    assert not network.training


def test_the_network_handed_back_is_that_of_the_best_epoch(never_stopped):
    _, progress = never_stopped
    scores = [row["pr_auc_macro"] for row in progress.history]
    assert progress.best_epoch == 1 + scores.index(max(scores))
    assert [row["epoch"] for row in progress.history] == list(range(1, 9))


@pytest.mark.parametrize("epochs", [1, 4, 7])
def test_a_run_that_was_stopped_ends_exactly_as_one_that_never_was(
    never_stopped, recipe, subsets, scaler, tmp_path, epochs
):
    folder = tmp_path / "stopped"
    stop_on_the_way(recipe, subsets, scaler, folder, epochs)
    assert (folder / "last.safetensors").exists()
    network, progress = train(recipe, subsets[0], subsets[1], scaler, folder)
    assert progress == never_stopped[1]
    assert_same_weights(network, never_stopped[0])


def test_a_run_may_be_stopped_again_and_again(never_stopped, recipe, subsets, scaler, tmp_path):
    folder = tmp_path / "stopped"
    for _ in range(3):
        stop_on_the_way(recipe, subsets, scaler, folder, 1)
    network, progress = train(recipe, subsets[0], subsets[1], scaler, folder)
    assert progress == never_stopped[1]
    assert_same_weights(network, never_stopped[0])


def test_a_finished_run_is_only_read_again(never_stopped, recipe, subsets, scaler, whole_run):
    before = {path.name: path.read_bytes() for path in whole_run.iterdir()}
    network, progress = train(recipe, subsets[0], subsets[1], scaler, whole_run)
    assert {path.name: path.read_bytes() for path in whole_run.iterdir()} == before
    assert progress == never_stopped[1]
    assert_same_weights(network, never_stopped[0])


def test_another_seed_is_another_run(never_stopped, recipe, subsets, scaler, tmp_path):
    other = replace(recipe, seed=4, epochs=1)
    _, progress = train(other, subsets[0], subsets[1], scaler, tmp_path / "other")
    assert progress.history[0]["loss"] != never_stopped[1].history[0]["loss"]


def refused(recipe, subsets, scaler, folder) -> str:
    with pytest.raises(CheckpointError) as raised:
        train(recipe, subsets[0], subsets[1], scaler, folder)
    assert isinstance(raised.value, EarmarkError)
    return str(raised.value)


def test_a_folder_with_a_run_of_another_recipe_is_refused_and_left_alone(
    never_stopped, recipe, subsets, scaler, whole_run
):
    before = (whole_run / "last.safetensors").read_bytes()
    other = replace(recipe, learning_rate=1e-3)
    assert "another recipe" in refused(other, subsets, scaler, whole_run)
    assert (whole_run / "last.safetensors").read_bytes() == before


def test_a_folder_with_a_run_on_other_data_is_refused(
    never_stopped, recipe, subsets, scaler, whole_run
):
    fewer = subsets[0].rows(np.arange(1, len(subsets[0].clips)))
    assert "other data" in refused(recipe, [fewer, subsets[1]], scaler, whole_run)


@pytest.mark.parametrize(
    "damage", [b"", b"\x10", b"not a checkpoint at all"], ids=["empty", "cut", "other"]
)
def test_a_damaged_checkpoint_is_refused_in_one_sentence(recipe, subsets, scaler, tmp_path, damage):
    (tmp_path / "last.safetensors").write_bytes(damage)
    text = refused(recipe, subsets, scaler, tmp_path)
    assert "damaged" in text
    assert text.endswith(".")
    assert "\n" not in text


def test_a_run_begun_on_another_kind_of_device_is_refused(
    never_stopped, recipe, subsets, scaler, whole_run, tmp_path
):
    with safe_open(whole_run / "last.safetensors", "pt") as file:
        state = json.loads(file.metadata()["state"])
    metadata = {"state": json.dumps(state | {"device": "cuda"})}
    tensors = load_file(whole_run / "last.safetensors")
    save_file(tensors, tmp_path / "last.safetensors", metadata)
    assert "begun on cuda, not cpu" in refused(recipe, subsets, scaler, tmp_path)


def test_a_folder_that_cannot_be_created_is_said(recipe, subsets, scaler, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "cannot be created" in refused(recipe, subsets, scaler, tmp_path / "file" / "run")


def test_start_epochs_and_end_are_logged(recipe, subsets, scaler, tmp_path, caplog):
    caplog.set_level("INFO", "training")
    train(replace(recipe, epochs=2), subsets[0], subsets[1], scaler, tmp_path)
    events = [record.getMessage().split(" ")[:2] for record in caplog.records]
    expected = [["training", "start"], ["epoch", "number=1"], ["epoch", "number=2"]]
    assert events == [*expected, ["training", "end"]]


def test_more_repeats_are_more_steps_of_the_same_epochs(recipe, subsets, scaler, tmp_path):
    averages = []
    for repeats in (1, 3):
        folder = tmp_path / str(repeats)
        changed = replace(recipe, epochs=1, repeats_per_epoch=repeats)
        _, progress = train(changed, subsets[0], subsets[1], scaler, folder)
        assert progress.epoch == 1
        averages.append(int(load_file(folder / "last.safetensors")["averaged.n_averaged"]))
    clips, batch = len(subsets[0].clips), recipe.batch_size
    # A last batch of one patch is left out: batch norms need two.
    expected = [divmod(repeats * clips, batch) for repeats in (1, 3)]
    assert averages == [whole + (rest > 1) for whole, rest in expected]


@pytest.mark.parametrize(
    "changes",
    [
        {"ema": 0.9},
        {"ema": 0.0},
        {"patch_frames": 64},
        {"synthetic_negatives": 0.5, "hiss": 0.5},
        {"masks": False, "gain_db": 0.0},
        {"architecture": "prototype_cnn", "arguments": TINY, "pooling": "mean"},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_every_setting_gives_a_network_that_answers(recipe, subsets, scaler, tmp_path, changes):
    changed = replace(recipe, epochs=1, **changes)
    network, progress = train(changed, subsets[0], subsets[1], scaler, tmp_path)
    assert np.isfinite(progress.history[0]["loss"])
    [scores] = network.score([torch.zeros(96, 200)])
    assert torch.isfinite(scores.logits).all()


def test_without_averaging_the_kept_weights_are_the_networks_own(recipe, subsets, scaler, tmp_path):
    train(replace(recipe, epochs=1, ema=0.0), subsets[0], subsets[1], scaler, tmp_path)
    tensors = load_file(tmp_path / "last.safetensors")
    for name in [name for name in tensors if name.startswith("network.")]:
        averaged = tensors["averaged.module." + name.removeprefix("network.")]
        assert torch.equal(tensors[name], averaged), name


def test_the_learning_rate_warms_up_and_ends_at_zero(recipe, subsets, scaler, tmp_path):
    train(recipe, subsets[0], subsets[1], scaler, tmp_path)
    with safe_open(tmp_path / "last.safetensors", "pt") as file:
        state = json.loads(file.metadata()["state"])
    assert [group["lr"] for group in state["parameter_groups"]] == pytest.approx([0, 0], abs=1e-12)


def test_what_nobody_decided_teaches_nothing():
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]], requires_grad=True)
    known = torch.tensor([[True, False], [True, True]])
    masked_loss(logits, torch.ones(2, 2), known).backward()
    assert logits.grad is not None
    assert (logits.grad != 0).equal(known)


def test_wrong_labels_that_nobody_decided_change_nothing(recipe, subsets, scaler, tmp_path):
    subset = subsets[0]
    known = np.ones(subset.labels.shape, bool)
    known[:, 1] = False
    wrong = subset.labels.copy()
    wrong[:, 1] = 1 - wrong[:, 1]
    short = replace(recipe, epochs=1)
    networks = [
        train(short, replace(subset, known=known, **labels), subsets[1], scaler, tmp_path / name)[0]
        for name, labels in (("own", {}), ("wrong", {"labels": wrong}))
    ]
    assert_same_weights(*networks)


def test_a_run_with_unknown_labels_is_another_run(recipe, subsets, scaler, tmp_path):
    short = replace(recipe, epochs=1)
    train(short, subsets[0], subsets[1], scaler, tmp_path)
    known = np.ones(subsets[0].labels.shape, bool)
    known[0, 1] = False
    masked = replace(subsets[0], known=known)
    assert "other data" in refused(short, [masked, subsets[1]], scaler, tmp_path)


def test_the_prototypes_recipe_has_no_augmentation():
    names = ("gain_db", "hiss", "masks", "synthetic_negatives", "ema", "weight_decay")
    assert not any(getattr(PROTOTYPE, name) for name in names)


def test_two_processes_share_the_work_and_end_with_one_network(clip_folder, tmp_path):
    options = ["--epochs", "2", "--channels", "4,4,8,8", "--hidden", "8", "--min-recordings", "4"]
    places = ["--data", clip_folder, "--out", tmp_path / "bundle", "--run", tmp_path / "run"]
    torchrun = ["torch.distributed.run", "--nproc_per_node", "2", "--standalone", "-m", "--"]
    command = [sys.executable, "-m", *torchrun, "training", "clips", *map(str, places), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch number=1 ") == 1, "one process reports"
    history = bundle.load(tmp_path / "bundle").metrics["history"]
    assert [row["epoch"] for row in history] == [1, 2]


def test_what_a_killed_writer_left_behind_does_not_count(
    never_stopped, recipe, subsets, scaler, tmp_path
):
    folder = tmp_path / "stopped"
    stop_on_the_way(recipe, subsets, scaler, folder, 7)
    for name in ("last", "best"):
        whole = (folder / f"{name}.safetensors").read_bytes()
        (folder / f"{name}.partial").write_bytes(whole[:100])
    network, progress = train(recipe, subsets[0], subsets[1], scaler, folder)
    assert progress == never_stopped[1]
    assert_same_weights(network, never_stopped[0])


def test_a_recording_cut_into_many_clips_is_not_drawn_many_times_as_often(subsets):
    recordings = np.array(["1"] * 16 + ["2"])
    labels = np.zeros((17, 1), np.float32)
    subset = Subset(subsets[0].frames, np.arange(17), labels, recordings)
    weights = subset.sampling_weights
    assert weights.sum() == pytest.approx(1)
    assert weights[:16].sum() == pytest.approx(4 * weights[16])
