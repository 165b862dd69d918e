"""Networks from scaled log-mel frames to logits per window of time; architectures by name.

Every network answers for windows of time, not for the clip, so that the time of an event is known
for every architecture. The bundle's pooling, not the network, turns windows into an answer for the
clip.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from core.model.efficientat import (
    LABELS,
    TIME_STRIDE,
    WIDTH,
    AudioSetNetwork,
    ClipScores,
    GreatestOfGroups,
    TagHead,
)
from core.model.windows import (
    COLUMN_FRAMES,
    CONTEXT_FRAMES,
    DEFAULT_HOP,
    DEFAULT_WINDOW,
    MAX_CLIP_FRAMES,
    SILENT_LOGIT,
    ClipPiece,
    clip_pieces,
    column_windows,
    contains_sound,
    scored_part,
    window_spans,
    window_starts,
    without_silence,
)

WINDOWS_BATCH_SIZE = 64
"""Bounds the memory of long clips: ten minutes are 540 windows."""
FRAMES_BATCH_SIZE = 4096
"""The same for networks that process whole clips: 95 seconds take about 200 MB."""

Sounding = NDArray[np.bool_]
_Item = TypeVar("_Item")


class WindowScores(NamedTuple):
    """`logits` [windows, tags] and `embedding` [windows, size] of a clip."""

    logits: Tensor
    embedding: Tensor


class Network(nn.Module):
    """The interface of every architecture: sizes, windows over a clip, and scores for them.

    Attributes:
        tags: Outputs.
        bands: Mel bands that go in.
        window: Frames in a window.
        hop: Frames between the starts of two windows.
        embedding_size: Width of the embedding.
    """

    tags: int
    bands: int
    window: int
    hop: int
    embedding_size: int

    def window_starts(self, frames: int) -> list[int]:
        """Return the first frame of each window: every `hop`, and the last window of the clip."""
        return window_starts(frames, self.window, self.hop)

    def score(
        self, clips: list[Tensor], sounding: Sequence[Sounding] | None = None
    ) -> list[WindowScores]:
        """Score whole clips in as few passes as possible; windows of silence are left out.

        Args:
            clips: float [bands, frames >= window] each.
            sounding: For each clip, False for its frames of digital silence, [frames]; None where
                all sound.
        """
        raise NotImplementedError  # torch modules do not mix with abstract base classes


class PrototypeCNN(Network):
    """Four convolutions and two linear layers on a square patch of log-mel.

    Each convolution is 4x4 with stride 2, so 96 x 96 becomes 6 x 6. The default sizes are those of
    the student prototype.
    """

    def __init__(
        self,
        tags: int,
        channels: Sequence[int] = (128, 128, 128, 128),
        hidden: int = 1152,
        bands: int = 96,
        window: int = DEFAULT_WINDOW,
        hop: int = DEFAULT_HOP,
        dropout: float = 0.3,
    ) -> None:
        """Build the layers.

        Args:
            tags: Outputs.
            channels: Widths of the four convolutions.
            hidden: Width of the first linear layer.
            bands: Mel bands that go in.
            window: Frames in a window.
            hop: Frames between the starts of two windows.
            dropout: Before each linear layer.

        Raises:
            ValueError: No such network can be built.
        """
        super().__init__()
        sizes = (*channels, hidden, bands // 16, window // 16, hop)
        if len(channels) != 4 or min(sizes) < 1:
            needs = "four channel widths, a hop of at least 1 and patches of at least 16 x 16"
            raise ValueError(f"prototype_cnn needs {needs}")
        self.tags, self.bands, self.window, self.hop = tags, bands, window, hop
        self.embedding_size = hidden
        widths = zip((1, *channels), channels, strict=False)
        self.convolutions = nn.Sequential(
            *(layer for width_in, width in widths for layer in _halving_layers(width_in, width))
        )
        self.hidden = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(channels[-1] * (bands // 16) * (window // 16), hidden),
            nn.ReLU(inplace=True),
        )
        self.output = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, tags))

    def forward(self, patches: Tensor) -> WindowScores:
        """Score patches, float [windows, bands, window]."""
        embedding = self.hidden(self.convolutions(patches.unsqueeze(1)))
        return WindowScores(self.output(embedding), embedding)

    def score(
        self, clips: list[Tensor], sounding: Sequence[Sounding] | None = None
    ) -> list[WindowScores]:
        """Score whole clips in as few passes as possible; windows of silence are left out.

        Args:
            clips: float [bands, frames >= window] each.
            sounding: For each clip, False for its frames of digital silence, [frames]; None where
                all sound.
        """
        starts = [self.window_starts(clip.shape[1]) for clip in clips]
        patches = [
            clip[:, start : start + self.window]
            for clip, own_starts in zip(clips, starts, strict=True)
            for start in own_starts
        ]
        scored = [self(torch.stack(batch)) for batch in _batches(patches, WINDOWS_BATCH_SIZE)]
        counts = [len(own_starts) for own_starts in starts]
        logits = torch.cat([scores.logits for scores in scored])
        embedding = torch.cat([scores.embedding for scores in scored])
        by_clip = zip(torch.split(logits, counts), torch.split(embedding, counts), strict=True)
        scores = [WindowScores(*pair) for pair in by_clip]
        if sounding is None:
            return scores
        triples = zip(scores, clips, sounding, strict=True)
        return [self._with_sound(own, clip.shape[1], mask) for own, clip, mask in triples]

    def _with_sound(self, scores: WindowScores, frames: int, sounding: Sounding) -> WindowScores:
        """Return the scores of the windows that are not silence, if there is any."""
        kept = contains_sound(window_spans(frames, self.window, self.hop), sounding)
        rows = torch.from_numpy(kept if kept.any() else ~kept).to(scores.logits.device)
        return WindowScores(scores.logits[rows], scores.embedding[rows])


class ColumnScaledPrototypeCNN(PrototypeCNN):
    """`PrototypeCNN` on patches scaled as COALA published them, a factor per frame of the window.

    The log-mels that go in are not scaled yet: x * `scale` + `offset` happens here, because a
    bundle's scaler knows bands, not the frames of a window.
    """

    scale: Tensor
    offset: Tensor

    def __init__(
        self,
        tags: int,
        scale: Sequence[float],
        offset: Sequence[float],
        channels: Sequence[int] = (128, 128, 128, 128),
        hidden: int = 1152,
        bands: int = 96,
        window: int = DEFAULT_WINDOW,
        hop: int = DEFAULT_HOP,
        dropout: float = 0.3,
    ) -> None:
        """Build the layers.

        Args:
            tags: Outputs.
            scale: A factor for each frame of the window.
            offset: What is added, for each frame of the window.
            channels: Widths of the four convolutions.
            hidden: Width of the first linear layer.
            bands: Mel bands that go in.
            window: Frames in a window.
            hop: Frames between the starts of two windows.
            dropout: Before each linear layer.

        Raises:
            ValueError: No such network can be built.
        """
        super().__init__(tags, channels, hidden, bands, window, hop, dropout)
        if len(scale) != self.window or len(offset) != self.window:
            needs = "a scale and an offset for each frame of its window"
            raise ValueError(f"prototype_cnn_columns needs {needs}")
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.register_buffer("offset", torch.tensor(offset), persistent=False)

    def forward(self, patches: Tensor) -> WindowScores:
        """Score patches of log-mel that is not scaled, float [windows, bands, window]."""
        return super().forward(patches * self.scale + self.offset)


class Block(nn.Module):
    """Two 3x3 convolutions, the second with a residual connection.

    [n, `width_in`, h, w] -> [n, `width`, h, w], halved by a stride of 2.
    """

    def __init__(self, width_in: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Sequential(
            _convolution(width_in, width, stride), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.second = nn.Sequential(_convolution(width, width), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """Apply both convolutions."""
        x = self.first(x)
        return functional.relu(x + self.second(x))


class EarmarkCNN(Network):
    """3x3 convolutions over the whole clip, then mean plus maximum over each window of time.

    After PANNs' CNN10 (Kong et al. 2020; section "CNN"), made cheap: the first convolution has
    stride 2, widths are a quarter, and the convolutions see a clip once, however its windows
    overlap. Four blocks of two convolutions, halved in both directions between them, so that a
    column of features stands for 16 frames; frequency is averaged away before the windows are
    taken. With the default sizes it has 1.1 million parameters and needs 0.35 G multiply-adds for
    ten seconds.

    A window's logits also depend on up to 61 frames on either side of it (the convolutions' field
    of view), and on nothing further away.
    """

    STRIDE = COLUMN_FRAMES

    def __init__(
        self,
        tags: int,
        channels: Sequence[int] = (24, 48, 96, 256),
        hidden: int = 256,
        bands: int = 96,
        window: int = DEFAULT_WINDOW,
        hop: int = DEFAULT_HOP,
        dropout: float = 0.3,
        block_dropout: float = 0.1,
    ) -> None:
        """Build the layers.

        Args:
            tags: Outputs.
            channels: Widths of the four blocks.
            hidden: Width of the first linear layer.
            bands: Mel bands that go in, at least 16.
            window: Frames in a window, a multiple of 16.
            hop: Frames between the starts of two windows, a multiple of 16.
            dropout: Before each linear layer.
            block_dropout: Between the blocks.

        Raises:
            ValueError: No such network can be built.
        """
        super().__init__()
        sizes = (*channels, hidden, bands // self.STRIDE, window, hop)
        if len(channels) != 4 or min(sizes) < 1 or window % self.STRIDE or hop % self.STRIDE:
            needs = "at least 16 bands, and a window and a hop in multiples of 16 frames"
            raise ValueError(f"earmark_cnn needs four channel widths, {needs}")
        self.tags, self.bands, self.window, self.hop = tags, bands, window, hop
        self.embedding_size = hidden
        widths = enumerate(zip((1, *channels), channels, strict=False))
        self.blocks = nn.ModuleList(
            Block(width_in, width, stride=1 if number else 2)
            for number, (width_in, width) in widths
        )
        self.halve = nn.AvgPool2d(2, ceil_mode=True)
        self.block_dropout = nn.Dropout(block_dropout)
        self.hidden = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(channels[-1], hidden), nn.ReLU(inplace=True)
        )
        self.output = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, tags))

    def forward(self, patches: Tensor) -> WindowScores:
        """Score patches, float [n, bands, frames], each as a window whatever its length."""
        columns = self._columns(patches)
        return self._head(columns.mean(dim=-1) + columns.amax(dim=-1))

    def score(
        self, clips: list[Tensor], sounding: Sequence[Sounding] | None = None
    ) -> list[WindowScores]:
        """Score whole clips; those of equal length and with the same silence share a pass.

        Args:
            clips: float [bands, frames >= window] each.
            sounding: For each clip, False for its frames of digital silence, [frames]; None where
                all sound.
        """
        masks: Sequence[Sounding | None] = sounding or [None] * len(clips)
        windows = [
            column_windows(clip.shape[1], self.window, self.hop, mask)
            for clip, mask in zip(clips, masks, strict=True)
        ]
        scores: dict[int, WindowScores] = {}
        for group in _groups_of_like_windows(clips, windows):
            own_windows = torch.from_numpy(windows[group[0]]).to(clips[group[0]].device)
            for batch in _batches(group, max(1, FRAMES_BATCH_SIZE // clips[group[0]].shape[1])):
                columns = self._long_columns(torch.stack([clips[index] for index in batch]))
                logits, embedding = self.score_windows(columns, own_windows)
                pairs = zip(logits, embedding, strict=True)
                scores |= zip(batch, (WindowScores(*pair) for pair in pairs), strict=True)
        return [scores[index] for index in range(len(clips))]

    def score_windows(self, columns: Tensor, windows: Tensor) -> WindowScores:
        """Score windows of columns.

        Args:
            columns: float [n, channels, columns].
            windows: int64 [windows, width], the columns of each window.

        Returns:
            Logits [n, windows, tags] and embeddings [n, windows, size].
        """
        views = columns[:, :, windows]  # [n, channels, windows, width]
        return self._head((views.mean(dim=-1) + views.amax(dim=-1)).transpose(1, 2))

    def _long_columns(self, clips: Tensor) -> Tensor:
        """Return the same as `_columns`; long clips are computed in pieces that overlap."""
        frames = clips.shape[-1]
        if frames <= FRAMES_BATCH_SIZE:
            return self._columns(clips)
        pieces = []
        for start in range(0, frames, FRAMES_BATCH_SIZE):
            before = min(start, CONTEXT_FRAMES)
            stop = start + FRAMES_BATCH_SIZE + CONTEXT_FRAMES
            piece = self._columns(clips[..., start - before : stop])
            kept = -(-min(FRAMES_BATCH_SIZE, frames - start) // self.STRIDE)
            skipped = before // self.STRIDE
            pieces.append(piece[..., skipped : skipped + kept])
        return torch.cat(pieces, dim=-1)

    def _columns(self, clips: Tensor) -> Tensor:
        """Return a column of features per 16 frames, [n, channels, ceil(frames / 16)].

        The last frame is repeated until the last column is full: what a convolution pads with,
        zero, is a frame of average loudness, which after silence looks like a bang.
        """
        missing = -clips.shape[-1] % self.STRIDE
        return self.columns(functional.pad(clips, (0, missing), mode="replicate"))

    def columns(self, clips: Tensor) -> Tensor:
        """Return columns, [n, channels, frames / 16], of clips whose last column is full."""
        x = clips.unsqueeze(1)
        for number, block in enumerate(self.blocks):
            x = block(self.block_dropout(self.halve(x)) if number else x)
        return x.mean(dim=2)

    def _head(self, pooled: Tensor) -> WindowScores:
        """Return the scores of pooled features, float [..., channels]."""
        embedding = self.hidden(pooled)
        return WindowScores(self.output(embedding), embedding)


class EfficientAT(Network):
    """AudioSet's labels and tags of our own from one body, for whole clips and per column of time.

    A tag's logit is the greatest of its sources': AudioSet labels, or outputs of a head that was
    trained on clips with our tags. A clip is as long as it is: its features are averaged over
    time. Squeeze-excitation looks at all of a clip, so that no piece of it has the features that
    the piece has in the whole.
    """

    STRIDE = TIME_STRIDE

    def __init__(
        self,
        tags: int,
        sources: Sequence[Sequence[int]],
        head_tags: int,
        width: float = WIDTH,
        labels: int = LABELS,
        hidden: int = 256,
        dropout: float = 0.4,
        bands: int = 128,
        window: int = 3 * TIME_STRIDE,
        hop: int = TIME_STRIDE,
        loop_frames: int = 0,
    ) -> None:
        """Build the layers.

        Args:
            tags: Outputs.
            sources: For each tag the indices of labels, or `labels` + the index of a head's output.
            head_tags: Outputs of the head.
            width: Share of MobileNetV3-large's channels.
            labels: Outputs of the body.
            hidden: Width of the head's hidden layer.
            dropout: Before each layer of the head.
            bands: Mel bands that go in, at least 32.
            window: Frames of the shortest clip; a shorter one is filled with silence.
            hop: Frames that a column stands for, always 32.
            loop_frames: Frames up to which a shorter clip is repeated.

        Raises:
            ValueError: No such network can be built.
        """
        super().__init__()
        _check_sources(sources, tags, labels + head_tags)
        if not 0 <= loop_frames <= MAX_CLIP_FRAMES:
            raise ValueError(f"efficientat_mn repeats clips up to {MAX_CLIP_FRAMES} frames at most")
        if min(width, labels, hidden, bands // 32, window, head_tags) <= 0 or hop != self.STRIDE:
            needs = "positive sizes, at least 32 bands and a hop of 32 frames"
            raise ValueError(f"efficientat_mn needs {needs}")
        self.tags, self.bands, self.window, self.hop = tags, bands, window, hop
        self.loop_frames = loop_frames
        self.body = AudioSetNetwork(width, labels)
        self.embedding_size = self.body.hidden_size
        size = self.body.channels + self.body.hidden_size
        self.head = TagHead(size, head_tags, hidden, dropout)
        self.greatest = GreatestOfGroups(sources)

    def forward(self, clips: Tensor, windows: Tensor | None = None) -> ClipScores:
        """Score windows and columns of clips of equal length.

        Args:
            clips: float [n, bands, frames].
            windows: int64 [windows, width], the columns of each window; None for one of all.

        Returns:
            Logits [n, windows, tags], embedding [n, windows, size] and columns [n, columns, tags].
        """
        columns = self.body.columns(clips)
        if windows is None:
            windows = torch.arange(columns.shape[1], device=clips.device).unsqueeze(0)
        pooled = columns[:, windows].mean(dim=2)
        count = pooled.shape[1]
        # Together, so that the exported graph holds the head's weights once.
        features = self.body.classify(torch.cat([pooled, columns], dim=1))
        outputs = torch.cat([features.labels, self.head(features)], dim=-1)
        logits = self.greatest(outputs)
        return ClipScores(logits[:, :count], features.hidden[:, :count], logits[:, count:])

    def score_clips(
        self, clips: list[Tensor], sounding: Sequence[Sounding] | None = None
    ) -> list[ClipScores]:
        """Score whole recordings; a long one in several windows.

        Args:
            clips: float [bands, frames >= window] each.
            sounding: For each clip, False for its frames of digital silence, [frames]; None where
                all sound.

        Returns:
            For each clip logits [windows, tags], embedding [windows, size] and columns
            [columns, tags].
        """
        masks: Sequence[Sounding | None] = sounding or [None] * len(clips)
        return [self._score_clip(clip, mask) for clip, mask in zip(clips, masks, strict=True)]

    def score(
        self, clips: list[Tensor], sounding: Sequence[Sounding] | None = None
    ) -> list[WindowScores]:
        """Score whole recordings, without their columns.

        Args:
            clips: float [bands, frames >= window] each.
            sounding: For each clip, False for its frames of digital silence, [frames]; None where
                all sound.
        """
        return [WindowScores(*scores[:2]) for scores in self.score_clips(clips, sounding)]

    def _score_clip(self, clip: Tensor, sounding: Sounding | None) -> ClipScores:
        """Score a clip without its long silences, whose columns get no tag."""
        part = scored_part(clip.shape[1], self.window, self.loop_frames, sounding)
        if part is None:
            return self._score_pieces(clip, sounding)
        frames, columns = (
            torch.from_numpy(index).to(clip.device) for index in (part.frames, part.columns)
        )
        scores = self._score_pieces(clip[:, frames], part.sounding)
        shape = (-(-clip.shape[1] // self.STRIDE), self.tags)
        column_logits = scores.columns.new_full(shape, SILENT_LOGIT)
        column_logits[columns] = scores.columns[: len(columns)]
        return ClipScores(scores.logits, scores.embedding, column_logits)

    def _score_pieces(self, clip: Tensor, sounding: Sounding | None) -> ClipScores:
        pieces = clip_pieces(clip.shape[1])
        scored = [self._score_piece(clip, piece, sounding) for piece in pieces]
        return ClipScores(*(torch.cat(parts) for parts in zip(*scored, strict=True)))

    def _score_piece(self, clip: Tensor, piece: ClipPiece, sounding: Sounding | None) -> ClipScores:
        columns, sounds = without_silence(piece, sounding)
        windows, kept = (torch.from_numpy(part).to(clip.device) for part in (columns, sounds))
        scores = self(clip[:, piece.frames].unsqueeze(0), windows)
        return ClipScores(
            scores.logits[0, kept], scores.embedding[0, kept], scores.columns[0, piece.columns]
        )


def _check_sources(sources: Sequence[Sequence[int]], tags: int, outputs: int) -> None:
    """Raise `ValueError` unless every tag has sources, and all of them exist."""
    flat = [index for source in sources for index in source]
    if len(sources) != tags or not all(sources) or min(flat) < 0 or max(flat) >= outputs:
        raise ValueError(
            "efficientat_mn needs, for each tag, indices of its labels or head outputs"
        )


ARCHITECTURES: dict[str, Callable[..., Network]] = {
    "prototype_cnn": PrototypeCNN,
    "prototype_cnn_columns": ColumnScaledPrototypeCNN,
    "earmark_cnn": EarmarkCNN,
    "efficientat_mn": EfficientAT,
}


def build(architecture: str, tags: int, arguments: Mapping[str, object]) -> Network:
    """Build a network by the name and arguments that a bundle gives.

    Args:
        architecture: A key of `ARCHITECTURES`.
        tags: Outputs.
        arguments: Of the architecture.

    Raises:
        KeyError: The name is unknown.
        TypeError: The architecture takes no such arguments.
        ValueError: It takes them, but not these values.
    """
    return ARCHITECTURES[architecture](tags=tags, **arguments)


def fuse_batch_norm(network: Network) -> Network:
    """Return a copy for inference whose convolutions contain the batch norm behind them.

    The outputs are the same, with less to compute.
    """
    fused = copy.deepcopy(network).eval()
    for parent in [module for module in fused.modules() if isinstance(module, nn.Sequential)]:
        layers = list(parent)
        for index, (layer, following) in enumerate(pairwise(layers)):
            if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                parent[index] = nn.utils.fuse_conv_bn_eval(layer, following)
                parent[index + 1] = nn.Identity()
    return fused


def _halving_layers(width_in: int, width: int) -> tuple[nn.Module, ...]:
    """Return a 4x4 convolution of stride 2 with its batch norm."""
    convolution = nn.Conv2d(width_in, width, kernel_size=4, stride=2, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)


def _convolution(width_in: int, width: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(width_in, width, kernel_size=3, stride=stride, padding=1, bias=False)


def _batches(items: list[_Item], size: int) -> Iterator[list[_Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _groups_of_like_windows(
    clips: list[Tensor], windows: list[NDArray[np.int64]]
) -> list[list[int]]:
    """Return the clips' indices in groups of equally many frames and the same windows."""
    groups: dict[tuple[int, bytes], list[int]] = {}
    for index, clip in enumerate(clips):
        groups.setdefault((clip.shape[1], windows[index].tobytes()), []).append(index)
    return list(groups.values())
