"""The same prediction with librosa: its decoding, resampling and mel spectrogram.

The network is the same, so the benchmarks compare what is before it. As a script
(python -m benchmarks.librosa_pipeline FILE) it prints a file's five tags.
"""

import sys
from pathlib import Path

import librosa
import numpy as np
from numpy.typing import NDArray

from core.audio.decode import MODEL_RATE_HZ
from core.audio.types import AudioFacts, Recording
from core.model.logmel import COALA, EPSILON
from core.model.predictor import Prediction, Predictor
from core.work import Checkpoint, no_checkpoint


def librosa_log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute what `core.model.logmel.log_mel` computes.

    Args:
        samples: float32 [n] at 22,000 Hz.

    Returns:
        Log-mel frames, float32 [bands, time].
    """
    magnitudes = librosa.feature.melspectrogram(
        y=samples,
        sr=COALA.rate,
        n_fft=COALA.n_fft,
        hop_length=COALA.hop,
        n_mels=COALA.bands,
        power=1.0,
        pad_mode=COALA.pad_mode,
    )
    frames: NDArray[np.float32] = np.log(magnitudes + EPSILON)
    return frames


def librosa_decode(path: Path) -> Recording:
    """Decode, downmix and resample with librosa."""
    samples, rate = librosa.load(path, sr=MODEL_RATE_HZ)
    facts = AudioFacts("", int(rate), 1, len(samples) / rate)
    return Recording(path.name, facts, samples, int(rate))


class LibrosaPredictor(Predictor):
    """The project's predictor over librosa's log-mels.

    Windows, scaler, network, pooling and calibration are the same.
    """

    def log_mel(
        self, recording: Recording, checkpoint: Checkpoint = no_checkpoint
    ) -> NDArray[np.float32]:
        """Return librosa's log-mel of a recording at the front-end's level."""
        peak = np.float32(10 ** (self.bundle.front_end.peak_db / 20))
        return librosa_log_mel(librosa.util.normalize(recording.samples) * peak)

    def predict_file(self, path: Path) -> Prediction:
        """Predict the tags of a file."""
        return self.predict(librosa_decode(path))


_predictor: LibrosaPredictor


def start_worker() -> None:
    """Make this process a worker of a pool, with everything loaded."""
    global _predictor
    _predictor = LibrosaPredictor.from_folder()


def predict_in_worker(path: Path) -> str:
    """Return the best tag of a file, in a process that `start_worker` prepared."""
    return _predictor.predict_file(path).top[0].tag


if __name__ == "__main__":
    for score in LibrosaPredictor.from_folder().predict_file(Path(sys.argv[1])).top:
        print(f"{score.tag} {score.probability:.2f}")
