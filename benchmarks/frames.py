"""Tags over time: a known sound at a known place in another background.

`python -m benchmarks.frames FOLDER...` shows other bundles beside the default model.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import harness
from benchmarks.collages import held_back_clips, sound
from core.audio.decode import decode
from core.model.metrics import roc_auc_and_average_precision
from core.model.predictor import Predictor
from training.datasets.clips import Clip
from training.fine_tuning.data import loudest_second
from training.tables import write_table

RESULTS = harness.ROOT / "docs" / "results" / "frames.csv"
MIXES = 120
BACKGROUND_S, SILENCE_S = 6.0, 2.0
BACKGROUND_PEAK, SOUND_PEAK = 0.1, 0.5
"""14 dB between the sound and its background."""
SEED = 0
COLUMNS = (
    "architecture",
    "step, s",
    "frame PR-AUC",
    "in the sound",
    "in the background",
    "in silence",
    "onset error, s: median",
    "90 %",
)


@dataclass
class Measured:
    """Activations of the tags of the sounds that were put into backgrounds.

    Attributes:
        inside: Where the sound is.
        outside: Where only the background is.
        silent: In digital silence at the end.
        onsets: Errors of the sound's start in seconds.
    """

    inside: list[float] = field(default_factory=list)
    outside: list[float] = field(default_factory=list)
    silent: list[float] = field(default_factory=list)
    onsets: list[float] = field(default_factory=list)

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the table's cells."""
        labels = np.repeat([1, 0], [len(self.inside), len(self.outside)])
        _, score = roc_auc_and_average_precision(labels, np.array(self.inside + self.outside))
        means = (np.mean(self.inside), np.mean(self.outside), np.mean(self.silent))
        errors = (np.median(self.onsets), np.quantile(self.onsets, 0.9))
        return tuple(f"{value:.3f}" for value in (score, *means, *errors))


def row(predictor: Predictor, clips: Sequence[Clip]) -> tuple[str, ...]:
    """Return a model's row of the table."""
    random, measured = np.random.default_rng(SEED), Measured()
    step = 0.0
    for index in random.choice(len(clips), MIXES, replace=False):
        clip = clips[index]
        other = _other_clip(clip, clips, random)
        start = float(random.uniform(0.5, BACKGROUND_S - 1.5))
        tags = [predictor.vocabulary.index(tag) for tag in clip.tags if tag in predictor.vocabulary]
        step = _measure(predictor, _mix(predictor.rate, clip, other, start), start, tags, measured)
    return (predictor.bundle.architecture, f"{step:.2f}", *measured.cells)


def _other_clip(clip: Clip, clips: Sequence[Clip], random: np.random.Generator) -> Clip:
    """Return a clip that shares no tag."""
    while True:
        other = clips[int(random.integers(len(clips)))]
        if not other.tags & clip.tags:
            return other


def _mix(rate: int, clip: Clip, other: Clip, start: float) -> NDArray[np.float32]:
    """Return the loudest second of a clip in another one, and silence after both."""
    background = np.resize(decode(other.path, rate=rate).samples, round(BACKGROUND_S * rate))
    mix = np.zeros(round((BACKGROUND_S + SILENCE_S) * rate), np.float32)
    mix[: len(background)] = _at_peak(background, BACKGROUND_PEAK)
    event = _at_peak(loudest_second(decode(clip.path, rate=rate).samples, rate), SOUND_PEAK)
    mix[round(start * rate) : round(start * rate) + len(event)] += event
    return mix


def _at_peak(samples: NDArray[np.float32], peak: float) -> NDArray[np.float32]:
    return samples * np.float32(peak / max(float(np.abs(samples).max(initial=0)), 1e-6))


def _measure(
    predictor: Predictor,
    samples: NDArray[np.float32],
    start: float,
    tags: list[int],
    measured: Measured,
) -> float:
    """Add a mix's activations; return the step between frames in seconds."""
    prediction = predictor.predict(sound(samples, predictor.rate))
    centres = prediction.times.mean(axis=1)
    inside = (centres >= start) & (centres < start + 1)
    silent = prediction.times[:, 0] >= BACKGROUND_S
    outside = ~inside & (prediction.times[:, 1] <= BACKGROUND_S)
    for tag in tags:
        activations = prediction.activations[:, tag]
        measured.inside += activations[inside].tolist()
        measured.outside += activations[outside].tolist()
        measured.silent += activations[silent].tolist()
        begins = np.argmax(activations >= activations.max() / 2)
        measured.onsets.append(abs(float(prediction.times[begins, 0]) - start))
    return float(np.diff(centres).mean())


def main(folders: Sequence[str] = ()) -> None:
    """Print the table, and write it for the model card."""
    predictor = Predictor.from_folder()
    clips = held_back_clips(predictor)
    others = [Predictor.from_folder(Path(folder)) for folder in folders]
    table = [row(model, clips) for model in (predictor, *others)]
    harness.print_table(f"{MIXES} sounds in other backgrounds", COLUMNS, table)
    write_table(RESULTS, [COLUMNS, *table])


if __name__ == "__main__":
    main(sys.argv[1:])
