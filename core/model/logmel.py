"""The one front-end: waveform to log-mel frames, for training and for tagging alike.

The numbers are those of the COALA patches (Favory et al. 2020): 22,000 Hz, STFT 1024, hop 512, Hann, centred, 96 Slaney mel
bands, magnitude, ln(x + float32 eps). They agree with `librosa.feature.melspectrogram`; librosa itself is not imported, which
saves its numba warm-up (seconds) and two thirds of the time per clip. The edges are reflected, as librosa did when COALA was
made; today's librosa pads with zeros, so both are parameters.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

EPSILON = np.float32(np.finfo(np.float32).eps)
FLOOR = float(np.log(EPSILON))
"""The log-mel value of digital silence, -15.94."""
FRAMES_AT_ONCE = 64  # 64 windows and their spectra stay in the processor's cache; all of a clip's take three times as long
BANDS_AT_ONCE = 16  # neighbouring filters share few FFT bins: six narrow products cost a third of one wide one


@dataclass(frozen=True)
class LogMelSpec:
    """Front-end parameters: `rate` Hz, `n_fft` and `hop` samples, `bands` mel bands, edges `reflect`-ed or `constant` zero."""

    rate: int = 22_000
    n_fft: int = 1024
    hop: int = 512
    bands: int = 96
    pad_mode: Literal["reflect", "constant"] = "reflect"

    def __post_init__(self) -> None:
        if min(self.rate, self.n_fft, self.hop, self.bands) < 1:
            raise ValueError("rate, n_fft, hop and bands must be positive")

    def frames(self, n_samples: int) -> int:
        """How many frames `n_samples` samples give."""
        return 1 + n_samples // self.hop

    def seconds(self, frames: float) -> float:
        """The time of a frame's centre."""
        return frames * self.hop / self.rate


COALA = LogMelSpec()


def log_mel(samples: np.ndarray, spec: LogMelSpec = COALA) -> np.ndarray:
    """float32 [n] mono at `spec.rate` -> log-mel frames float32 [bands, 1 + n // hop], natural log of magnitude.

    Raises `ValueError` if `samples` is not a one-dimensional array of at least one sample.
    """
    if samples.ndim != 1 or not len(samples):
        raise ValueError(f"log_mel wants mono samples [n], got an array of shape {samples.shape}")
    windows = np.lib.stride_tricks.sliding_window_view(_pad(samples, spec), spec.n_fft)[:: spec.hop]
    frames = np.empty((spec.bands, len(windows)), np.float32)
    # In double precision, like librosa's: beside a loud bass, single precision drowns the quiet bands in rounding noise.
    windowed = np.empty((FRAMES_AT_ONCE, spec.n_fft))
    spectra = np.empty((FRAMES_AT_ONCE, spec.n_fft // 2 + 1), np.complex128)
    for start in range(0, len(windows), FRAMES_AT_ONCE):
        chunk = windows[start : start + FRAMES_AT_ONCE]
        np.multiply(chunk, _hann(spec.n_fft), out=windowed[: len(chunk)])
        np.fft.rfft(windowed[: len(chunk)], axis=1, out=spectra[: len(chunk)])
        magnitudes = np.abs(spectra[: len(chunk)]).astype(np.float32)
        for bands, bins, filters in _filter_blocks(spec):
            np.matmul(filters, magnitudes[:, bins].T, out=frames[bands, start : start + len(chunk)])
    frames += EPSILON
    return np.log(frames, out=frames)


def _pad(samples: np.ndarray, spec: LogMelSpec) -> np.ndarray:
    """float32 [n] -> [n + n_fft], half a window added at both ends. (`np.pad` does the same in four times the time.)"""
    half, n = spec.n_fft // 2, len(samples)
    if spec.pad_mode == "reflect" and n <= half:
        return np.pad(samples.astype(np.float32, copy=False), half, mode="reflect")
    padded = np.zeros(n + spec.n_fft, np.float32)
    padded[half : half + n] = samples
    if spec.pad_mode == "reflect":
        padded[:half] = samples[half:0:-1]
        padded[half + n :] = samples[-2 : -half - 2 : -1]
    return padded


@lru_cache
def _hann(n: int) -> np.ndarray:
    """Periodic Hann window, float64 [n]."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)


@lru_cache
def _mel_filters(spec: LogMelSpec) -> np.ndarray:
    """Slaney-style triangular filters of unit area, float32 [bands, n_fft // 2 + 1] (Slaney, Auditory Toolbox, 1998)."""
    edges = _mel_to_hz(np.linspace(0.0, _hz_to_mel(spec.rate / 2), spec.bands + 2))
    bins = np.fft.rfftfreq(spec.n_fft, 1 / spec.rate)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


@lru_cache
def _filter_blocks(spec: LogMelSpec) -> list[tuple[slice, slice, np.ndarray]]:
    """The filters in groups of neighbours: (which bands, which FFT bins they use, float32 [bands, bins])."""
    filters, blocks = _mel_filters(spec), []
    for first in range(0, spec.bands, BANDS_AT_ONCE):
        group = filters[first : first + BANDS_AT_ONCE]
        used = np.flatnonzero(group.any(axis=0))
        bins = slice(int(used[0]), int(used[-1]) + 1)
        blocks.append((slice(first, first + len(group)), bins, np.ascontiguousarray(group[:, bins])))
    return blocks


# Slaney's scale: linear below 1 kHz at 15 mels, logarithmic above with 27 steps to 6.4 kHz.
_LINEAR_HZ_PER_MEL = 200 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    return hz / _LINEAR_HZ_PER_MEL if hz < _BREAK_HZ else _BREAK_MEL + float(np.log(hz / _BREAK_HZ)) / _LOG_STEP


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ_PER_MEL, _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL)))


def band_centres_hz(spec: LogMelSpec = COALA) -> np.ndarray:
    """Centre frequency of each mel band in Hz, [bands]."""
    return _mel_to_hz(np.linspace(0.0, _hz_to_mel(spec.rate / 2), spec.bands + 2))[1:-1]
