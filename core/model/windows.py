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


def window_spans(frames: int, window: int, hop: int) -> NDArray[np.int64]:
    """Return first frame and end of each window, [windows, 2]."""
    starts = np.array(window_starts(frames, window, hop), np.int64)
    return np.stack([starts, starts + window], axis=1)


def column_spans(frames: int, width: int = COLUMN_FRAMES) -> NDArray[np.int64]:
    """Return first frame and end of each column of `width` frames, [columns, 2]."""
    starts = width * np.arange(-(-frames // width), dtype=np.int64)
    return np.stack([starts, starts + width], axis=1)


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
    return np.stack([_sounding_columns(row, kept) for row in windows if kept[row].any()])


def _sounding_columns(window: NDArray[np.int64], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return a window with its silent columns replaced by its others, of which there are some."""
    part, width = window[kept[window]], len(window)
    columns: NDArray[np.int64] = part[np.arange(width) * len(part) // width]
    return columns


CLIP_COLUMN_FRAMES = 32
"""Frames that a column of features of `efficientat_mn` stands for."""
MAX_CLIP_FRAMES = 512
"""A longer recording has several windows, as long as the clips of the training: in the mean over
more time a sound that fills a part of it would be lost."""
CLIP_WINDOW_COLUMNS, CLIP_HOP_COLUMNS = 12, 6
PIECE_FRAMES = 1024
"""Most frames of a pass of `efficientat_mn`; its squeeze-excitation looks at all of them."""
SILENT_COLUMNS = 3
"""Columns that remain of a silence between two sounds; a network for whole clips, which averages
over all of a pass, sees more silence than sound otherwise, and its answers become wild."""
SILENT_LOGIT = -30.0
"""Of every tag in a column that was left out."""


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


@dataclass(frozen=True)
class ScoredPart:
    """The part that `efficientat_mn` looks at, of a short recording or one with long silences.

    Attributes:
        columns: Of the recording, int64; the first columns of what is scored are theirs.
        frames: Of the recording, int64; the same ones again and again if they are few.
        sounding: False for frames of digital silence, of those `frames`; None where all sound.
    """

    columns: NDArray[np.int64]
    frames: NDArray[np.int64]
    sounding: NDArray[np.bool_] | None


def scored_part(
    frames: int, shortest: int, loop_frames: int, sounding: NDArray[np.bool_] | None
) -> ScoredPart | None:
    """Return the part of a recording to score, long enough; None for all of it as it is.

    Args:
        frames: Of the recording.
        shortest: Frames that the network needs at least.
        loop_frames: Frames up to which what sounds is repeated; of fewer, a network that was
            trained on clips of some seconds knows little.
        sounding: False for frames of digital silence, [up to frames]; None where all sound.
    """
    part = without_long_silence(frames, shortest, sounding)
    if (frames if part is None else len(part.frames)) >= loop_frames:
        return part
    if part is None:
        columns = np.arange(-(-frames // CLIP_COLUMN_FRAMES), dtype=np.int64)
        mask = None if sounding is None else np.pad(sounding, (0, frames - len(sounding)))
        part = ScoredPart(columns, np.arange(frames, dtype=np.int64), mask)
    mask = None if part.sounding is None else np.resize(part.sounding, loop_frames)
    return ScoredPart(part.columns, np.resize(part.frames, loop_frames), mask)


def without_long_silence(
    frames: int, shortest: int, sounding: NDArray[np.bool_] | None
) -> ScoredPart | None:
    """Return what is left without digital silence around and between sounds; None for all of it.

    Args:
        frames: Of the recording.
        shortest: Frames that the network needs at least.
        sounding: False for frames of digital silence, [up to frames]; None where all sound.
    """
    if sounding is None or sounding.all() or not sounding.any():
        return None
    columns = np.arange(-(-frames // CLIP_COLUMN_FRAMES), dtype=np.int64)
    sounds = np.flatnonzero(contains_sound(column_spans(frames, CLIP_COLUMN_FRAMES), sounding))
    first, end = sounds[0], sounds[-1] + 1
    end = max(end, first - (-shortest // CLIP_COLUMN_FRAMES))
    first = max(0, first - max(0, end - len(columns)))
    since = columns - sounds[np.searchsorted(sounds, columns, side="right").clip(1) - 1]
    is_between = (columns > sounds[0]) & (columns < sounds[-1])
    kept = columns[(columns >= first) & (columns < end) & ~(is_between & (since > SILENT_COLUMNS))]
    spread = kept[:, None] * CLIP_COLUMN_FRAMES + np.arange(CLIP_COLUMN_FRAMES)
    kept_frames = spread[spread < frames]
    mask = np.pad(sounding, (0, frames - len(sounding)))
    return ScoredPart(kept, kept_frames, mask[kept_frames])


def without_silence(
    piece: ClipPiece, sounding: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the columns of a piece's windows, silent ones replaced by the window's others.

    Args:
        piece: Of a recording.
        sounding: False for frames of digital silence, [frames of the recording]; None where all
            sound.

    Returns:
        Columns int64 [windows, width], and bool [windows], False for windows of silence alone,
        whose columns stay as they are.
    """
    if sounding is None or not sounding.any():
        return piece.windows, np.ones(len(piece.windows), bool)
    spans = column_spans(piece.frames.stop - piece.frames.start, CLIP_COLUMN_FRAMES)
    kept = contains_sound(spans, sounding[piece.frames])
    contains = np.asarray(kept[piece.windows].any(axis=1), np.bool_)
    columns = piece.windows.copy()
    for row in np.flatnonzero(contains):
        columns[row] = _sounding_columns(columns[row], kept)
    return columns, contains


def _piece(frames: slice, following: int) -> ClipPiece:
    """Return the piece of these frames, which gives the columns up to the `following` piece's."""
    columns = -(-(frames.stop - frames.start) // CLIP_COLUMN_FRAMES)
    first = window_starts(columns, CLIP_WINDOW_COLUMNS, CLIP_HOP_COLUMNS)
    windows = np.array(first, np.int64)[:, None] + np.arange(CLIP_WINDOW_COLUMNS)
    given = -(-(following - frames.start) // CLIP_COLUMN_FRAMES)
    return ClipPiece(frames, windows, slice(0, given))
