"""Types of the audio package, and the limits that every file must keep."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.audio.errors import AbsurdHeader, TooLong

if TYPE_CHECKING:
    from core.settings import Settings

Samples = NDArray[np.float32]
Block = NDArray[np.float32]
"""A stretch of sound: float32 [frames, channels]."""
NativeBlock = NDArray[np.number]
"""The same in the type that the file holds its samples in: int16, int32, float32 or float64."""

AUDIO_SUFFIXES = frozenset(
    "wav wave flac ogg oga opus mp3 aif aiff aifc caf au m4a mp4 m4b aac wv webm mka".split()
)
"""File name suffixes that may be sound; what a file really is, its bytes decide."""
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
MAX_CHANNELS = 64


@dataclass(frozen=True)
class AudioLimits:
    """Limits of what is accepted: `seconds` of sound and `megabytes` (10^6 bytes) of file."""

    seconds: float = 600.0
    megabytes: float = 100.0

    @classmethod
    def from_settings(cls, settings: "Settings") -> "AudioLimits":
        """Return the limits that the settings name."""
        return cls(settings.max_seconds, settings.max_megabytes)


@dataclass(frozen=True)
class AudioFacts:
    """A file's container name, sample `rate` in Hz, `channels`, and length in `seconds`."""

    container: str
    rate: int
    channels: int
    seconds: float


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
    """A file that is being decoded: what its header says, and its sound block by block."""

    facts: AudioFacts
    blocks: Iterator[Block]


def check_header(facts: AudioFacts, name: str, limits: AudioLimits) -> None:
    """Check what a header promises, before anything is decoded.

    Raises:
        AbsurdHeader: No real recording has such a rate or so many channels.
        TooLong: The sound is longer than the limit.
    """
    if not MIN_RATE_HZ <= facts.rate <= MAX_RATE_HZ:
        accepted = f"{MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} are accepted"
        raise AbsurdHeader(f"{name} claims {facts.rate} samples a second; {accepted}.")
    if not 1 <= facts.channels <= MAX_CHANNELS:
        accepted = f"1 to {MAX_CHANNELS} are accepted"
        raise AbsurdHeader(f"{name} claims {facts.channels} channels; {accepted}.")
    if facts.seconds > limits.seconds:
        raise too_long(name, limits, facts.seconds)


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
