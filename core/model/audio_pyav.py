"""Decoding through FFmpeg (PyAV) for the containers that libsndfile does not read. Imported only when one turns up."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
import numpy as np

from core.model.audio import (
    AudioFacts,
    AudioLimits,
    NotAudio,
    TruncatedAudio,
    UnsupportedAudio,
    check_header,
    too_long,
)

WITHOUT_LENGTH = ("aac", "mp3")  # bare frames: FFmpeg's duration is a guess from the first bit rates
MISSING_SHARE = 0.05  # containers round their stated length; a twentieth less sound than stated is a cut file


def open_blocks(
    source: str | Path | bytes, container_format: str, label: str, limits: AudioLimits, samples: str = "flt"
) -> tuple[AudioFacts, Iterator[np.ndarray]]:
    """Facts of the first audio stream, and its blocks as float32 [n, channels]; with `samples` another kind of FFmpeg's (`s32`, `dbl`).

    The format is given, never guessed, and the bytes come from memory: FFmpeg opens no other file or address.
    Raises `NotAudio`, `UnsupportedAudio`, `TruncatedAudio`, `TooLong`.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        container = av.open(BytesIO(data), "r", format=container_format, metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise TruncatedAudio(f"{label} is damaged or cut off: its index cannot be read; please export or copy it again.") from error
    if not container.streams.audio:
        container.close()
        raise NotAudio(f"{label} has no sound in it.")
    stream = container.streams.audio[0]
    if stream.codec_context is None or not stream.rate:
        container.close()
        raise UnsupportedAudio(f"{label} is sound of a kind that is not read here; please convert it to WAV, FLAC or OGG.")
    stated = container.duration / av.time_base if container.duration and container_format not in WITHOUT_LENGTH else 0.0
    facts = AudioFacts(stream.codec_context.name.removesuffix("float").upper(), stream.rate, stream.codec_context.channels, stated)
    check_header(facts, label, limits)
    return facts, _decode(container, facts, label, limits, samples)


def exact_samples(data: bytes, container_format: str) -> str | None:
    """FFmpeg's kind of sample (`s16`, `s32`, `flt` ...) of a sound that `open_blocks` has accepted; None if its codec loses something."""
    with av.open(BytesIO(data), "r", format=container_format, metadata_errors="replace") as container:
        context = container.streams.audio[0].codec_context
        return context.format.packed.name if context.codec.lossless and context.format else None


def _decode(container, facts: AudioFacts, label: str, limits: AudioLimits, samples: str) -> Iterator[np.ndarray]:
    heard = 0
    resampler = av.AudioResampler(format=f"{samples}p")  # samples become floats, say; rate and channels stay
    with container:
        try:
            for frame in _frames(container):
                for part in resampler.resample(frame):
                    block = part.to_ndarray().T
                    heard += len(block)
                    if heard > limits.seconds * facts.rate:
                        raise too_long(label, limits)
                    yield block
        except av.error.FFmpegError as error:
            raise TruncatedAudio(f"{label} is damaged: decoding stopped after {heard / facts.rate:.1f} s.") from error
    if heard < (1 - MISSING_SHARE) * facts.seconds * facts.rate:
        raise TruncatedAudio(
            f"{label} is cut off: {heard / facts.rate:.1f} of {facts.seconds:.1f} s can be read; please export or copy it again."
        )


def _frames(container) -> Iterator[av.AudioFrame]:
    """Decoded frames. In an MP3, what is no frame is skipped, as every player does: tags, junk at the end, holes of a stream."""
    for packet in container.demux(audio=0):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            if container.format.name != "mp3":
                raise
