from dataclasses import replace

import numpy as np
import pytest
import torch

from core.errors import EarmarkError
from training.solver import CheckpointError, Part, train


class StopsAfter:
    """A scaler that lets so many patches pass and then stands for a person who presses Ctrl-C."""

    def __init__(self, scaler, patches: int) -> None:
        self.scaler, self.left = scaler, patches

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.scaler(frames)


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


def stop_on_the_way(recipe, parts, scaler, folder, patches: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(recipe, parts[0], parts[1], StopsAfter(scaler, patches), folder)


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


@pytest.mark.parametrize("patches", [36, 96, 166], ids=["early", "in the middle", "late"])
def test_a_run_that_was_stopped_ends_exactly_as_one_that_never_was(never_stopped, recipe, parts, scaler, tmp_path, patches):
    folder = tmp_path / "stopped"
    stop_on_the_way(recipe, parts, scaler, folder, patches)
    assert (folder / "last.safetensors").exists()
    network, progress = train(recipe, parts[0], parts[1], scaler, folder)
    assert progress == never_stopped[1]
    assert_same_weights(network, never_stopped[0])


def test_a_run_may_be_stopped_again_and_again(never_stopped, recipe, parts, scaler, tmp_path):
    folder = tmp_path / "stopped"
    for _ in range(3):
        stop_on_the_way(recipe, parts, scaler, folder, 46)
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


def test_what_a_killed_writer_left_behind_does_not_count(never_stopped, recipe, parts, scaler, tmp_path):
    folder = tmp_path / "stopped"
    stop_on_the_way(recipe, parts, scaler, folder, 190)
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
