"""A bundle's network in ONNX Runtime: from scaled log-mel frames to scores per window of time."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.model.bundle import NETWORK, Bundle
from core.model.errors import InvalidBundle
from core.model.onnx_format import has_external_data
from core.model.windows import (
    COLUMN_FRAMES,
    CONTEXT_FRAMES,
    ClipPiece,
    clip_pieces,
    window_starts,
)

if TYPE_CHECKING:
    import onnxruntime

WINDOWS_BATCH_SIZE = 16
"""Windows of a pass; bounds the memory of long clips, which have hundreds."""
FRAMES_BATCH_SIZE = 2048
"""Frames of a pass of a network that processes whole clips, for the same reason."""
PATCHES, FRAMES, WINDOWS = "patches", "frames", "windows"
"""Inputs of the graphs: `patches` float [n, bands, window]; or `frames` float [n, bands, time], the
time a multiple of `COLUMN_FRAMES`, and `windows` int64 [windows, width], the columns of each."""
LOGITS, EMBEDDING, COLUMNS = "logits", "embedding", "columns"
"""Outputs: float [n, tags] and [n, size] of `patches`; of windows [n, windows, tags]
and so on. `columns`, of `efficientat_mn` only: logits per column of time, [n, columns, tags]."""
GRAPH_INPUTS: dict[str, tuple[str, ...]] = {
    "prototype_cnn": (PATCHES,),
    "prototype_cnn_columns": (PATCHES,),
    "earmark_cnn": (FRAMES, WINDOWS),
    "efficientat_mn": (FRAMES, WINDOWS),
}
"""Inputs of the graph, by architecture."""

Frames = NDArray[np.float32]
_Item = TypeVar("_Item")


class ClipScores(NamedTuple):
    """`logits` float32 [windows, tags] and `embedding` float32 [windows, size] of a clip."""

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]


class InferenceNetwork(Protocol):
    """A network that only predicts. One object may be shared by threads."""

    def score(self, clips: Sequence[Frames]) -> list[ClipScores]:
        """Score whole clips.

        Args:
            clips: float32 [bands, frames >= window] each.
        """


def open_network(bundle: Bundle, model: bytes, threads: int = 1) -> InferenceNetwork:
    """Return a bundle's network, ready to predict.

    Args:
        bundle: Whose network it is.
        model: The contents of its ONNX file.
        threads: That one pass uses.

    Raises:
        InvalidBundle: The file is damaged, refers to other files, or does not fit the bundle.
    """
    folder = bundle.folder.name
    if bundle.architecture not in GRAPH_INPUTS:
        known = f"the architecture {bundle.architecture!r} is not known to this version of Earmark"
        raise InvalidBundle(f"{folder}: {known}.")
    try:
        if has_external_data(model):
            reason = f"{NETWORK} refers to other files, which is not allowed"
            raise InvalidBundle(f"{folder}: {reason}.")
    except ValueError as error:
        raise InvalidBundle(f"{folder}: {NETWORK} is damaged: {error}.") from error
    session = _session(folder, model, threads)
    _check_that_graph_fits(session, bundle)
    if bundle.architecture == "earmark_cnn":
        return _ColumnNetwork(session, bundle.window, bundle.hop)
    if bundle.architecture == "efficientat_mn":
        return ClipNetwork(session)
    return _PatchNetwork(session, bundle.window, bundle.hop)


class WholeClipScores(NamedTuple):
    """Scores of a recording, float32.

    Attributes:
        logits: [windows, tags]; a short recording is one window.
        embedding: [windows, size].
        columns: Logits per column of time, [columns, tags].
    """

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]
    columns: NDArray[np.float32]


class ClipNetwork:
    """A graph that scores whole clips, and each column of time in them."""

    def __init__(self, session: "onnxruntime.InferenceSession") -> None:
        self._session = session

    def score_clips(self, clips: Sequence[Frames]) -> list[WholeClipScores]:
        """Score whole recordings; a long one in several windows.

        Args:
            clips: float32 [bands, frames >= window] each.
        """
        return [self._score_clip(clip) for clip in clips]

    def score(self, clips: Sequence[Frames]) -> list[ClipScores]:
        """Score whole recordings, without their columns.

        Args:
            clips: float32 [bands, frames >= window] each.
        """
        return [ClipScores(*scores[:2]) for scores in self.score_clips(clips)]

    def _score_clip(self, clip: Frames) -> WholeClipScores:
        scored = [self._score_piece(clip, piece) for piece in clip_pieces(clip.shape[1])]
        return WholeClipScores(*(np.concatenate(parts) for parts in zip(*scored, strict=True)))

    def _score_piece(self, clip: Frames, piece: ClipPiece) -> WholeClipScores:
        frames = np.ascontiguousarray(clip[None, :, piece.frames])
        inputs = {FRAMES: frames, WINDOWS: piece.windows}
        logits, embedding, columns = self._session.run([LOGITS, EMBEDDING, COLUMNS], inputs)
        return WholeClipScores(logits[0], embedding[0], columns[0, piece.columns])


class _PatchNetwork:
    """A graph that scores one window at a time."""

    def __init__(self, session: "onnxruntime.InferenceSession", window: int, hop: int) -> None:
        self._session, self._window, self._hop = session, window, hop

    def score(self, clips: Sequence[Frames]) -> list[ClipScores]:
        """Score the windows of all clips together, a batch of them per pass."""
        starts = [window_starts(clip.shape[1], self._window, self._hop) for clip in clips]
        patches = [
            clip[:, start : start + self._window]
            for clip, own_starts in zip(clips, starts, strict=True)
            for start in own_starts
        ]
        scores = _joined(
            [_run(self._session, {PATCHES: np.stack(batch)}) for batch in _batches(patches)]
        )
        ends = np.cumsum([len(own_starts) for own_starts in starts])[:-1]
        parts = zip(np.split(scores.logits, ends), np.split(scores.embedding, ends), strict=True)
        return [ClipScores(*part) for part in parts]


class _ColumnNetwork:
    """A graph that computes columns of features over a clip, and scores windows of them."""

    def __init__(self, session: "onnxruntime.InferenceSession", window: int, hop: int) -> None:
        self._session, self._window, self._hop = session, window, hop

    def score(self, clips: Sequence[Frames]) -> list[ClipScores]:
        """Score clips; those of equal length share a pass."""
        groups: dict[int, list[int]] = {}
        for index, clip in enumerate(clips):
            groups.setdefault(clip.shape[1], []).append(index)
        scores: dict[int, ClipScores] = {}
        for frames, group in groups.items():
            for batch in _batches(group, max(1, FRAMES_BATCH_SIZE // frames)):
                logits, embedding = self._score_equally_long([clips[index] for index in batch])
                parts = zip(logits, embedding, strict=True)
                scores |= zip(batch, (ClipScores(*part) for part in parts), strict=True)
        return [scores[index] for index in range(len(clips))]

    def _score_equally_long(self, clips: Sequence[Frames]) -> ClipScores:
        """Return logits [n, windows, tags] and embeddings of clips of one length.

        The last frame is repeated until the last column is full.
        """
        frames = clips[0].shape[1]
        missing = -frames % COLUMN_FRAMES
        stacked = np.pad(np.stack(clips), ((0, 0), (0, 0), (0, missing)), mode="edge")
        columns = stacked.shape[2] // COLUMN_FRAMES
        width = self._window // COLUMN_FRAMES
        first = np.array(window_starts(frames, self._window, self._hop)) // COLUMN_FRAMES
        first = np.minimum(first, columns - width)
        first[-1] = columns - width  # the last columns, also where a clip ends between two columns
        windows = first[:, None] + np.arange(width)
        pieces = []
        for start, stop, contained in _pieces(windows, columns):
            inputs = {
                FRAMES: stacked[:, :, start * COLUMN_FRAMES : stop * COLUMN_FRAMES],
                WINDOWS: windows[contained] - start,
            }
            pieces.append(_run(self._session, inputs))
        return _joined(pieces, axis=1)


def _pieces(windows: NDArray[np.int64], columns: int) -> Iterator[tuple[int, int, slice]]:
    """Yield pieces of a clip with the windows that lie in them: first column, end, windows.

    A piece has what its windows depend on, so that they get the scores that they have in the whole.
    """
    context = CONTEXT_FRAMES // COLUMN_FRAMES
    most = FRAMES_BATCH_SIZE // COLUMN_FRAMES
    ends = windows[:, -1] + 1 + context
    index = 0
    while index < len(windows):
        start = max(0, int(windows[index, 0]) - context)
        following = max(index + 1, int(np.searchsorted(ends, start + most, side="right")))
        if start + most >= columns:
            following = len(windows)
        yield start, min(columns, int(ends[following - 1])), slice(index, following)
        index = following


def _session(folder: str, model: bytes, threads: int) -> "onnxruntime.InferenceSession":
    """Return a session for a graph.

    Raises:
        InvalidBundle: ONNX Runtime cannot use the graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it would keep the memory of the longest clip
    options.log_severity_level = 4  # an error is raised, and not printed as well
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the errors of ONNX Runtime have no class of their own in common
        reason = f"{NETWORK} is damaged or of a kind that this version of Earmark cannot use"
        raise InvalidBundle(f"{folder}: {reason}.") from error


