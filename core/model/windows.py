"""Windows of time that a network answers for, without a library to compute networks with."""

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


CLIP_COLUMN_FRAMES = 32
"""Frames that a column of features of `efficientat_mn` stands for."""
MAX_CLIP_FRAMES = 1024
"""A longer recording is not one clip to `efficientat_mn`, but several."""
CLIP_WINDOW_FRAMES = 512


def clip_windows(frames: int) -> list[slice]:
    """Return the clips that `efficientat_mn` takes a recording for: all of it, or windows.

    Each begins with a column; the last ends with the recording.
    """
    if frames <= MAX_CLIP_FRAMES:
        return [slice(0, frames)]
    missing = frames - CLIP_WINDOW_FRAMES
    last = -(-missing // CLIP_COLUMN_FRAMES) * CLIP_COLUMN_FRAMES
    starts = [*range(0, last, CLIP_WINDOW_FRAMES), last]
    return [slice(start, min(start + CLIP_WINDOW_FRAMES, frames)) for start in starts]


def join_columns(windows: list[slice], counts: list[int]) -> list[slice]:
    """Return which of its columns each window gives, so that every column is given once.

    Args:
        windows: From `clip_windows`.
        counts: Columns of each.
    """
    ends = [window.start // CLIP_COLUMN_FRAMES for window in windows[1:]]
    kept = zip(windows, [*ends, windows[-1].start // CLIP_COLUMN_FRAMES + counts[-1]], strict=True)
    return [slice(0, end - window.start // CLIP_COLUMN_FRAMES) for window, end in kept]
