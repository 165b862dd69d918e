"""From the logits of windows of time to those of a recording, short or long."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.model.logmel import LogMelSpec
from core.model.windows import window_starts

Pooling = Literal["mean", "max", "top_half"]
SEGMENT_S = 5.0
"""Length of the clips that models are trained and calibrated on."""
RISE = 0.4
"""Logits that a tag must have in addition in a segment of a recording e times as long as one.

With it, collages of five validation clips and more have no larger share of wrong suggestions than
single clips, and a dog that barks once in ten minutes of rain is still suggested.
"""


def segment_windows(spec: LogMelSpec, window: int, hop: int) -> int:
    """Return the number of windows in a segment of `SEGMENT_S`."""
    return len(window_starts(spec.frames(round(SEGMENT_S * spec.rate)), window, hop))


def pool_recording(
    logits: NDArray[np.float32], pooling: Pooling, segment: int
) -> NDArray[np.float32]:
    """Pool logits of windows to the recording's: float32 [windows, tags] -> [tags].

    A tag of a long recording is there all the time, or in one of its segments. The more segments
    there are, the more often one of them looks like something that it is not; so it must be more
    certain, by `RISE` times the logarithm of their number.

    Args:
        logits: Of each window and tag.
        pooling: Of the windows of a segment, and of all.
        segment: Windows in a segment. A recording of no more windows is one segment.
    """
    whole = pool(logits, pooling)
    if len(logits) <= segment:
        return whole
    segments = np.lib.stride_tricks.sliding_window_view(logits, segment, axis=0).swapaxes(1, 2)
    best = pool(segments, pooling).max(axis=0) - RISE * np.log(len(logits) / segment)
    pooled: NDArray[np.float32] = np.maximum(whole, best.astype(np.float32))
    return pooled


def pool_embeddings(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a recording's embedding of unit length: float32 [windows, size] -> [size]."""
    mean = windows.mean(axis=0)
    pooled: NDArray[np.float32] = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return pooled


def pool(logits: NDArray[np.float32], pooling: Pooling) -> NDArray[np.float32]:
    """Pool logits of windows: float32 [..., windows, tags] -> [..., tags].

    Args:
        logits: Of each window and tag.
        pooling: `mean`; `max`; or `top_half`, the mean over the better half of the windows per tag,
            which lets a sound be present for a part of the recording without trusting one window.
    """
    pooled: NDArray[np.float32]
    if pooling == "mean":
        pooled = logits.mean(axis=-2)
    elif pooling == "max":
        pooled = logits.max(axis=-2)
    else:
        kept = (logits.shape[-2] + 1) // 2
        pooled = np.sort(logits, axis=-2)[..., -kept:, :].mean(axis=-2)
    return pooled
