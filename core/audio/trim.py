"""The part of a sound between two times, without loss.

Files of plain samples (WAV, AIFF, FLAC and the like) keep rate, channels and bit depth, and every
sample its exact value: they are read and written as the integers or floats that they are, never
through another type. A compressed sound (MP3, Ogg, AAC ...) cannot be cut between its frames; what
it decodes to goes into a 24-bit FLAC, which keeps everything audible.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import soundfile
from numpy.typing import NDArray

from core.audio.chunks import channel_mask
from core.audio.decode import open_blocks
from core.audio.detect import plan_reading
from core.audio.errors import BadSelection, TruncatedAudio
from core.audio.flac import flac_kind
from core.audio.libsndfile import BytesFile
from core.audio.metadata import embedded_metadata
from core.audio.part import (
    DTYPES,
    END_SLACK_S,
    PartFormat,
    Quantizer,
    Selection,
    TrimmedSound,
    ends_too_late,
    fits_flac,
    format_seconds,
    skip_frames,
    until_end,
    write_part,
)
from core.audio.types import AudioFacts, AudioLimits, NativeBlock, OpenedSound
from core.work import Checkpoint, no_checkpoint, with_checkpoints

MIN_PART_S = 0.1
BLOCK_SAMPLES = 1 << 20

_LOSSY = frozenset("VORBIS OPUS MPEG_LAYER_I MPEG_LAYER_II MPEG_LAYER_III".split())
_DECODED_SUBTYPES = {
    "ALAC_16": "PCM_16",
    "ALAC_20": "PCM_24",
    "ALAC_24": "PCM_24",
    "ALAC_32": "PCM_32",
    "DWVW_24": "PCM_24",
}
"""Subtypes that hold the samples of these codecs; PCM_16 does for all others."""
_FREESOUND_CONTAINERS = ("WAV", "WAVEX", "AIFF", "FLAC")
"""libsndfile's containers of plain samples that Freesound accepts."""


def trim(
    data: bytes,
    name: str,
    start_s: float,
    end_s: float,
    limits: AudioLimits = AudioLimits(),
    checkpoint: Checkpoint = no_checkpoint,
) -> TrimmedSound:
    """Cut a sound at the samples nearest to two times. It is decoded once.

    Title, artist, license and the like stay where libsndfile can read and write them.

    Args:
        data: The sound's file.
        name: Its file name.
        start_s: Where the part begins, in seconds.
        end_s: Where it ends, in seconds.
        limits: Of the whole sound.
        checkpoint: Called before each block of it.

    Raises:
        BadSelection: There is no such part, or it is too short.
        AudioError: The file is not a whole, readable sound within the limits.
        WorkStopped: The checkpoint stopped the work.
    """
    opened = open_blocks(data, name=name, limits=limits)
    selection = _selection(opened.facts, name, start_s, end_s)
    selection = replace(selection, checkpoint=checkpoint)
    if opened.ffmpeg_format:
        return _trim_by_ffmpeg(opened.ffmpeg_format, selection, opened, limits)
    return _trim_by_libsndfile(opened.data, selection, opened)


def _selection(facts: AudioFacts, name: str, start_s: float, end_s: float) -> Selection:
    """Return the frames between two times.

    Raises:
        BadSelection: There is no such part, or it is too short.
    """
    _check_times(start_s, end_s, facts, name)
    first, stop = round(start_s * facts.rate), round(end_s * facts.rate)
    if facts.seconds and _is_length_exact(facts):
        stop = min(stop, round(facts.seconds * facts.rate))
    return Selection(name, facts, first, stop, start_s, end_s)


def _check_times(start_s: float, end_s: float, facts: AudioFacts, name: str) -> None:
    """Raise `BadSelection` for times without a sound between them."""
    if not (np.isfinite(start_s) and np.isfinite(end_s)) or start_s < 0:
        raise BadSelection("The part has to begin at 0 s or later, and to end.")
    start, end, length = map(format_seconds, (start_s, end_s, end_s - start_s))
    if end_s <= start_s:
        raise BadSelection(f"The part ends at {end} s, before it begins at {start} s.")
    if round((end_s - start_s) * facts.rate) < round(MIN_PART_S * facts.rate):
        raise BadSelection(f"The part lasts {length} s; it must last at least {MIN_PART_S} s.")
    if facts.seconds and end_s > facts.seconds + END_SLACK_S:
        raise ends_too_late(name, end_s, facts.seconds)


