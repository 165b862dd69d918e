"""Changes to log-mel patches that leave their tags true, and sounds that have none.

Patches are float32 tensors [n, bands, frames] of natural-log magnitude, before scaling, on any
device; `random` is a generator on the same device. Nothing is changed in place.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.model.front_end import network_frames
from core.model.logmel import FLOOR, LogMelSpec

NEPER_PER_DB = float(np.log(10) / 20)
HISS_DB = (-60.0, -15.0)
"""Level of hiss, relative to the loudest point of a patch."""
HISS_SPREAD = 0.25
"""Standard deviation of hiss in nepers; white noise: .44 below 1 kHz, .22 at 5, .16 at 9 kHz."""
MAX_MASKED_BANDS, MAX_MASKED_FRAMES = 12, 16


def gain(patches: Tensor, random: torch.Generator, max_db: float) -> Tensor:
    """Make each patch louder or softer by up to `max_db`, never quieter than silence."""
    shift = NEPER_PER_DB * max_db * _signed((len(patches), 1, 1), random)
    return (patches + shift).clamp(min=FLOOR)


def hiss(patches: Tensor, random: torch.Generator, share: float) -> Tensor:
    """Add noise to a `share` of the patches.

    Its level is 15 to 60 dB below each patch's loudest point, its spectrum tilted at random.
    """
    n, bands, _ = patches.shape
    low, high = HISS_DB
    level = NEPER_PER_DB * (low + (high - low) * _uniform((n, 1, 1), random))
    level = level + patches.amax(dim=(1, 2), keepdim=True)
    slope = torch.linspace(-1, 1, bands, device=patches.device)[None, :, None]
    noise = level + _signed((n, 1, 1), random) * slope
    spread = torch.randn(patches.shape, generator=random, device=patches.device)
    noise = noise + HISS_SPREAD * spread
    with_noise = 0.5 * torch.logaddexp(2 * patches, 2 * noise)  # the powers of both add up
    return torch.where(_uniform((n, 1, 1), random) < share, with_noise, patches)


def mask(
    patches: Tensor,
    random: torch.Generator,
    max_bands: int = MAX_MASKED_BANDS,
    max_frames: int = MAX_MASKED_FRAMES,
) -> Tensor:
    """Replace a stretch of bands and one of frames by the patch's mean.

    Each is 0 to `max_bands` or `max_frames` wide (SpecAugment, Park et al. 2019).
    """
    n, bands, frames = patches.shape
    hidden_bands = _random_stretch(n, bands, max_bands, random)[:, :, None]
    hidden_frames = _random_stretch(n, frames, max_frames, random)[:, None, :]
    mean = patches.mean(dim=(1, 2), keepdim=True)
    return torch.where(hidden_bands | hidden_frames, mean, patches)


def synthetic_negatives(
    spec: LogMelSpec, random: np.random.Generator, count: int = 16, seconds: float = 4.0
) -> list[NDArray[np.float32]]:
    """Return log-mels of silence, hiss, steady tones and sweeps, which get no tag.

    Args:
        spec: The front-end.
        random: Source of levels, pitches and noise.
        count: How many of each kind.
        seconds: Length of each.

    Returns:
        float32 [bands, frames] each.
    """
    n = int(spec.rate * seconds)
    time = np.arange(n) / spec.rate
    sounds = []
    for _ in range(count):
        level = 10 ** random.uniform(-3, -0.5)
        pitch, end = np.exp(random.uniform(np.log(80), np.log(8000), 2))
        sweep = pitch + (end - pitch) * time / (2 * seconds)
        sounds += [
            np.zeros(n),
            level * random.standard_normal(n),
            level * np.sin(2 * np.pi * pitch * time),
            level * np.sin(2 * np.pi * sweep * time),
        ]
    return [network_frames(sound.astype(np.float32), spec) for sound in sounds]


def _random_stretch(n: int, length: int, max_width: int, random: torch.Generator) -> Tensor:
    """Return bool [n, length]: a stretch of 0..`max_width` places at a random start."""
    widest = min(max_width, length)
    width = torch.randint(widest + 1, (n, 1), generator=random, device=random.device)
    start = (_uniform((n, 1), random) * (length - width + 1)).long()
    place = torch.arange(length, device=random.device)
    return (place >= start) & (place < start + width)


def _uniform(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Return numbers in 0..1."""
    return torch.rand(shape, generator=random, device=random.device)


def _signed(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Return numbers in -1..1."""
    return 2 * _uniform(shape, random) - 1
