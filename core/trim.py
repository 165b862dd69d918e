"""The part of a sound between two times, without loss: what a person publishes when they trim.

Files of plain samples (WAV, AIFF, FLAC and their like) keep rate, channels and bit depth, and every sample its exact value: they are
read and written as the integers or floats that they are, never through another kind. A compressed sound (MP3, Ogg, AAC ...) cannot
be cut between its frames; what it decodes to goes into a 24-bit FLAC, which loses nothing that can be heard.
"""

import contextlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import soundfile

from core.model import audio
from core.model.audio import AudioError, AudioFacts, AudioLimits, BadSamples, TruncatedAudio

SHORTEST_S = 0.1
SLACK_S = 0.005
"""How far an end may lie beyond the sound: players round the length that they show."""
BLOCK_SAMPLES = 1 << 20
LONGEST_FILE_NAME = 100
"""Freesound's limit."""
FLAC_CHANNELS, FLAC_RATE_HZ = 8, 655_350
"""What a FLAC can hold at most (RFC 9639 section 9.1)."""


class BadSelection(AudioError):
    """Times between which there is no sound, or too little of it."""


@dataclass(frozen=True)
class Trimmed:
    """The part as a file: its bytes, a name for it, its `facts`, and a `note` for the person where the kind of file had to change."""

    data: bytes
    file_name: str
    facts: AudioFacts
    note: str = ""


@dataclass(frozen=True)
class _Target:
    """What is written: libsndfile's container and subtype; `dtype`, which carries the samples exactly; a `note` for the person."""

    container: str
    subtype: str
    dtype: str
    note: str = ""


@dataclass(frozen=True)
class _Cut:
    """What is cut out: `name` of the sound, its `facts`, the first frame and the one after the last, and both times as text."""

    name: str
    facts: AudioFacts
    first: int
    last: int
    times: str


def trim(data: bytes, name: str, start_s: float, end_s: float, limits: AudioLimits = AudioLimits()) -> Trimmed:
    """The sound from `start_s` to `end_s` (seconds), cut at the nearest samples. `name` is the original's file name.

    Raises `BadSelection` for times that make no sense, and the other kinds of `AudioError` for a file that is not a whole sound
    within `limits`. Title, artist, licence and the like stay where libsndfile can read and write them.
    """
    facts, blocks = audio.open_sound(data, name=name, limits=limits)
    _check_times(start_s, end_s, facts, name)
    first, last = round(start_s * facts.rate), round(end_s * facts.rate)
    if facts.seconds:
        last = min(last, round(facts.seconds * facts.rate)) if _exactly_known(facts) else last
    cut = _Cut(name, facts, first, last, f"{_seconds(start_s)}-{_seconds(end_s)}s")
    ffmpeg = audio.read_by_ffmpeg(data)
    if ffmpeg:
        return _trim_by_ffmpeg(data, ffmpeg, cut, blocks, limits)
    return _trim_by_libsndfile(data, cut, blocks)


def _check_times(start_s: float, end_s: float, facts: AudioFacts, name: str) -> None:
    if not (np.isfinite(start_s) and np.isfinite(end_s)) or start_s < 0:
        raise BadSelection("The part has to begin at 0 s or later, and to end.")
    if end_s <= start_s:
        raise BadSelection(f"The part ends at {_seconds(end_s)} s, before it begins at {_seconds(start_s)} s.")
    if round((end_s - start_s) * facts.rate) < round(SHORTEST_S * facts.rate):
        raise BadSelection(f"The part lasts {_seconds(end_s - start_s)} s; {SHORTEST_S} s are wanted at least.")
    if facts.seconds and end_s > facts.seconds + SLACK_S:
        raise _beyond(name, end_s, facts.seconds)


def _exactly_known(facts: AudioFacts) -> bool:
    """Whether the stated length is a count of samples; for MP3 and FFmpeg's containers it is an estimate."""
    return facts.container in soundfile.available_formats() and facts.container != "MP3"


