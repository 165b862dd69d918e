"""What the browser gets of a sound: an Ogg file to play and a small picture of its log-mel spectrogram."""

from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO

import numpy as np
import soundfile
import soxr

from core.model import audio
from core.model.audio import AudioFacts, AudioLimits
from core.model.logmel import FLOOR

HIGHEST_PLAYED_RATE = 48_000
ENCODER_BLOCK = 1 << 15  # libvorbis, as libsndfile calls it, overflows its stack on very long single writes
WIDEST_PICTURE = 1200
LOUDNESS_RANGE = 9.0  # nepers (78 dB) from the loudest cell down to black
PALETTE = ((0.0, 0x0B1020), (0.25, 0x1D3B63), (0.5, 0x1F8A8C), (0.75, 0xF0B45A), (1.0, 0xFFF6DC))
"""Anchors of the colour scale: position and RGB, dark blue through teal and amber to cream; lightness rises steadily."""


def playable_ogg(data: bytes, name: str, limits: AudioLimits) -> bytes:
    """The sound as an Ogg file: its own bytes if they are one, else Vorbis at up to 48 kHz in mono or stereo.

    Raises the kinds of `AudioError`.
    """
    if data[:4] == b"OggS":
        return data
    facts, blocks = audio.open_sound(data, name=name, limits=limits)
    channels, rate = (2 if facts.channels == 2 else 1), min(facts.rate, HIGHEST_PLAYED_RATE)
    out = BytesIO()
    with soundfile.SoundFile(out, "w", rate, channels, format="OGG", subtype="VORBIS") as file:
        for block in _resampled(blocks, facts, rate, channels):
            for start in range(0, len(block), ENCODER_BLOCK):
                file.write(block[start : start + ENCODER_BLOCK])
    return out.getvalue()


def _resampled(blocks: Iterator[np.ndarray], facts: AudioFacts, rate: int, channels: int) -> Iterator[np.ndarray]:
    """Blocks of float32 [n, channels] within -1..1 at `rate`."""
    resampler = soxr.ResampleStream(facts.rate, rate, channels, dtype="float32") if facts.rate != rate else None
    for block in blocks:
        mixed = block if block.shape[1] == channels else block.mean(axis=1, keepdims=True)
        chunk = resampler.resample_chunk(np.ascontiguousarray(mixed)) if resampler else mixed
        yield np.clip(chunk, -1, 1)
    if resampler:
        yield np.clip(resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True), -1, 1)


def spectrogram_webp(log_mel: np.ndarray) -> bytes:
    """Log-mel frames float32 [bands, time] as a small WebP picture, low bands at the bottom, at most 1,200 pixels wide."""
    from PIL import Image

    cells = _narrow(log_mel)
    loudest = max(float(cells.max()), FLOOR + LOUDNESS_RANGE)
    levels = np.clip((cells - loudest) / LOUDNESS_RANGE + 1, 0, 1)
    picture = Image.fromarray(_colours()[(levels[::-1] * 255).astype(np.uint8)])
    out = BytesIO()
    picture.save(out, "WEBP", quality=80, method=2)
    return out.getvalue()


def _narrow(log_mel: np.ndarray) -> np.ndarray:
    """Neighbouring frames joined by their maximum until the picture is narrow enough: short events stay visible."""
    bands, frames = log_mel.shape
    joined = -(-frames // WIDEST_PICTURE)
    padded = np.pad(log_mel, ((0, 0), (0, -frames % joined)), mode="edge")
    return padded.reshape(bands, -1, joined).max(axis=2)


@lru_cache(maxsize=1)
def _colours() -> np.ndarray:
    """The colour scale as uint8 [256, 3]."""
    positions = [position for position, _ in PALETTE]
    channels = [[colour >> shift & 0xFF for _, colour in PALETTE] for shift in (16, 8, 0)]
    scale = np.linspace(0, 1, 256)
    return np.stack([np.interp(scale, positions, channel) for channel in channels], axis=1).round().astype(np.uint8)
