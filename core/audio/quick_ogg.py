"""Decoding a plain Ogg Vorbis or Opus through FFmpeg, which takes half of libsndfile's time.

Only where both give the same: one whole stream whose last page states just what is decoded. For
everything else libsndfile decides, and says what is wrong. Opus is decoded by libopus here too:
FFmpeg's own decoder gives another sound, by a tenth and more.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream

from core.audio.errors import DecodedOtherwise
from core.audio.ffmpeg import floats, joined
from core.audio.ogg import OPUS_RATE_HZ, OggLayout
from core.audio.types import (
    MAX_RATE_HZ,
    MIN_RATE_HZ,
    AudioFacts,
    AudioLimits,
    NativeBlock,
    OpenedSound,
)

_HEAD_BYTES = 19
_OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)
"""Rates that an Opus decoder gives; libsndfile states others as 48 kHz."""


@dataclass(frozen=True)
class _Head:
    """The first packet of an Ogg.

    Attributes:
        codec: `vorbis` or `opus`.
        channels: How many it has.
        rate: To state in the facts, in Hz.
    """

    codec: str
    channels: int
    rate: int

    @property
    def decoded_rate(self) -> int:
        """Return the rate of decoded samples, in Hz."""
        return OPUS_RATE_HZ if self.codec == "opus" else self.rate


def open_blocks(
    data: bytes, layout: OggLayout, limits: AudioLimits, rate: int
) -> OpenedSound | None:
    """Open a file; None where libsndfile has to.

    Args:
        data: The file.
        layout: Its streams.
        limits: What is accepted.
        rate: To which the sound will be resampled, in Hz. libsndfile decodes an Opus at the rate of
            its recording, which cuts off what lies above; that shows where `rate` is higher.

    Returns:
        The sound, whose blocks raise `DecodedOtherwise` as soon as libsndfile might differ.
    """
    if len(layout.links) != 1 or not layout.is_read_by_libsndfile:
        return None
    head = _head(data, layout)
    if head is None or (head.codec == "opus" and head.rate < rate):
        return None
    frames = layout.last_granule - layout.preskip
    seconds = frames / head.decoded_rate
    if not 0 < seconds <= limits.seconds or frames * head.channels > limits.samples:
        return None
    facts = AudioFacts("OGG", head.rate, head.channels, seconds)
    blocks = joined(_blocks(data, head, frames), head.channels)
    return OpenedSound(facts, blocks, data, block_rate=head.decoded_rate)


def _head(data: bytes, layout: OggLayout) -> _Head | None:
    """Return what the first packet says; None for anything unusual."""
    start = layout.links[0]
    packet = data[start + 27 + data[start + 26] :][:_HEAD_BYTES]
    if len(packet) < _HEAD_BYTES:
        return None
    if layout.codecs == ("opus",):
        channels, rate = packet[9], struct.unpack_from("<I", packet, 12)[0]
        gain_and_family = packet[16:19]
        rate = rate if rate in _OPUS_RATES_HZ else OPUS_RATE_HZ
        is_plain = not any(gain_and_family) and "libopus" in av.codecs_available
    else:
        channels, rate = packet[11], struct.unpack_from("<I", packet, 12)[0]
        is_plain = MIN_RATE_HZ <= rate <= MAX_RATE_HZ
    return _Head(layout.codecs[0], channels, rate) if is_plain and channels in (1, 2) else None


def _blocks(data: bytes, head: _Head, frames: int) -> Iterator[NativeBlock]:
    """Yield what the frames hold, one by one.

    Raises:
        DecodedOtherwise: It is more or less than `frames`, or damaged.
    """
    done, rate = 0, head.decoded_rate
    try:
        with av.open(BytesIO(data), "r", format="ogg", metadata_errors="replace") as container:
            stream = container.streams.audio[0]
            decode = _decoder(stream, head).decode
            for packet in container.demux(stream):
                for frame in decode(packet):
                    done += frame.samples
                    if done > frames or frame.sample_rate != rate:
                        raise DecodedOtherwise
                    yield floats(frame, head.channels)
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        raise DecodedOtherwise from error
    if done != frames:
        raise DecodedOtherwise


def _decoder(stream: AudioStream, head: _Head) -> AudioCodecContext:
    """Return what decodes the packets of a stream."""
    if head.codec != "opus":
        return stream.codec_context
    decoder = AudioCodecContext.create("libopus", "r")
    decoder.extradata = stream.codec_context.extradata
    decoder.options = {"request_sample_fmt": "flt"}
    return decoder
