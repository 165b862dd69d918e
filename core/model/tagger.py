"""From a waveform to its tags: the whole listening path behind one object."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from core.model import bundle as bundles
from core.model.audio import Waveform
from core.model.bundle import Bundle, Pooling
from core.model.logmel import FLOOR, log_mel
from core.model.networks import WindowScores, fuse_batch_norm


@dataclass(frozen=True)
class TagScore:
    """One tag with its calibrated `probability`, and whether that reaches the tag's own threshold."""

    tag: str
    probability: float
    above_threshold: bool


@dataclass(frozen=True)
class Tagging:
    """What the model heard in one clip.

    `top`: best tags first. `probabilities`: float32 [tags], for the clip. `activations`: float32 [windows, tags], probability
    per window. `times`: float32 [windows, 2], start and end of each window in seconds. `embedding`: float32 [size], unit length.
    `log_mel`: float32 [bands, frames], what was listened to.
    """

    top: tuple[TagScore, ...]
    probabilities: np.ndarray
    activations: np.ndarray
    times: np.ndarray
    embedding: np.ndarray
    log_mel: np.ndarray


def pool(logits: np.ndarray, pooling: Pooling) -> np.ndarray:
    """Logits float32 [windows, tags] -> [tags] for the clip.

    `mean`; `max`; or `top_half`: the mean over the better half of the windows per tag, which lets a sound be present for a
    part of the clip without trusting a single window.
    """
    if pooling == "mean":
        return logits.mean(axis=0)
    if pooling == "max":
        return logits.max(axis=0)
    keep = (len(logits) + 1) // 2
    return np.sort(logits, axis=0)[-keep:].mean(axis=0)


class Tagger:
    """A bundle ready to listen. One object may be shared by threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.vocabulary = bundle.vocabulary
        self._network = fuse_batch_norm(bundle.network()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def from_folder(cls, folder: Path = bundles.STARTER) -> "Tagger":
        """Load a bundle's folder; the starter that ships with the project by default. Raises `BundleError`."""
        return cls(bundles.load(folder))

    def tag(self, waveform: Waveform, top: int = 5) -> Tagging:
        """Listen to the whole clip. Raises `ValueError` if the waveform is not at the bundle's rate."""
        return self.tag_many([waveform], top)[0]

    @torch.inference_mode()
    def tag_many(self, waveforms: Sequence[Waveform], top: int = 5) -> list[Tagging]:
        """Listen to several clips in as few passes of the network as possible; answers in the order of the clips."""
        frames = [self.frames(waveform) for waveform in waveforms]
        scaled = [torch.from_numpy(self._fill_window(self.bundle.scaler(clip))) for clip in frames]
        scores = self._network.score(scaled) if scaled else []
        return [self._tagging(one, clip, top) for one, clip in zip(scores, frames, strict=True)]

    def frames(self, waveform: Waveform) -> np.ndarray:
        """The bundle's front-end: log-mel float32 [bands, time]."""
        if waveform.rate != self.bundle.front_end.rate:
            raise ValueError(f"this model listens at {self.bundle.front_end.rate} Hz, not {waveform.rate} Hz")
        return log_mel(waveform.samples, self.bundle.front_end)

    def _fill_window(self, scaled: np.ndarray) -> np.ndarray:
        """Pad a clip shorter than one window with scaled digital silence, at its end."""
        missing = self._network.window - scaled.shape[1]
        if missing <= 0:
            return scaled
        silence = self.bundle.scaler(np.full((scaled.shape[0], missing), FLOOR, np.float32))
        return np.concatenate([scaled, silence], axis=1)

    def _tagging(self, scores: WindowScores, frames: np.ndarray, top: int) -> Tagging:
        logits, calibration = scores.logits.numpy(), self.bundle.calibration
        probabilities = calibration.probabilities(pool(logits, self.bundle.pooling))
        best = np.argsort(-probabilities, kind="stable")[:top]
        embedding = scores.embedding.numpy().mean(axis=0)
        return Tagging(
            top=tuple(
                TagScore(self.vocabulary[k], float(probabilities[k]), bool(probabilities[k] >= calibration.threshold[k])) for k in best
            ),
            probabilities=probabilities,
            activations=calibration.probabilities(logits),
            times=self._window_times(frames.shape[1]),
            embedding=embedding / max(float(np.linalg.norm(embedding)), 1e-9),
            log_mel=frames,
        )

    def _window_times(self, frames: int) -> np.ndarray:
        starts = np.array(self._network.window_starts(max(frames, self._network.window)))
        ends = np.minimum(starts + self._network.window, max(frames - 1, 1))
        return self.bundle.front_end.seconds(1) * np.stack([starts, ends], axis=1).astype(np.float32)
