"""From a file or bytes to a mono waveform at the rate the model listens at.

libsndfile reads WAV, FLAC, Ogg (Vorbis, Opus), MP3 and AIFF. What it cannot read and people do upload (m4a, WavPack, WebM, AAC)
goes through PyAV, which is imported only then. Sound is read in blocks, so that a header which promises hours costs nothing.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from core.errors import EarmarkError

MODEL_RATE = 22_000
BLOCK_FRAMES = 1 << 20
RATES_HZ = (1_000, 768_000)
MOST_CHANNELS = 64
LOUDEST_SAMPLE = 1e6  # integers saved as floats reach 32,768 (16 bit); beyond this it is not sound
MP3_LENGTH_SLACK_S = 0.2  # writers of MP3 headers disagree by a few frames (26 ms each) about what counts

AUDIO_SUFFIXES = frozenset("wav wave flac ogg oga opus mp3 aif aiff aifc caf au m4a mp4 m4b aac wv webm mka".split())
"""File name endings that are worth trying; what a file really is, its bytes decide."""


class AudioError(EarmarkError):
    """A file that cannot be listened to."""


class EmptyAudio(AudioError):
    """The file has no bytes."""


class NotAudio(AudioError):
    """The bytes are not sound."""


class UnsupportedAudio(AudioError):
    """Sound, in a format that is not read here."""


class TruncatedAudio(AudioError):
    """The file ends before the sound that its header announces."""


class NoSamples(AudioError):
    """A valid file of no duration."""


class BadSamples(AudioError):
    """Samples that are not numbers, or not sound."""


class TooLong(AudioError):
    """Longer than the limit."""


class TooLarge(AudioError):
    """More bytes than the limit."""


class AbsurdHeader(AudioError):
    """A header that no real recording has."""


@dataclass(frozen=True)
class AudioLimits:
    """What is accepted: `seconds` of sound and `megabytes` (10^6 bytes) of file."""

    seconds: float = 600.0
    megabytes: float = 100.0


@dataclass(frozen=True)
class AudioFacts:
    """What the file itself was: container name, sample `rate` in Hz, `channels`, length in `seconds`."""

    container: str
    rate: int
    channels: int
    seconds: float


@dataclass(frozen=True)
class Waveform:
    """`samples`: float32 [n], mono, nominally -1..1, at `rate` Hz; `source`: the file before downmix and resampling."""

    samples: np.ndarray
    rate: int
    source: AudioFacts

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


def load(
    source: str | Path | bytes,
    *,
    name: str | None = None,
    rate: int = MODEL_RATE,
    limits: AudioLimits = AudioLimits(),
) -> Waveform:
    """Decode a file (path or its bytes) to mono float32 at `rate` Hz; channels are averaged, resampling is soxr HQ.

    `name` is what to call the sound in errors. Raises a kind of `AudioError` for everything that is not a whole, readable
    sound within `limits`; silence is valid.
    """
    label = name or (Path(source).name if isinstance(source, str | Path) else "The sound")
    facts, blocks = open_sound(source, name=label, limits=limits)
    return _collect(blocks, facts, rate, label)


def open_sound(
    source: str | Path | bytes, *, name: str = "The sound", limits: AudioLimits = AudioLimits()
) -> tuple[AudioFacts, Iterator[np.ndarray]]:
    """What the file says of itself, and its sound as blocks of float32 [n, channels] at its own rate, decoded as they are asked for.

    Raises the kinds of `AudioError` that the header betrays; those of the samples come while the blocks are read.
    """
    label = name
    size, head = _measure(source, label)
    if size > limits.megabytes * 1e6:
        raise TooLarge(f"{label} is {size / 1e6:,.1f} MB; the limit is {limits.megabytes:g} MB.")
    if not size:
        raise EmptyAudio(f"{label} is empty (0 bytes).")
    if _truncated_ogg(source, size, head):
        raise TruncatedAudio(f"{label} is cut off: its last page is not whole; please export or copy it again.")
    container = read_by_ffmpeg(source)
    if container:
        from core.model import audio_pyav  # imported only for what libsndfile cannot read

        return audio_pyav.open_blocks(source, container, label, limits)
    return _open_soundfile(source, label, limits)


def read_by_ffmpeg(source: str | Path | bytes) -> str | None:
    """FFmpeg's name of the container, for a sound that libsndfile does not read (rightly); None for all others."""
    _, head = _measure(source, "The sound")
    return "mp3" if _is_mp3_without_length(source, head) else _pyav_container(head)


