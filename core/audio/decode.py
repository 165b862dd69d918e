"""From a file or bytes to a `Recording`: mono samples at the model's rate, and a preview.

A file is decoded once, block by block, so that a header which promises hours costs nothing.
"""

from pathlib import Path

import numpy as np
import soxr

from core.audio import libsndfile
from core.audio.detect import ffmpeg_container, is_truncated_ogg
from core.audio.errors import (
    AudioError,
    BadSamples,
    EmptyAudio,
    NoSamples,
    TooLarge,
    TruncatedAudio,
)
from core.audio.preview import PreviewEncoder, is_ogg
from core.audio.types import AudioFacts, AudioLimits, Block, OpenedSound, Recording, Samples

MODEL_RATE_HZ = 22_000
MAX_SAMPLE = 1e6
"""Integers saved as floats reach 32,768 (16 bit); beyond this it is not sound."""


def decode(
    source: str | Path | bytes,
    *,
    name: str | None = None,
    rate: int = MODEL_RATE_HZ,
    limits: AudioLimits = AudioLimits(),
    with_preview: bool = False,
) -> Recording:
    """Decode a file to mono float32; channels are averaged, resampling is soxr HQ.

    Args:
        source: A path, or the file's bytes.
        name: What to call the sound in errors; the file's name by default.
        rate: Of the samples, in Hz.
        limits: Longest sound and largest file that are accepted.
        with_preview: Encode the preview in the same pass.

    Raises:
        AudioError: The file is not a whole, readable sound within the limits. Silence is valid.
    """
    label = name or ("The sound" if isinstance(source, bytes) else Path(source).name)
    data = _read(source, label, limits)
    opened = open_blocks(data, name=label, limits=limits)
    encoder = PreviewEncoder(opened.facts) if with_preview and not is_ogg(data) else None
    preview = data if with_preview else b""
    try:
        samples, facts = _collect(opened, rate, label, encoder)
        if encoder:
            preview = encoder.finish()
    finally:
        if encoder:
            encoder.close()
    return Recording(label, facts, samples, rate, data, preview)


def open_blocks(
    data: bytes, *, name: str = "The sound", limits: AudioLimits = AudioLimits()
) -> OpenedSound:
    """Open a file for decoding: blocks of float32 [frames, channels] at its own rate, on demand.

    Raises:
        AudioError: The header shows what is wrong; errors of the samples come with the blocks.
    """
    if not data:
        raise EmptyAudio(f"{name} is empty (0 bytes).")
    if is_truncated_ogg(data):
        reason = "its last page is not whole"
        raise TruncatedAudio(f"{name} is cut off: {reason}; please export or copy it again.")
    container = ffmpeg_container(data)
    if container is None:
        return libsndfile.open_blocks(data, name, limits)
    from core.audio import ffmpeg  # imported only for what libsndfile cannot read

    return ffmpeg.open_blocks(data, container, name, limits)


def downmix(block: Block) -> Samples:
    """Average channels: float32 [n, channels] -> [n].

    Adding columns is about twenty times faster than `mean(axis=1)` on interleaved sound.
    """
    channels = block.shape[1]
    mono = block[:, 0].copy() if channels == 1 else block[:, 0] + block[:, 1]
    for channel in range(2, channels):
        mono += block[:, channel]
    if channels > 1:
        mono *= np.float32(1 / channels)
    return mono


def _read(source: str | Path | bytes, name: str, limits: AudioLimits) -> bytes:
    """Return the file's bytes.

    Raises:
        AudioError: The file cannot be read.
        TooLarge: It is larger than the limit.
    """
    try:
        size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
        if size > limits.megabytes * 1e6:
            limit = f"the limit is {limits.megabytes:g} MB"
            raise TooLarge(f"{name} is {size / 1e6:,.1f} MB; {limit}.")
        return source if isinstance(source, bytes) else Path(source).read_bytes()
    except (OSError, ValueError) as error:  # a ValueError: a path with a null character
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{name} cannot be read: {reason}.") from error


def _collect(
    opened: OpenedSound, rate: int, name: str, encoder: PreviewEncoder | None
) -> tuple[Samples, AudioFacts]:
    """Check, downmix and resample block by block.

    Raises:
        NoSamples: There are none.
        BadSamples: Some are not numbers, or not sound.
    """
    facts, resampler = opened.facts, None
    if facts.rate != rate:
        resampler = soxr.ResampleStream(facts.rate, rate, 1, dtype="float32", quality="HQ")
    parts: list[Samples] = []
    frames = 0
    for block in opened.blocks:
        mono = downmix(block)
        frames += len(mono)
        _check_samples(mono, name)
        parts.append(resampler.resample_chunk(mono) if resampler else mono)
        if encoder:
            encoder.write(block)
    if resampler:
        parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if not len(samples):
        raise NoSamples(f"{name} has a valid header but no sound in it (zero samples).")
    return samples, AudioFacts(facts.container, facts.rate, facts.channels, frames / facts.rate)


def _check_samples(mono: Samples, name: str) -> None:
    if not np.isfinite(mono).all():
        reason = "samples that are not numbers (NaN or infinite)"
        raise BadSamples(f"{name} holds {reason}; please export it again.")
    if np.abs(mono).max(initial=0) > MAX_SAMPLE:
        reason = "samples a million times louder than full scale"
        raise BadSamples(f"{name} holds {reason}; please export it again.")
