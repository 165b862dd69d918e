"""From a recording's samples to a network's frames, at one level whatever the recording's is."""

import numpy as np
from numpy.typing import NDArray

from core.model.logmel import COALA, LogMelSpec, log_mel
from core.work import Checkpoint, no_checkpoint

SILENCE_PEAK = 2 / 32768
"""A recording whose samples stay below it, two steps of 16 bits, is digital silence."""
SILENCE_RANGE = 10.5
"""Nepers (91 dB) from a recording's loudest band down to what counts as digital silence.

On the validation clips, frames of silence that was coded with losses lie more than 95 dB below the
loudest, and frames of quiet rooms less than 85.
"""
SILENCE_MARGIN = 1.0
"""Nepers above the front-end's floor that are digital silence in any recording."""
STRETCH_FRAMES = 2048
"""Frames that are computed between two checkpoints."""


def network_frames(
    samples: NDArray[np.float32], spec: LogMelSpec, checkpoint: Checkpoint = no_checkpoint
) -> NDArray[np.float32]:
    """Return log-mel frames of a sound at the front-end's level, float32 [bands, frames].

    Digital silence stays what it is.

    Args:
        samples: Mono float32 [n] at `spec.rate` Hz.
        spec: The front-end.
        checkpoint: Called before each stretch of frames.
    """
    gain, count = _gain(samples, spec), spec.frames(len(samples))
    if count <= STRETCH_FRAMES:
        checkpoint()
        return log_mel(samples * gain, spec)
    frames = np.empty((spec.bands, count), np.float32)
    margin = 1 - (-spec.n_fft // 2) // spec.hop  # frames at a cut that see the cut
    for start in range(0, count, STRETCH_FRAMES):
        checkpoint()
        stop, first = min(count, start + STRETCH_FRAMES), max(0, start - margin)
        stretch = samples[first * spec.hop : (stop + margin) * spec.hop]
        part = log_mel(stretch * gain, spec)
        frames[:, start:stop] = part[:, start - first : stop - first]
    return frames


def sounding_frames(log_mel: NDArray[np.float32], spec: LogMelSpec = COALA) -> NDArray[np.bool_]:
    """Return False for frames of digital silence, bool [frames].

    Args:
        log_mel: float32 [bands, frames], natural log of magnitude or power.
        spec: The front-end that it is of.
    """
    loudest = log_mel.max(axis=0)
    lowest = float(loudest.max()) - spec.power * SILENCE_RANGE
    limit = max(lowest, spec.floor + SILENCE_MARGIN)
    sounding: NDArray[np.bool_] = loudest > limit
    return sounding


def _gain(samples: NDArray[np.float32], spec: LogMelSpec) -> np.float32:
    """Return the factor that brings the loudest sample to `spec.peak_db`; 0 for digital silence."""
    peak = max(float(samples.max()), -float(samples.min())) if len(samples) else 0.0
    return np.float32(10 ** (spec.peak_db / 20) / peak if peak > SILENCE_PEAK else 0)
