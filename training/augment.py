"""Small changes to log-mel patches that leave their tags true, and sounds that have none.

Patches are float32 [bands, frames] of natural-log magnitude, before scaling; `random` is a numpy Generator throughout.
"""

import numpy as np

from core.model.logmel import FLOOR, LogMelSpec, log_mel

GAIN_DB = 10.0
SILENT = FLOOR + 2.0
NEPER_PER_DB = float(np.log(10) / 20)


def crop(frames: np.ndarray, width: int, random: np.random.Generator, tries: int = 4) -> np.ndarray:
    """A patch of `width` frames; a shorter clip is placed anywhere in silence.

    A patch that is mostly silent is drawn again, up to `tries` times: its clip's tags are hardly heard in it.
    """
    bands, length = frames.shape
    if length <= width:
        patch = np.full((bands, width), FLOOR, np.float32)
        start = int(random.integers(width - length + 1))
        patch[:, start : start + length] = frames
        return patch
    for _ in range(tries):
        start = int(random.integers(length - width + 1))
        patch = frames[:, start : start + width]
        if (patch.max(axis=0) > SILENT).mean() > 0.25:
            break
    return patch


def gain(patch: np.ndarray, random: np.random.Generator, most_db: float = GAIN_DB) -> np.ndarray:
    """Louder or softer by up to `most_db`: an addition on log-mel, never below silence."""
    return np.maximum(patch + NEPER_PER_DB * random.uniform(-most_db, most_db), FLOOR)


def mask(patch: np.ndarray, random: np.random.Generator, bands: int = 12, frames: int = 16) -> np.ndarray:
    """One band and one time mask of random width, filled with the patch's mean (SpecAugment, Park et al. 2019)."""
    patch, fill = patch.copy(), patch.mean()
    width, height = int(random.integers(frames + 1)), int(random.integers(bands + 1))
    left, low = int(random.integers(patch.shape[1] - width + 1)), int(random.integers(patch.shape[0] - height + 1))
    patch[:, left : left + width] = fill
    patch[low : low + height] = fill
    return patch


def mixup(patches: np.ndarray, labels: np.ndarray, random: np.random.Generator, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Blend each patch and its labels with another of the batch (Zhang et al. 2018).

    `patches` [n, bands, frames], `labels` [n, tags]; shares are Beta(alpha, alpha). With `alpha` 0 nothing is mixed.
    """
    if not alpha:
        return patches, labels
    share = np.maximum(shares := random.beta(alpha, alpha, len(patches)).astype(np.float32), 1 - shares)
    other = random.permutation(len(patches))
    across = share[:, None, None]
    return (
        across * patches + (1 - across) * patches[other],
        share[:, None] * labels + (1 - share[:, None]) * labels[other],
    )


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
