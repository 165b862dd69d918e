"""Small whole sound files of every kind that is read, made in memory."""

import struct
import zlib
from fractions import Fraction
from io import BytesIO

import av
import av.container
import numpy as np
import soundfile
from numpy.typing import NDArray

SECONDS = 0.4
RATE = 16_000
_ENCODER_BLOCK = 1 << 15  # libvorbis overflows its stack on very long single writes
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
_Sound = NDArray[np.float32]


def whole_files() -> dict[str, bytes]:
    """Return a file of each kind by a name that says container, codec, channels and rate."""
    return {**_plain_files(), **_libsndfile_files(), **_ffmpeg_files(), **_joined_files()}


def with_ogg_checksums(data: bytes) -> bytes:
    """Return an Ogg file whose pages state their true checksums (RFC 3533)."""
    fixed, start = bytearray(data), data.find(b"OggS")
    while 0 <= start <= len(data) - 27:
        sizes = data[start + 27 : start + 27 + data[start + 26]]
        end = start + 27 + len(sizes) + sum(sizes)
        fixed[start + 22 : start + 26] = bytes(4)
        page = bytes(fixed[start:end])
        reflected = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
        struct.pack_into("<I", fixed, start + 22, int(f"{reflected:032b}"[::-1], 2))
        start = data.find(b"OggS", end)
    return bytes(fixed)


def _sound(channels: int = 1, rate: int = RATE, seconds: float = SECONDS) -> _Sound:
    """Return a chirp in noise, a little different in every channel: float32 [n, channels]."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(channels).normal(0, 0.02, (len(time), channels))
    chirp = 0.4 * np.sin(2 * np.pi * (300 + 400 * time) * time)
    return (chirp[:, None] * np.linspace(1, 0.6, channels) + noise).astype(np.float32)


def _written(container: str, subtype: str | None, channels: int = 1, rate: int = RATE) -> bytes:
    out = BytesIO()
    seconds = min(SECONDS, 60_000 / rate / channels)
    sound = _sound(channels, rate, seconds)
    with soundfile.SoundFile(out, "w", rate, channels, subtype, format=container) as file:
        for start in range(0, len(sound), _ENCODER_BLOCK):
            file.write(sound[start : start + _ENCODER_BLOCK])
    return out.getvalue()


def _encoded(
    container: str, codec: str, channels: int = 1, rate: int = RATE, video: bool = False
) -> bytes:
    out, planes = BytesIO(), np.ascontiguousarray(_sound(channels, rate).T)
    with av.open(out, "w", format=container) as file:
        pictures = _add_pictures(file) if video else None
        options = {"strict": "experimental"}  # FFmpeg's own Vorbis encoder
        stream = file.add_stream(codec, rate=rate, layout=_LAYOUTS[channels], options=options)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=_LAYOUTS[channels])
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        if pictures:
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            file.mux(pictures.encode(picture))
            file.mux(pictures.encode(None))
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def _add_pictures(file: av.container.OutputContainer) -> av.VideoStream:
    """Add a stream of pictures, one a second."""
    stream = file.add_stream("mpeg4", rate=1)
    stream.width = stream.height = 32
    stream.pix_fmt = "yuv420p"
    return stream


def _plain_files() -> dict[str, bytes]:
    """Return files of plain samples, with many rates, channels and depths."""
    files = {}
    for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"):
        files[f"WAV {subtype}"] = _written("WAV", subtype, 2)
    for rate in (8_000, 44_100, 96_000, 768_000):
        files[f"WAV {rate} Hz"] = _written("WAV", "PCM_16", 1, rate)
    for container in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU"):
        for channels in (1, 6):
            files[f"{container} {channels} channels"] = _written(container, "PCM_16", channels)
    for container in ("WAV", "CAF", "W64"):
        files[f"{container} 64 channels"] = _written(container, "PCM_16", 64)
    for container in ("AIFF", "CAF", "AU", "RF64", "W64"):
        files[f"{container} float"] = _written(container, "FLOAT", 2, 48_000)
        files[f"{container} a-law"] = _written(container, "ULAW", 2, 8_000)
    files["AIFF 24 bit"] = _written("AIFF", "PCM_24", 2)
    files["WAV IMA ADPCM"] = _written("WAV", "IMA_ADPCM")
    files["WAV MS ADPCM"] = _written("WAV", "MS_ADPCM", 2)
    files["CAF ALAC"] = _written("CAF", "ALAC_16", 2)
    return files


def _libsndfile_files() -> dict[str, bytes]:
    """Return compressed files that libsndfile writes."""
    files = {"Vorbis 64 channels": _written("OGG", "VORBIS", 64, 8_000)}
    for channels in (1, 2, 6):
        files[f"Vorbis {channels} channels"] = _written("OGG", "VORBIS", channels, 44_100)
        files[f"Opus {channels} channels"] = _written("OGG", "OPUS", channels, 48_000)
        files[f"FLAC {channels} channels"] = _written("FLAC", "PCM_16", channels, 44_100)
    files["FLAC 24 bit"] = _written("FLAC", "PCM_24", 2, 96_000)
    files["MP3"] = _written("MP3", None, 2, 44_100)
    files["MP3 16 kHz"] = _written("MP3", None)
    return files


def _ffmpeg_files() -> dict[str, bytes]:
    """Return files that FFmpeg writes."""
    kinds = {
        "Ogg FLAC": ("ogg", "flac", 1, RATE),
        "MP3 of LAME": ("mp3", "libmp3lame", 2, 44_100),
        "MP2": ("mp2", "mp2", 2, 44_100),
        "MP3 in WAV": ("wav", "libmp3lame", 1, RATE),
        "ADTS": ("adts", "aac", 2, 44_100),
        "m4a": ("ipod", "aac", 2, 44_100),
        "m4a ALAC": ("ipod", "alac", 1, RATE),
        "3gp": ("3gp", "aac", 1, RATE),
        "mov PCM": ("mov", "pcm_s16le", 1, RATE),
        "FLAC in MP4": ("mp4", "flac", 1, RATE),
        "Opus in MP4": ("mp4", "libopus", 2, 48_000),
        "WebM Opus": ("webm", "libopus", 2, 48_000),
        "Matroska Vorbis": ("matroska", "vorbis", 2, 44_100),
        "Matroska PCM": ("matroska", "pcm_s16le", 1, RATE),
        "WavPack": ("wv", "wavpack", 2, RATE),
    }
    files = {name: _encoded(*arguments) for name, arguments in kinds.items()}
    files["MP4 with pictures"] = _encoded("mp4", "aac", 2, 44_100, video=True)
    return files


def _joined_files() -> dict[str, bytes]:
    """Return files that hold several sounds, or a tag in front."""
    vorbis, opus = _written("OGG", "VORBIS", 1, 44_100), _written("OGG", "OPUS", 2, 48_000)
    tag = b"ID3\x03\0\0\0\0\0\x3cTIT2\0\0\0\x05\0\0\0Rain" + bytes(45)
    flac, mp3 = _written("FLAC", "PCM_16"), _written("MP3", None, 1, 44_100)
    return {
        "chained Vorbis": vorbis * 2,
        "chained Vorbis and Opus": vorbis + opus,
        "FLAC twice": flac * 2,
        "MP3 behind ID3": tag + mp3,
        "FLAC behind ID3": tag + flac,
    }