def _check_that_graph_fits(session: "onnxruntime.InferenceSession", bundle: Bundle) -> None:
    """Compare the graph's inputs and outputs with what model.json and id2tag.json say.

    Raises:
        InvalidBundle: They do not fit.
    """
    inputs = {value.name: value.shape for value in session.get_inputs()}
    outputs = {value.name: value.shape for value in session.get_outputs()}
    names = GRAPH_INPUTS[bundle.architecture]
    expected = {LOGITS, EMBEDDING} | (
        {COLUMNS} if bundle.architecture == "efficientat_mn" else set()
    )
    fits = tuple(inputs) == names and set(outputs) == expected
    if fits:
        bands, time = inputs[names[0]][1:]
        fits = bands == bundle.front_end.bands and outputs[LOGITS][-1] == len(bundle.vocabulary)
        fits = fits and (names != (PATCHES,) or time == bundle.window)
    if not fits:
        reason = f"{NETWORK} is of another network than model.json says"
        raise InvalidBundle(f"{bundle.folder.name}: {reason}.")


def _run(
    session: "onnxruntime.InferenceSession",
    inputs: dict[str, NDArray[np.float32] | NDArray[np.int64]],
) -> ClipScores:
    contiguous = {name: np.ascontiguousarray(values) for name, values in inputs.items()}
    return ClipScores(*session.run([LOGITS, EMBEDDING], contiguous))


def _joined(scores: Sequence[ClipScores], axis: int = 0) -> ClipScores:
    return ClipScores(*(np.concatenate(parts, axis=axis) for parts in zip(*scores, strict=True)))


def _batches(items: list[_Item], size: int = WINDOWS_BATCH_SIZE) -> Iterator[list[_Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
