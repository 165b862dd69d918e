"""Windows of time that a network answers for, without a library to compute networks with."""

import numpy as np
from numpy.typing import NDArray

DEFAULT_WINDOW = 96
"""Frames in a window, where a bundle does not say otherwise."""
DEFAULT_HOP = 48
"""Frames between the starts of two windows, where a bundle does not say otherwise."""
COLUMN_FRAMES = 16
"""Frames that a column of features of `earmark_cnn` stands for."""
CONTEXT_FRAMES = 96
"""Neighbours that a piece of a long clip sees; no output of `earmark_cnn` depends on more."""


def window_starts(frames: int, window: int, hop: int) -> list[int]:
    """Return the first frame of each window: every `hop`, and the last window of the clip."""
    last = max(0, frames - window)
    return [*range(0, last, hop), last]


def window_spans(frames: int, window: int, hop: int) -> NDArray[np.int64]:
    """Return first frame and end of each window, [windows, 2]."""
    starts = np.array(window_starts(frames, window, hop), np.int64)
    return np.stack([starts, starts + window], axis=1)


def column_spans(frames: int) -> NDArray[np.int64]:
    """Return first frame and end of each column, [columns, 2]."""
    starts = COLUMN_FRAMES * np.arange(-(-frames // COLUMN_FRAMES), dtype=np.int64)
    return np.stack([starts, starts + COLUMN_FRAMES], axis=1)


def contains_sound(spans: NDArray[np.int64], sounding: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return True for each span [n, 2] in which a frame sounds, bool [n].

    Args:
        spans: First frame and end of each; the end may lie behind the clip's.
        sounding: False for frames of digital silence, [frames].
    """
    counts = np.concatenate([[0], np.cumsum(sounding)])
    first, end = np.minimum(spans, len(sounding)).T
    contains: NDArray[np.bool_] = counts[end] > counts[first]
    return contains


def column_windows(
    frames: int, window: int, hop: int, sounding: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Return the columns of each window, [windows, width].

    Digital silence has no part in a window: its columns are replaced by the window's others, so
    that silence neither adds anything nor dilutes it. Windows of silence alone are left out, unless
    all are.

    Args:
        frames: Of the clip, at least `window`.
        window: Frames in a window.
        hop: Frames between the starts of two windows.
        sounding: False for frames of digital silence, [frames]; None where all sound.
    """
    columns, width = -(-frames // COLUMN_FRAMES), window // COLUMN_FRAMES
    first = np.array(window_starts(frames, window, hop)) // COLUMN_FRAMES
    first = np.minimum(first, columns - width)
    first[-1] = columns - width  # the last columns, also where a clip ends between two columns
    windows: NDArray[np.int64] = first[:, None] + np.arange(width)
    if sounding is None or sounding.all() or not sounding.any():
        return windows
    kept = contains_sound(column_spans(frames), sounding)
    parts = [row[kept[row]] for row in windows]
    stretched = [part[np.arange(width) * len(part) // width] for part in parts if len(part)]
    return np.stack(stretched)
