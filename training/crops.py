"""Random stretches of many clips at once, cut where the network is: on the GPU if there is one and the data fit on it."""

import warnings

import numpy as np
import torch
from torch import Tensor

from core.model.logmel import FLOOR
from training.datasets import Frames

SILENT = FLOOR + 2.0
HEARD_SHARE = 0.25
TRIES = 4
ROOM_ON_DEVICE = 0.6  # of the GPU's free memory; the rest is for the network at work
ROWS_AT_ONCE = 1 << 20


class Crops:
    """Clips of `frames` by index, as stretches of any width on `device`.

    The data move to a GPU that has room for them; else they stay where they are (a memory map stays one) and only what is asked
    for moves.
    """

    def __init__(self, frames: Frames, device: torch.device) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch fears that a read-only map is written to; it is only read
            data = torch.from_numpy(frames.data)
        self.data = data.to(device) if _has_room(device, frames.data.nbytes) else data
        self.device = device
        offsets = torch.from_numpy(np.asarray(frames.offsets, np.int64)).to(device)
        self.first, self.length = offsets[:-1], offsets.diff()
        self.longest = int(np.diff(frames.offsets).max())
        self._heard: Tensor | None = None

    def cut(self, clips: Tensor, width: int, random: torch.Generator) -> Tensor:
        """A stretch of `width` frames of each of `clips` [n]: float32 [n, bands, width].

        A shorter clip is placed anywhere in silence. A stretch that is mostly silent is drawn again, a few times: its clip's
        tags are hardly heard in it.
        """
        length = self.length[clips][:, None]
        tries = TRIES if self.longest > width else 1
        low = (length - width).clamp(max=0)
        span = (length - width).abs() + 1
        starts = low + (torch.rand((len(clips), tries), generator=random, device=self.device) * span).long()
        start = self._first_heard(clips, starts, width) if tries > 1 else starts[:, 0]
        place = start[:, None] + torch.arange(width, device=self.device)
        outside = (place < 0) | (place >= length)
        rows = self.first[clips][:, None] + torch.minimum(place.clamp(min=0), length - 1)
        patches = self._rows(rows.reshape(-1)).reshape(len(clips), width, -1)
        return patches.masked_fill(outside[:, :, None], FLOOR).transpose(1, 2)

    def _first_heard(self, clips: Tensor, starts: Tensor, width: int) -> Tensor:
        """Of each row of `starts` [n, tries] the first whose stretch is not mostly silent, or the last: [n]."""
        heard = self._heard_before
        begin = self.first[clips][:, None] + starts.clamp(min=0)
        end = self.first[clips][:, None] + torch.minimum(starts + width, self.length[clips][:, None])
        good = (heard[end] - heard[begin]) > HEARD_SHARE * width
        good[:, -1] = True
        return starts.gather(1, good.int().argmax(dim=1, keepdim=True))[:, 0]

    @property
    def _heard_before(self) -> Tensor:
        """How many frames before each are not silent, int [frames + 1]; counted when first asked for."""
        if self._heard is None:
            loud = [(part.amax(dim=1) > SILENT).to(self.device) for part in self.data.split(ROWS_AT_ONCE)]
            self._heard = torch.cat([torch.zeros(1, dtype=torch.long, device=self.device), torch.cat(loud).long().cumsum(0)])
        return self._heard

    def _rows(self, index: Tensor) -> Tensor:
        return self.data.index_select(0, index.to(self.data.device)).to(self.device, torch.float32)


def _has_room(device: torch.device, size: int) -> bool:
    return device.type != "cuda" or size < ROOM_ON_DEVICE * torch.cuda.mem_get_info(device)[0]