def _is_length_exact(facts: AudioFacts) -> bool:
    """Return False for MP3 and FFmpeg's containers, whose stated length is an estimate."""
    return facts.container in soundfile.available_formats() and facts.container != "MP3"


def _trim_by_libsndfile(data: bytes, selection: Selection, opened: OpenedSound) -> TrimmedSound:
    with soundfile.SoundFile(BytesFile(data)) as source:
        metadata = _text_tags(source, data)
        if source.subtype in _LOSSY:
            return _trim_lossy(data, selection, opened, metadata)
        part_format = _nearest_format(source.format, source.subtype, data)
        blocks = _native_blocks(source, part_format.dtype, selection)
        return write_part(part_format, selection, blocks, data, metadata)


def _text_tags(source: soundfile.SoundFile, data: bytes) -> dict[str, str]:
    """Return title, artist and the like; through FFmpeg those that are not UTF-8."""
    tags: dict[str, str] = source.copy_metadata()
    if any("\ufffd" in text for text in tags.values()):
        embedded = embedded_metadata(data)
        tags = {name: embedded.get(name, text) for name, text in tags.items()}
    return tags


def _text_tags_of_mp3(opened: OpenedSound) -> dict[str, str]:
    """Return title, artist and the like of an MP3; of other compressed files none."""
    if opened.ffmpeg_format != "mp3":
        return {}
    try:
        with soundfile.SoundFile(BytesFile(opened.data)) as source:
            return _text_tags(source, opened.data)
    except (soundfile.LibsndfileError, TypeError):
        return {}


def _nearest_format(container: str, subtype: str, data: bytes) -> PartFormat:
    """Return the same container and subtype, or the nearest lossless ones.

    Others are needed where Freesound does not accept the container, or the subtype's blocks cannot
    be cut.
    """
    target = container if container in _FREESOUND_CONTAINERS else "WAV"
    if target != container and channel_mask(data) is not None:
        target = "WAVEX"
    kept = subtype if subtype in DTYPES else _DECODED_SUBTYPES.get(subtype, "PCM_16")
    if kept == "PCM_S8" and target in ("WAV", "WAVEX"):
        kept = "PCM_U8"  # the same 256 steps, counted from elsewhere
    note = ""
    if target != container:
        note = f"Freesound takes no {container} files, so the part is a WAV file"
        note += " with the same samples."
    elif subtype not in DTYPES:
        note = f"{subtype} cannot be cut within its blocks, so the part is a {target} file"
        note += " of what it decodes to."
    return PartFormat(target, kept, DTYPES[kept], note)


def _native_blocks(
    source: soundfile.SoundFile, dtype: str, selection: Selection
) -> Iterator[NativeBlock]:
    """Yield blocks [n, channels] from the part's first frame on, in the type of its samples.

    Plain samples are sought; codecs are decoded from their start.

    Raises:
        TruncatedAudio: The file is damaged.
    """
    position = selection.first if source.subtype in DTYPES else 0
    try:
        source.seek(position)
        blocks = _read(source, selection.stop - position, dtype)
        blocks = with_checkpoints(blocks, selection.checkpoint)
        yield from skip_frames(blocks, selection.first - position)
    except soundfile.LibsndfileError as error:
        reason = f"{selection.name} is damaged; please export or copy it again."
        raise TruncatedAudio(reason) from error


