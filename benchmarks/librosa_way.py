"""The same tags by way of librosa: its decoding, resampling and mel spectrogram before the same network. What we compare with.

As a script (python -m benchmarks.librosa_way FILE) it prints a file's five tags.
"""

import sys
from pathlib import Path

import librosa
import numpy as np

from core.model import bundle
from core.model.audio import MODEL_RATE, AudioFacts, Waveform
from core.model.logmel import COALA, EPSILON
from core.model.tagger import Tagger, Tagging


def librosa_log_mel(samples: np.ndarray) -> np.ndarray:
    """float32 [n] at 22,000 Hz -> log-mel frames float32 [bands, time], as `core.model.logmel.log_mel`."""
    magnitudes = librosa.feature.melspectrogram(
        y=samples, sr=COALA.rate, n_fft=COALA.n_fft, hop_length=COALA.hop, n_mels=COALA.bands, power=1.0, pad_mode=COALA.pad_mode
    )
    return np.log(magnitudes + EPSILON)


def librosa_load(path: Path) -> Waveform:
    """Decode, downmix and resample with librosa."""
    samples, rate = librosa.load(path, sr=MODEL_RATE)
    return Waveform(samples, int(rate), AudioFacts("", int(rate), 1, len(samples) / rate))


class LibrosaTagger(Tagger):
    """The project's tagger - windows, scaler, network, pooling, calibration - over librosa's log-mels."""

    def frames(self, waveform: Waveform) -> np.ndarray:
        return librosa_log_mel(waveform.samples)

    def listen(self, path: Path) -> Tagging:
        """From the file to its tags."""
        return self.tag(librosa_load(path))


_worker: LibrosaTagger


def start_worker() -> None:
    """Make this process a worker of a pool: everything loaded, one thread."""
    import torch

    global _worker
    torch.set_num_threads(1)
    _worker = LibrosaTagger(bundle.load())


def listen_in_worker(path: Path) -> str:
    """The best tag of a file, by the worker that this process is."""
    return _worker.listen(path).top[0].tag


if __name__ == "__main__":
    for one in LibrosaTagger(bundle.load()).listen(Path(sys.argv[1])).top:
        print(f"{one.tag} {one.probability:.2f}")
