"""Decoding through FFmpeg (PyAV) for what libsndfile does not read. Imported only when needed."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import cast

import av
import av.container
import numpy as np

from core.audio.chained import with_channels
from core.audio.errors import NotAudio, TruncatedAudio, UnsupportedAudio
from core.audio.sizes import is_cut_container
from core.audio.types import (
    AudioFacts,
    AudioLimits,
    Block,
    NativeBlock,
    OpenedSound,
    check_header,
    check_samples,
    too_long,
)

CONTAINERS_WITHOUT_LENGTH = ("aac", "mp3", "flac", "ogg")
"""FFmpeg's duration is a guess from the first bit rates, or tells of the first part only."""
MISSING_SHARE = 0.05
"""Containers round their stated length; a twentieth less sound than stated is a cut file."""
MISSING_SLACK_S = 0.1
"""Some frames, which an encoder may count before the sound begins."""
BLOCK_SAMPLES = 1 << 18
"""Of all channels; decoding and encoding them takes less than two tenths of a second."""
MAX_PLANES = 8
"""Channels of which PyAV reads each one's own samples."""


def open_blocks(
    data: bytes,
    container_format: str,
    name: str,
    limits: AudioLimits,
    *,
    min_seconds: float = 0.0,
) -> OpenedSound:
    """Open the first audio stream of a file.

    Args:
        data: The file.
        container_format: FFmpeg's name of the container.
        name: What to call the sound in errors.
        limits: What is accepted.
        min_seconds: Less sound is a cut file; also where the container states no length.

    Raises:
        AudioError: The header shows what is wrong; errors of the samples come with the blocks.
    """
    container, facts = _open(data, container_format, name, limits)
    least_s = max(min_seconds, _least_seconds(facts))
    blocks = _decode(container, facts, name, limits, "flt", least_s)
    return OpenedSound(facts, joined(blocks, facts.channels), data, container_format)


def joined(blocks: Iterable[NativeBlock], channels: int) -> Iterator[Block]:
    """Yield fewer, longer blocks of float32; each channel's samples follow one another."""
    parts: list[NativeBlock] = []
    frames = 0
    for block in blocks:
        parts.append(block.T)
        frames += len(block)
        if frames * channels >= BLOCK_SAMPLES:
            yield np.concatenate(parts, axis=1, dtype=np.float32).T
            parts, frames = [], 0
    if parts:
        yield np.concatenate(parts, axis=1, dtype=np.float32).T


def floats(frame: av.AudioFrame, channels: int) -> Block:
    """Return the samples of a frame of 32-bit floats, [n, channels].

    `to_ndarray` does the same in ten times the time, in which no other thread can work.

    Args:
        frame: Each channel's samples by themselves (`fltp`), or interleaved (`flt`).
        channels: How many it has.
    """
    count, planes = frame.samples, [cast("memoryview[int]", plane) for plane in frame.planes]
    if len(planes) == channels > 1:
        return np.array([np.frombuffer(plane, np.float32, count) for plane in planes]).T
    return np.frombuffer(planes[0], np.float32, count * channels).reshape(-1, channels)


def native_blocks(
    data: bytes, container_format: str, name: str, limits: AudioLimits, sample_type: str
) -> Iterator[NativeBlock]:
    """Decode in another sample type than float32.

    Args:
        data: The file.
        container_format: FFmpeg's name of the container.
        name: What to call the sound in errors.
        limits: What is accepted.
        sample_type: FFmpeg's name of it: `s32` or `dbl`.

    Raises:
        AudioError: The header shows what is wrong; errors of the samples come with the blocks.
    """
    container, facts = _open(data, container_format, name, limits)
    return _decode(container, facts, name, limits, sample_type, _least_seconds(facts))


def lossless_sample_type(data: bytes, container_format: str) -> str | None:
    """Return FFmpeg's sample type (`s16`, `flt` ...) of a sound that `open_blocks` accepts.

    None if its codec loses something.
    """
    with av.open(
        BytesIO(data), "r", format=container_format, metadata_errors="replace"
    ) as container:
        context = container.streams.audio[0].codec_context
        return context.format.packed.name if context.codec.lossless and context.format else None