def _read(source: soundfile.SoundFile, frames: int, dtype: str) -> Iterator[NativeBlock]:
    """Yield blocks of the next frames, as many as there are."""
    block_frames = max(1, BLOCK_SAMPLES // source.channels)
    while frames > 0:
        block = source.read(min(block_frames, frames), dtype=dtype, always_2d=True)
        if not len(block):
            return
        frames -= len(block)
        yield block


def _trim_by_ffmpeg(
    container: str, selection: Selection, opened: OpenedSound, limits: AudioLimits
) -> TrimmedSound:
    """Trim m4a, WavPack, WebM and the like; exactly where their codec is lossless.

    The part is an equivalent that Freesound accepts.
    """
    from core.audio import ffmpeg  # imported only for what libsndfile cannot read

    data = opened.data
    sample_type = ffmpeg.lossless_sample_type(data, container)
    if sample_type is None or _joins_different_sounds(data, selection.name):
        return _trim_lossy(data, selection, opened, _text_tags_of_mp3(opened))
    blocks: Iterator[NativeBlock] = opened.blocks
    if sample_type != "flt":
        wide_type = "dbl" if sample_type == "dbl" else "s32"
        blocks = ffmpeg.native_blocks(data, container, selection.name, limits, wide_type)
    blocks = skip_frames(with_checkpoints(blocks, selection.checkpoint), selection.first)
    if sample_type not in ("flt", "dbl"):
        return _write_integers(sample_type, selection, blocks, data)
    subtype = "FLOAT" if sample_type == "flt" else "DOUBLE"
    part_format = PartFormat("WAV", subtype, DTYPES[subtype], _equivalent_note(selection.facts))
    return write_part(part_format, selection, blocks, data, {})


def _joins_different_sounds(data: bytes, name: str) -> bool:
    """Return True for several sounds in a file that FFmpeg does not read as one."""
    plan = plan_reading(data, name)
    if not plan.links:
        return False
    return data[:4] == b"OggS" or len(set(map(flac_kind, plan.parts()))) > 1


def _write_integers(
    sample_type: str, selection: Selection, blocks: Iterator[NativeBlock], data: bytes
) -> TrimmedSound:
    """Write int32 samples at the bit depth that they use."""
    subtype = "PCM_16"
    if sample_type not in ("u8", "s16"):
        # FFmpeg does not tell 24 bits from 32; keeping the part costs less than decoding twice.
        kept = list(until_end(blocks, selection))
        subtype, blocks = _integer_subtype(kept), iter(kept)
    is_flac = subtype != "PCM_32" and fits_flac(selection.facts)
    note = _equivalent_note(selection.facts)
    part_format = PartFormat("FLAC" if is_flac else "WAV", subtype, "int32", note)
    return write_part(part_format, selection, blocks, data, {})


def _integer_subtype(blocks: list[NDArray[np.number]]) -> str:
    """Return the subtype that holds int32 samples: 24 bits where the lowest 8 are never used."""
    uses_32_bits = any((block.astype(np.int32, copy=False) & 0xFF).any() for block in blocks)
    return "PCM_32" if uses_32_bits else "PCM_24"


def _equivalent_note(facts: AudioFacts) -> str:
    kind = "another kind of file with the same samples"
    return f"{facts.container} cannot be written here, so the part is {kind}."


def _trim_lossy(
    data: bytes, selection: Selection, opened: OpenedSound, metadata: dict[str, str]
) -> TrimmedSound:
    """Write what a compressed sound decodes to as 24-bit integers."""
    quantizer = Quantizer(selection.name)
    container = "FLAC" if fits_flac(selection.facts) else "WAV"
    source = selection.facts.container
    kind = "compressed" if source in ("OGG", "WAV") else source
    note = f"A {kind} sound cannot be cut without encoding it anew, so the part is a 24-bit"
    note += f" {container} of what it decodes to."
    checked = with_checkpoints(opened.blocks, selection.checkpoint)
    blocks = map(quantizer, skip_frames(checked, selection.first))
    part_format = PartFormat(container, "PCM_24", "int32", note)
    part = write_part(part_format, selection, blocks, data, metadata)
    if not quantizer.limited:
        return part
    limited = f"{quantizer.limited:,} samples beyond full scale were limited to it."
    return replace(part, note=f"{note} {limited}")
