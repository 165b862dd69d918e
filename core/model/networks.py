"""Networks from scaled log-mel frames to logits per window of time; architectures by name.

Every network answers for windows of time, not for the clip, so that "when was it heard" exists for every architecture. How
windows become one answer for the clip is the bundle's pooling, not the network's business.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

WINDOWS_AT_ONCE = 64  # bounds the memory of long clips: ten minutes are 540 windows


class WindowScores(NamedTuple):
    """`logits` [windows, tags] and `embedding` [windows, size] of one clip."""

    logits: Tensor
    embedding: Tensor


class SeedCNN(nn.Module):
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

    def window_starts(self, frames: int) -> list[int]:
        """First frame of each window over a clip: every `hop`, the last one flush with the end."""
        last = max(0, frames - self.window)
        return [*range(0, last, self.hop), last]

    def score(self, clips: list[Tensor]) -> list[WindowScores]:
        """Whole clips, float [bands, frames >= window] each, in as few passes as possible -> their window scores."""
        patches = [clip[:, start : start + self.window] for clip in clips for start in self.window_starts(clip.shape[1])]
        passes = [self(torch.stack(patches[first : first + WINDOWS_AT_ONCE])) for first in range(0, len(patches), WINDOWS_AT_ONCE)]
        counts = [len(self.window_starts(clip.shape[1])) for clip in clips]
        logits = torch.cat([one.logits for one in passes]).split(counts)
        embedding = torch.cat([one.embedding for one in passes]).split(counts)
        return [WindowScores(*pair) for pair in zip(logits, embedding, strict=True)]


def fuse_batch_norm(network: nn.Module) -> nn.Module:
    """A copy for inference in which each convolution has swallowed the batch norm behind it: same outputs, less to do."""
    fused = copy.deepcopy(network).eval()
    for parent in [module for module in fused.modules() if isinstance(module, nn.Sequential)]:
        layers = list(parent)
        for index, (first, second) in enumerate(zip(layers, layers[1:], strict=False)):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                parent[index] = nn.utils.fuse_conv_bn_eval(first, second)
                parent[index + 1] = nn.Identity()
    return fused


ARCHITECTURES: dict[str, Callable[..., SeedCNN]] = {"seed_cnn": SeedCNN}


def build(architecture: str, tags: int, arguments: dict) -> SeedCNN:
    """A network by the name and arguments that a bundle's `model.json` gives.

    Raises `KeyError` for an unknown name and `TypeError` for arguments that it does not take.
    """
    return ARCHITECTURES[architecture](tags=tags, **arguments)
