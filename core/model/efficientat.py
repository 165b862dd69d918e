"""EfficientAT: MobileNetV3 for sound, which AudioSet's labels and Earmark's own tags share.

After F. Schmid, K. Koutini and G. Widmer, "Efficient Large-Scale Audio Tagging via
Transformer-to-CNN Knowledge Distillation", ICASSP 2023, and A. Howard et al., "Searching for
MobileNetV3", ICCV 2019. The names of the layers are those of the published weights
(https://github.com/fschmid56/EfficientAT, MIT), so that they load strictly.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

WIDTH = 0.4
"""Channels as a share of MobileNetV3-large's, of the variant called mn04."""
LABELS = 527
"""Labels of AudioSet."""
TIME_STRIDE = 32
"""Frames that a column of features stands for."""
LAST_CHANNELS, HIDDEN = 960, 1280
CLAMP = 6.0
"""Largest standardised feature, so that a strange sound cannot push a tag without limit."""


class ClipScores(NamedTuple):
    """Scores of clips of equal length, or of one, without the first dimension.

    Attributes:
        logits: Of windows, [n, windows, tags].
        embedding: Of windows, [n, windows, size].
        columns: Logits per column of `TIME_STRIDE` frames, [n, columns, tags].
    """

    logits: Tensor
    embedding: Tensor
    columns: Tensor


class Features(NamedTuple):
    """Pooled features [..., channels], hidden layer [..., size], AudioSet logits [..., labels]."""

    pooled: Tensor
    hidden: Tensor
    labels: Tensor


class _Stage(NamedTuple):
    """A row of the table of inverted residuals; widths as in MobileNetV3-large."""

    kernel: int
    expanded: int
    out: int
    squeezes: bool
    hard_swish: bool
    stride: int


STAGES = (
    _Stage(3, 16, 16, False, False, 1),
    _Stage(3, 64, 24, False, False, 2),
    _Stage(3, 72, 24, False, False, 1),
    _Stage(5, 72, 40, True, False, 2),
    _Stage(5, 120, 40, True, False, 1),
    _Stage(5, 120, 40, True, False, 1),
    _Stage(3, 240, 80, False, True, 2),
    _Stage(3, 200, 80, False, True, 1),
    _Stage(3, 184, 80, False, True, 1),
    _Stage(3, 184, 80, False, True, 1),
    _Stage(3, 480, 112, True, True, 1),
    _Stage(3, 672, 112, True, True, 1),
    _Stage(5, 672, 160, True, True, 2),
    _Stage(5, 960, 160, True, True, 1),
    _Stage(5, 960, 160, True, True, 1),
)


class AudioSetNetwork(nn.Module):
    """The published network: log-mel frames to features and logits of AudioSet's labels."""

    def __init__(self, width: float = WIDTH, labels: int = LABELS, dropout: float = 0.2) -> None:
        """Build the layers.

        Args:
            width: Share of MobileNetV3-large's channels.
            labels: Outputs.
            dropout: Before the last layer.
        """
        super().__init__()
        last = [channels_of(stage.out, width) for stage in STAGES]
        before = [channels_of(16, width), *last[:-1]]
        residuals = [
            _InvertedResidual(channels, stage, width)
            for channels, stage in zip(before, STAGES, strict=True)
        ]
        self.channels, self.hidden_size = channels_of(LAST_CHANNELS, width), round(HIDDEN * width)
        self.features = nn.Sequential(
            _convolution(1, before[0], 3, 2, nn.Hardswish),
            *residuals,
            _convolution(last[-1], self.channels, 1, 1, nn.Hardswish),
        )
        self.classifier = nn.Sequential(
            nn.Identity(),  # where the published network pools; the numbers of the layers stay
            nn.Identity(),
            nn.Linear(self.channels, self.hidden_size),
            nn.Hardswish(),
            nn.Dropout(dropout),
            nn.Linear(self.hidden_size, labels),
        )

    def columns(self, clips: Tensor) -> Tensor:
        """Return features per column of time, [n, columns, channels], of [n, bands, frames]."""
        features: Tensor = self.features(clips.unsqueeze(1))
        return features.mean(dim=2).transpose(1, 2)

    def classify(self, pooled: Tensor) -> Features:
        """Return features and logits of pooled features, float [..., channels]."""
        hidden = self.classifier[:4](pooled)
        return Features(pooled, hidden, self.classifier[4:](hidden))

    def forward(self, clips: Tensor) -> Features:
        """Return features and logits of clips, float [n, bands, frames]."""
        return self.classify(self.columns(clips).mean(dim=1))


