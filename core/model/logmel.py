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
INAUDIBLE = np.float32(1e-20)
"""Added to all samples: without it, the filters' last ringing before digital silence is subnormal
numbers, with which the FFT takes fifty times as long."""
MIN_CONTRAST = 3e-4
"""Of a frame's quietest band to its loudest; below it, single precision would change the band by up
to 1e-4 and more, so that the frame is computed in double precision, like librosa's. Measured on
clips of the training data, of which that is one frame in six, and on tones in noise."""
BANDS_BATCH_SIZE = 16
"""Neighbouring filters share few FFT bins: six narrow products cost a third of one wide one."""

Precision = np.dtype[np.float32] | np.dtype[np.float64]


@dataclass(frozen=True)
class LogMelSpec:
    """Parameters of the front-end.

    Attributes:
        rate: Of the samples, in Hz.
        n_fft: Samples in a window.
        hop: Samples between the centres of two windows.
        bands: Mel bands up to half the rate.
        pad_mode: The edges: `reflect`-ed, or `constant` zero.
        peak_db: Level of the loudest sample, in dB of full scale, that `front_end` brings a sound
            to before its frames are computed.
    """

    rate: int = 22_000
    n_fft: int = 1024
    hop: int = 512
    bands: int = 96
    pad_mode: Literal["reflect", "constant"] = "reflect"
    peak_db: float = -12.0

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
    windows = np.lib.stride_tricks.sliding_window_view(_pad(samples, spec), spec.n_fft)
    windows = windows[:: spec.hop]
    frames = _mel_frames(windows, spec, np.dtype(np.float32))
    drowned = _is_drowned(frames, spec)
    if drowned.any():
        frames[:, drowned] = _mel_frames(windows[drowned], spec, np.dtype(np.float64))
    frames += EPSILON
    return np.log(frames, out=frames)


def _mel_frames(
    windows: NDArray[np.float32], spec: LogMelSpec, precision: Precision
) -> NDArray[np.float32]:
    """Return mel magnitudes [bands, n] of windows [n, n_fft]; `precision` is the FFT's."""
    bins = spec.n_fft // 2 + 1
    frames = np.empty((spec.bands, len(windows)), np.float32)
    windowed = np.empty((FRAMES_BATCH_SIZE, spec.n_fft), precision)
    spectra = np.empty((FRAMES_BATCH_SIZE, bins), np.result_type(precision, 1j))
    magnitudes = np.empty((FRAMES_BATCH_SIZE, bins), np.float32)
    for start in range(0, len(windows), FRAMES_BATCH_SIZE):
        batch = windows[start : start + FRAMES_BATCH_SIZE]
        size, stop = len(batch), start + len(batch)
        np.multiply(batch, _hann(spec.n_fft, precision), out=windowed[:size])
        # numpy computes in single precision only where it scales; the filters scale back.
        np.fft.rfft(windowed[:size], axis=1, norm="forward", out=spectra[:size])
        np.abs(spectra[:size], out=magnitudes[:size])
        for bands, used, filters in _filter_groups(spec):
            np.matmul(filters, magnitudes[:size, used].T, out=frames[bands, start:stop])
    return frames


def _is_drowned(frames: NDArray[np.float32], spec: LogMelSpec) -> NDArray[np.bool_]:
    """Return True for frames with a band that single precision changes: [bands, n] -> [n].

    An FFT's rounding errors are alike in all bins, and relative to the loudest one. A band adds up
    those of its bins, as far as they do not average out.
    """
    peaks, errors = _peaks_and_errors(spec)
    loudest_bins = (frames / peaks).max(axis=0)
    quietest = ((frames + EPSILON) / errors).min(axis=0)
    drowned: NDArray[np.bool_] = quietest < MIN_CONTRAST * loudest_bins
    return drowned


def band_centres_hz(spec: LogMelSpec = COALA) -> NDArray[np.float64]:
    """Return the centre frequency of each mel band in Hz, [bands]."""
    return _band_edges_hz(spec)[1:-1]


def _pad(samples: NDArray[np.float32], spec: LogMelSpec) -> NDArray[np.float32]:
    """Add half a window at both ends: float32 [n] -> [n + n_fft].

    `np.pad` does the same in four times the time.
    """
    half, n = spec.n_fft // 2, len(samples)
    if spec.pad_mode == "reflect" and n <= half:
        return np.pad(samples.astype(np.float32) + INAUDIBLE, half, mode="reflect")
    padded = np.full(n + spec.n_fft, INAUDIBLE)
    np.add(samples, INAUDIBLE, out=padded[half : half + n])
    if spec.pad_mode == "reflect":
        padded[:half] = padded[2 * half : half : -1]
        padded[half + n :] = padded[half + n - 2 : n - 2 : -1]
    return padded


@lru_cache
def _hann(n: int, precision: Precision) -> NDArray[np.floating]:
    """Return a periodic Hann window [n]."""
    window: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    return window.astype(precision)


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
def _peaks_and_errors(spec: LogMelSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return of each filter, [bands, 1]: its largest weight, and how it adds up unrelated bins."""
    filters = np.maximum(_mel_filters(spec), np.finfo(np.float32).tiny)  # some have no bin
    peaks: NDArray[np.float32] = filters.max(axis=1, keepdims=True)
    return peaks, np.sqrt(np.square(filters).sum(axis=1, keepdims=True))


@lru_cache
def _filter_groups(spec: LogMelSpec) -> list[tuple[slice, slice, NDArray[np.float32]]]:
    """Return groups of neighbours: bands, the FFT bins that they use, filters [bands, bins].

    The filters are for bins of an FFT that is divided by its length.
    """
    filters, groups = _mel_filters(spec) * np.float32(spec.n_fft), []
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
