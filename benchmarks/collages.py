"""Tags of long recordings: collages of held-back real clips, whose tags are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks import harness
from core.audio.decode import decode
from core.audio.types import AudioFacts, Recording
from core.model.pooling import pool, pool_recording
from core.model.predictor import Predictor
from training.datasets.clips import Clip, multi_hot, read_clips
from training.datasets.types import trained_facts
from training.tables import write_table

RESULTS = harness.ROOT / "docs" / "results" / "collages.csv"
COLLAGES_OF_CLIPS = {1: 100, 2: 50, 5: 30, 20: 16, 100: 4}
"""Number of collages of so many clips each."""
SEED = 0
COLUMNS = (
    "clips in a collage",
    "collages",
    "minutes each",
    "recall",
    "wrong share",
    "recall, whole recording pooled",
    "wrong share, whole recording pooled",
)


@dataclass
class Count:
    """Suggested tags and true ones, counted."""

    predicted_positives: int = 0
    positives: int = 0
    true_positives: int = 0

    def add(self, suggested: NDArray[np.bool_], true: NDArray[np.bool_]) -> None:
        """Count a recording's tags."""
        self.predicted_positives += int(suggested.sum())
        self.positives += int(true.sum())
        self.true_positives += int((suggested & true).sum())

    @property
    def cells(self) -> tuple[str, str]:
        """Return recall and the share of wrong suggestions."""
        wrong = 1 - self.true_positives / max(1, self.predicted_positives)
        return f"{self.true_positives / max(1, self.positives):.3f}", f"{wrong:.3f}"


def held_back_clips(predictor: Predictor) -> list[Clip]:
    """Return the clips of the recordings that the model was not trained on."""
    listed = set(trained_facts(predictor.bundle)["test_recordings"])
    return [clip for clip in read_clips(harness.REAL_CLIPS.parent) if clip.recording in listed]


def scored_tags(predictor: Predictor) -> NDArray[np.bool_]:
    """Return which tags clips are labelled with; others can be neither right nor wrong."""
    scores = predictor.bundle.metrics["per_tag"]
    return np.array([bool(scores[tag]["clips"]) for tag in predictor.vocabulary])


def sound(samples: NDArray[np.float32], rate: int) -> Recording:
    """Return samples as a recording."""
    facts = AudioFacts("WAV", rate, 1, len(samples) / rate)
    return Recording("collage.wav", facts, samples, rate)


def row(predictor: Predictor, clips: Sequence[Clip], size: int, count: int) -> tuple[str, ...]:
    """Return the table's row for collages of `size` clips, in whatever level they are."""
    random = np.random.default_rng([SEED, size])
    scored = scored_tags(predictor)
    labels = (multi_hot(clips, predictor.vocabulary) > 0) & scored
    pooled, whole, seconds = Count(), Count(), 0.0
    for _ in range(count):
        drawn = random.choice(len(clips), size, replace=False)
        samples = [decode(clips[index].path, rate=predictor.rate).samples for index in drawn]
        recording = sound(np.concatenate(samples), predictor.rate)
        truth = np.asarray(labels[drawn].any(axis=0))
        seconds += recording.facts.seconds / count
        for counts, suggested in zip(
            (pooled, whole), _suggested(predictor, recording), strict=True
        ):
            counts.add(suggested & scored, truth)
    minutes = f"{seconds / 60:.1f}"
    return (str(size), str(count), minutes, *pooled.cells, *whole.cells)


def _suggested(predictor: Predictor, recording: Recording) -> tuple[NDArray[np.bool_], ...]:
    """Return which tags are suggested: as the predictor pools, and pooled as one segment."""
    bundle, logits = predictor.bundle, predictor.window_logits(recording)
    probabilities = [
        bundle.calibration.probabilities(pooled)
        for pooled in (
            pool_recording(logits, bundle.pooling, bundle.segment),
            pool(logits, bundle.pooling),
        )
    ]
    return tuple(values >= bundle.calibration.threshold for values in probabilities)


def main() -> None:
    """Print the table, and write it for the model card."""
    predictor = Predictor.from_folder()
    clips = held_back_clips(predictor)
    rows = [row(predictor, clips, *size_and_count) for size_and_count in COLLAGES_OF_CLIPS.items()]
    harness.print_table(f"collages of {len(clips)} held-back clips", COLUMNS, rows)
    write_table(RESULTS, [COLUMNS, *rows])


if __name__ == "__main__":
    main()