class TagHead(nn.Module):
    """Logits of the tags that have training clips, from standardised features."""

    mean: Tensor
    std: Tensor

    def __init__(self, size: int, tags: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(size, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, tags),
        )

    def forward(self, features: Features) -> Tensor:
        """Return logits, float [..., tags]."""
        joined = torch.cat([features.pooled, features.hidden], dim=-1)
        standardised = ((joined - self.mean) / self.std).clamp(-CLAMP, CLAMP)
        logits: Tensor = self.layers(standardised)
        return logits


class GreatestOfGroups(nn.Module):
    """The greatest of each group of inputs: [..., inputs] -> [..., groups].

    Groups of similar size are gathered together, so that little is gathered twice.
    """

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        buckets: dict[int, list[int]] = {}
        for number, group in enumerate(groups):
            buckets.setdefault((len(group) - 1).bit_length(), []).append(number)
        order = [number for _, numbers in sorted(buckets.items()) for number in numbers]
        self._sizes: list[int] = []
        for bits, numbers in sorted(buckets.items()):
            rows = [_filled_up(groups[number], 1 << bits) for number in numbers]
            self.register_buffer(f"group_{bits}", torch.tensor(rows), persistent=False)
            self._sizes.append(bits)
        self.register_buffer("place", torch.tensor(order).argsort(), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Return the greatest of each group."""
        parts = []
        for bits in self._sizes:
            index = self.get_buffer(f"group_{bits}")
            gathered = values.index_select(-1, index.flatten())
            parts.append(gathered.reshape(*values.shape[:-1], *index.shape).amax(dim=-1))
        return torch.cat(parts, dim=-1).index_select(-1, self.get_buffer("place"))


def channels_of(channels: int, width: float) -> int:
    """Return a width in multiples of 8, at least 8 and never below 90 % of what was asked for."""
    exact = channels * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


class _InvertedResidual(nn.Module):
    """1x1 expansion, k x k depthwise, squeeze-excitation, 1x1 projection; added where it fits."""

    def __init__(self, channels: int, stage: _Stage, width: float) -> None:
        super().__init__()
        expanded, out = channels_of(stage.expanded, width), channels_of(stage.out, width)
        activation = nn.Hardswish if stage.hard_swish else nn.ReLU
        layers: list[nn.Module] = []
        if expanded != channels:
            layers.append(_convolution(channels, expanded, 1, 1, activation))
        layers.append(
            _convolution(expanded, expanded, stage.kernel, stage.stride, activation, expanded)
        )
        if stage.squeezes:
            layers.append(_SqueezeExcitation(expanded))
        layers.append(_convolution(expanded, out, 1, 1, None))
        self.block = nn.Sequential(*layers)
        self.is_residual = stage.stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to [n, channels, h, w]."""
        y: Tensor = self.block(x)
        return x + y if self.is_residual else y


class _SqueezeExcitation(nn.Module):
    """Channels scaled by what the means of all channels say."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList([_ChannelScale(channels)])

    def forward(self, x: Tensor) -> Tensor:
        """Scale [n, channels, h, w]."""
        scaled: Tensor = self.conc_se_layers[0](x)
        return scaled


class _ChannelScale(nn.Module):
    """Two linear layers from the channels' means to their scales."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = channels_of(channels, 1 / 4)
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Scale [n, channels, h, w]."""
        scale = torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean(dim=(2, 3))))))
        return x * scale[:, :, None, None]


def _convolution(
    channels: int,
    out: int,
    kernel: int,
    stride: int,
    activation: type[nn.Module] | None,
    groups: int = 1,
) -> nn.Sequential:
    """Return a convolution, its batch norm and its activation."""
    padding = (kernel - 1) // 2
    layers: list[nn.Module] = [
        nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(out, eps=1e-3, momentum=0.01),
    ]
    if activation:
        layers.append(activation())
    return nn.Sequential(*layers)


def _filled_up(group: Sequence[int], length: int) -> list[int]:
    """Return a group filled up with its first member."""
    return [*group, *[group[0]] * (length - len(group))]
