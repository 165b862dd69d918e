"""A bundle's network in ONNX Runtime: from scaled log-mel frames to scores per window of time."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.model.bundle import NETWORK, Bundle
from core.model.errors import InvalidBundle
from core.model.onnx_format import has_external_data
from core.model.windows import (
    CLIP_COLUMN_FRAMES,
    COLUMN_FRAMES,
    CONTEXT_FRAMES,
    SILENT_LOGIT,
    ClipPiece,
    clip_pieces,
    column_spans,
    column_windows,
    contains_sound,
    scored_part,
    window_spans,
    without_silence,
)
from core.work import Checkpoint, no_checkpoint

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
Sounding = NDArray[np.bool_]
_Item = TypeVar("_Item")


class WindowScores(NamedTuple):
    """Outputs of the graph: `logits` float32 [..., tags] and `embedding` float32 [..., size]."""

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]


class ClipScores(NamedTuple):
    """Scores of a clip.

    Attributes:
        logits: float32 [windows, tags], of the windows that are not digital silence.
        embedding: float32 [windows, size], of the same windows.
        frame_logits: float32 [spans, tags], of the shortest spans of time that the network tells
            apart, silence included.
    """

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]
    frame_logits: NDArray[np.float32]


class InferenceNetwork(Protocol):
    """A network that only predicts. One object may be shared by threads."""

    def score(
        self,
        clips: Sequence[Frames],
        sounding: Sequence[Sounding] | None = None,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> list[ClipScores]:
        """Score whole clips.

        Args:
            clips: float32 [bands, frames >= window] each.
            sounding: For each clip, False for its frames of digital silence, [frames]; None where
                all sound.
            checkpoint: Called before each pass.
        """

    def spans(self, frames: int) -> NDArray[np.int64]:
        """Return first frame and end of what `frame_logits` are for, [spans, 2]."""


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
        return ClipNetwork(session, bundle.window, bundle.loop_frames)
    return _PatchNetwork(session, bundle.window, bundle.hop)


class ClipNetwork:
    """A graph that scores whole clips, and each column of time in them."""

    def __init__(
        self, session: "onnxruntime.InferenceSession", shortest: int, loop_frames: int = 0
    ) -> None:
        self._session, self._shortest, self._loop_frames = session, shortest, loop_frames

    def score(
        self,
        clips: Sequence[Frames],
        sounding: Sequence[Sounding] | None = None,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> list[ClipScores]:
        """Score whole recordings; a long one in several windows."""
        pairs = zip(clips, _masks(clips, sounding), strict=True)
        return [self._score_clip(clip, mask, checkpoint) for clip, mask in pairs]

    def spans(self, frames: int) -> NDArray[np.int64]:
        """Return first frame and end of each column."""
        return column_spans(frames, CLIP_COLUMN_FRAMES)

    def _score_clip(
        self, clip: Frames, sounding: Sounding | None, checkpoint: Checkpoint
    ) -> ClipScores:
        """Score a clip without its long silences, whose columns get no tag."""
        part = scored_part(clip.shape[1], self._shortest, self._loop_frames, sounding)
        if part is None:
            return self._score_pieces(clip, sounding, checkpoint)
        scores = self._score_pieces(clip[:, part.frames], part.sounding, checkpoint)
        shape = (len(self.spans(clip.shape[1])), scores.frame_logits.shape[1])
        frame_logits = np.full(shape, SILENT_LOGIT, np.float32)
        frame_logits[part.columns] = scores.frame_logits[: len(part.columns)]
        return ClipScores(scores.logits, scores.embedding, frame_logits)

    def _score_pieces(
        self, clip: Frames, sounding: Sounding | None, checkpoint: Checkpoint
    ) -> ClipScores:
        scored = []
        for piece in clip_pieces(clip.shape[1]):
            checkpoint()
            scored.append(self._score_piece(clip, piece, sounding))
        return ClipScores(*(np.concatenate(parts) for parts in zip(*scored, strict=True)))

    def _score_piece(self, clip: Frames, piece: ClipPiece, sounding: Sounding | None) -> ClipScores:
        windows, kept = without_silence(piece, sounding)
        frames = np.ascontiguousarray(clip[None, :, piece.frames])
        inputs = {FRAMES: frames, WINDOWS: windows}
        logits, embedding, columns = self._session.run([LOGITS, EMBEDDING, COLUMNS], inputs)
        return ClipScores(logits[0, kept], embedding[0, kept], columns[0, piece.columns])


class _PatchNetwork:
    """A graph that scores one window at a time."""

    def __init__(self, session: "onnxruntime.InferenceSession", window: int, hop: int) -> None:
        self._session, self._window, self._hop = session, window, hop

    def score(
        self,
        clips: Sequence[Frames],
        sounding: Sequence[Sounding] | None = None,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> list[ClipScores]:
        """Score the windows of all clips together, a batch of them per pass."""
        spans = [self.spans(clip.shape[1]) for clip in clips]
        pairs = zip(clips, spans, strict=True)
        patches = [clip[:, start:end] for clip, own_spans in pairs for start, end in own_spans]
        scored = []
        for batch in _batches(patches):
            checkpoint()
            scored.append(_run(self._session, {PATCHES: np.stack(batch)}))
        logits, embedding = _joined(scored)
        ends = np.cumsum([len(own_spans) for own_spans in spans])[:-1]
        parts = zip(spans, np.split(logits, ends), np.split(embedding, ends), strict=True)
        scores = []
        for index, (own_spans, own_logits, own_embedding) in enumerate(parts):
            kept = np.ones(len(own_spans), bool)
            if sounding is not None and sounding[index].any():
                kept = contains_sound(own_spans, sounding[index])
            scores.append(ClipScores(own_logits[kept], own_embedding[kept], own_logits))
        return scores

    def spans(self, frames: int) -> NDArray[np.int64]:
        """Return first frame and end of each window: it knows nothing finer."""
        return window_spans(frames, self._window, self._hop)


class _ColumnNetwork:
    """A graph that computes columns of features over a clip, and scores windows of them."""

    def __init__(self, session: "onnxruntime.InferenceSession", window: int, hop: int) -> None:
        self._session, self._window, self._hop = session, window, hop

    def score(
        self,
        clips: Sequence[Frames],
        sounding: Sequence[Sounding] | None = None,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> list[ClipScores]:
        """Score clips; those of equal length and with the same silence share a pass."""
        windows = [
            column_windows(clip.shape[1], self._window, self._hop, mask)
            for clip, mask in zip(clips, _masks(clips, sounding), strict=True)
        ]
        groups: dict[tuple[int, bytes], list[int]] = {}
        for index, clip in enumerate(clips):
            groups.setdefault((clip.shape[1], windows[index].tobytes()), []).append(index)
        scores: dict[int, ClipScores] = {}
        for (frames, _), group in groups.items():
            for batch in _batches(group, max(1, FRAMES_BATCH_SIZE // frames)):
                stacked = np.stack([clips[index] for index in batch])
                own_scores = self._score_equally_long(stacked, windows[batch[0]], checkpoint)
                scores |= zip(batch, own_scores, strict=True)
        return [scores[index] for index in range(len(clips))]

    def spans(self, frames: int) -> NDArray[np.int64]:
        """Return first frame and end of each column."""
        return column_spans(frames)

    def _score_equally_long(
        self, clips: Frames, windows: NDArray[np.int64], checkpoint: Checkpoint
    ) -> list[ClipScores]:
        """Return the scores of clips [n, bands, time] that have the same windows.

        The last frame is repeated until the last column is full. A column alone is scored as a
        window that has it `width` times.
        """
        missing = -clips.shape[2] % COLUMN_FRAMES
        filled = np.pad(clips, ((0, 0), (0, 0), (0, missing)), mode="edge")
        columns = np.arange(filled.shape[2] // COLUMN_FRAMES)
        single = np.repeat(columns[:, None], windows.shape[1], axis=1)
        logits, embedding = self._score_windows(
            filled, np.concatenate([windows, single]), checkpoint
        )
        count = len(windows)
        parts = zip(logits, embedding, strict=True)
        return [ClipScores(own[:count], vectors[:count], own[count:]) for own, vectors in parts]

    def _score_windows(
        self, clips: Frames, windows: NDArray[np.int64], checkpoint: Checkpoint
    ) -> WindowScores:
        """Return logits [n, windows, tags] and embeddings of windows in any order."""
        order = np.argsort(windows[:, -1], kind="stable")
        pieces = []
        for start, stop, contained in _pieces(windows[order], clips.shape[2] // COLUMN_FRAMES):
            checkpoint()
            inputs: dict[str, NDArray[np.float32] | NDArray[np.int64]] = {
                FRAMES: clips[:, :, start * COLUMN_FRAMES : stop * COLUMN_FRAMES],
                WINDOWS: windows[order[contained]] - start,
            }
            pieces.append(_run(self._session, inputs))
        logits, embedding = _joined(pieces, axis=1)
        positions = np.argsort(order)
        return WindowScores(logits[:, positions], embedding[:, positions])


def _pieces(windows: NDArray[np.int64], columns: int) -> Iterator[tuple[int, int, slice]]:
    """Yield pieces of a clip with the windows that lie in them: first column, end, windows.

    A piece has what its windows depend on, so that they get the scores that they have in the whole.

    Args:
        windows: The columns of each, [windows, width], in the order of their last columns.
        columns: Of the clip.
    """
    context = CONTEXT_FRAMES // COLUMN_FRAMES
    most = FRAMES_BATCH_SIZE // COLUMN_FRAMES
    ends = windows[:, -1] + 1 + context
    firsts = np.minimum.accumulate(windows[::-1, 0])[::-1]  # of a window and all that follow
    index = 0
    while index < len(windows):
        start = max(0, int(firsts[index]) - context)
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
) -> WindowScores:
    contiguous = {name: np.ascontiguousarray(values) for name, values in inputs.items()}
    return WindowScores(*session.run([LOGITS, EMBEDDING], contiguous))


def _joined(scores: Sequence[WindowScores], axis: int = 0) -> WindowScores:
    return WindowScores(*(np.concatenate(parts, axis=axis) for parts in zip(*scores, strict=True)))


def _masks(
    clips: Sequence[Frames], sounding: Sequence[Sounding] | None
) -> Sequence[Sounding | None]:
    """Return the mask of each clip, None where all of it sounds."""
    return sounding or [None] * len(clips)


def _batches(items: list[_Item], size: int = WINDOWS_BATCH_SIZE) -> Iterator[list[_Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
