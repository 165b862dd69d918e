"""Writing a part of a sound: the file's format, its name, and samples without loss."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TypeVar

import numpy as np
import soundfile
from numpy.typing import NDArray

from core.audio.chunks import channel_mask, with_aiff_length, with_channel_mask
from core.audio.errors import BadSamples, BadSelection
from core.audio.types import AudioFacts, Block, NativeBlock
from core.work import Checkpoint, no_checkpoint

END_SLACK_S = 0.005
"""Tolerance for an end beyond the sound: players round the length that they show."""
MAX_FILE_NAME = 100
"""Freesound's limit, in characters."""
MAX_FLAC_CHANNELS, MAX_FLAC_RATE_HZ = 8, 655_350
"""RFC 9639, 9.1."""
DTYPES = {
    "PCM_S8": "int16",
    "PCM_U8": "int16",
    "PCM_16": "int16",
    "PCM_24": "int32",
    "PCM_32": "int32",
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "ULAW": "int16",
    "ALAW": "int16",
}
"""libsndfile's subtypes that can be written again sample by sample, and the numpy types that hold
them exactly (it shifts integers up)."""
_BITS = {
    "PCM_S8": 8,
    "PCM_U8": 8,
    "PCM_16": 16,
    "PCM_24": 24,
    "PCM_32": 32,
    "FLOAT": 32,
    "DOUBLE": 64,
    "ULAW": 8,
    "ALAW": 8,
}
_Number = TypeVar("_Number", bound=np.number)
_SUFFIXES = {"WAV": ("wav",), "WAVEX": ("wav",), "AIFF": ("aiff", "aif"), "FLAC": ("flac",)}


@dataclass(frozen=True)
class TrimmedSound:
    """A part of a sound as a file.

    Attributes:
        data: Its bytes.
        file_name: A name that says which part it is.
        facts: Of the part.
        note: A sentence for the person where the format had to change; empty where it did not.
    """

    data: bytes
    file_name: str
    facts: AudioFacts
    note: str = ""


@dataclass(frozen=True)
class Selection:
    """A part of a sound.

    Attributes:
        name: The sound's file name.
        facts: The sound's.
        first: The first frame of the part.
        stop: The frame after the last.
        start_s: The time that was asked for, in seconds.
        end_s: The same of the end.
        checkpoint: Called before each block of the sound.
    """

    name: str
    facts: AudioFacts
    first: int
    stop: int
    start_s: float
    end_s: float
    checkpoint: Checkpoint = no_checkpoint


@dataclass(frozen=True)
class PartFormat:
    """The format of a part.

    Attributes:
        container: libsndfile's name of it.
        subtype: libsndfile's name of the samples' type.
        dtype: The numpy type that carries the samples to libsndfile exactly.
        note: A sentence for the person where the format had to change; empty where it did not.
    """

    container: str
    subtype: str
    dtype: str
    note: str = ""