def _measure(source: str | Path | bytes, label: str) -> tuple[int, bytes]:
    """Size in bytes, and the first 64 of them."""
    if isinstance(source, bytes):
        return len(source), source[:64]
    try:
        with open(source, "rb") as file:
            return Path(source).stat().st_size, file.read(64)
    except (OSError, ValueError) as error:  # a ValueError: a name with a null in it
        raise AudioError(f"{label} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def _pyav_container(head: bytes) -> str | None:
    """FFmpeg's name of the container, told by its magic bytes. A fixed list: a playlist must never make FFmpeg open other files."""
    if head[4:8] == b"ftyp" and head[8:12] not in _PICTURE_BRANDS:
        return "mov"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if head[:4] == b"wvpk":
        return "wv"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "aac"
    if head[:4] == b"fLaC" and len(head) > 25 and not int.from_bytes(head[21:26]) & _FLAC_LENGTH:
        return "flac"  # of unstated length, as pipes write it: libsndfile cannot read past its first block
    return None


def _is_mp3_without_length(source: str | Path | bytes, head: bytes) -> bool:
    """Whether an MP3's first frame states no length (Xing, Info, VBRI): libsndfile guesses it from one bit rate and stops there."""
    tag = sum(byte << 7 * place for place, byte in enumerate(reversed(head[6:10]))) + 10 if head[:3] == b"ID3" else 0
    frame = _bytes_at(source, tag, 256)
    return frame[:2] in _MP3_FRAMES and not any(mark in frame for mark in (b"Xing", b"Info", b"VBRI"))


def _truncated_ogg(source: str | Path | bytes, size: int, head: bytes) -> bool:
    """Whether the last Ogg page claims more bytes than the file has (page layout: RFC 3533 section 6)."""
    if head[:4] != b"OggS":
        return False
    tail = _bytes_at(source, max(0, size - (1 << 17)), 1 << 17)
    at = tail.rfind(b"OggS")
    if at < 0:
        return False  # a page is at most 65,307 bytes, so this cannot be an Ogg tail; the decoder will say
    page = tail[at:]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    return len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])


def _bytes_at(source: str | Path | bytes, start: int, count: int) -> bytes:
    if isinstance(source, bytes):
        return source[start : start + count]
    with open(source, "rb") as file:
        file.seek(start)
        return file.read(count)


