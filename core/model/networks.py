"""Networks from scaled log-mel frames to logits per window of time; architectures by name.

Every network answers for windows of time, not for the clip, so that "when was it heard" exists for every architecture. How
windows become one answer for the clip is the bundle's pooling, not the network's business.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

WINDOWS_AT_ONCE = 64  # bounds the memory of long clips: ten minutes are 540 windows
FRAMES_AT_ONCE = 4096  # likewise for networks that listen to whole clips: 95 seconds take about 200 MB
CONTEXT = 96  # frames that a piece of a long clip sees of its neighbours; no output of `EarmarkCNN` depends on more


class WindowScores(NamedTuple):
    """`logits` [windows, tags] and `embedding` [windows, size] of one clip."""

    logits: Tensor
    embedding: Tensor


class Network(nn.Module):
    """What every architecture has: sizes, windows over a clip, and scores for them.

    `window` and `hop` are in frames; `embedding_size` is the width of the embedding.
    """

    tags: int
    bands: int
    window: int
    hop: int
    embedding_size: int

    def window_starts(self, frames: int) -> list[int]:
        """First frame of each window over a clip: every `hop`, the last one flush with the end."""
        last = max(0, frames - self.window)
        return [*range(0, last, self.hop), last]

    def score(self, clips: list[Tensor]) -> list[WindowScores]:
        """Whole clips, float [bands, frames >= window] each, in as few passes as possible -> their window scores."""
        raise NotImplementedError  # each architecture has its own; a torch module cannot be an abstract base class without more ado


class SeedCNN(Network):
    """Four convolutions and two linear layers on a square patch of log-mel.

    Each convolution is 4x4 with stride 2, so 96 x 96 becomes 6 x 6. `channels` are the widths of the four convolutions,
    `hidden` the width of the first linear layer. (The seed had four of 128, and 1152.)
    """

    def __init__(
        self,
        tags: int,
        channels: tuple[int, int, int, int] = (128, 128, 128, 128),
        hidden: int = 1152,
        bands: int = 96,
        window: int = 96,
        hop: int = 48,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if hop < 1 or len(channels) != 4 or min(*channels, hidden, bands // 16, window // 16) < 1:
            raise ValueError("seed_cnn wants four channel widths, a hop of at least 1 and patches of at least 16 x 16")
        self.tags, self.bands, self.window, self.hop, self.embedding_size = tags, bands, window, hop, hidden
        layers: list[nn.Module] = []
        for width_in, width_out in zip((1, *channels), channels, strict=False):
            layers += [
                nn.Conv2d(width_in, width_out, kernel_size=4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width_out),
                nn.ReLU(inplace=True),
            ]
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(channels[-1] * (bands // 16) * (window // 16), hidden),
            nn.ReLU(inplace=True),
        )
        self.output = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, tags))

    def forward(self, patches: Tensor) -> WindowScores:
        """float [windows, bands, window] -> logits [windows, tags], embedding [windows, hidden]."""
        embedding = self.hidden(self.convolutions(patches.unsqueeze(1)))
        return WindowScores(self.output(embedding), embedding)

    def score(self, clips: list[Tensor]) -> list[WindowScores]:
        """Whole clips, float [bands, frames >= window] each, in as few passes as possible -> their window scores."""
        patches = [clip[:, start : start + self.window] for clip in clips for start in self.window_starts(clip.shape[1])]
        passes = [self(torch.stack(patches[first : first + WINDOWS_AT_ONCE])) for first in range(0, len(patches), WINDOWS_AT_ONCE)]
        counts = [len(self.window_starts(clip.shape[1])) for clip in clips]
        logits = torch.cat([one.logits for one in passes]).split(counts)
        embedding = torch.cat([one.embedding for one in passes]).split(counts)
        return [WindowScores(*pair) for pair in zip(logits, embedding, strict=True)]


class ColumnScaledSeedCNN(SeedCNN):
    """`SeedCNN` on patches scaled as COALA published them: x * `scale` + `offset`, one number each per frame of the window.

    The log-mels that come in are not scaled yet. What belongs to a window's frames cannot be a bundle's scaler, which knows bands.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, tags: int, scale: Sequence[float], offset: Sequence[float], **arguments: Any) -> None:
        super().__init__(tags, **arguments)
        if len(scale) != self.window or len(offset) != self.window:
            raise ValueError("seed_cnn_columns wants a scale and an offset for each frame of its window")
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.register_buffer("offset", torch.tensor(offset), persistent=False)

    def forward(self, patches: Tensor) -> WindowScores:
        return super().forward(patches * self.scale + self.offset)


