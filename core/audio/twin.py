"""The AAC twin of a preview, for browsers that do not play Ogg."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np

from core.audio.decode import open_blocks
from core.audio.preview import MAX_PREVIEW_RATE_HZ
from core.audio.types import AudioLimits, Block
from core.work import Checkpoint, no_checkpoint

BITS_PER_SECOND_AND_CHANNEL = 80_000
RATES_HZ = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Of AAC, up to the highest of a preview."""


def aac_twin(
    preview: bytes,
    *,
    limits: AudioLimits = AudioLimits(),
    checkpoint: Checkpoint = no_checkpoint,
) -> bytes:
    """Encode a preview as AAC in an MP4 file: the same sound, as long to within a few samples.

    Args:
        preview: An Ogg file.
        limits: Of what is decoded.
        checkpoint: Called before each block.

    Raises:
        AudioError: The preview cannot be decoded.
        WorkStopped: The checkpoint stopped the work.
    """
    import av

    opened = open_blocks(preview, name="The preview", limits=limits)
    rate, channels, out = opened.facts.rate, opened.facts.channels, BytesIO()
    layout = "stereo" if channels == 2 else "mono"
    with av.open(out, "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=_aac_rate(rate), layout=layout)
        stream.bit_rate = BITS_PER_SECOND_AND_CHANNEL * (2 if channels == 2 else 1)
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=stream.rate)
        position = 0
        for block in _mono_or_stereo(opened.blocks):
            checkpoint()
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.T), "fltp", layout)
            frame.sample_rate, frame.pts = rate, position
            position += len(block)
            for resampled in resampler.resample(frame):
                container.mux(stream.encode(resampled))
        for resampled in resampler.resample(None):
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return out.getvalue()


def _aac_rate(rate: int) -> int:
    """Return the lowest of AAC's rates that keeps everything of a sound of `rate` Hz."""
    return next((each for each in RATES_HZ if each >= rate), MAX_PREVIEW_RATE_HZ)


def _mono_or_stereo(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield blocks with one channel or two; more are averaged, samples beyond 1 are clipped."""
    for block in blocks:
        mixed = block if block.shape[1] <= 2 else block.mean(axis=1, keepdims=True)
        if len(mixed):
            yield np.clip(mixed, -1, 1).astype(np.float32, copy=False)