class BytesFile(io.BytesIO):
    """A file in memory that, like one on disk, refuses a seek before its start without a traceback on stderr."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


class _OnePass(soundfile.SoundFile):
    """Read from start to end. A seekable file is sought after every read, which makes libmpg123 lose its place in an MP3."""

    def seekable(self) -> bool:
        return False


def _open_soundfile(source: str | Path | bytes, label: str, limits: AudioLimits) -> tuple[AudioFacts, Iterator[np.ndarray]]:
    try:
        file = _OnePass(BytesFile(source) if isinstance(source, bytes) else str(source))
    except (soundfile.LibsndfileError, TypeError) as error:
        raise _why_unreadable(source, label) from error
    facts = AudioFacts(file.format, file.samplerate, file.channels, file.frames / max(1, file.samplerate))
    check_header(facts, label, limits)
    if _repaired(file.extra_info):
        raise _truncated(label)
    return facts, _soundfile_blocks(file, label)


def _repaired(report: str) -> bool:
    """Whether libsndfile reports that it found less sound than announced (it would read on as if that were the whole)."""
    sizes = re.findall(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", report, re.MULTILINE)
    counts = re.findall(r"'ds64' chunk of (\d+)", report), re.findall(r"Calculated frame count (\d+)", report)
    return any(int(stated) > int(found) for stated, found in [*sizes, *zip(*counts, strict=False)])


def check_header(facts: AudioFacts, label: str, limits: AudioLimits) -> None:
    """Raise for a header that promises what is not accepted, before anything is decoded."""
    low, high = RATES_HZ
    if not low <= facts.rate <= high:
        raise AbsurdHeader(f"{label} claims {facts.rate} samples a second; {low:,} to {high:,} are accepted.")
    if not 1 <= facts.channels <= MOST_CHANNELS:
        raise AbsurdHeader(f"{label} claims {facts.channels} channels; 1 to {MOST_CHANNELS} are accepted.")
    if facts.seconds > limits.seconds:
        raise too_long(label, limits, facts.seconds)


def too_long(label: str, limits: AudioLimits, seconds: float | None = None) -> TooLong:
    """The error for a sound beyond the limit; `seconds` where its length is known."""
    length = f"lasts {_clock(seconds)}" if seconds else "is too long"
    return TooLong(f"{label} {length}; the limit is {_clock(limits.seconds)}.")


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        return f"{seconds / 60:.4g} min"
    return f"{seconds / 3600:,.0f} h"


def _truncated(label: str) -> TruncatedAudio:
    return TruncatedAudio(f"{label} is cut off: it ends before the sound its header announces; please export or copy it again.")


def _soundfile_blocks(file: soundfile.SoundFile, label: str) -> Iterator[np.ndarray]:
    """Blocks of float32 [n, channels] until the file ends; raises `TruncatedAudio` if that is too soon."""
    done, block_frames = 0, max(1, BLOCK_FRAMES // file.channels)
    with file:
        while done < file.frames:
            try:
                block = file.read(min(block_frames, file.frames - done), dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise _truncated(label) from error
            if not len(block):
                break
            done += len(block)
            yield block
    slack = MP3_LENGTH_SLACK_S * file.samplerate if file.format == "MP3" else 0
    if done + slack < file.frames:
        raise _truncated(label)


def _collect(blocks: Iterator[np.ndarray], facts: AudioFacts, rate: int, label: str) -> Waveform:
    """Downmix, check and resample block by block; raises `NoSamples` and `BadSamples`."""
    resampler = soxr.ResampleStream(facts.rate, rate, 1, dtype="float32", quality="HQ") if facts.rate != rate else None
    parts, heard = [], 0
    for block in blocks:
        mono = _downmix(block)
        heard += len(mono)
        if not np.isfinite(mono).all():
            raise BadSamples(f"{label} holds samples that are not numbers (NaN or infinite); please export it again.")
        if np.abs(mono).max(initial=0) > LOUDEST_SAMPLE:
            raise BadSamples(f"{label} holds samples a million times louder than full scale; please export it again.")
        parts.append(resampler.resample_chunk(mono) if resampler else mono)
    if resampler:
        parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if not len(samples):
        raise NoSamples(f"{label} has a valid header but no sound in it (zero samples).")
    return Waveform(samples, rate, AudioFacts(facts.container, facts.rate, facts.channels, heard / facts.rate))


def _downmix(block: np.ndarray) -> np.ndarray:
    """float32 [n, channels] -> [n]. Adding columns is about twenty times faster than `mean(axis=1)` on interleaved sound."""
    mono = block[:, 0].copy() if block.shape[1] == 1 else block[:, 0] + block[:, 1]
    for channel in range(2, block.shape[1]):
        mono += block[:, channel]
    if block.shape[1] > 1:
        mono *= np.float32(1 / block.shape[1])
    return mono


_PICTURE_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif")  # in the same container as m4a
_FLAC_LENGTH = (1 << 36) - 1  # the bits of STREAMINFO that count samples (RFC 9639 section 8.2)
_OTHER_FILES = {
    b"\x89png": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"gif8": "a picture (GIF)",
    b"%pdf": "a PDF document",
    b"pk\x03\x04": "a ZIP archive or office document",
    b"\x1f\x8b": "a gzip archive",
    b"<htm": "a web page",
    b"<!do": "a web page",
    b"#ext": "a playlist",
}
_UNSUPPORTED = {
    b"MThd": "MIDI notes",
    b"0&\xb2u": "Windows Media",
    b"#!AM": "AMR",
    b"MAC ": "Monkey's Audio",
    b".snd": "a Sun audio file of an unknown kind",
    b"DSD ": "DSD",
    b"FRM8": "DSD",
}
_MP3_FRAMES = (b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2")
_SOUND_CONTAINERS = (b"RIFF", b"RF64", b"riff", b"FORM", b"fLaC", b"OggS", b"ID3", b"caff", *_MP3_FRAMES)


def _why_unreadable(source: str | Path | bytes, label: str) -> AudioError:
    """The error that fits what the bytes look like."""
    size, head = _measure(source, label)
    other = _other_file(head)
    if other:
        return NotAudio(f"{label} is {other}, not a sound.")
    if head[:4] in _UNSUPPORTED:
        return UnsupportedAudio(f"{label} is {_UNSUPPORTED[head[:4]]}, which is not read here; please convert it to WAV, FLAC or OGG.")
    if head.startswith(_SOUND_CONTAINERS):
        if size < 512:
            return _truncated(label)
        return UnsupportedAudio(
            f"{label} looks like sound, but is damaged or of a kind that is not read here; please export it as WAV or FLAC."
        )
    return NotAudio(f"{label} is not a sound file that can be read; WAV, FLAC, OGG, MP3, AIFF, M4A, WV and WebM are.")


def _other_file(head: bytes) -> str | None:
    """What a file is that is certainly no sound, in words; None where it may be one."""
    if head[4:8] == b"ftyp" or head[8:12] == b"WEBP":
        return "a picture"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((words for magic, words in _OTHER_FILES.items() if start.startswith(magic)), None)
