"""Tags of held-back clips after what recordings go through: level, clipping, band and length."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import soxr
from numpy.typing import NDArray

from benchmarks import harness
from benchmarks.collages import Count, held_back_clips, scored_tags, sound
from core.audio.decode import decode
from core.model.predictor import Predictor
from training.datasets.clips import Clip, multi_hot
from training.fine_tuning.data import clipped, loudest_second
from training.tables import write_table

RESULTS = harness.ROOT / "docs" / "results" / "conditions.csv"
STEPS_OF_16_BITS = 32_767
BAND_HZ = 16_000
LONG_S, LONG_CLIPS = 600, 12
COLUMNS = ("condition", "clips", "right suggestions", "of those before", "recall", "wrong share")
Samples = NDArray[np.float32]
Change = Callable[[Samples, int], Samples]


def unchanged(samples: Samples, rate: int) -> Samples:
    """Return a sound as it is."""
    return samples


def softer(samples: Samples, rate: int) -> Samples:
    """Return a sound at -40 dB, in steps of 16 bits."""
    return np.asarray(np.round(samples * 0.01 * STEPS_OF_16_BITS) / STEPS_OF_16_BITS, np.float32)


def louder(samples: Samples, rate: int) -> Samples:
    """Return a sound at +20 dB, without what is above full scale."""
    return clipped(samples)


def clipped_from_full_scale(samples: Samples, rate: int) -> Samples:
    """Return the same of a sound whose loudest sample was at full scale before."""
    loudest = max(float(np.abs(samples).max(initial=0)), 1e-6)
    return clipped(samples / np.float32(loudest))


def band_limited(samples: Samples, rate: int) -> Samples:
    """Return what a rate of 16 kHz keeps of a sound: nothing above 8 kHz."""
    narrow = soxr.resample(samples, rate, BAND_HZ)
    return np.asarray(soxr.resample(narrow, BAND_HZ, rate), np.float32)


def looped(samples: Samples, rate: int) -> Samples:
    """Return ten minutes of a sound, again and again."""
    return np.resize(samples, LONG_S * rate).astype(np.float32)


CONDITIONS: dict[str, Change] = {
    "as recorded": unchanged,
    "-40 dB, 16 bits": softer,
    "+20 dB, clipped": louder,
    "+20 dB from full scale, clipped": clipped_from_full_scale,
    "nothing above 8 kHz": band_limited,
    "loudest second": loudest_second,
}


def rows(predictor: Predictor, clips: Sequence[Clip]) -> list[tuple[str, ...]]:
    """Return a row for each condition; ten minutes of a few clips only."""
    few = list(clips[:: max(1, len(clips) // LONG_CLIPS)][:LONG_CLIPS])
    table = _compared(predictor, clips, CONDITIONS)
    long: dict[str, Change] = {
        f"as recorded, {len(few)} clips": unchanged,
        "ten minutes of them": looped,
    }
    return table + _compared(predictor, few, long)


def _compared(
    predictor: Predictor, clips: Sequence[Clip], conditions: Mapping[str, Change]
) -> list[tuple[str, ...]]:
    """Return a row for each condition beside the first one."""
    own = scored_tags(predictor)
    labels = (multi_hot(clips, predictor.vocabulary) > 0) & own
    threshold = predictor.bundle.calibration.threshold
    before, table = 0, list[tuple[str, ...]]()
    for name, change in conditions.items():
        count = Count()
        for clip, truth in zip(clips, labels, strict=True):
            samples = decode(clip.path, rate=predictor.rate).samples
            prediction = predictor.predict(sound(change(samples, predictor.rate), predictor.rate))
            count.add((prediction.probabilities >= threshold) & own, truth)
        before = before or count.true_positives
        share = f"{count.true_positives / max(1, before):.1%}"
        table.append((name, str(len(clips)), str(count.true_positives), share, *count.cells))
    return table


def main() -> None:
    """Print the table, and write it for the model card."""
    predictor = Predictor.from_folder()
    table = rows(predictor, held_back_clips(predictor))
    harness.print_table("held-back clips after changes", COLUMNS, table)
    write_table(RESULTS, [COLUMNS, *table])


if __name__ == "__main__":
    main()
