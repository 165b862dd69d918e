"""From a recording to its tags: front-end, network, pooling and calibration in one object."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.audio.types import Recording
from core.model import bundle as bundles
from core.model.bundle import DEFAULT_BUNDLE, Bundle
from core.model.conversion import load_network
from core.model.front_end import network_frames, sounding_frames
from core.model.inference import ClipScores
from core.model.pooling import pool_embeddings, pool_recording
from core.model.related_tags import rank
from core.model.windows import contains_sound
from core.settings import settings
from core.work import Checkpoint, no_checkpoint

MAX_TOP = 30
"""Most tags that are suggested, of a recording of any length: as many as Freesound takes."""
STRETCH_S = 10.0
"""Each further stretch of a long recording may have as many suggestions as the first."""


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
        top: The suggested tags and the best of those below their thresholds, most probable first;
            none of digital silence. Tags that reach their thresholds and are not suggested, because
            they repeat others or are too many, are not in it.
        probabilities: float32 [tags], for the whole recording.
        activations: float32 [frames, tags], probability per frame of the network; 0 in digital
            silence. A network that knows no frames gives windows, which may overlap.
        times: float32 [frames, 2], start and end of each frame in seconds.
        embedding: float32 [size], of unit length.
        log_mel: float32 [bands, time], the network's input before scaling.
    """

    top: tuple[TagScore, ...]
    probabilities: NDArray[np.float32]
    activations: NDArray[np.float32]
    times: NDArray[np.float32]
    embedding: NDArray[np.float32]
    log_mel: NDArray[np.float32]


