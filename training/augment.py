"""Changes to log-mel patches that leave their tags true, and sounds that have none.

Patches are float32 tensors [n, bands, frames] of natural-log magnitude, before scaling, on any device; `random` is a
`torch.Generator` on the same device throughout. Every patch of a batch draws its own numbers. Nothing is changed in place.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.model.logmel import FLOOR, LogMelSpec, log_mel

NEPER_PER_DB = float(np.log(10) / 20)
EQUALISER_POINTS = 6
HISS_DB = (-60.0, -15.0)
HISS_SPREAD = 0.25
"""Nepers by which hiss varies from frame to frame. White noise through the front-end: .44 up to 1 kHz, .22 at 5 kHz, .16 at 9 kHz."""


def gain(patches: Tensor, random: torch.Generator, most_db: float) -> Tensor:
    """Louder or softer by up to `most_db`: an addition on log-mel, never below silence."""
    shift = NEPER_PER_DB * most_db * _signed((len(patches), 1, 1), random)
    return (patches + shift).clamp(min=FLOOR)


def equalise(patches: Tensor, random: torch.Generator, most_db: float) -> Tensor:
    """Another microphone: a smooth random gain over frequency, up to `most_db` (FilterAugment, Nam et al. 2022)."""
    points = NEPER_PER_DB * most_db * _signed((len(patches), 1, EQUALISER_POINTS), random)
    shift = functional.interpolate(points, patches.shape[1], mode="linear", align_corners=True)
    return (patches + shift.transpose(1, 2)).clamp(min=FLOOR)


def hiss(patches: Tensor, random: torch.Generator, share: float) -> Tensor:
    """Noise beneath that `share` of the patches, 15 to 60 dB below each one's loudest point, tilted towards bass or treble at random."""
    n, bands, _ = patches.shape
    low, high = HISS_DB
    level = NEPER_PER_DB * (low + (high - low) * _uniform((n, 1, 1), random)) + patches.amax(dim=(1, 2), keepdim=True)
    tilt = _signed((n, 1, 1), random) * torch.linspace(-1, 1, bands, device=patches.device)[None, :, None]
    noise = level + tilt + HISS_SPREAD * torch.randn(patches.shape, generator=random, device=patches.device)
    chosen = _uniform((n, 1, 1), random) < share
    return torch.where(chosen, added(patches, noise), patches)


def stretch(patches: Tensor, random: torch.Generator, width: int, most: float, bands: float) -> Tensor:
    """Faster or slower by up to a factor 1 + `most`, higher or lower by up to so many mel `bands`; `width` frames are handed back.

    `patches` must be wide enough for the fastest, `width * (1 + most)` frames.
    """
    n, height, given = patches.shape
    speed = (1 + most) ** _signed((n, 1, 1), random)
    frames = (given - 1) / 2 + speed * (torch.arange(width, device=patches.device) - (width - 1) / 2)
    rows = torch.arange(height, device=patches.device)[:, None] + bands * _signed((n, 1, 1), random)
    x = (2 * frames / (given - 1) - 1).expand(n, height, width)
    y = (2 * rows / (height - 1) - 1).expand(n, height, width)
    grid = torch.stack([x, y], dim=-1)
    return functional.grid_sample(patches.unsqueeze(1), grid, align_corners=True, padding_mode="border").squeeze(1)


def roll(patches: Tensor, random: torch.Generator) -> Tensor:
    """Begin at another time: what falls out at one end comes in at the other."""
    n, bands, width = patches.shape
    start = torch.randint(width, (n, 1), generator=random, device=patches.device)
    index = (start + torch.arange(width, device=patches.device)) % width
    return patches.gather(2, index[:, None, :].expand(n, bands, width))


def mask(patches: Tensor, random: torch.Generator, bands: int = 12, frames: int = 16) -> Tensor:
    """One band and one time mask of random width each, filled with the patch's mean (SpecAugment, Park et al. 2019)."""
    hidden = _stripe(patches.shape[1], bands, len(patches), random)[:, :, None] | _stripe(
        patches.shape[2], frames, len(patches), random
    ).unsqueeze(1)
    return torch.where(hidden, patches.mean(dim=(1, 2), keepdim=True), patches)


def _stripe(length: int, widest: int, n: int, random: torch.Generator) -> Tensor:
    """bool [n, length]: a stretch of 0..`widest` places at a random start."""
    width = torch.randint(min(widest, length) + 1, (n, 1), generator=random, device=random.device)
    start = (_uniform((n, 1), random) * (length - width + 1)).long()
    place = torch.arange(length, device=random.device)
    return (place >= start) & (place < start + width)


def shares(n: int, random: np.random.Generator, alpha: float) -> np.ndarray:
    """How much of each of `n` patches is kept in a mix, Beta(`alpha`, `alpha`) and at least a half: float32 [n]. With 0, all of it."""
    if not alpha:
        return np.ones(n, np.float32)
    drawn = random.beta(alpha, alpha, n).astype(np.float32)
    return np.maximum(drawn, 1 - drawn)


def blend(patches: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Weighted means of log-mels (mixup, Zhang et al. 2018); `share` [n] is what `patches` contribute."""
    across = share[:, None, None]
    return across * patches + (1 - across) * other


def overlay(patches: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Both sounds at once, in the given shares of loudness (between-class mixing, Tokozume et al. 2018); `share` [n] in (0, 1]."""
    across = share[:, None, None]
    level = _loudness(patches) - _loudness(other)
    return added(patches + across.log(), other + level + (1 - across).clamp(min=1e-6).log()).clamp(min=FLOOR)


def _loudness(patches: Tensor) -> Tensor:
    """Log of the root mean square, [n, 1, 1]; of silence, the floor."""
    return 0.5 * (2 * patches).exp().mean(dim=(1, 2), keepdim=True).log().clamp(min=2 * FLOOR)


def added(one: Tensor, other: Tensor) -> Tensor:
    """Log-magnitudes of two sounds at once that have nothing to do with each other: their powers add."""
    return 0.5 * torch.logaddexp(2 * one, 2 * other)


def mixed_labels(labels: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Labels float32 [n, tags] of mixes, in the shares of their sounds."""
    return share[:, None] * labels + (1 - share[:, None]) * other


def _uniform(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=random, device=random.device)


def _signed(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Uniform in -1..1."""
    return 2 * _uniform(shape, random) - 1


def sounds_without_tags(spec: LogMelSpec, random: np.random.Generator, count: int = 16, seconds: float = 4.0) -> list[np.ndarray]:
    """Log-mels of silence, hiss at many levels, steady tones and sweeps: what must be able to come back with no tag.

    `count` of each kind, float32 [bands, time] each.
    """
    n = int(spec.rate * seconds)
    time = np.arange(n, dtype=np.float32) / spec.rate
    sounds = []
    for _ in range(count):
        level = 10 ** random.uniform(-3, -0.5)
        pitch, end = np.exp(random.uniform(np.log(80), np.log(8000), 2))
        sounds += [
            np.zeros(n, np.float32),
            level * random.standard_normal(n, np.float32),
            level * np.sin(2 * np.pi * pitch * time),
            level * np.sin(2 * np.pi * (pitch + (end - pitch) * time / (2 * seconds)) * time),
        ]
    return [log_mel(sound.astype(np.float32), spec) for sound in sounds]