def write_part(
    part_format: PartFormat,
    selection: Selection,
    blocks: Iterable[NativeBlock],
    original: bytes,
    metadata: Mapping[str, str],
) -> TrimmedSound:
    """Write a part.

    Args:
        part_format: Of the file.
        selection: The part.
        blocks: Samples [n, channels] from the part's first frame on; more than the part may come.
        original: The whole sound's file, whose loudspeakers are kept.
        metadata: Title, artist, license and the like.

    Raises:
        BadSelection: The sound ends before the part does.
    """
    rate, channels = selection.facts.rate, selection.facts.channels
    container, subtype = part_format.container, part_format.subtype
    out, frames = BytesIO(), 0
    with soundfile.SoundFile(out, "w", rate, channels, subtype=subtype, format=container) as file:
        _write_metadata(file, metadata)
        for block in until_end(blocks, selection):
            file.write(np.ascontiguousarray(block, dtype=part_format.dtype))
            frames += len(block)
    data = with_channel_mask(out.getvalue(), channel_mask(original))
    if container == "AIFF":
        data = with_aiff_length(data, frames, channels * _BITS[subtype] // 8)
    facts = AudioFacts(container, rate, channels, frames / rate)
    return TrimmedSound(data, _file_name(selection, container), facts, part_format.note)


def skip_frames(blocks: Iterable[NDArray[_Number]], count: int) -> Iterator[NDArray[_Number]]:
    """Yield blocks without their first `count` frames."""
    for block in blocks:
        if count < len(block):
            yield block[count:]
        count = max(0, count - len(block))


def until_end(
    blocks: Iterable[NDArray[_Number]], selection: Selection
) -> Iterator[NDArray[_Number]]:
    """Yield blocks as far as the part goes.

    Raises:
        BadSelection: The sound ends before; a few milliseconds are tolerated.
    """
    missing = selection.stop - selection.first
    for block in blocks:
        yield block[:missing]
        missing -= len(block[:missing])
        if not missing:
            return
    rate = selection.facts.rate
    if missing > END_SLACK_S * rate + 1:
        end_s, seconds = selection.stop / rate, (selection.stop - missing) / rate
        raise ends_too_late(selection.name, end_s, seconds)


def ends_too_late(name: str, end_s: float, seconds: float) -> BadSelection:
    """Return the error for a part that ends after the sound does."""
    part, sound = format_seconds(end_s), format_seconds(seconds)
    return BadSelection(f"The part ends at {part} s, and {name} already at {sound} s.")


def format_seconds(seconds: float) -> str:
    """Return seconds to the millisecond, without trailing zeros."""
    text = f"{seconds:.3f}"
    return text.rstrip("0").rstrip(".")


def fits_flac(facts: AudioFacts) -> bool:
    """Return True if a FLAC can hold so many channels at that rate."""
    return facts.channels <= MAX_FLAC_CHANNELS and facts.rate <= MAX_FLAC_RATE_HZ


class Quantizer:
    """Rounds floats to 24-bit integers, in the upper bits of int32.

    Attributes:
        limited: Samples beyond full scale so far, which were limited to it.
    """

    STEPS = 1 << 23

    def __init__(self, name: str) -> None:
        """Begin to count; `name` is the sound's, for errors."""
        self._name = name
        self.limited = 0

    def __call__(self, block: Block) -> NDArray[np.int32]:
        """Round a block.

        Raises:
            BadSamples: A sample is not a number.
        """
        if not np.isfinite(block).all():
            reason = "samples that are not numbers (NaN or infinite)"
            raise BadSamples(f"{self._name} holds {reason}; please export it again.")
        steps = np.rint(block.astype(np.float64) * self.STEPS)
        self.limited += int(((steps < -self.STEPS) | (steps >= self.STEPS)).sum())
        return np.clip(steps, -self.STEPS, self.STEPS - 1).astype(np.int32) << 8


def _write_metadata(file: soundfile.SoundFile, metadata: Mapping[str, str]) -> None:
    """Write title, artist, license ... before the samples, where the container has a place.

    `software` is written by libsndfile itself.
    """
    for entry, text in metadata.items():
        if entry != "software":
            with contextlib.suppress(soundfile.LibsndfileError):
                setattr(file, entry, text)


def _file_name(selection: Selection, container: str) -> str:
    """Return `rain_12.5-20s.aif` for a part of `rain.aif`, within Freesound's length."""
    stem, dot, suffix = selection.name.rpartition(".")
    if not dot:
        stem, suffix = selection.name, ""
    suffixes = _SUFFIXES[container]
    kept = suffix.lower() if suffix.lower() in suffixes else suffixes[0]
    times = f"{format_seconds(selection.start_s)}-{format_seconds(selection.end_s)}s"
    tail = f"_{times}.{kept}"
    return (stem[: MAX_FILE_NAME - len(tail)].strip() or "sound") + tail
