"""Previews and images that the site makes of a sound, and what it measures of the audio."""

import io
import math
from functools import lru_cache
from typing import TypedDict

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image, ImageDraw

MP3_RATES_HZ = (32000, 44100, 48000)
TONE_RATE_HZ = 44100
MAX_TONE_S = 10.0
BIT_DEPTHS = {"PCM_16": 16, "PCM_24": 24, "PCM_U8": 8, "PCM_S8": 8, "PCM_32": 32}


class Measured(TypedDict):
    """Facts about a file that processing finds: seconds, Hz, channels, bits."""

    duration: float
    samplerate: float
    channels: int
    bitdepth: int | None


def measure(audio: bytes) -> Measured | None:
    """Return what processing finds out about a file, None if it cannot be decoded."""
    try:
        info = soundfile.info(io.BytesIO(audio))
    except soundfile.LibsndfileError:
        return None
    return {
        "duration": info.duration,
        "samplerate": float(info.samplerate),
        "channels": info.channels,
        "bitdepth": BIT_DEPTHS.get(info.subtype),
    }


@lru_cache(maxsize=64)
def preview(audio: bytes | None, number: int, duration: float, extension: str) -> bytes:
    """Return the preview of a sound.

    Args:
        audio: The uploaded file; a tone is made if there is none.
        number: The sound's id, which gives the tone its pitch.
        duration: Seconds of the tone.
        extension: `ogg` or `mp3`.

    Returns:
        The encoded preview, or the audio as it is if it cannot be decoded.
    """
    if audio is None:
        samples, rate = _tone(number, min(duration or 1.0, MAX_TONE_S)), TONE_RATE_HZ
    else:
        try:
            samples, rate = soundfile.read(io.BytesIO(audio), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            return audio
    samples = samples[:, :2]
    if extension == "mp3" and rate not in MP3_RATES_HZ:
        samples, rate = _resample(samples, rate / TONE_RATE_HZ), TONE_RATE_HZ
    return _encode(samples, rate, extension)


def image(number: int, large: bool, kind: str) -> bytes:
    """Return a drawing of the right size and format; what it shows is made up.

    Args:
        number: The sound's id, which the drawing depends on.
        large: The large or the medium size.
        kind: `png` for a waveform, `jpg` for a spectrogram.
    """
    width, height = (900, 201) if large else (120, 71)
    picture = Image.new("RGB", (width, height), "white" if kind == "png" else "black")
    pen = ImageDraw.Draw(picture)
    for x in range(width):
        reach = int(height / 2 * abs(math.sin(x * (1 + number % 7) / 40)) * 0.9)
        fill = "black" if kind == "png" else (reach % 255, 80, 160)
        pen.line([(x, height // 2 - reach), (x, height // 2 + reach)], fill=fill)
    out = io.BytesIO()
    picture.save(out, "PNG" if kind == "png" else "JPEG")
    return out.getvalue()


def _tone(number: int, seconds: float) -> NDArray[np.float32]:
    """Return a tone as samples of one channel."""
    moments = np.arange(int(TONE_RATE_HZ * seconds)) / TONE_RATE_HZ
    wave = 0.3 * np.sin(2 * math.pi * (220 + number % 660) * moments)
    return wave.astype(np.float32)[:, None]


def _resample(samples: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    """Return every `step`-th sample, interpolated."""
    moments, known = np.arange(0, len(samples), step), np.arange(len(samples))
    return np.stack([np.interp(moments, known, channel) for channel in samples.T], axis=1)


def _encode(samples: NDArray[np.float32], rate: int, extension: str) -> bytes:
    """Return samples as an Ogg Vorbis or MP3 file."""
    container = ("OGG", "VORBIS") if extension == "ogg" else ("MP3", None)
    out = io.BytesIO()
    with soundfile.SoundFile(
        out, "w", rate, samples.shape[1], format=container[0], subtype=container[1]
    ) as file:
        # libsndfile's Vorbis encoder overflows its stack when it gets a long sound at once
        for start in range(0, len(samples), rate):
            file.write(samples[start : start + rate])
    return out.getvalue()
