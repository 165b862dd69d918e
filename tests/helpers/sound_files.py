"""Sound files for the tests, made in memory.

Tones written by libsndfile or FFmpeg, and the bytes of files that are no sound.
"""

import struct
import zlib
from fractions import Fraction
from io import BytesIO

import numpy as np
import soundfile
from numpy.typing import NDArray

_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
ENCODER_BLOCK = 1 << 15  # libvorbis overflows its stack on very long single writes


def tone(
    hz: float = 440.0,
    seconds: float = 1.0,
    rate: int = 44_100,
    channels: int = 1,
    level: float = 0.5,
) -> NDArray[np.float32]:
    """Return a sine in every channel, float32 [n, channels]."""
    wave = level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def written(
    samples: NDArray[np.generic],
    rate: int = 44_100,
    container: str = "WAV",
    subtype: str | None = None,
) -> bytes:
    """Return `samples` as a file of libsndfile's."""
    out = BytesIO()
    channels = samples.shape[1] if samples.ndim > 1 else 1
    with soundfile.SoundFile(out, "w", rate, channels, subtype=subtype, format=container) as file:
        for start in range(0, len(samples), ENCODER_BLOCK):
            file.write(samples[start : start + ENCODER_BLOCK])
    return out.getvalue()


def encoded(
    samples: NDArray[np.float32],
    rate: int = 44_100,
    container: str = "ipod",
    codec: str = "aac",
    codec_options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    **options: str,
) -> bytes:
    """Return float32 [n, channels] as a file of FFmpeg's; `options` go to the muxer."""
    import av

    out = BytesIO()
    with av.open(out, "w", format=container, options=options) as file:
        file.metadata.update(metadata or {})
        layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[1]]
        stream = file.add_stream(codec, rate=rate, layout=layout, options=codec_options)
        planes = np.ascontiguousarray(samples.T)
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def silent_video() -> bytes:
    """Return an MP4 with a picture and no sound."""
    import av

    out = BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            black = np.zeros((32, 32, 3), np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
        file.mux(stream.encode(None))
    return out.getvalue()


def wav(
    payload: bytes,
    rate: int = 44_100,
    channels: int = 1,
    bits: int = 16,
    claimed: int | None = None,
    kind: int = 1,
) -> bytes:
    """Return a WAV file whose data chunk claims `claimed` bytes; `kind` 1: integers, 3: floats."""
    claimed = len(payload) if claimed is None else claimed
    frame = channels * bits // 8
    bytes_per_second = min(rate * frame, 0xFFFFFFFF)
    numbers = (kind, channels, rate, bytes_per_second, frame & 0xFFFF, bits)
    form = struct.pack("<I", 16) + struct.pack("<HHIIHH", *numbers)
    total = struct.pack("<I", min(36 + claimed, 0xFFFFFFFF))
    data = b"data" + struct.pack("<I", claimed) + payload
    return b"RIFF" + total + b"WAVEfmt " + form + data


def float_wav(samples: list[float]) -> bytes:
    """Return a WAV file of exactly these 32-bit floats."""
    return wav(np.array(samples, "<f4").tobytes(), bits=32, kind=3)


def flac_claiming(frames: int, rate: int = 44_100, channels: int = 1) -> bytes:
    """Return a whole second of FLAC whose STREAMINFO claims other figures."""
    data = bytearray(written(tone(), container="FLAC"))
    packed = int.from_bytes(data[18:26], "big")
    bits = packed >> 36 & 31
    data[18:26] = (rate << 44 | (channels - 1) << 41 | bits << 36 | frames).to_bytes(8, "big")
    return bytes(data)


def ogg_claiming(frames: int, subtype: str = "VORBIS") -> bytes:
    """Return a second of Ogg whose last page claims to end at sample `frames`."""
    data = bytearray(written(tone(rate=48_000), 48_000, "OGG", subtype))
    last = data.rfind(b"OggS")
    data[last + 6 : last + 14] = struct.pack("<q", frames)
    data[last + 22 : last + 26] = bytes(4)
    data[last + 22 : last + 26] = struct.pack("<I", _ogg_checksum(bytes(data[last:])))
    return bytes(data)


def _ogg_checksum(page: bytes) -> int:
    """Return CRC-32 with polynomial 0x04c11db7 from zero, not reflected (RFC 3533)."""
    reflected = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)


def aiff_rate(data: bytes, rate_bytes: bytes) -> bytes:
    """Return an AIFF file with another 80-bit sample rate."""
    start = data.index(b"COMM") + 16
    return data[:start] + rate_bytes + data[start + 10 :]


def png() -> bytes:
    """Return a picture of one black pixel."""

    def chunk(name: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + checksum

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"\0\0")), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def with_number(data: bytes, at: int, number_format: str, number: int) -> bytes:
    """Return a file with another number at an offset; the format is of `struct`."""
    changed = bytearray(data)
    struct.pack_into(number_format, changed, at, number)
    return bytes(changed)


def id3_tag(content_bytes: int = 60, padding: int = 0) -> bytes:
    """Return an ID3v2.3 tag with one title, and zeros behind it that its size does not count."""
    size = bytes([0, 0, content_bytes >> 7, content_bytes & 127])
    title = b"TIT2" + struct.pack(">IH", content_bytes - 10, 0)
    return b"ID3\3\0\0" + size + title + bytes(content_bytes - 10) + bytes(padding)


def silent_vorbis_bomb(seconds: float) -> bytes:
    """Return silence in 64 channels at 192 kHz: small as a file, large when decoded."""
    return written(np.zeros((round(seconds * 192_000), 64), np.float32), 192_000, "OGG", "VORBIS")


def long_vorbis_bomb(seconds: int) -> bytes:
    """Return the same of any length, its one page of sound repeated: some kB for each second."""
    short = silent_vorbis_bomb(0.5)
    start, pages = short.rfind(b"OggS"), 2 * seconds
    sound = [
        _ogg_page(short[start:], 2 + n, 96_000 * (n + 1), n == pages - 1) for n in range(pages)
    ]
    return short[:start] + b"".join(sound)


def _ogg_page(page: bytes, number: int, end: int, is_last: bool) -> bytes:
    """Return a page under another number, ending at another sample."""
    changed = bytearray(page)
    changed[5] = 4 if is_last else 0
    struct.pack_into("<q", changed, 6, end)
    struct.pack_into("<II", changed, 18, number, 0)
    struct.pack_into("<I", changed, 22, _ogg_checksum(bytes(changed)))
    return bytes(changed)


def wav_with_info(texts: dict[bytes, bytes]) -> bytes:
    """Return a second of WAV with a LIST INFO chunk of these entries."""
    body = b"INFO"
    for name, text in texts.items():
        body += name + struct.pack("<I", len(text)) + text + bytes(len(text) % 2)
    return _with_chunk(written(tone()), b"LIST", body)


def wav_with_bext(date: bytes, time: bytes) -> bytes:
    """Return a second of Broadcast WAV of this origination date and time (EBU 3285)."""
    body = bytes(320) + date.ljust(10, b"\0") + time.ljust(8, b"\0") + bytes(264)
    return _with_chunk(written(tone()), b"bext", body)


def _with_chunk(data: bytes, name: bytes, body: bytes) -> bytes:
    chunk = name + struct.pack("<I", len(body)) + body
    return with_number(data[:12] + chunk + data[12:], 4, "<I", len(data) + len(chunk) - 8)
