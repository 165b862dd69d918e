"""Windows of time that a network answers for, without a library to compute networks with."""

from dataclasses import dataclass

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


CLIP_COLUMN_FRAMES = 32
"""Frames that a column of features of `efficientat_mn` stands for."""
MAX_CLIP_FRAMES = 512
"""A longer recording has several windows, as long as the clips of the training: in the mean over
more time a sound that fills a part of it would be lost."""
CLIP_WINDOW_COLUMNS, CLIP_HOP_COLUMNS = 12, 6
PIECE_FRAMES = 1024
"""Most frames of a pass of `efficientat_mn`; its squeeze-excitation looks at all of them."""


@dataclass(frozen=True)
class ClipPiece:
    """A part of a recording that `efficientat_mn` scores in a pass.

    Attributes:
        frames: Of the recording.
        windows: The piece's columns in each window, int64 [windows, width].
        columns: Those of its columns that no later piece has.
    """

    frames: slice
    windows: NDArray[np.int64]
    columns: slice


def clip_pieces(frames: int) -> list[ClipPiece]:
    """Return the pieces of a recording; a short one is one piece with one window."""
    if frames <= MAX_CLIP_FRAMES:
        columns = np.arange(-(-frames // CLIP_COLUMN_FRAMES))
        return [ClipPiece(slice(0, frames), columns[None], slice(0, len(columns)))]
    overlap = (CLIP_WINDOW_COLUMNS - CLIP_HOP_COLUMNS) * CLIP_COLUMN_FRAMES
    last = -(-max(0, frames - PIECE_FRAMES) // CLIP_COLUMN_FRAMES) * CLIP_COLUMN_FRAMES
    starts = [*range(0, last, PIECE_FRAMES - overlap), last]
    return [
        _piece(slice(start, min(start + PIECE_FRAMES, frames)), following)
        for start, following in zip(starts, [*starts[1:], frames], strict=True)
    ]


def _piece(frames: slice, following: int) -> ClipPiece:
    """Return the piece of these frames, which gives the columns up to the `following` piece's."""
    columns = -(-(frames.stop - frames.start) // CLIP_COLUMN_FRAMES)
    first = window_starts(columns, CLIP_WINDOW_COLUMNS, CLIP_HOP_COLUMNS)
    windows = np.array(first, np.int64)[:, None] + np.arange(CLIP_WINDOW_COLUMNS)
    given = -(-(following - frames.start) // CLIP_COLUMN_FRAMES)
    return ClipPiece(frames, windows, slice(0, given))
