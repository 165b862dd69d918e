"""Batches of augmented, scaled patches, made where the network is."""

import warnings
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from core.model.bundle import Scaler
from core.model.logmel import COALA, FLOOR
from training import augment
from training.datasets.types import Frames, Subset
from training.processes import Processes
from training.recipes import Recipe

SILENCE = FLOOR + 2.0
MIN_AUDIBLE_SHARE = 0.25
CANDIDATES = 4
"""Positions that are drawn for a patch; the first that is not mostly silent is taken."""
MAX_MEMORY_SHARE = 0.6
"""Of a GPU's free memory; the rest is for the network."""
ROWS_PER_BLOCK = 1 << 20


class Batch(NamedTuple):
    """`patches` [n, bands, frames], `labels` and `known` [n, tags]."""

    patches: Tensor
    labels: Tensor
    known: Tensor


class PatchSampler:
    """Cuts random patches from many clips at once.

    The data move to a GPU that has room for them; else only what is cut does.
    """

    def __init__(self, frames: Frames, device: torch.device) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # read-only memory maps are only read
            data = torch.from_numpy(frames.data)
        self._data = data.to(device) if _fits(device, frames.data.nbytes) else data
        self._device = device
        offsets = torch.from_numpy(np.asarray(frames.offsets, np.int64)).to(device)
        self._first, self._length = offsets[:-1], offsets.diff()
        self._longest = int(np.diff(frames.offsets).max())
        self._audible: Tensor | None = None

    def __len__(self) -> int:
        return len(self._length)

    def cut(self, clips: Tensor, width: int, random: torch.Generator) -> Tensor:
        """Cut a patch from each clip.

        A shorter clip is placed anywhere in silence. A patch that is mostly silent is drawn again,
        a few times: it hardly has its clip's tags.

        Args:
            clips: Indices of clips, int [n].
            width: Frames of a patch.
            random: Generator on the device.

        Returns:
            Log-mels, float32 [n, bands, width].
        """
        length = self._length[clips][:, None]
        candidates = CANDIDATES if self._longest > width else 1
        low = (length - width).clamp(max=0)
        choices = (length - width).abs() + 1
        shape = (len(clips), candidates)
        starts = low + (torch.rand(shape, generator=random, device=self._device) * choices).long()
        start = self._first_audible(clips, starts, width) if candidates > 1 else starts
        place = start + torch.arange(width, device=self._device)
        outside = (place < 0) | (place >= length)
        rows = self._first[clips][:, None] + torch.minimum(place.clamp(min=0), length - 1)
        index = rows.reshape(-1).to(self._data.device)
        frames = self._data.index_select(0, index).to(self._device, torch.float32)
        patches = frames.reshape(len(clips), width, -1)
        return patches.masked_fill(outside[:, :, None], FLOOR).transpose(1, 2)

    def _first_audible(self, clips: Tensor, starts: Tensor, width: int) -> Tensor:
        """Return of each row of `starts` the first audible patch's, or the last: [n, 1]."""
        first, counts = self._first[clips][:, None], self._audible_counts()
        begin = first + starts.clamp(min=0)
        end = first + torch.minimum(starts + width, self._length[clips][:, None])
        audible = (counts[end] - counts[begin]) > MIN_AUDIBLE_SHARE * width
        audible[:, -1] = True
        return starts.gather(1, audible.int().argmax(dim=1, keepdim=True))

    def _audible_counts(self) -> Tensor:
        """Return the number of audible frames before each frame, int [frames + 1]."""
        if self._audible is None:
            blocks = torch.split(self._data, ROWS_PER_BLOCK)
            loud = torch.cat([(block.amax(dim=1) > SILENCE).to(self._device) for block in blocks])
            zero = torch.zeros(1, dtype=torch.long, device=self._device)
            self._audible = torch.cat([zero, loud.long().cumsum(0)])
        return self._audible


class BatchMaker:
    """Draws and augments the batches of a training."""

    def __init__(
        self, recipe: Recipe, subset: Subset, scaler: Scaler, width: int, device: torch.device
    ) -> None:
        self._recipe, self._width, self._device = recipe, width, device
        self._patches = PatchSampler(subset.frames, device)
        self._negatives = PatchSampler(_synthetic_negatives(), device)
        self._clips = torch.from_numpy(np.asarray(subset.clips, np.int64)).to(device)
        self._labels = torch.from_numpy(subset.labels).to(device)
        all_known = torch.ones(1, dtype=torch.bool).expand(subset.labels.shape)
        known = all_known if subset.known is None else torch.from_numpy(subset.known)
        self._known = known.to(device)
        self._weights = torch.from_numpy(subset.sampling_weights)
        self._mean = torch.from_numpy(scaler.mean).to(device)[:, None]
        self._std = torch.from_numpy(scaler.std).to(device)[:, None]
        self._drawn = torch.empty(0, dtype=torch.long)
        self._random = torch.Generator(device)

    def start_epoch(self, epoch: int, processes: Processes) -> None:
        """Draw an epoch's clips.

        All random numbers follow from the recipe's seed, the epoch and the process, so that a run
        that was stopped goes on as if it had never been.
        """
        common = torch.Generator().manual_seed(_seed(self._recipe.seed, epoch))
        count = len(self._clips) * self._recipe.repeats_per_epoch
        self._drawn = torch.multinomial(self._weights, count, True, generator=common)
        own = _seed(self._recipe.seed, epoch, processes.rank)
        self._random.manual_seed(own)
        torch.manual_seed(own)  # for dropout

    def batch(self, step: int, processes: Processes) -> Batch:
        """Return this process's share of batch number `step`."""
        recipe, random = self._recipe, self._random
        start = step * recipe.batch_size
        drawn = self._drawn[start : start + recipe.batch_size]
        rows = drawn[processes.rank :: processes.world].to(self._device)
        patches = self._patches.cut(self._clips[rows], self._width, random)
        labels, known = self._labels[rows], self._known[rows]
        if recipe.synthetic_negatives:
            patches, negative = self._with_negatives(patches)
            labels, known = labels * ~negative, known | negative
        if recipe.gain_db:
            patches = augment.gain(patches, random, recipe.gain_db)
        if recipe.hiss:
            patches = augment.hiss(patches, random, recipe.hiss)
        if recipe.masks:
            patches = augment.mask(patches, random)
        return Batch((patches - self._mean) / self._std, labels, known)

    def _with_negatives(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Replace some patches by sounds without tags; return a mask of these, [n, 1]."""
        n, random = len(patches), self._random
        clips = torch.randint(len(self._negatives), (n,), generator=random, device=self._device)
        negatives = self._negatives.cut(clips, self._width, random)
        chance = torch.rand((n, 1), generator=random, device=self._device)
        is_negative = chance < self._recipe.synthetic_negatives
        return torch.where(is_negative[:, :, None], negatives, patches), is_negative


@lru_cache(1)
def _synthetic_negatives() -> Frames:
    return Frames.joined(augment.synthetic_negatives(COALA, np.random.default_rng(0)))


def _seed(*numbers: int) -> int:
    """Return a seed that follows from these numbers."""
    words = [number & 0xFFFFFFFF for number in numbers]
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def _fits(device: torch.device, size_bytes: int) -> bool:
    if device.type != "cuda":
        return True
    return size_bytes < MAX_MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]
