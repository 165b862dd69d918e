"""A folder of made-up clips that three tags tell apart, small enough to train on within a test."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training import clips as clip_training
from training import datasets
from training.datasets import Clip, Frames
from training.recipes import changed
from training.solver import Part, Recipe

RATE = 22_000
LEAST_RECORDINGS = 4
TINY = {"channels": [4, 4, 8, 8], "hidden": 8}


def hum(time: np.ndarray, random: np.random.Generator) -> np.ndarray:
    pitch = random.uniform(150, 400)
    return sum(np.sin(2 * np.pi * pitch * k * time) / k for k in (1, 2, 3))


def hiss(time: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return random.standard_normal(len(time))


def clicks(time: np.ndarray, random: np.random.Generator) -> np.ndarray:
    beat = (time * random.uniform(4, 8)) % 1
    return np.exp(-beat * 60) * random.standard_normal(len(time))


KINDS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {"click": clicks, "hiss": hiss, "hum": hum}


def write_clip(path: Path, kind: str, random: np.random.Generator, seconds: float = 1.0) -> None:
    sound = KINDS[kind](np.arange(int(RATE * seconds)) / RATE, random)
    soundfile.write(path, 0.1 * random.uniform(0.3, 1) * sound / np.abs(sound).std(), RATE, subtype="PCM_16")


def write_list(folder: Path, rows: list[dict[str, str]]) -> Path:
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def make_clips(folder: Path, recordings: int = 10, seconds: tuple[float, ...] = (1.0,)) -> Path:
    """`recordings` of each kind; the first of each was cut into two clips, and lengths take turns."""
    random = np.random.default_rng(7)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, kind in enumerate(KINDS):
        for index in [0, *range(recordings)]:
            name = f"{kind}-{len(rows):02d}.wav"
            write_clip(folder / name, kind, random, seconds[len(rows) % len(seconds)])
            rows.append({"file": name, "freesound_id": str(1000 * (number + 1) + index), "tags": kind})
    return write_list(folder, rows)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory) -> Path:
    """33 clips of 30 recordings; most last a second, which is less than the network's window, some four."""
    return make_clips(tmp_path_factory.mktemp("synthetic") / "clips", seconds=(1.0, 1.0, 1.0, 4.0))


@pytest.fixture(scope="session")
def labelled(clip_folder, tmp_path_factory) -> tuple[list[Clip], Frames]:
    clips = datasets.read_clips(clip_folder)
    return clips, datasets.load_frames(clips, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def parts(labelled) -> list[Part]:
    """Training, validation and test part of the made-up clips."""
    clips, frames = labelled
    part_of = datasets.split_by_recording(clips, seed=1)
    labels, recordings = datasets.multi_hot(clips, tuple(KINDS)), np.array([clip.recording for clip in clips])
    return [Part(frames, index, labels[index], recordings[index]) for index in (np.flatnonzero(part_of == p) for p in range(3))]


@pytest.fixture(scope="session")
def scaler(parts):
    return clip_training.per_band_scaler(parts[0].frames, parts[0].clips)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Small and quick; the rest is as shipped."""
    return Recipe(arguments=TINY, epochs=8, batch=4, learning_rate=1e-2, ema=0.5, gain_db=3.0, seed=3)


@pytest.fixture(scope="session")
def trained(clip_folder, tmp_path_factory):
    """A whole bundle, trained on the made-up clips."""
    folder = tmp_path_factory.mktemp("trained")
    return clip_training.run(
        data=clip_folder, out=folder / "bundle", run=folder / "run", name="tiny", licence="CC0", provenance="made up",
        recipe=replace(changed("earmark", 1, 6, (4, 4, 8, 8), 8), batch=8), least_recordings=LEAST_RECORDINGS,
    )  # fmt: skip
