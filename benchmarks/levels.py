"""Tags of real clips at other levels: what is suggested does not depend on the level."""

from collections.abc import Sequence

import numpy as np

from benchmarks import harness
from benchmarks.collages import Count, held_back_clips, scored_tags, sound
from core.audio.decode import decode
from core.model.front_end import network_frames
from core.model.predictor import Predictor
from training.datasets.clips import Clip, multi_hot
from training.tables import write_table

RESULTS = harness.ROOT / "docs" / "results" / "levels.csv"
LEVELS_DB = range(-40, 41, 10)
CLIPS = 30
COLUMNS = ("level, dB", "right suggestions", "wrong suggestions", "largest difference of log-mel")


def rows(predictor: Predictor, clips: Sequence[Clip]) -> list[tuple[str, ...]]:
    """Return a row for each level: suggestions, and the difference to the frames as they are."""
    scored = scored_tags(predictor)
    labels = (multi_hot(clips, predictor.vocabulary) > 0) & scored
    recordings = [decode(clip.path, rate=predictor.rate).samples for clip in clips]
    spec = predictor.bundle.front_end
    table: list[tuple[str, ...]] = []
    for level in LEVELS_DB:
        count, difference = Count(), 0.0
        for samples, truth in zip(recordings, labels, strict=True):
            changed = samples * np.float32(10 ** (level / 20))
            prediction = predictor.predict(sound(changed, predictor.rate))
            reached = prediction.probabilities >= predictor.bundle.calibration.threshold
            count.add(reached & scored, truth)
            frames = network_frames(samples, spec)
            difference = max(difference, float(np.abs(prediction.log_mel - frames).max()))
        wrong = count.predicted_positives - count.true_positives
        table.append((f"{level:+d}", str(count.true_positives), str(wrong), f"{difference:.4f}"))
    return table


def main() -> None:
    """Print the table, and write it for the model card."""
    predictor = Predictor.from_folder()
    clips = held_back_clips(predictor)
    drawn = clips[:: len(clips) // CLIPS][:CLIPS]
    table = rows(predictor, drawn)
    harness.print_table(f"levels: {len(drawn)} held-back clips", COLUMNS, table)
    write_table(RESULTS, [COLUMNS, *table])


if __name__ == "__main__":
    main()
