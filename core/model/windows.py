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
