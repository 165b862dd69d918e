"""A head trained further on features of windows, where some labels are not known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from core.model.efficientat import TagHead
from core.model.networks import EfficientAT
from core.model.pooling import Pooling, pool_recording
from training.datasets.types import Labels
from training.evaluate import Logits
from training.fine_tuning.head import BATCH_SIZE, DROPOUT, HIDDEN, WEIGHT_DECAY
from training.fine_tuning.head import EPOCHS as FIRST_EPOCHS
from training.fine_tuning.head import LEARNING_RATE as FIRST_RATE
from training.retraining.features import Windows, one_thread

EPOCHS, LEARNING_RATE = 30, 1e-3
"""Of a head that goes on; a new one takes those of the fine-tuning."""
Known = NDArray[np.bool_]


@dataclass(frozen=True)
class Examples:
    """Clips to learn from.

    Attributes:
        windows: Their features.
        targets: Probability of each own tag, float32 [clips, own].
        known: False where nobody decided, bool [clips, own].
        weights: Of each clip in the loss, float32 [clips].
    """

    windows: Windows
    targets: Labels
    known: Known
    weights: NDArray[np.float32]

    def rows(self, rows: NDArray[np.int64]) -> "Examples":
        """Return the examples of these rows."""
        parts = self.targets[rows], self.known[rows], self.weights[rows]
        return Examples(self.windows.rows(rows), *parts)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> "Examples":
        """Return the examples of all parts, one part after the other."""
        return Examples(
            Windows.joined([part.windows for part in parts]),
            np.concatenate([part.targets for part in parts]),
            np.concatenate([part.known for part in parts]),
            np.concatenate([part.weights for part in parts]),
        )


def fit_head(examples: Examples, seed: int, start: TagHead | None = None) -> TagHead:
    """Train a head; the loss counts the labels that are known.

    Args:
        examples: To learn from.
        seed: Of the random numbers.
        start: The head to go on from, which is left as it is; without it, a new one begins.
    """
    torch.manual_seed(seed)
    head = _new_head(examples) if start is None else _copied(start)
    epochs, rate = (FIRST_EPOCHS, FIRST_RATE) if start is None else (EPOCHS, LEARNING_RATE)
    head.train()
    with one_thread():
        _run_epochs(head, examples, epochs, rate)
    return head.eval()


def _run_epochs(head: TagHead, examples: Examples, epochs: int, rate: float) -> None:
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=WEIGHT_DECAY)
    steps = epochs * -(-len(examples.targets) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(examples.targets)), BATCH_SIZE):
            loss = _loss(head, examples.rows(rows.numpy()))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


@torch.inference_mode()
def own_logits(head: TagHead, windows: Windows, pooling: Pooling) -> Logits:
    """Return logits of the own tags as the product pools them, float32 [clips, own]."""
    return _pooled(head(windows.features), windows, pooling)


@torch.inference_mode()
def all_logits(network: EfficientAT, windows: Windows, pooling: Pooling) -> Logits:
    """Return logits of the whole vocabulary likewise, float32 [clips, tags]."""
    features = windows.features
    outputs = torch.cat([features.labels, network.head(features)], dim=-1)
    return _pooled(network.greatest(outputs), windows, pooling)


def label_logits(windows: Windows) -> Tensor:
    """Return the logits of AudioSet's labels in the clips, float32 [clips, labels]."""
    return _greatest(windows.labels, windows)


def _pooled(logits: Tensor, windows: Windows, pooling: Pooling) -> Logits:
    rows = np.split(logits.numpy(), windows.offsets[1:-1])
    return np.stack([pool_recording(row, pooling, segment=1) for row in rows])


def _loss(head: TagHead, batch: Examples) -> Tensor:
    """Return the mean loss over known labels; a clip has what one of its windows has."""
    logits = _greatest(head(batch.windows.features), batch.windows)
    targets, known = torch.from_numpy(batch.targets), torch.from_numpy(batch.known)
    each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    weights = torch.from_numpy(batch.weights)[:, None] * known
    # not divided by the sum of the weights: a clip of which little is known counts little
    return (each * weights).mean()


def _greatest(values: Tensor, windows: Windows) -> Tensor:
    """Return the greatest value of each clip's windows, [clips, ...]."""
    if len(values) == len(windows):
        return values
    index = windows.clip_of_window()[:, None].expand_as(values)
    start = values.new_full((len(windows), values.shape[1]), float("-inf"))
    return start.scatter_reduce(0, index, values, "amax", include_self=True)


def _new_head(examples: Examples) -> TagHead:
    features = examples.windows
    joined = torch.cat([features.pooled, features.hidden], dim=1)
    head = TagHead(joined.shape[1], examples.targets.shape[1], HIDDEN, DROPOUT)
    head.mean.copy_(joined.mean(dim=0))
    head.std.copy_(joined.std(dim=0) + 1e-3)
    return head


def _copied(start: TagHead) -> TagHead:
    """Return a head with the same weights."""
    hidden, size = cast(Tensor, start.layers[1].weight).shape
    tags = len(cast(Tensor, start.layers[4].bias))
    head = TagHead(size, tags, hidden, DROPOUT)
    head.load_state_dict(start.state_dict())
    return head
