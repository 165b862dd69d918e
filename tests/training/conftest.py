"""Made-up clips, and a model that was trained on them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.model.bundle import Bundle, Scaler
from tests.helpers.synthetic_clips import KINDS, make_clips
from training.datasets import clips as clip_data
from training.datasets.clip_folder import ClipSource, load_training_data
from training.datasets.clips import Clip
from training.datasets.types import Frames, Subset, fit_scaler
from training.pipeline import train_and_evaluate
from training.recipes import EARMARK, Recipe

MIN_RECORDINGS = 4
TINY = {"channels": [4, 4, 8, 8], "hidden": 8}


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory) -> Path:
    """33 clips of 30 recordings; most are shorter than the network's window, some are not."""
    folder = tmp_path_factory.mktemp("synthetic") / "clips"
    return make_clips(folder, seconds=(1.0, 1.0, 1.0, 4.0))


@pytest.fixture(scope="session")
def labelled(clip_folder, tmp_path_factory) -> tuple[list[Clip], Frames]:
    clips = clip_data.read_clips(clip_folder)
    return clips, clip_data.load_frames(clips, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def subsets(labelled) -> list[Subset]:
    """Training, validation and test subset of the made-up clips."""
    clips, frames = labelled
    subset_of = clip_data.split_by_recording(clips, seed=1)
    return clip_data.subsets(clips, subset_of, tuple(KINDS), frames)


@pytest.fixture(scope="session")
def scaler(subsets) -> Scaler:
    return fit_scaler(subsets[0])


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Small and quick; the augmentations are as shipped."""
    return replace(
        EARMARK,
        arguments=TINY,
        epochs=8,
        repeats_per_epoch=1,
        batch_size=4,
        learning_rate=1e-2,
        patch_frames=None,
        ema=0.5,
        seed=3,
    )


@pytest.fixture(scope="session")
def trained(clip_folder, recipe, tmp_path_factory) -> Bundle:
    """A whole bundle, trained on the made-up clips."""
    folder = tmp_path_factory.mktemp("trained")
    source = ClipSource(
        clip_folder,
        folder / "run",
        min_recordings=MIN_RECORDINGS,
        provenance="made up",
        license="CC0",
    )
    data = load_training_data(source, seed=1)
    bundle = train_and_evaluate(
        data, replace(recipe, seed=1), name="tiny", run=folder / "run", out=folder / "bundle"
    )
    assert bundle is not None
    return bundle
