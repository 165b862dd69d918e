"""The front-end: samples to log-mel frames, for training and for prediction alike.

The numbers are those of the COALA patches (Favory et al. 2020): 22,000 Hz, STFT 1024, hop 512,
Hann, centred, 96 Slaney mel bands, magnitude, ln(x + float32 eps). They agree with
`librosa.feature.melspectrogram`; librosa itself is not imported, which saves its numba warm-up
(seconds) and two thirds of the time per clip. The edges are reflected, as librosa did when COALA
was made; today's librosa pads with zeros, so both are parameters.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

EPSILON = np.float32(np.finfo(np.float32).eps)
FLOOR = float(np.log(EPSILON))
"""The log-mel value of digital silence, -15.94."""
FRAMES_BATCH_SIZE = 64
"""64 windows and their spectra stay in the processor's cache; all of a clip's take 3 x as long."""
BANDS_BATCH_SIZE = 16
"""Neighbouring filters share few FFT bins: six narrow products cost a third of one wide one."""


@dataclass(frozen=True)
class LogMelSpec:
    """Parameters of the front-end.

    Attributes:
        rate: Of the samples, in Hz.
        n_fft: Samples in a window.
        hop: Samples between the centres of two windows.
        bands: Mel bands up to half the rate.
        pad_mode: The edges: `reflect`-ed, or `constant` zero.
    """

    rate: int = 22_000
    n_fft: int = 1024
    hop: int = 512
    bands: int = 96
    pad_mode: Literal["reflect", "constant"] = "reflect"

    def __post_init__(self) -> None:
        """Raise `ValueError` for a number below 1."""
        if min(self.rate, self.n_fft, self.hop, self.bands) < 1:
            raise ValueError("rate, n_fft, hop and bands must be positive")

    def frames(self, n_samples: int) -> int:
        """Return the number of frames of `n_samples` samples."""
        return 1 + n_samples // self.hop

    def seconds(self, frames: float) -> float:
        """Return the time in seconds of a frame's centre."""
        return frames * self.hop / self.rate


COALA = LogMelSpec()


def log_mel(samples: NDArray[np.float32], spec: LogMelSpec = COALA) -> NDArray[np.float32]:
    """Compute log-mel frames: natural logarithm of magnitude, float32 [bands, 1 + n // hop].

    Args:
        samples: Mono float32 [n] at `spec.rate` Hz.
        spec: Parameters.

    Raises:
        ValueError: `samples` is not a one-dimensional array of at least one sample.
    """
    if samples.ndim != 1 or not len(samples):
        raise ValueError(f"log_mel takes mono samples [n], not an array of shape {samples.shape}")
    padded = _pad(samples, spec)
    windows = np.lib.stride_tricks.sliding_window_view(padded, spec.n_fft)[:: spec.hop]
    frames = np.empty((spec.bands, len(windows)), np.float32)
    # In double precision, like librosa's: beside a loud bass, single precision drowns the quiet
    # bands in rounding noise.
    windowed = np.empty((FRAMES_BATCH_SIZE, spec.n_fft))
    spectra = np.empty((FRAMES_BATCH_SIZE, spec.n_fft // 2 + 1), np.complex128)
    for start in range(0, len(windows), FRAMES_BATCH_SIZE):
        batch = windows[start : start + FRAMES_BATCH_SIZE]
        size, stop = len(batch), start + len(batch)
        np.multiply(batch, _hann(spec.n_fft), out=windowed[:size])
        np.fft.rfft(windowed[:size], axis=1, out=spectra[:size])
        magnitudes = np.abs(spectra[:size]).astype(np.float32)
        for bands, bins, filters in _filter_groups(spec):
            np.matmul(filters, magnitudes[:, bins].T, out=frames[bands, start:stop])
    frames += EPSILON
    return np.log(frames, out=frames)


def band_centres_hz(spec: LogMelSpec = COALA) -> NDArray[np.float64]:
    """Return the centre frequency of each mel band in Hz, [bands]."""
    return _band_edges_hz(spec)[1:-1]


def _pad(samples: NDArray[np.float32], spec: LogMelSpec) -> NDArray[np.float32]:
    """Add half a window at both ends: float32 [n] -> [n + n_fft].

    `np.pad` does the same in four times the time.
    """
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
def _hann(n: int) -> NDArray[np.float64]:
    """Return a periodic Hann window [n]."""
    window: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    return window


@lru_cache
def _mel_filters(spec: LogMelSpec) -> NDArray[np.float32]:
    """Return Slaney's triangular filters of unit area, [bands, n_fft // 2 + 1].

    (Slaney, Auditory Toolbox, 1998.)
    """
    edges = _band_edges_hz(spec)
    bins = np.fft.rfftfreq(spec.n_fft, 1 / spec.rate)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    filters = triangles * (2 / (edges[2:] - edges[:-2]))[:, None]
    return filters.astype(np.float32)


@lru_cache
def _filter_groups(spec: LogMelSpec) -> list[tuple[slice, slice, NDArray[np.float32]]]:
    """Return groups of neighbours: bands, the FFT bins that they use, filters [bands, bins]."""
    filters, groups = _mel_filters(spec), []
    for first in range(0, spec.bands, BANDS_BATCH_SIZE):
        group = filters[first : first + BANDS_BATCH_SIZE]
        used = np.flatnonzero(group.any(axis=0))
        bands, bins = slice(first, first + len(group)), slice(int(used[0]), int(used[-1]) + 1)
        groups.append((bands, bins, np.ascontiguousarray(group[:, bins])))
    return groups


# Slaney's scale: linear below 1 kHz at 15 mels, logarithmic above with 27 steps to 6.4 kHz.
_LINEAR_HZ_PER_MEL = 200 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def _band_edges_hz(spec: LogMelSpec) -> NDArray[np.float64]:
    """Return where bands begin and end, equally spaced in mels, [bands + 2]."""
    mels = np.linspace(0.0, _hz_to_mel(spec.rate / 2), spec.bands + 2)
    logarithmic = _BREAK_HZ * np.exp(_LOG_STEP * (mels - _BREAK_MEL))
    edges: NDArray[np.float64] = np.where(mels < _BREAK_MEL, mels * _LINEAR_HZ_PER_MEL, logarithmic)
    return edges


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return _BREAK_MEL + float(np.log(hz / _BREAK_HZ)) / float(_LOG_STEP)