class Block(nn.Module):
    """Two 3x3 convolutions, the second one around a short cut: [n, `width_in`, h, w] -> [n, `width`, h, w]."""

    def __init__(self, width_in: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Sequential(_convolution(width_in, width, stride), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.second = nn.Sequential(_convolution(width, width), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return functional.relu(x + self.second(x))


def _convolution(width_in: int, width: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(width_in, width, kernel_size=3, stride=stride, padding=1, bias=False)


class EarmarkCNN(Network):
    """3x3 convolutions over the whole clip, then mean plus maximum over each window of time.

    After PANNs' CNN10 (Kong et al. 2020; section "CNN"), made cheap: the first convolution has stride 2, widths are a quarter, and
    the convolutions see a clip once, however its windows overlap. Four blocks of two convolutions, halved in both directions
    between them, so that a column of features stands for 16 frames; frequency is averaged away before the windows are taken.
    With `channels` (24, 48, 96, 256) it has 1.1 million parameters and needs 0.35 G multiply-adds for ten seconds.

    A window's logits also know up to 61 frames on either side of it (the convolutions' field of view): what lies far away
    cannot reach it, what borders on it can.
    """

    STRIDE = 16

    def __init__(
        self,
        tags: int,
        channels: tuple[int, int, int, int] = (24, 48, 96, 256),
        hidden: int = 256,
        bands: int = 96,
        window: int = 96,
        hop: int = 48,
        dropout: float = 0.3,
        block_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if len(channels) != 4 or min(*channels, hidden, bands // self.STRIDE, window, hop) < 1 or window % self.STRIDE or hop % self.STRIDE:
            raise ValueError("earmark_cnn wants four channel widths, at least 16 bands, and a window and a hop in multiples of 16 frames")
        self.tags, self.bands, self.window, self.hop, self.embedding_size = tags, bands, window, hop, hidden
        widths = zip((1, *channels), channels, strict=False)
        self.blocks = nn.ModuleList(Block(width_in, width, stride=1 if n else 2) for n, (width_in, width) in enumerate(widths))
        self.halve = nn.AvgPool2d(2, ceil_mode=True)
        self.block_dropout = nn.Dropout(block_dropout)
        self.hidden = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1], hidden), nn.ReLU(inplace=True))
        self.output = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, tags))

    def forward(self, patches: Tensor) -> WindowScores:
        """float [n, bands, frames], each one window whatever its length -> logits [n, tags], embedding [n, hidden]."""
        columns = self._columns(patches)
        return self._head(columns.mean(dim=-1) + columns.amax(dim=-1))

    def score(self, clips: list[Tensor]) -> list[WindowScores]:
        """Whole clips, float [bands, frames >= window] each; those of one length share a pass -> their window scores."""
        scores: dict[int, WindowScores] = {}
        for alike in _of_one_length(clips):
            frames = clips[alike[0]].shape[1]
            at_once = max(1, FRAMES_AT_ONCE // frames)
            for first in range(0, len(alike), at_once):
                chosen = alike[first : first + at_once]
                scores |= zip(chosen, self._windows(torch.stack([clips[index] for index in chosen])), strict=True)
        return [scores[index] for index in range(len(clips))]

    def _windows(self, clips: Tensor) -> list[WindowScores]:
        """Clips of one length [n, bands, frames] -> the window scores of each."""
        columns, starts = self._long_columns(clips), self.window_starts(clips.shape[-1])
        wide = self.window // self.STRIDE
        first = torch.tensor(starts, device=clips.device).div(self.STRIDE, rounding_mode="floor").clamp(max=columns.shape[-1] - wide)
        first[-1] = columns.shape[-1] - wide  # flush with the end, also of a clip that ends between two columns
        views = columns.unfold(-1, wide, 1)[:, :, first]  # [n, channels, windows, wide]
        pooled = (views.mean(dim=-1) + views.amax(dim=-1)).transpose(1, 2)
        logits, embedding = self._head(pooled)
        return [WindowScores(*one) for one in zip(logits, embedding, strict=True)]

    def _long_columns(self, clips: Tensor) -> Tensor:
        """As `_columns`; clips too long for one pass go through in pieces that see enough of their neighbours."""
        frames = clips.shape[-1]
        if frames <= FRAMES_AT_ONCE:
            return self._columns(clips)
        pieces = []
        for start in range(0, frames, FRAMES_AT_ONCE):
            before = min(start, CONTEXT)
            piece = self._columns(clips[..., start - before : start + FRAMES_AT_ONCE + CONTEXT])
            kept = -(-min(FRAMES_AT_ONCE, frames - start) // self.STRIDE)
            pieces.append(piece[..., before // self.STRIDE : before // self.STRIDE + kept])
        return torch.cat(pieces, dim=-1)

    def _columns(self, clips: Tensor) -> Tensor:
        """float [n, bands, frames] -> one column of features per 16 frames, [n, channels, ceil(frames / 16)].

        The last frame is repeated until the last column is full: what a convolution pads with, zero, is a frame of average
        loudness, which after silence sounds like a bang.
        """
        x = functional.pad(clips, (0, -clips.shape[-1] % self.STRIDE), mode="replicate").unsqueeze(1)
        for number, block in enumerate(self.blocks):
            x = block(self.block_dropout(self.halve(x)) if number else x)
        return x.mean(dim=2)

    def _head(self, pooled: Tensor) -> WindowScores:
        """float [..., channels] -> logits [..., tags], embedding [..., hidden]."""
        embedding = self.hidden(pooled)
        return WindowScores(self.output(embedding), embedding)


def _of_one_length(clips: list[Tensor]) -> list[list[int]]:
    """The clips' indices in groups of equally many frames."""
    groups: dict[int, list[int]] = {}
    for index, clip in enumerate(clips):
        groups.setdefault(clip.shape[1], []).append(index)
    return list(groups.values())


def fuse_batch_norm(network: Network) -> Network:
    """A copy for inference in which each convolution has swallowed the batch norm behind it: same outputs, less to do."""
    fused = copy.deepcopy(network).eval()
    for parent in [module for module in fused.modules() if isinstance(module, nn.Sequential)]:
        layers = list(parent)
        for index, (first, second) in enumerate(zip(layers, layers[1:], strict=False)):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                parent[index] = nn.utils.fuse_conv_bn_eval(first, second)
                parent[index + 1] = nn.Identity()
    return fused


ARCHITECTURES: dict[str, Callable[..., Network]] = {
    "seed_cnn": SeedCNN,
    "seed_cnn_columns": ColumnScaledSeedCNN,
    "earmark_cnn": EarmarkCNN,
}


def build(architecture: str, tags: int, arguments: dict) -> Network:
    """A network by the name and arguments that a bundle's `model.json` gives.

    Raises `KeyError` for an unknown name and `TypeError` for arguments that it does not take.
    """
    return ARCHITECTURES[architecture](tags=tags, **arguments)
