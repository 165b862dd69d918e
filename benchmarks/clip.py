"""A clip's file to its five tags: ours, the librosa way, and the floor of decoding and resampling alone."""

import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

from benchmarks import harness
from benchmarks.harness import Timing, compare
from benchmarks.librosa_way import LibrosaTagger
from core.model import audio, bundle
from core.model.logmel import log_mel
from core.model.tagger import Tagger

ROUNDS = 50
OURS, LIBROSA, FLOOR = "ours", "librosa way", "floor: soundfile + soxr"


def floor(path: Path) -> np.ndarray:
    """Decode, downmix, resample and nothing else, in the fewest steps that we know: float32 [n] at 22,000 Hz."""
    sound, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    mono = sound[:, 0] if sound.shape[1] == 1 else (sound[:, 0] + sound[:, 1]) * np.float32(0.5)
    return soxr.resample(mono, rate, audio.MODEL_RATE, quality="HQ")


def stereo_clip(folder: Path) -> Path:
    """Ten seconds of real sound as Ogg Vorbis, stereo at 44,100 Hz: Freesound's most frequent kind of upload, as its previews are."""
    rate = 44_100
    sides = np.stack([harness.joined(10, rate), harness.joined(10, rate, first=5)], axis=1)
    path = folder / "stereo.ogg"
    with soundfile.SoundFile(path, "w", rate, 2, format="OGG", subtype="VORBIS") as file:
        for start in range(0, len(sides), 1 << 15):  # libvorbis overflows its stack on very long single writes
            file.write(sides[start : start + (1 << 15)])
    return path


def measure(path: Path, tagger: Tagger, other: LibrosaTagger) -> dict[str, Timing]:
    """The three sides, and the steps of ours by themselves."""
    waveform = audio.load(path)
    return compare(
        {
            OURS: lambda: tagger.tag(audio.load(path)),
            LIBROSA: lambda: other.listen(path),
            FLOOR: lambda: floor(path),
            "load": lambda: audio.load(path),
            "log-mel": lambda: log_mel(waveform.samples, tagger.bundle.front_end),
            "tag": lambda: tagger.tag(waveform),
        },
        ROUNDS,
        warm_up=3,
    )


def show(title: str, timings: dict[str, Timing]) -> None:
    """Print the sides as a table and our steps under it."""
    sides = {name: timings[name] for name in (OURS, LIBROSA, FLOOR)}
    harness.timing_table(f"clip: {title}, file to five tags, one thread", sides, OURS)
    load, frames, tag = (timings[name].median for name in ("load", "log-mel", "tag"))
    harness.print_text(
        f"Ours in steps: decode, downmix, resample {load:.1f} ms; log-mel {frames:.1f} ms; network, pooling, rest {tag - frames:.1f} ms"
    )


def main() -> None:
    """Print a table for a ten-second stereo file and one for a five-second real clip."""
    harness.one_thread()
    tagger, other = Tagger.from_folder(), LibrosaTagger(bundle.load())
    with tempfile.TemporaryDirectory() as folder:
        show("10 s stereo 44.1 kHz Ogg Vorbis", measure(stereo_clip(Path(folder)), tagger, other))
    short = harness.five_second_clip()
    facts = audio.load(short).source
    kind = f"{'mono' if facts.channels == 1 else 'stereo'} {facts.rate / 1000:g} kHz"
    show(f"{facts.seconds:.0f} s {kind} ({short.name})", measure(short, tagger, other))


if __name__ == "__main__":
    main()
