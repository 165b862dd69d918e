"""From a recording to its tags: front-end, network, pooling and calibration in one object."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.audio.types import Recording
from core.model import bundle as bundles
from core.model.bundle import DEFAULT_BUNDLE, Bundle, Pooling
from core.model.conversion import load_network
from core.model.logmel import log_mel
from core.model.windows import window_starts
from core.settings import settings


@dataclass(frozen=True)
class TagScore:
    """A tag with its calibrated `probability`, and whether that reaches the tag's own threshold."""

    tag: str
    probability: float
    above_threshold: bool


@dataclass(frozen=True)
class Prediction:
    """A model's answer for one recording.

    Attributes:
        top: The best tags, most probable first.
        probabilities: float32 [tags], for the whole recording.
        activations: float32 [windows, tags], probability per window of time.
        times: float32 [windows, 2], start and end of each window in seconds.
        embedding: float32 [size], of unit length.
        log_mel: float32 [bands, frames], the network's input before scaling.
    """

    top: tuple[TagScore, ...]
    probabilities: NDArray[np.float32]
    activations: NDArray[np.float32]
    times: NDArray[np.float32]
    embedding: NDArray[np.float32]
    log_mel: NDArray[np.float32]


class Predictor:
    """A bundle ready to predict. One object may be shared by threads."""

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        """Load the network of a bundle.

        Args:
            bundle: The model.
            threads: That one pass of the network uses; by default what the settings say.

        Raises:
            BundleError: Its network does not fit the rest.
        """
        self.bundle = bundle
        self._network = load_network(bundle, threads or settings().threads)

    @classmethod
    def from_folder(cls, folder: Path = DEFAULT_BUNDLE) -> Self:
        """Load a bundle's folder; by default the model that ships with the project.

        Raises:
            BundleError: It is not a whole, fitting bundle.
        """
        return cls(bundles.load(folder))

    @property
    def rate(self) -> int:
        """Return the sample rate in Hz that recordings must have."""
        return self.bundle.front_end.rate

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Return the tags that the model knows, in the order of `Prediction.probabilities`."""
        return self.bundle.vocabulary

    def predict(self, recording: Recording, top: int = 5) -> Prediction:
        """Predict the tags of a recording of any length.

        Args:
            recording: Decoded at `rate` Hz.
            top: Number of tags in `Prediction.top`.

        Raises:
            ValueError: The recording has another rate.
        """
        return self.predict_many([recording], top)[0]

    def predict_many(self, recordings: Sequence[Recording], top: int = 5) -> list[Prediction]:
        """Predict several recordings in as few passes of the network as possible, in their order.

        Args:
            recordings: Decoded at `rate` Hz.
            top: Number of tags in each `Prediction.top`.

        Raises:
            ValueError: A recording has another rate.
        """
        if not recordings:
            return []
        log_mels = [self.log_mel(recording) for recording in recordings]
        scores = self._network.score([self.bundle.network_input(frames) for frames in log_mels])
        return [
            self._prediction(clip.logits, clip.embedding, frames, top)
            for clip, frames in zip(scores, log_mels, strict=True)
        ]

    def log_mel(self, recording: Recording) -> NDArray[np.float32]:
        """Return the bundle's front-end of a recording: float32 [bands, frames].

        Raises:
            ValueError: The recording has another rate than `rate`.
        """
        if recording.rate != self.rate:
            raise ValueError(f"This model takes sound at {self.rate} Hz, not {recording.rate} Hz.")
        return log_mel(recording.samples, self.bundle.front_end)

    def _prediction(
        self,
        logits: NDArray[np.float32],
        embeddings: NDArray[np.float32],
        frames: NDArray[np.float32],
        top: int,
    ) -> Prediction:
        """Pool and calibrate logits [windows, tags]; embeddings [windows, size] are averaged."""
        calibration = self.bundle.calibration
        probabilities = calibration.probabilities(pool(logits, self.bundle.pooling))
        embedding = embeddings.mean(axis=0)
        return Prediction(
            top=self._best(probabilities, top),
            probabilities=probabilities,
            activations=calibration.probabilities(logits),
            times=self._window_times(frames.shape[1]),
            embedding=embedding / max(float(np.linalg.norm(embedding)), 1e-9),
            log_mel=frames,
        )

    def _best(self, probabilities: NDArray[np.float32], top: int) -> tuple[TagScore, ...]:
        """Return the `top` most probable tags; equal ones in the vocabulary's order."""
        reached = probabilities >= self.bundle.calibration.threshold
        return tuple(
            TagScore(self.vocabulary[index], float(probabilities[index]), bool(reached[index]))
            for index in np.argsort(-probabilities, kind="stable")[:top]
        )

    def _window_times(self, frames: int) -> NDArray[np.float32]:
        """Return start and end of each window in seconds, [windows, 2]."""
        window = self.bundle.window
        starts = np.array(window_starts(frames, window, self.bundle.hop))
        ends = np.minimum(starts + window, max(frames - 1, 1))
        times = np.stack([starts, ends], axis=1).astype(np.float32)
        seconds: NDArray[np.float32] = self.bundle.front_end.seconds(1) * times
        return seconds


def pool(logits: NDArray[np.float32], pooling: Pooling) -> NDArray[np.float32]:
    """Pool logits of windows to the recording's: float32 [windows, tags] -> [tags].

    Args:
        logits: Of each window and tag.
        pooling: `mean`; `max`; or `top_half`, the mean over the better half of the windows per tag,
            which lets a sound be present for a part of the recording without trusting one window.
    """
    pooled: NDArray[np.float32]
    if pooling == "mean":
        pooled = logits.mean(axis=0)
    elif pooling == "max":
        pooled = logits.max(axis=0)
    else:
        kept = (len(logits) + 1) // 2
        pooled = np.sort(logits, axis=0)[-kept:].mean(axis=0)
    return pooled
