"""The Ogg file that the browser plays."""

from io import BytesIO

import numpy as np
import soundfile
import soxr

from core.audio.types import AudioFacts, Block, Samples

MAX_PREVIEW_RATE_HZ = 48_000
ENCODER_BLOCK = 1 << 15
"""libvorbis, as libsndfile calls it, overflows its stack on very long single writes."""


class PreviewEncoder:
    """Encodes Ogg Vorbis, mono or stereo at up to 48 kHz, block by block.

    More than two channels become one, the one that is analysed.
    """

    def __init__(self, facts: AudioFacts) -> None:
        """Begin a file for a sound of these facts."""
        self._channels = 2 if facts.channels == 2 else 1
        rate = min(facts.rate, MAX_PREVIEW_RATE_HZ)
        self._out = BytesIO()
        self._file = soundfile.SoundFile(
            self._out, "w", rate, self._channels, format="OGG", subtype="VORBIS"
        )
        self._resampler = None
        if facts.rate != rate:
            self._resampler = soxr.ResampleStream(facts.rate, rate, self._channels, dtype="float32")

    def write(self, block: Block, mono: Samples) -> None:
        """Add a block at the sound's own rate; samples beyond 1 are clipped.

        Args:
            block: float32 [frames, channels].
            mono: The channel that is made of them, [frames].
        """
        mixed = block if block.shape[1] == self._channels else mono[:, None]
        if self._resampler:
            mixed = self._resampler.resample_chunk(np.ascontiguousarray(mixed))
        self._encode(mixed)

    def finish(self) -> bytes:
        """Return the whole file."""
        if self._resampler:
            rest = np.zeros((0, self._channels), np.float32)
            self._encode(self._resampler.resample_chunk(rest, last=True))
        self.close()
        return self._out.getvalue()

    def close(self) -> None:
        """Close the file; also where it was not finished, or libsndfile writes to it later."""
        self._file.close()

    def _encode(self, block: Block) -> None:
        clipped = np.clip(block, -1, 1)
        for start in range(0, len(clipped), ENCODER_BLOCK):
            self._file.write(clipped[start : start + ENCODER_BLOCK])