def _beyond(name: str, end_s: float, seconds: float) -> BadSelection:
    return BadSelection(f"The part ends at {_seconds(end_s)} s, and {name} already at {_seconds(seconds)} s.")


# ---------------------------------------------------------------- what libsndfile reads


_LOSSY = frozenset("VORBIS OPUS MPEG_LAYER_I MPEG_LAYER_II MPEG_LAYER_III".split())
_KEPT = {
    "PCM_S8": "int16", "PCM_U8": "int16", "PCM_16": "int16", "PCM_24": "int32", "PCM_32": "int32", "FLOAT": "float32",
    "DOUBLE": "float64", "ULAW": "int16", "ALAW": "int16",
}  # fmt: skip
"""Subtypes that can be written again sample by sample, and the numpy type that holds them: libsndfile shifts integers up, exactly."""
_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64, "ULAW": 8, "ALAW": 8}
_WIDER = {"ALAC_16": "PCM_16", "ALAC_20": "PCM_24", "ALAC_24": "PCM_24", "ALAC_32": "PCM_32", "DWVW_24": "PCM_24"}
_STAYS = ("WAV", "WAVEX", "AIFF", "FLAC")


def _trim_by_libsndfile(data: bytes, cut: _Cut, blocks: Iterator[np.ndarray]) -> Trimmed:
    with soundfile.SoundFile(audio.BytesFile(data)) as source:
        if source.subtype in _LOSSY:
            return _trim_lossy(data, cut, _from(blocks, cut.first), source.copy_metadata())
        target = _target(source.format, source.subtype, data)
        return _written(target, cut, _native(source, target, cut), data, source.copy_metadata())


def _target(container: str, subtype: str, data: bytes) -> _Target:
    """The same container and subtype where Freesound takes the one and blocks of the other can be cut; else the nearest lossless one."""
    home = container if container in _STAYS else ("WAVEX" if _channel_mask(data) is not None else "WAV")
    kept = subtype if subtype in _KEPT else _WIDER.get(subtype, "PCM_16")
    if kept == "PCM_S8" and home in ("WAV", "WAVEX"):
        kept = "PCM_U8"  # the same 256 steps, counted from elsewhere
    if home == container and kept != subtype and subtype not in _KEPT:
        note = f"{subtype} cannot be cut within its blocks, so the part is a {home} file of what it decodes to."
    elif home != container:
        note = f"Freesound takes no {container} files, so the part is a WAV file with the same samples."
    else:
        note = ""
    return _Target(home, kept, _KEPT[kept], note)


