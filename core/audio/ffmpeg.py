"""Decoding through FFmpeg (PyAV) for what libsndfile does not read. Imported only when needed."""

from collections.abc import Iterator
from io import BytesIO

import av
import av.container
import numpy as np

from core.audio.errors import NotAudio, TruncatedAudio, UnsupportedAudio
from core.audio.types import (
    AudioFacts,
    AudioLimits,
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


def open_blocks(data: bytes, container_format: str, name: str, limits: AudioLimits) -> OpenedSound:
    """Open the first audio stream of a file.

    Args:
        data: The file.
        container_format: FFmpeg's name of the container.
        name: What to call the sound in errors.
        limits: What is accepted.

    Raises:
        AudioError: The header shows what is wrong; errors of the samples come with the blocks.
    """
    container, facts = _open(data, container_format, name, limits)
    blocks = _decode(container, facts, name, limits, "flt")
    floats = (block.astype(np.float32, copy=False) for block in blocks)
    return OpenedSound(facts, floats, data, container_format)


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
    return _decode(container, facts, name, limits, sample_type)


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
    data: bytes, container_format: str, name: str, limits: AudioLimits
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
    seconds = 0.0
    if container.duration and container_format not in CONTAINERS_WITHOUT_LENGTH:
        seconds = container.duration / av.time_base
    codec = stream.codec_context.name.removesuffix("float")
    kind = container_format if codec.startswith("pcm_") else codec
    facts = AudioFacts(kind.upper(), stream.rate, stream.codec_context.channels, seconds)
    check_header(facts, name, limits)
    return container, facts


def _decode(
    container: av.container.InputContainer,
    facts: AudioFacts,
    name: str,
    limits: AudioLimits,
    sample_type: str,
) -> Iterator[NativeBlock]:
    frames = 0
    convert = _Converter(facts, f"{sample_type}p")
    with container:
        try:
            for frame in _frames(container):
                for part in convert(frame):
                    block = part.to_ndarray().T
                    frames += len(block)
                    if frames > limits.seconds * facts.rate:
                        raise too_long(name, limits)
                    check_samples(facts, frames, name, limits)
                    yield block
        except av.error.FFmpegError as error:
            seconds = frames / facts.rate
            reason = f"{name} is damaged: decoding stopped after {seconds:.1f} s."
            raise TruncatedAudio(reason) from error
    if frames < (1 - MISSING_SHARE) * facts.seconds * facts.rate:
        read = f"{frames / facts.rate:.1f} of {facts.seconds:.1f} s can be read"
        raise TruncatedAudio(f"{name} is cut off: {read}; please export or copy it again.")


class _Converter:
    """Converts frames to one sample type, and to the rate and channels that the file began with.

    The parts of a chained or concatenated file may differ in both.
    """

    def __init__(self, facts: AudioFacts, sample_type: str) -> None:
        self._facts, self._sample_type = facts, sample_type
        self._kind: tuple[str, int, int] | None = None
        self._resampler: av.AudioResampler | None = None

    def __call__(self, frame: av.AudioFrame) -> Iterator[av.AudioFrame]:
        kind = (frame.format.name, frame.sample_rate, frame.layout.nb_channels)
        if kind != self._kind or self._resampler is None:
            if self._resampler:
                yield from self._resampler.resample(None)
            self._kind, self._resampler = kind, self._new_resampler(frame)
        yield from self._resampler.resample(frame)

    def _new_resampler(self, frame: av.AudioFrame) -> av.AudioResampler:
        facts = self._facts
        if (frame.sample_rate, frame.layout.nb_channels) == (facts.rate, facts.channels):
            return av.AudioResampler(format=self._sample_type)  # rate and channels stay
        layout = {1: "mono", 2: "stereo"}.get(facts.channels, f"{facts.channels}c")
        return av.AudioResampler(format=self._sample_type, layout=layout, rate=facts.rate)


def _frames(container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """Yield decoded frames.

    Among MPEG frames, what is none is skipped, as every player does: tags, junk, holes of a stream.
    """
    for packet in container.demux(audio=0):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            if not container.streams.audio[0].codec_context.name.startswith("mp"):
                raise
