"""A clip's file to its five tags: Earmark, librosa, and decoding and resampling alone."""

import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from benchmarks import harness
from benchmarks.harness import Timing, compare
from benchmarks.librosa_pipeline import LibrosaPredictor
from core.audio.decode import decode
from core.model.logmel import log_mel
from core.model.predictor import Predictor

ROUNDS = 50
EARMARK, LIBROSA, FLOOR = "earmark", "librosa pipeline", "floor: soundfile + soxr"
ENCODER_BLOCK = 1 << 15
"""libvorbis overflows its stack on very long single writes."""


def floor(path: Path, model_rate: int) -> NDArray[np.float32]:
    """Decode, downmix, resample and nothing else, in the fewest steps: [n] at `model_rate` Hz."""
    sound, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    mono = sound[:, 0] if sound.shape[1] == 1 else (sound[:, 0] + sound[:, 1]) * np.float32(0.5)
    resampled: NDArray[np.float32] = soxr.resample(mono, rate, model_rate, quality="HQ")
    return resampled


def stereo_clip(folder: Path) -> Path:
    """Write ten seconds of real sound as Ogg Vorbis, stereo at 44,100 Hz.

    It is Freesound's most frequent kind of upload, in the format of its previews.
    """
    rate = 44_100
    sides = np.stack([harness.joined(10, rate), harness.joined(10, rate, first=5)], axis=1)
    path = folder / "stereo.ogg"
    with soundfile.SoundFile(path, "w", rate, 2, format="OGG", subtype="VORBIS") as file:
        for start in range(0, len(sides), ENCODER_BLOCK):
            file.write(sides[start : start + ENCODER_BLOCK])
    return path


def opus_clip(folder: Path) -> Path:
    """Write five seconds of real sound as Ogg Opus, mono at 48,000 Hz, as most encoders do."""
    path = folder / "mono.opus"
    soundfile.write(path, harness.joined(5, 48_000), 48_000, format="OGG", subtype="OPUS")
    return path


def measure(
    path: Path, predictor: Predictor, librosa_predictor: LibrosaPredictor
) -> dict[str, Timing]:
    """Time the three sides, and Earmark's steps by themselves."""
    rate = predictor.rate
    recording = decode(path, rate=rate)
    return compare(
        {
            EARMARK: lambda: predictor.predict(decode(path, rate=rate)),
            LIBROSA: lambda: librosa_predictor.predict_file(path),
            FLOOR: lambda: floor(path, rate),
            "decode": lambda: decode(path, rate=rate),
            "log-mel": lambda: log_mel(recording.samples, predictor.bundle.front_end),
            "predict": lambda: predictor.predict(recording),
        },
        ROUNDS,
        warm_up=3,
    )


def show(title: str, timings: dict[str, Timing]) -> None:
    """Print the sides as a table and Earmark's steps under it."""
    sides = {name: timings[name] for name in (EARMARK, LIBROSA, FLOOR)}
    harness.print_timings(f"clip: {title}, file to five tags, one thread", sides, EARMARK)
    decoding, front_end, prediction = (
        timings[name].median for name in ("decode", "log-mel", "predict")
    )
    harness.print_text(
        f"Earmark in steps: decode, downmix, resample {decoding:.1f} ms; log-mel {front_end:.1f} "
        f"ms; network, pooling, rest {prediction - front_end:.1f} ms"
    )


def main() -> None:
    """Print a table for a stereo Vorbis file, one for an Opus file, one for a real clip."""
    predictor, librosa_predictor = Predictor.from_folder(), LibrosaPredictor.from_folder()
    clip = harness.five_second_clip()
    facts = decode(clip).facts
    kind = f"{'mono' if facts.channels == 1 else 'stereo'} {facts.rate / 1000:g} kHz"
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "10 s stereo 44.1 kHz Ogg Vorbis": stereo_clip(Path(folder)),
            "5 s mono 48 kHz Ogg Opus": opus_clip(Path(folder)),
            f"{facts.seconds:.0f} s {kind} ({clip.name})": clip,
        }
        for title, path in files.items():
            show(title, measure(path, predictor, librosa_predictor))


if __name__ == "__main__":
    main()