def _open(
    data: bytes,
    container_format: str,
    name: str,
    limits: AudioLimits,
) -> tuple[av.container.InputContainer, AudioFacts]:
    """Open a file and check its header.

    The format is given, never guessed, and the bytes come from memory: FFmpeg opens no other file
    or address.

    Raises:
        AudioError: The header shows what is wrong.
    """
    try:
        container = av.open(BytesIO(data), "r", format=container_format, metadata_errors="replace")
    except av.error.FFmpegError as error:
        reason = "its index cannot be read"
        raise TruncatedAudio(
            f"{name} is damaged or cut off: {reason}; please export or copy it again."
        ) from error
    if not container.streams.audio:
        container.close()
        raise NotAudio(f"{name} has no sound in it.")
    stream = container.streams.audio[0]
    if stream.codec_context is None or not stream.rate:
        container.close()
        reason = "sound of a kind that is not supported"
        raise UnsupportedAudio(f"{name} is {reason}; please convert it to WAV, FLAC or OGG.")
    is_guess = container_format in CONTAINERS_WITHOUT_LENGTH
    seconds = 0.0 if is_guess else _stated_seconds(container)
    if not seconds and is_cut_container(data):
        container.close()
        reason = "it ends before the sound its header announces"
        raise TruncatedAudio(f"{name} is cut off: {reason}; please export or copy it again.")
    codec = stream.codec_context.name.removesuffix("float")
    kind = container_format if codec.startswith("pcm_") else codec
    facts = AudioFacts(kind.upper(), stream.rate, stream.codec_context.channels, seconds)
    check_header(facts, name, limits)
    return container, facts


def _stated_seconds(container: av.container.InputContainer) -> float:
    """Return the stated length of the first audio stream; 0 where none is stated.

    A container lasts as long as its longest stream, and its time may begin later than at zero.
    """
    stream = container.streams.audio[0]
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return (container.duration - max(0, container.start_time or 0)) / av.time_base
    return 0.0


def _least_seconds(facts: AudioFacts) -> float:
    """Return how much sound there is at least in a file that is not cut."""
    return facts.seconds - max(MISSING_SLACK_S, MISSING_SHARE * facts.seconds)


def _decode(
    container: av.container.InputContainer,
    facts: AudioFacts,
    name: str,
    limits: AudioLimits,
    sample_type: str,
    least_s: float,
) -> Iterator[NativeBlock]:
    frames = 0
    convert = _Converter(facts, sample_type)
    with container:
        try:
            for frame in _frames(container):
                for block in convert(frame):
                    frames += len(block)
                    if frames > limits.seconds * facts.rate:
                        raise too_long(name, limits)
                    check_samples(facts, frames, name, limits)
                    yield block
        except av.error.FFmpegError as error:
            seconds = frames / facts.rate
            reason = f"{name} is damaged: decoding stopped after {seconds:.1f} s."
            raise TruncatedAudio(reason) from error
    if frames < least_s * facts.rate:
        stated_s = facts.seconds or least_s
        read = f"{frames / facts.rate:.1f} of {stated_s:.1f} s can be read"
        raise TruncatedAudio(f"{name} is cut off: {read}; please export or copy it again.")


class _Converter:
    """Converts frames to one sample type, and to the rate and channels that the file began with.

    The parts of a chained or concatenated file may differ in both.
    """

    def __init__(self, facts: AudioFacts, sample_type: str) -> None:
        self._facts, self._sample_type = facts, sample_type
        self._kind: tuple[str, int, int] | None = None
        self._resampler: av.AudioResampler | None = None

    def __call__(self, frame: av.AudioFrame) -> Iterator[NativeBlock]:
        """Yield the blocks that a frame completes."""
        if self._is_as_needed(frame):
            yield floats(frame, self._facts.channels)
            return
        for part in self._resampled(frame):
            # Interleaved: PyAV reads beyond the eighth plane where each channel has its own.
            block = part.to_ndarray().reshape(-1, part.layout.nb_channels)
            yield with_channels(block, self._facts.channels)

    def _is_as_needed(self, frame: av.AudioFrame) -> bool:
        """Return True for floats of the right rate and channels, each channel's by themselves."""
        channels = frame.layout.nb_channels
        return (
            self._sample_type == "flt"
            and frame.format.name == "fltp"
            and frame.sample_rate == self._facts.rate
            and channels == self._facts.channels <= MAX_PLANES
            and self._resampler is None
        )

    def _resampled(self, frame: av.AudioFrame) -> Iterator[av.AudioFrame]:
        kind = (frame.format.name, frame.sample_rate, frame.layout.nb_channels)
        if kind != self._kind or self._resampler is None:
            if self._resampler:
                yield from self._resampler.resample(None)
            rate = self._facts.rate if frame.sample_rate != self._facts.rate else None
            self._kind, self._resampler = kind, self._new_resampler(rate)
        yield from self._resampler.resample(frame)

    def _new_resampler(self, rate: int | None) -> av.AudioResampler:
        return av.AudioResampler(format=self._sample_type, rate=rate)


def _frames(container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """Yield decoded frames.

    In streams without an index, what is no packet is skipped, as every player does: tags, junk,
    holes.
    """
    is_stream = container.streams.audio[0].codec_context.name.startswith("mp")
    is_stream = is_stream or container.format.name in ("ogg", "aac")
    for packet in container.demux(audio=0):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            if not is_stream:
                raise
