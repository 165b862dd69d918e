"""Types of the audio package, and the limits that every file must keep."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.audio.errors import AbsurdHeader, TooLong, TooManySamples

if TYPE_CHECKING:
    from core.settings import Settings

Samples = NDArray[np.float32]
Block = NDArray[np.float32]
"""A stretch of sound: float32 [frames, channels]."""
NativeBlock = NDArray[np.number]
"""The same in the type that the file holds its samples in: int16, int32, float32 or float64."""

AUDIO_SUFFIXES = frozenset(
    "wav wave bwf rf64 w64 flac ogg oga opus mp3 mp2 aif aiff aifc caf au".split()
    + "m4a mp4 m4b 3gp aac wv webm mka".split()
)
"""File name suffixes that may be sound; what a file really is, its bytes decide."""
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
MAX_CHANNELS = 64
MAX_SAMPLES = 120_000_000
"""Ten minutes of stereo at 96 kHz; decoding so many takes some seconds."""
SAMPLES_PER_SECOND = 200_000
"""The same in proportion, where longer sounds are accepted."""


@dataclass(frozen=True)
class AudioLimits:
    """Limits of what is accepted.

    Attributes:
        seconds: Of sound.
        megabytes: Of file, 10^6 bytes.
        samples: Decoded, of all channels together: what decoding costs. A small file can hold
            minutes of silence in 64 channels.
    """

    seconds: float = 600.0
    megabytes: float = 100.0
    samples: float = MAX_SAMPLES

    @classmethod
    def from_settings(cls, settings: "Settings") -> "AudioLimits":
        """Return the limits that the settings name."""
        samples = max(MAX_SAMPLES, settings.max_seconds * SAMPLES_PER_SECOND)
        if settings.max_samples is not None:
            samples = settings.max_samples * 1e6
        return cls(settings.max_seconds, settings.max_megabytes, samples)


@dataclass(frozen=True)
class AudioFacts:
    """Properties of a file.

    Attributes:
        container: Its name.
        rate: In Hz.
        channels: How many it has.
        seconds: Its length.
        note: A sentence for the person where not all of it was analysed; empty where it was.
    """

    container: str
    rate: int
    channels: int
    seconds: float
    note: str = ""


@dataclass(frozen=True)
class Recording:
    """A decoded file.

    Attributes:
        name: What to call it in messages.
        facts: The file before downmix and resampling.
        samples: Mono float32 [n], nominally -1..1, at `rate` Hz.
        rate: Of `samples`, in Hz.
        data: The original bytes.
        preview: An Ogg file to play; empty where none was asked for.
    """

    name: str
    facts: AudioFacts
    samples: Samples
    rate: int
    data: bytes = field(repr=False, default=b"")
    preview: bytes = field(repr=False, default=b"")

    @property
    def seconds(self) -> float:
        """Return the length of `samples` in seconds."""
        return len(self.samples) / self.rate


@dataclass(frozen=True)
class OpenedSound:
    """A file that is being decoded.

    Attributes:
        facts: As its header states them.
        blocks: Its sound, block by block.
        data: The bytes that the decoder gets, see `ReadPlan`.
        ffmpeg_format: FFmpeg's name of the container; None where libsndfile decodes.
        block_rate: Rate of the blocks in Hz, where it is not that of the facts.
    """

    facts: AudioFacts
    blocks: Iterator[Block]
    data: bytes = field(repr=False, default=b"")
    ffmpeg_format: str | None = None
    block_rate: int | None = None

    @property
    def rate(self) -> int:
        """Return the rate of the blocks in Hz."""
        return self.block_rate or self.facts.rate


def check_header(facts: AudioFacts, name: str, limits: AudioLimits) -> None:
    """Check what a header promises, before anything is decoded.

    Raises:
        AbsurdHeader: No real recording has such a rate or so many channels.
        TooLong: The sound is longer than the limit.
        TooManySamples: Its channels and rate make it more than the limit.
    """
    if not MIN_RATE_HZ <= facts.rate <= MAX_RATE_HZ:
        accepted = f"{MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} are accepted"
        raise AbsurdHeader(f"{name} claims {facts.rate} samples a second; {accepted}.")
    if not 1 <= facts.channels <= MAX_CHANNELS:
        accepted = f"1 to {MAX_CHANNELS} are accepted"
        raise AbsurdHeader(f"{name} claims {facts.channels} channels; {accepted}.")
    if facts.seconds > limits.seconds:
        raise too_long(name, limits, facts.seconds)
    check_samples(facts, facts.seconds * facts.rate, name, limits)


def check_samples(facts: AudioFacts, frames: float, name: str, limits: AudioLimits) -> None:
    """Check what decoding so many frames costs.

    Raises:
        TooManySamples: It is more than the limit.
    """
    if frames * facts.channels > limits.samples:
        kind = f"{facts.channels} channels at {facts.rate:,} Hz"
        limit = f"the limit is {limits.samples / 1e6:,.3g} million samples"
        reason = f"has too many samples ({kind}); {limit}"
        raise TooManySamples(f"{name} {reason}, so please shorten it or use fewer channels.")


def too_long(name: str, limits: AudioLimits, seconds: float | None = None) -> TooLong:
    """Return the error for a sound beyond the limit; `seconds` where its length is known."""
    length = f"lasts {_clock(seconds)}" if seconds else "is too long"
    return TooLong(f"{name} {length}; the limit is {_clock(limits.seconds)}.")


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        return f"{seconds / 60:.4g} min"
    return f"{seconds / 3600:,.0f} h"
