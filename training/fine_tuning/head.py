"""The head for our own tags, trained on features that are computed once.

They are those of whole clips and, so that it knows what a moment of a sound looks like, of single
loud columns of time.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from core.model.efficientat import TIME_STRIDE, AudioSetNetwork, Features, TagHead
from core.model.logmel import AUDIOSET
from training.datasets.types import Frames, Labels
from training.fine_tuning.data import SCALER, TagSpace

MIN_FRAMES = 96
LOOP_FRAMES = 400
"""A shorter sound is repeated up to this length, that of most clips with our tags."""
HIDDEN, DROPOUT = 256, 0.4
EPOCHS, BATCH_SIZE = 60, 128
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 1e-2
LOUD_COLUMNS = 2
"""Of a clip, which have its tags by themselves."""
LOUD_SHARE = 0.25
"""A column is loud from this share of the energy of the loudest one."""
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


class Examples(NamedTuple):
    """Features that a head is trained on, and the row of the clip that each is of, int [n]."""

    features: Features
    clips: NDArray[np.int64]

    def of(self, rows: NDArray[np.int64]) -> "Examples":
        """Return the examples of some clips."""
        kept = np.flatnonzero(np.isin(self.clips, rows))
        return Examples(Features(*(part[kept] for part in self.features)), self.clips[kept])


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


def clip_examples(body: AudioSetNetwork, frames: Frames) -> Examples:
    """Return whole clips as examples."""
    return Examples(Features(*whole_clips(body, frames)), np.arange(len(frames)))


@torch.inference_mode()
def loud_columns(body: AudioSetNetwork, frames: Frames) -> Examples:
    """Return features of at most `LOUD_COLUMNS` loud columns of each clip, drawn at random."""
    body.eval()
    device = next(body.parameters()).device
    random = np.random.default_rng(0)
    columns, clips = [], list[int]()
    for index in range(len(frames)):
        loud = _loud(looped(filled_up(frames.clip(index)), LOOP_FRAMES))
        drawn = random.choice(loud, min(LOUD_COLUMNS, len(loud)), replace=False)
        all_columns = body.columns(network_input(frames.clip(index)).unsqueeze(0).to(device))
        columns.append(all_columns[0, torch.from_numpy(drawn)])
        clips += [index] * len(drawn)
    features = body.classify(torch.cat(columns))
    return Examples(Features(*(part.cpu() for part in features)), np.array(clips, np.int64))


def _loud(log_mel: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the loud columns of a log-mel [bands, frames]."""
    missing = -log_mel.shape[1] % TIME_STRIDE
    energy = np.pad(np.exp(log_mel).sum(axis=0), (0, missing)).reshape(-1, TIME_STRIDE).sum(axis=1)
    return np.flatnonzero(energy >= LOUD_SHARE * energy.max())


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
    """Train a head.

    Args:
        features: Of the examples: clips, or columns of them.
        targets: Probability of each own tag, [examples, own].
        weights: Of each example in the loss, [examples].
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
