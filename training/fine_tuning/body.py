"""Every layer trained further, gently, so that nothing of what the network knew is lost.

The loss has three parts: the own tags; distillation of AudioSet's labels from the published network
on the same crop; and the same per column of time, from its answer on the half of the crop that the
column lies in. Columns of inserted silence have no label and no tag.
"""

import copy
import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from core.model.efficientat import TIME_STRIDE, AudioSetNetwork, TagHead
from core.model.logmel import AUDIOSET
from training import checkpoints, progress
from training.datasets.types import Labels
from training.errors import CheckpointError
from training.fine_tuning.data import SCALER, Sounds
from training.fine_tuning.head import looped
from training.trainer import MAX_GRADIENT_NORM

logger = logging.getLogger(__name__)

EPOCHS = 3
CLIPS, OTHERS = 16, 6
"""Clips with our tags and other sounds in a step; each kind is cut to one length."""
CLIP_FRAMES, OTHER_FRAMES = (350, 450), (100, 400)
BODY_RATE, HEAD_RATE = 2e-4, 3e-4
WEIGHT_DECAY = 1e-2
WARM_UP = 0.1
COPY_SHARES = (0.35, 0.12, 0.25, 0.09, 0.09, 0.1)
"""Of the crops: of the sound as it is, and of its copies."""
LOOPED_SHARE = 0.5
"""Of the sounds that are shorter than a crop; silence is put around the others."""
SILENCED_SHARE = 0.3
"""Of the crops; a stretch of each becomes silence."""
LABELS_WEIGHT, COLUMNS_WEIGHT = 5.0, 0.3
BODY_DROPOUT = 0.2
AUDIBLE = 0.5
"""A column is silent if all of it is less than this above the floor."""


@dataclass(frozen=True)
class Crops:
    """`frames` [n, bands, frames] of log-mel, before scaling, and `targets` [n, own]."""

    frames: Tensor
    targets: Tensor


class FineTuning:
    """A body and a head on the way through the epochs."""

    def __init__(self, body: AudioSetNetwork, head: TagHead, folder: Path, seed: int) -> None:
        """Prepare.

        Args:
            body: As published; it is left as it is.
            head: Trained on the body's features; it is trained further.
            folder: For checkpoints; the same again goes on.
            seed: Of the random numbers.
        """
        # torch's stubs do not know this form; the layout is faster
        body = copy.deepcopy(body).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.teacher = copy.deepcopy(body).eval()
        self.body, self.head = body, head
        self._folder, self._seed, self._epoch = folder, seed, 0
        groups = [
            {"params": list(self.body.parameters()), "lr": BODY_RATE, "weight_decay": 0.0},
            {"params": list(head.parameters()), "lr": HEAD_RATE, "weight_decay": WEIGHT_DECAY},
        ]
        self._optimizer = torch.optim.AdamW(groups)

    def run(self, clips: Sounds, others: Sounds) -> None:
        """Train, or go on from the last finished epoch.

        Raises:
            CheckpointError: The folder cannot be written, or holds another run.
        """
        identity = checkpoints.fingerprint_of(clips.targets, others.targets)
        self._resume(identity)
        while self._epoch < EPOCHS:
            loss = self._train_epoch(clips, others)
            self._epoch += 1
            self._save(identity)
            logger.info("epoch number=%d loss=%.4f", self._epoch, loss)
        self.body.eval()
        self.head.eval()

    def _train_epoch(self, clips: Sounds, others: Sounds) -> float:
        """Train for an epoch; return the mean loss."""
        random = np.random.default_rng((self._seed, self._epoch))
        torch.manual_seed(int(random.integers(1 << 31)))
        set_training(self.body, self.head)
        order = random.permutation(len(clips.targets))
        steps = math.ceil(len(order) / CLIPS)
        other_order = np.resize(random.permutation(len(others.targets)), steps * OTHERS)
        total = 0.0
        for step in range(steps):
            self._set_rates((self._epoch + step / steps) / EPOCHS)
            progress.report(self._epoch * steps + step, EPOCHS * steps, "Training every layer")
            rows = order[step * CLIPS : (step + 1) * CLIPS]
            other_rows = other_order[step * OTHERS : (step + 1) * OTHERS]
            known = self._loss(cut(clips, rows, CLIP_FRAMES, random))
            unknown = self._loss(cut(others, other_rows, OTHER_FRAMES, random))
            share = len(other_rows) / (len(rows) + len(other_rows))
            loss = (1 - share) * known + share * unknown
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.body.parameters(), MAX_GRADIENT_NORM)
            self._optimizer.step()
            total += float(loss.detach())
        return total / steps

    def _loss(self, crops: Crops) -> Tensor:
        """Return the loss of crops of one length."""
        frames = scaled(crops.frames)
        columns = self.body.columns(frames)
        rows = torch.cat([columns.mean(dim=1, keepdim=True), columns], dim=1)
        features = self.body.classify(rows)
        tags = self.head(features)
        silent = silent_columns(crops.frames)
        whole, halves = self._expected(frames, columns.shape[1], silent)
        of_silence = functional.binary_cross_entropy_with_logits(
            tags[:, 1:], torch.zeros_like(tags[:, 1:]), reduction="none"
        )
        return (
            _cross_entropy(tags[:, 0], crops.targets)
            + LABELS_WEIGHT * _cross_entropy(features.labels[:, 0], whole)
            + COLUMNS_WEIGHT * _cross_entropy(features.labels[:, 1:], halves)
            + COLUMNS_WEIGHT * (of_silence.mean(dim=2) * silent).mean()
        )

    @torch.no_grad()
    def _expected(self, frames: Tensor, columns: int, silent: Tensor) -> tuple[Tensor, Tensor]:
        """Return the published network's answers for crops and for their columns."""
        half = frames.shape[2] // 2
        whole = torch.sigmoid(self.teacher(frames).labels)
        first = torch.sigmoid(self.teacher(frames[:, :, :half]).labels)[:, None]
        second = torch.sigmoid(self.teacher(frames[:, :, -half:]).labels)[:, None]
        is_first = (torch.arange(columns, device=frames.device) < columns / 2)[None, :, None]
        return whole, torch.where(is_first, first, second) * ~silent[:, :, None]

    def _set_rates(self, share: float) -> None:
        """Set the learning rates: linear warm-up, then a cosine down to zero."""
        for group, rate in zip(self._optimizer.param_groups, (BODY_RATE, HEAD_RATE), strict=True):
            falling = 0.5 + 0.5 * math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP))
            group["lr"] = rate * (share / WARM_UP if share < WARM_UP else falling)

    def _save(self, identity: str) -> None:
        state = {"epoch": self._epoch, "seed": self._seed, "data": identity}
        optimizer = self._optimizer.state_dict()["state"]
        moments = {
            f"optimizer.{i}.{key}": v for i, row in optimizer.items() for key, v in row.items()
        }
        tensors = {f"body.{key}": value for key, value in self.body.state_dict().items()}
        tensors |= {f"head.{key}": value for key, value in self.head.state_dict().items()}
        self._folder.mkdir(parents=True, exist_ok=True)
        checkpoints.save(self._folder / checkpoints.LAST, tensors | moments, state)

    def _resume(self, identity: str) -> None:
        path = self._folder / checkpoints.LAST
        if not path.exists():
            return
        state = checkpoints.read_state(path)
        if (state.get("seed"), state.get("data")) != (self._seed, identity):
            advice = "choose another --run folder, or remove it"
            raise CheckpointError(f"{self._folder} holds another run; {advice}.")
        self.body.load_state_dict(checkpoints.read_tensors(path, "body."))
        self.head.load_state_dict(checkpoints.read_tensors(path, "head."))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in checkpoints.read_tensors(path, "optimizer.").items():
            index, key = name.split(".", 1)
            moments.setdefault(int(index), {})[key] = tensor
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self._epoch = int(state["epoch"])
        logger.info("fine-tuning resumed epoch=%d", self._epoch)


