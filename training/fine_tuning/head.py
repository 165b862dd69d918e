"""The head for our own tags, trained on features of whole clips that are computed once."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from core.model.efficientat import AudioSetNetwork, Features, TagHead
from core.model.logmel import AUDIOSET
from training.datasets.types import Frames, Labels
from training.fine_tuning.data import SCALER, TagSpace

MIN_FRAMES = 96
LOOP_FRAMES = 400
"""A shorter sound is repeated up to this length, that of most clips with our tags."""
HIDDEN, DROPOUT = 256, 0.4
EPOCHS, BATCH_SIZE = 60, 128
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 1e-2
OTHER_SOUNDS_WEIGHT = 2.0
"""Of a sound outside our tags, beside a clip with them: there are fewer of them."""


class Whole(NamedTuple):
    """Features of whole clips: `pooled`, `hidden` and `labels`, float32 [clips, ...]."""

    pooled: Tensor
    hidden: Tensor
    labels: Tensor

    def rows(self, rows: NDArray[np.int64] | Tensor) -> Features:
        """Return the features of some clips."""
        index = torch.as_tensor(rows)
        return Features(self.pooled[index], self.hidden[index], self.labels[index])


def network_input(log_mel: NDArray[np.float32]) -> Tensor:
    """Return scaled frames [bands, frames]; a short clip is filled with silence, and repeated."""
    return torch.from_numpy(SCALER(looped(filled_up(log_mel), LOOP_FRAMES)))


def filled_up(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return frames [bands, at least `MIN_FRAMES`]; silence fills a clip that is too short."""
    missing = max(0, MIN_FRAMES - log_mel.shape[1])
    return np.pad(log_mel, ((0, 0), (0, missing)), constant_values=AUDIOSET.floor)


def looped(log_mel: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Return frames [bands, at least `frames`] of a clip that goes on again and again."""
    count = log_mel.shape[1]
    return log_mel if count >= frames else log_mel[:, np.resize(np.arange(count), frames)]


@torch.inference_mode()
def whole_clips(body: AudioSetNetwork, frames: Frames) -> Whole:
    """Return the features of whole clips."""
    body.eval()
    device = next(body.parameters()).device
    rows = [
        body(network_input(frames.clip(index)).unsqueeze(0).to(device))
        for index in range(len(frames))
    ]
    return Whole(*(torch.cat(part).cpu() for part in zip(*rows, strict=True)))


def label_probabilities(labels: Tensor, space: TagSpace) -> NDArray[np.float32]:
    """Return the greatest probability among labels that mean a tag: [clips, tags].

    It is 0 where no label means it.
    """
    probabilities = torch.sigmoid(labels).numpy()
    implied = space.implications
    columns = [
        probabilities[:, implied[:, tag]].max(axis=1, initial=0) for tag in range(len(space.tags))
    ]
    return np.stack(columns, axis=1)


def train_head(
    features: Features, targets: Labels, weights: NDArray[np.float32], seed: int
) -> TagHead:
    """Train a head on features of whole clips.

    Args:
        features: Of the clips.
        targets: Probability of each own tag, [clips, own].
        weights: Of each clip in the loss, [clips].
        seed: Of the random numbers.
    """
    torch.manual_seed(seed)
    joined = torch.cat([features.pooled, features.hidden], dim=1)
    head = TagHead(joined.shape[1], targets.shape[1], HIDDEN, DROPOUT)
    head.mean.copy_(joined.mean(dim=0))
    head.std.copy_(joined.std(dim=0) + 1e-3)
    expected, weight = torch.from_numpy(targets), torch.from_numpy(weights)[:, None]
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = EPOCHS * -(-len(targets) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(targets)), BATCH_SIZE):
            logits = head(Features(*(values[rows] for values in features)))
            loss = _weighted_loss(logits, expected[rows], weight[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return head.eval()


@torch.inference_mode()
def head_logits(head: nn.Module, features: Features) -> NDArray[np.float32]:
    """Return logits of the own tags, [clips, own]."""
    logits: NDArray[np.float32] = head(features).numpy()
    return logits


def _weighted_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (each * weights).mean()