def _native(source: soundfile.SoundFile, target: _Target, cut: _Cut) -> Iterator[np.ndarray]:
    """Blocks [n, channels] of the target's type from the first frame on. Plain samples are sought; codecs are decoded from their start."""
    block = max(1, BLOCK_SAMPLES // source.channels)
    skip = cut.first if source.subtype in _KEPT else 0
    try:
        source.seek(skip)
        left = cut.last - skip
        blocks = _read(source, left, block, target.dtype)
        yield from blocks if skip else _from(blocks, cut.first)
    except soundfile.LibsndfileError as error:
        raise TruncatedAudio(f"{cut.name} is damaged; please export or copy it again.") from error


def _read(source: soundfile.SoundFile, left: int, block: int, dtype: str) -> Iterator[np.ndarray]:
    while left > 0:
        part = source.read(min(block, left), dtype=dtype, always_2d=True)
        if not len(part):
            return
        left -= len(part)
        yield part


# ---------------------------------------------------------------- what FFmpeg reads


def _trim_by_ffmpeg(data: bytes, container: str, cut: _Cut, blocks: Iterator[np.ndarray], limits: AudioLimits) -> Trimmed:
    """m4a, WavPack, WebM and the like: exact where their codec is, as an equivalent that Freesound takes."""
    from core.model import audio_pyav

    kind = audio_pyav.exact_samples(data, container)
    if kind is None:
        return _trim_lossy(data, cut, _from(blocks, cut.first), {})
    if kind == "flt":
        return _written(_Target("WAV", "FLOAT", "float32", _equivalent(cut)), cut, _from(blocks, cut.first), data, {})

    def exact() -> Iterator[np.ndarray]:
        wide = "dbl" if kind == "dbl" else "s32"
        return _from(audio_pyav.open_blocks(data, container, cut.name, limits, wide)[1], cut.first)

    if kind == "dbl":
        return _written(_Target("WAV", "DOUBLE", "float64", _equivalent(cut)), cut, exact(), data, {})
    subtype = "PCM_16" if kind in ("u8", "s16") else _depth(exact(), cut)
    home = "FLAC" if subtype != "PCM_32" and _fits_flac(cut.facts) else "WAV"
    return _written(_Target(home, subtype, "int32", _equivalent(cut)), cut, exact(), data, {})


def _depth(blocks: Iterator[np.ndarray], cut: _Cut) -> str:
    """The subtype that holds int32 samples exactly: 24 bits where the lowest eight are never used."""
    return "PCM_32" if any((part & 0xFF).any() for part in _up_to(blocks, cut)) else "PCM_24"


def _equivalent(cut: _Cut) -> str:
    return f"{cut.facts.container} cannot be written here, so the part is another kind of file with the same samples."


# ---------------------------------------------------------------- compressed sounds


def _trim_lossy(data: bytes, cut: _Cut, blocks: Iterator[np.ndarray], metadata: dict[str, str]) -> Trimmed:
    quantiser = _Quantiser(cut.name)
    container = "FLAC" if _fits_flac(cut.facts) else "WAV"
    kind = "compressed" if cut.facts.container in ("OGG", "WAV") else cut.facts.container
    note = f"A {kind} sound cannot be cut without encoding it anew, so the part is a 24-bit {container} of what it decodes to."
    done = _written(_Target(container, "PCM_24", "int32", note), cut, map(quantiser, blocks), data, metadata)
    if not quantiser.limited:
        return done
    return Trimmed(done.data, done.file_name, done.facts, f"{note} {quantiser.limited:,} samples beyond full scale were limited to it.")


def _fits_flac(facts: AudioFacts) -> bool:
    return facts.channels <= FLAC_CHANNELS and facts.rate <= FLAC_RATE_HZ


class _Quantiser:
    """Floats to 24-bit integers (in the upper bits of int32), rounded; `limited` counts what was beyond full scale."""

    STEPS = 1 << 23

    def __init__(self, name: str) -> None:
        self._name = name
        self.limited = 0

    def __call__(self, block: np.ndarray) -> np.ndarray:
        if not np.isfinite(block).all():
            raise BadSamples(f"{self._name} holds samples that are not numbers (NaN or infinite); please export it again.")
        steps = np.rint(block.astype(np.float64) * self.STEPS)
        self.limited += int(((steps < -self.STEPS) | (steps >= self.STEPS)).sum())
        return np.clip(steps, -self.STEPS, self.STEPS - 1).astype(np.int32) << 8


# ---------------------------------------------------------------- writing


def _from(blocks: Iterator[np.ndarray], first: int) -> Iterator[np.ndarray]:
    """Blocks without their first frames."""
    for part in blocks:
        if first < len(part):
            yield part[first:]
        first = max(0, first - len(part))


def _up_to(blocks: Iterator[np.ndarray], cut: _Cut) -> Iterator[np.ndarray]:
    """Blocks as far as the cut goes. Raises `BadSelection` if the sound ends before; a few milliseconds are let pass."""
    wanted = cut.last - cut.first
    for part in blocks:
        yield part[:wanted]
        wanted -= len(part[:wanted])
        if not wanted:
            return
    if wanted > SLACK_S * cut.facts.rate + 1:
        raise _beyond(cut.name, cut.last / cut.facts.rate, (cut.last - wanted) / cut.facts.rate)


def _written(target: _Target, cut: _Cut, blocks: Iterator[np.ndarray], original: bytes, metadata: dict[str, str]) -> Trimmed:
    rate, channels = cut.facts.rate, cut.facts.channels
    out, frames = BytesIO(), 0
    with soundfile.SoundFile(out, "w", rate, channels, subtype=target.subtype, format=target.container) as file:
        _tell(file, metadata)
        for part in _up_to(blocks, cut):
            file.write(np.ascontiguousarray(part, dtype=target.dtype))
            frames += len(part)
    data = _with_channel_mask(out.getvalue(), _channel_mask(original))
    if target.container == "AIFF":
        data = _with_length(data, channels, _BITS[target.subtype], frames)
    facts = AudioFacts(target.container, rate, channels, frames / rate)
    return Trimmed(data, _file_name(cut, target.container), facts, target.note)


def _tell(file: soundfile.SoundFile, metadata: dict[str, str]) -> None:
    """Write title, artist, licence ... before the samples; `software` is libsndfile's own affair, and some containers have no place."""
    for field, text in metadata.items():
        if field != "software":
            with contextlib.suppress(soundfile.LibsndfileError):
                setattr(file, field, text)


def _with_length(aiff: bytes, channels: int, bits: int, frames: int) -> bytes:
    """An AIFF that states its true length: libsndfile 1.2.2 counts the byte that pads an odd number of them as a sample of sound."""
    data = bytearray(aiff)
    common, sound = _chunk(aiff, b"COMM", ">"), _chunk(aiff, b"SSND", ">")
    struct.pack_into(">I", data, common + 2, frames)
    struct.pack_into(">I", data, sound - 4, 8 + frames * channels * bits // 8)  # 8: offset and block size, before the samples
    return bytes(data)


_ENDINGS = {"WAV": ("wav",), "WAVEX": ("wav",), "AIFF": ("aiff", "aif"), "FLAC": ("flac",)}


def _file_name(cut: _Cut, container: str) -> str:
    """`rain.aif` -> `rain_12.5-20s.aif`, within Freesound's length."""
    stem, _, ending = cut.name.rpartition(".") if "." in cut.name else (cut.name, "", "")
    endings = _ENDINGS[container]
    tail = f"_{cut.times}.{ending.lower() if ending.lower() in endings else endings[0]}"
    return (stem[: LONGEST_FILE_NAME - len(tail)].strip() or "sound") + tail


def _seconds(value: float) -> str:
    return re.sub(r"\.?0+$", "", f"{value:.3f}")


_EXTENSIBLE = 0xFFFE


def _channel_mask(data: bytes) -> bytes | None:
    """Which loudspeakers the channels of an extensible WAV are for; None for every other file. libsndfile would write its own idea."""
    at = _format_chunk(data)
    return data[at + 20 : at + 24] if at else None


def _with_channel_mask(data: bytes, mask: bytes | None) -> bytes:
    at = _format_chunk(data)
    return data[: at + 20] + mask + data[at + 24 :] if at and mask else data


def _format_chunk(data: bytes) -> int:
    """Where the extensible format of a RIFF or RF64 file begins; 0 if there is none."""
    if data[:4] not in (b"RIFF", b"RF64") or data[8:12] != b"WAVE":
        return 0
    at = _chunk(data, b"fmt ", "<")
    extensible = at and at + 24 <= len(data) and struct.unpack_from("<H", data, at)[0] == _EXTENSIBLE
    return at if extensible else 0


def _chunk(data: bytes, wanted: bytes, order: str) -> int:
    """Where the content of a chunk begins in an IFF or RIFF file; its size is the four bytes before. 0 if there is none."""
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}4sI", data, at)
        if kind == wanted:
            return at + 8
        at += 8 + size + size % 2
    return 0