class Predictor:
    """A bundle ready to predict. One object may be shared by threads."""

    def __init__(
        self, bundle: Bundle, threads: int | None = None, max_suggestions: int | None = None
    ) -> None:
        """Load the network of a bundle.

        Args:
            bundle: The model.
            threads: That one pass of the network uses; by default what the settings say.
            max_suggestions: Of a short recording; by default what the settings say.

        Raises:
            BundleError: Its network does not fit the rest.
        """
        self.bundle = bundle
        self._network = load_network(bundle, threads or settings().threads)
        self._max_suggestions = max_suggestions or settings().max_suggestions

    @classmethod
    def from_folder(cls, folder: Path = DEFAULT_BUNDLE) -> Self:
        """Load a bundle's folder; by default the model that ships with the project.

        Raises:
            BundleError: It is not a whole, fitting bundle.
        """
        return cls(bundles.load(folder))

    def with_thresholds(self, thresholds: Mapping[str, float]) -> Self:
        """Return a predictor with other thresholds; it shares the network with this one.

        Args:
            thresholds: By tag; other tags keep theirs, unknown ones are ignored.
        """
        other = copy(self)
        other.bundle = self.bundle.with_thresholds(thresholds)
        return other

    @property
    def rate(self) -> int:
        """Return the sample rate in Hz that recordings must have."""
        return self.bundle.front_end.rate

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Return the tags that the model knows, in the order of `Prediction.probabilities`."""
        return self.bundle.vocabulary

    def predict(
        self, recording: Recording, top: int = 5, checkpoint: Checkpoint = no_checkpoint
    ) -> Prediction:
        """Predict the tags of a recording of any length.

        Args:
            recording: Decoded at `rate` Hz.
            top: Number of tags in `Prediction.top`; more if more are suggested.
            checkpoint: Called before each pass of the network and each stretch of log-mel.

        Raises:
            ValueError: The recording has another rate.
            WorkStopped: The checkpoint stopped the work.
        """
        return self.predict_many([recording], top, checkpoint)[0]

    def predict_many(
        self,
        recordings: Sequence[Recording],
        top: int = 5,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> list[Prediction]:
        """Predict several recordings in as few passes of the network as possible, in their order.

        Args:
            recordings: Decoded at `rate` Hz.
            top: Number of tags in each `Prediction.top`, as in `predict`.
            checkpoint: Called before each pass of the network and each stretch of log-mel.

        Raises:
            ValueError: A recording has another rate.
            WorkStopped: The checkpoint stopped the work.
        """
        if not recordings:
            return []
        log_mels = [self.log_mel(recording, checkpoint) for recording in recordings]
        sounding = [sounding_frames(frames, self.bundle.front_end) for frames in log_mels]
        inputs = [self.bundle.network_input(frames) for frames in log_mels]
        scores = self._network.score(inputs, sounding, checkpoint)
        return [
            self._prediction(*clip, top) for clip in zip(scores, log_mels, sounding, strict=True)
        ]

    def log_mel(
        self, recording: Recording, checkpoint: Checkpoint = no_checkpoint
    ) -> NDArray[np.float32]:
        """Return the bundle's front-end of a recording: float32 [bands, time].

        Args:
            recording: Decoded at `rate` Hz.
            checkpoint: Called before each stretch of frames.

        Raises:
            ValueError: The recording has another rate than `rate`.
            WorkStopped: The checkpoint stopped the work.
        """
        if recording.rate != self.rate:
            raise ValueError(f"This model takes sound at {self.rate} Hz, not {recording.rate} Hz.")
        return network_frames(recording.samples, self.bundle.front_end, checkpoint)

    def window_logits(self, recording: Recording) -> NDArray[np.float32]:
        """Return the logits of the windows that are not digital silence: float32 [windows, tags].

        Raises:
            ValueError: The recording has another rate than `rate`.
        """
        frames = self.log_mel(recording)
        sounding = sounding_frames(frames, self.bundle.front_end)
        [scores] = self._network.score([self.bundle.network_input(frames)], [sounding])
        return scores.logits

    def _prediction(
        self,
        scores: ClipScores,
        log_mel: NDArray[np.float32],
        sounding: NDArray[np.bool_],
        top: int,
    ) -> Prediction:
        """Pool and calibrate a clip's scores; embeddings of windows are averaged."""
        calibration, is_silent = self.bundle.calibration, not sounding.any()
        logits = pool_recording(scores.logits, self.bundle.pooling, self.bundle.segment)
        probabilities = calibration.probabilities(logits) * np.float32(not is_silent)
        spans = self._spans(log_mel.shape[1])
        activations = calibration.probabilities(scores.frame_logits[: len(spans)])
        activations[~contains_sound(spans, sounding)] = 0
        return Prediction(
            top=() if is_silent else self._best(probabilities, top, log_mel.shape[1]),
            probabilities=probabilities,
            activations=activations,
            times=self._times(spans, log_mel.shape[1]),
            embedding=pool_embeddings(scores.embedding),
            log_mel=log_mel,
        )

    def _best(
        self, probabilities: NDArray[np.float32], top: int, frames: int
    ) -> tuple[TagScore, ...]:
        """Return what is suggested of a recording, and the best guesses up to `top` tags."""
        stretches = 1 + int(self.bundle.front_end.seconds(max(frames - 2, 0)) // STRETCH_S)
        limit = min(MAX_TOP, stretches * self._max_suggestions)
        thresholds = self.bundle.calibration.threshold
        ranking = rank(self.vocabulary, probabilities, thresholds, limit)
        guesses = ranking.guesses[: max(0, top - len(ranking.suggested))]
        return tuple(
            TagScore(self.vocabulary[index], float(probabilities[index]), index not in guesses)
            for index in sorted(
                [*ranking.suggested, *guesses], key=lambda index: -probabilities[index]
            )
        )

    def _spans(self, frames: int) -> NDArray[np.int64]:
        """Return first log-mel frame and end of the network's frames in a recording, [n, 2]."""
        spans = self._network.spans(max(frames, self.bundle.window))
        within: NDArray[np.int64] = spans[spans[:, 0] < max(frames - 1, 1)]
        return within

    def _times(self, spans: NDArray[np.int64], frames: int) -> NDArray[np.float32]:
        """Return start and end of spans in seconds, [n, 2]; the last one ends with the sound."""
        clipped = np.minimum(spans, max(frames - 1, 1)).astype(np.float32)
        seconds: NDArray[np.float32] = self.bundle.front_end.seconds(1) * clipped
        return seconds
