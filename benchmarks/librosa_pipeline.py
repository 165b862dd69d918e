"""The same prediction with librosa: its decoding, resampling and mel spectrogram.

The network is the same, so the benchmarks compare what is before it. As a script
(python -m benchmarks.librosa_pipeline FILE) it prints a file's five tags.
"""

import sys
from pathlib import Path

import librosa
import numpy as np
from numpy.typing import NDArray

from core.audio.types import AudioFacts, Recording
from core.model.logmel import COALA, LogMelSpec
from core.model.predictor import Prediction, Predictor
from core.work import Checkpoint, no_checkpoint


def librosa_log_mel(samples: NDArray[np.float32], spec: LogMelSpec = COALA) -> NDArray[np.float32]:
    """Compute what `core.model.logmel.log_mel` computes; of Kaldi's mel bands librosa's nearest.

    Args:
        samples: float32 [n] at `spec.rate` Hz.
        spec: The front-end.

    Returns:
        Log-mel frames, float32 [bands, time].
    """
    is_kaldi = spec.scale == "kaldi"
    if spec.pre_emphasis:
        samples = librosa.effects.preemphasis(samples, coef=spec.pre_emphasis)[1:]
    bands = librosa.feature.melspectrogram(
        y=samples,
        sr=spec.rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop,
        win_length=spec.window_size,
        n_mels=spec.bands,
        fmax=spec.last_hz,
        power=float(spec.power),
        pad_mode=spec.pad_mode,
        htk=is_kaldi,
        norm=None if is_kaldi else "slaney",
    )
    frames: NDArray[np.float32] = np.log(bands + np.float32(spec.epsilon))
    return frames


def librosa_decode(path: Path, rate: int) -> Recording:
    """Decode, downmix and resample to `rate` Hz with librosa."""
    samples, _ = librosa.load(path, sr=rate)
    facts = AudioFacts("", rate, 1, len(samples) / rate)
    return Recording(path.name, facts, samples, rate)


class LibrosaPredictor(Predictor):
    """The project's predictor over librosa's log-mels.

    Windows, scaler, network, pooling and calibration are the same.
    """

    def log_mel(
        self, recording: Recording, checkpoint: Checkpoint = no_checkpoint
    ) -> NDArray[np.float32]:
        """Return librosa's log-mel of a recording at the front-end's level."""
        spec = self.bundle.front_end
        peak = np.float32(10 ** (spec.peak_db / 20))
        return librosa_log_mel(librosa.util.normalize(recording.samples) * peak, spec)

    def predict_file(self, path: Path) -> Prediction:
        """Predict the tags of a file."""
        return self.predict(librosa_decode(path, self.rate))


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