def set_training(body: AudioSetNetwork, head: TagHead) -> None:
    """Let everything learn but the batch norms' statistics."""
    body.train()
    head.train()
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
        if isinstance(module, nn.Dropout):
            module.p = BODY_DROPOUT


def cut(
    sounds: Sounds,
    rows: NDArray[np.int64],
    lengths: tuple[int, int],
    random: np.random.Generator,
) -> Crops:
    """Cut a piece of one random length from each sound, some changed or partly silenced."""
    length = int(random.integers(lengths[0], lengths[1] + 1))
    pieces = [_crop(sounds, int(row), length, random) for row in rows]
    targets: Labels = sounds.targets[rows]
    return Crops(torch.from_numpy(np.stack(pieces)), torch.from_numpy(targets))


def silent_columns(frames: Tensor) -> Tensor:
    """Return which columns of log-mels [n, bands, frames] are silence, bool [n, columns]."""
    missing = -frames.shape[2] % TIME_STRIDE
    padded = functional.pad(frames, (0, missing), value=AUDIOSET.floor)
    loudest = padded.amax(dim=1).reshape(len(frames), -1, TIME_STRIDE).amax(dim=2)
    silent: Tensor = loudest < AUDIOSET.floor + AUDIBLE
    return silent


def scaled(frames: Tensor) -> Tensor:
    """Return log-mels as the network takes them."""
    return (frames - float(SCALER.mean[0])) / float(SCALER.std[0])


def _crop(
    sounds: Sounds, row: int, length: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Return a piece [bands, length] of a sound; a shorter one is repeated, or put in silence."""
    copy = int(random.choice(len(sounds.copies), p=COPY_SHARES))
    clip = sounds.copies[copy].clip(row)
    missing = length - clip.shape[1]
    if missing > 0 and random.random() < LOOPED_SHARE:
        piece = looped(clip, length).copy()
    elif missing > 0:
        before = int(random.integers(missing + 1))
        widths = ((0, 0), (before, missing - before))
        piece = np.pad(clip, widths, constant_values=AUDIOSET.floor)
    else:
        start = int(random.integers(-missing + 1))
        piece = clip[:, start : start + length].copy()
    if random.random() < SILENCED_SHARE:
        width = int(random.integers(TIME_STRIDE, max(TIME_STRIDE + 1, length // 2)))
        start = int(random.integers(length - width + 1))
        piece[:, start : start + width] = AUDIOSET.floor
    return piece


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, targets)
