"""A folder of made-up clips that three tags tell apart, small enough to train on within a test."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE_HZ = 22_000
Samples = NDArray[np.float64]


def hum(time: Samples, random: np.random.Generator) -> Samples:
    """Return a low tone with two harmonics."""
    pitch = random.uniform(150, 400)
    harmonics = [np.sin(2 * np.pi * pitch * k * time) / k for k in (1, 2, 3)]
    return np.asarray(np.sum(harmonics, axis=0))


def hiss(time: Samples, random: np.random.Generator) -> Samples:
    """Return white noise."""
    return random.standard_normal(len(time))


def clicks(time: Samples, random: np.random.Generator) -> Samples:
    """Return four to eight short bursts a second."""
    beat = (time * random.uniform(4, 8)) % 1
    return np.asarray(np.exp(-beat * 60) * random.standard_normal(len(time)))


KINDS: dict[str, Callable[[Samples, np.random.Generator], Samples]] = {
    "click": clicks,
    "hiss": hiss,
    "hum": hum,
}


def write_clip(path: Path, kind: str, random: np.random.Generator, seconds: float = 1.0) -> None:
    """Write a sound of one of `KINDS`."""
    sound = KINDS[kind](np.arange(int(RATE_HZ * seconds)) / RATE_HZ, random)
    scaled = 0.1 * random.uniform(0.3, 1) * sound / np.abs(sound).std()
    soundfile.write(path, scaled, RATE_HZ, subtype="PCM_16")


def write_list(folder: Path, rows: list[dict[str, str]]) -> Path:
    """Write clips.csv; return the folder."""
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def make_clips(folder: Path, recordings: int = 10, seconds: tuple[float, ...] = (1.0,)) -> Path:
    """Write a clip folder.

    Args:
        folder: Is created.
        recordings: Of each kind; the first of each is cut into two clips.
        seconds: Lengths that take turns.
    """
    random = np.random.default_rng(7)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    for number, kind in enumerate(KINDS):
        for index in [0, *range(recordings)]:
            name = f"{kind}-{len(rows):02d}.wav"
            write_clip(folder / name, kind, random, seconds[len(rows) % len(seconds)])
            recording = str(1000 * (number + 1) + index)
            rows.append({"file": name, "freesound_id": recording, "tags": kind})
    return write_list(folder, rows)
