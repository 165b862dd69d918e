"""The picture of a log-mel spectrogram that the browser shows."""

from functools import lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

MAX_WIDTH = 4800
"""Pixels: one for each frame of the default model in 112 s; longer sounds have fewer a second."""
SILENCE = float(np.log(np.finfo(np.float32).eps))
"""The log-mel value of digital silence, -15.94."""
DYNAMIC_RANGE = 9.0
"""Nepers (78 dB) from the loudest cell down to black."""
PALETTE = (
    (0.0, 0x0B1020),
    (0.25, 0x1D3B63),
    (0.5, 0x1F8A8C),
    (0.75, 0xF0B45A),
    (1.0, 0xFFF6DC),
)
"""Anchors of the colour scale, dark blue through teal and amber to cream; lightness rises."""


def spectrogram_webp(log_mel: NDArray[np.float32]) -> bytes:
    """Draw log-mel frames as WebP, low bands at the bottom, a pixel per frame up to `MAX_WIDTH`.

    Args:
        log_mel: float32 [bands, time], natural log of magnitude.
    """
    from PIL import Image

    cells = _narrowed(log_mel)
    loudest = max(float(cells.max()), SILENCE + DYNAMIC_RANGE)
    levels = np.clip((cells - loudest) / DYNAMIC_RANGE + 1, 0, 1)
    image = Image.fromarray(_colours()[(levels[::-1] * 255).astype(np.uint8)])
    out = BytesIO()
    image.save(out, "WEBP", quality=80, method=0)  # higher methods take twice as long
    return out.getvalue()


def _narrowed(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Join neighbouring frames by their maximum until they fit: short events stay visible."""
    bands, frames = log_mel.shape
    joined = -(-frames // MAX_WIDTH)
    padded = np.pad(log_mel, ((0, 0), (0, -frames % joined)), mode="edge")
    narrowed: NDArray[np.float32] = padded.reshape(bands, -1, joined).max(axis=2)
    return narrowed


@lru_cache(maxsize=1)
def _colours() -> NDArray[np.uint8]:
    """Return the colour scale as uint8 [256, 3]."""
    positions = [position for position, _ in PALETTE]
    channels = [[colour >> shift & 0xFF for _, colour in PALETTE] for shift in (16, 8, 0)]
    scale = np.linspace(0, 1, 256)
    columns = [np.interp(scale, positions, channel) for channel in channels]
    return np.stack(columns, axis=1).round().astype(np.uint8)
