"""From a file or bytes to a `Recording`: mono samples at the model's rate, and a preview.

A file is decoded once, block by block, so that a header which promises hours costs nothing. Only a
file that its channels' mean does not represent, or an Ogg that is not what its last page states, is
decoded again.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr

from core.audio import libsndfile
from core.audio.chained import open_links
from core.audio.detect import ReadPlan, plan_reading, truncated
from core.audio.downmix import ChannelEnergies, downmix
from core.audio.errors import (
    AbsurdHeader,
    AudioError,
    BadSamples,
    DecodedOtherwise,
    EmptyAudio,
    NoSamples,
    NotAudio,
    TooLarge,
    TruncatedAudio,
    UnsupportedAudio,
)
from core.audio.ogg import OggLayout, is_truncated_ogg, ogg_layout
from core.audio.preview import PreviewEncoder
from core.audio.sizes import announces_more
from core.audio.types import AudioLimits, OpenedSound, Recording, Samples
from core.work import Checkpoint, no_checkpoint

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
    import_little: bool = False,
    checkpoint: Checkpoint = no_checkpoint,
) -> Recording:
    """Decode a file to mono float32; resampling is soxr HQ.

    Channels are averaged; where that loses the sound, the facts name the one that is used instead.

    Args:
        source: A path, or the file's bytes.
        name: What to call the sound in errors; the file's name by default.
        rate: Of the samples, in Hz.
        limits: Longest sound and largest file that are accepted.
        with_preview: Encode the preview in the same pass.
        import_little: Leave FFmpeg out where libsndfile reads the sound too: importing it takes as
            long as it gains on ten files.
        checkpoint: Called before each block of the sound is decoded, and at its end.

    Raises:
        AudioError: The file is not a whole, readable sound within the limits. Silence is valid.
        WorkStopped: The checkpoint stopped the work.
    """
    label = name or ("The sound" if isinstance(source, bytes) else Path(source).name)
    data = _read(source, label, limits)
    layout = ogg_layout(data) if data[:4] == b"OggS" else None
    work = _Decoding(data, label, rate, limits, checkpoint, None if import_little else layout)
    encode = with_preview and not (layout and layout.is_playable)
    recording, channel = work.run(encode)
    if channel is not None:
        recording, _ = work.run(encode, channel)
    if layout and with_preview and not encode:
        facts = recording.facts
        plays = layout.plays_as(facts.seconds, facts.rate)
        preview = data if plays else work.run(True, channel)[0].preview
        recording = replace(recording, preview=preview)
    return recording


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
    plan = plan_reading(data, name)
    opened = _open_planned(plan, name, limits)
    return replace(opened, facts=replace(opened.facts, note=plan.note)) if plan.note else opened


def _open_planned(plan: ReadPlan, name: str, limits: AudioLimits) -> OpenedSound:
    if plan.links:
        opened = open_links(
            plan.parts(),
            lambda part: _open_one(plan_reading(part, name), name, limits),
            name,
            limits,
        )
        return replace(opened, data=plan.data, ffmpeg_format=plan.ffmpeg_format)
    return _open_one(plan, name, limits)


def _open_one(plan: ReadPlan, name: str, limits: AudioLimits) -> OpenedSound:
    if plan.ffmpeg_format:
        return _open_by_ffmpeg(
            plan.data, plan.ffmpeg_format, name, limits, min_seconds=plan.min_seconds
        )
    try:
        opened = libsndfile.open_blocks(plan.data, name, limits)
        if plan.fallback_format != "ogg" or opened.facts.seconds:
            return opened
        # Behind damaged heads it finds nothing, where FFmpeg may.
        raise UnsupportedAudio(
            f"{name} has no sound in it that can be read; please export it again."
        )
    except UnsupportedAudio as refusal:
        if announces_more(plan.data):
            raise truncated(name) from refusal
        if plan.fallback_format is None:
            raise
        try:
            return _open_by_ffmpeg(plan.data, plan.fallback_format, name, limits)
        except (AbsurdHeader, NotAudio, TruncatedAudio, UnsupportedAudio):
            raise refusal from None


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


def _open_by_ffmpeg(
    data: bytes, container: str, name: str, limits: AudioLimits, *, min_seconds: float = 0.0
) -> OpenedSound:
    from core.audio import ffmpeg  # imported only for what libsndfile does not read

    return ffmpeg.open_blocks(data, container, name, limits, min_seconds=min_seconds)


@dataclass(frozen=True)
class _Decoding:
    """A file that is decoded.

    Attributes:
        data: Its bytes.
        name: What to call it in errors.
        rate: Of the samples, in Hz.
        limits: Of what is accepted.
        checkpoint: Called before each block.
        ogg: The streams of an Ogg file that FFmpeg may decode.
    """

    data: bytes
    name: str
    rate: int
    limits: AudioLimits
    checkpoint: Checkpoint
    ogg: OggLayout | None

    def run(self, with_preview: bool, channel: int | None = None) -> tuple[Recording, int | None]:
        """Decode the file once.

        Args:
            with_preview: Encode the preview in the same pass.
            channel: The channel to use instead of the mean.

        Returns:
            The recording, and the channel that should have been used instead of the mean.

        Raises:
            AudioError: The file is not a whole, readable sound within the limits.
        """
        quick = None if with_preview else self._open_quickly()
        if quick:
            try:
                return self._decode(quick, None, channel)
            except DecodedOtherwise:
                pass
        opened = open_blocks(self.data, name=self.name, limits=self.limits)
        encoder = PreviewEncoder(opened.facts) if with_preview else None
        try:
            return self._decode(opened, encoder, channel)
        finally:
            if encoder:
                encoder.close()

    def _open_quickly(self) -> OpenedSound | None:
        """Open an Ogg file that FFmpeg reads faster than libsndfile; None for any other file."""
        if self.ogg is None or is_truncated_ogg(self.data):
            return None
        from core.audio import quick_ogg  # imports FFmpeg

        return quick_ogg.open_blocks(self.data, self.ogg, self.limits, self.rate)

    def _decode(
        self, opened: OpenedSound, encoder: PreviewEncoder | None, channel: int | None
    ) -> tuple[Recording, int | None]:
        """Return what `run` does of an opened file."""
        energies = ChannelEnergies(opened.facts.channels)
        samples, frames = self._collect(opened, encoder, energies, channel)
        preview = encoder.finish() if encoder else b""
        notes = [opened.facts.note, energies.note(channel) if channel is not None else ""]
        note = " ".join(filter(None, notes))
        facts = replace(opened.facts, seconds=frames / opened.rate, note=note)
        recording = Recording(self.name, facts, samples, self.rate, self.data, preview)
        return recording, energies.channel_instead_of_mean() if channel is None else None

    def _collect(
        self,
        opened: OpenedSound,
        encoder: PreviewEncoder | None,
        energies: ChannelEnergies,
        channel: int | None,
    ) -> tuple[Samples, int]:
        """Check, downmix and resample block by block; return the samples and the file's frames.

        Raises:
            NoSamples: There are none.
            BadSamples: Some are not numbers, or not sound.
        """
        resampler = None
        if opened.rate != self.rate:
            resampler = soxr.ResampleStream(
                opened.rate, self.rate, 1, dtype="float32", quality="HQ"
            )
        parts: list[Samples] = []
        frames = 0
        self.checkpoint()
        for block in opened.blocks:
            mean = downmix(block)
            mono = mean if channel is None else block[:, channel].copy()
            frames += len(mono)
            _check_samples(mono, self.name)
            energies.add(block, mean)
            parts.append(resampler.resample_chunk(mono) if resampler else mono)
            if encoder:
                encoder.write(block, mono)
            self.checkpoint()
        if resampler:
            parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        if not len(samples):
            raise NoSamples(f"{self.name} has a valid header but no sound in it (zero samples).")
        return samples, frames


def _check_samples(mono: Samples, name: str) -> None:
    loudest = max(mono.max(initial=0), -mono.min(initial=0))  # not a number if one sample is not
    if loudest <= MAX_SAMPLE:
        return
    if not np.isfinite(mono).all():
        reason = "samples that are not numbers (NaN or infinite)"
        raise BadSamples(f"{name} holds {reason}; please export it again.")
    reason = "samples a million times louder than full scale"
    raise BadSamples(f"{name} holds {reason}; please export it again.")
