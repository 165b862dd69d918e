"""The front-end: samples to log-mel frames, for training and for prediction alike.

The numbers are those of the COALA patches (Favory et al. 2020): 22,000 Hz, STFT 1024, hop 512,
Hann, centred, 96 Slaney mel bands, magnitude, ln(x + float32 eps). They agree with
`librosa.feature.melspectrogram`; librosa itself is not imported, which saves its numba warm-up
(seconds) and two thirds of the time per clip. The edges are reflected, as librosa did when COALA
was made; today's librosa pads with zeros, so both are parameters.

`AUDIOSET` has the numbers of EfficientAT (Schmid et al. 2023): pre-emphasis, a Hann window of 25 ms
in an STFT of 32, power, 128 of Kaldi's mel bands.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache
from math import log10
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
        n_fft: Samples in a Fourier transform.
        hop: Samples between the centres of two windows.
        bands: Mel bands.
        pad_mode: The edges: `reflect`-ed, or `constant` zero.
        window: Samples in a window, centred in `n_fft`; None for as many.
        periodic: The Hann window repeats itself after `window` samples, not one less.
        pre_emphasis: Share of the sample before that is taken from each; the first one has none
            before it and is left out.
        power: Of the magnitude: 1, or 2.
        scale: Of the bands: `slaney`'s with filters of unit area, or `kaldi`'s of unit height.
        highest_hz: Where the last band ends; None for half the rate.
        epsilon: Added before the logarithm.
        peak_db: Level of the loudest sample, in dB of full scale, that `front_end` brings a sound
            to before its frames are computed.
    """

    rate: int = 22_000
    n_fft: int = 1024
    hop: int = 512
    bands: int = 96
    pad_mode: Literal["reflect", "constant"] = "reflect"
    window: int | None = None
    periodic: bool = True
    pre_emphasis: float = 0.0
    power: Literal[1, 2] = 1
    scale: Literal["slaney", "kaldi"] = "slaney"
    highest_hz: float | None = None
    epsilon: float = float(EPSILON)
    peak_db: float = -12.0

    def __post_init__(self) -> None:
        """Raise `ValueError` for a number that no front-end can have."""
        if min(self.rate, self.n_fft, self.hop, self.bands, self.window_size) < 1:
            raise ValueError("rate, n_fft, hop, bands and window must be positive")
        if self.window_size > self.n_fft:
            raise ValueError("window must not be longer than n_fft")
        if not (self.epsilon > 0 and 0 < self.last_hz <= self.rate / 2):
            raise ValueError("epsilon must be positive, highest_hz at most half the rate")

    @property
    def window_size(self) -> int:
        """Return the number of samples in a window."""
        return self.n_fft if self.window is None else self.window

    @property
    def last_hz(self) -> float:
        """Return the frequency at which the last band ends."""
        return self.rate / 2 if self.highest_hz is None else self.highest_hz

    @property
    def floor(self) -> float:
        """Return the log-mel value of digital silence."""
        return float(np.log(np.float32(self.epsilon)))

    def frames(self, n_samples: int) -> int:
        """Return the number of frames of `n_samples` samples."""
        return 1 + max(0, n_samples - bool(self.pre_emphasis)) // self.hop

    def seconds(self, frames: float) -> float:
        """Return the time in seconds of a frame's centre."""
        return frames * self.hop / self.rate

    def described(self) -> dict[str, object]:
        """Return the entries for model.json; of the later parameters those that are not COALA's.

        So a bundle with COALA's front-end is what it was before there were others.
        """
        former = ("rate", "n_fft", "hop", "bands", "pad_mode")
        values, usual = asdict(self), asdict(COALA)
        return {key: value for key, value in values.items() if key in former or value != usual[key]}


COALA = LogMelSpec()
AUDIOSET = LogMelSpec(
    rate=32_000,
    hop=320,
    bands=128,
    window=800,
    periodic=False,
    pre_emphasis=0.97,
    power=2,
    scale="kaldi",
    highest_hz=15_000.0,
    epsilon=1e-5,
    peak_db=20 * log10(0.9),
)


def log_mel(samples: NDArray[np.float32], spec: LogMelSpec = COALA) -> NDArray[np.float32]:
    """Compute log-mel frames: natural logarithm of magnitude or power.

    Args:
        samples: Mono float32 [n] at `spec.rate` Hz.
        spec: Parameters.

    Returns:
        float32 [bands, spec.frames(n)].

    Raises:
        ValueError: `samples` is not a one-dimensional array of at least one sample.
    """
    if samples.ndim != 1 or not len(samples):
        raise ValueError(f"log_mel takes mono samples [n], not an array of shape {samples.shape}")
    padded = _pad(_emphasised(samples, spec), spec)
    windows = np.lib.stride_tricks.sliding_window_view(padded, spec.n_fft)[:: spec.hop]
    if spec.power == 2:
        # Rounding errors count twice: more than half of all frames would have to be done again.
        frames = _mel_frames(windows, spec, np.dtype(np.float64))
    else:
        frames = _accurate_magnitudes(windows, spec)
    frames += np.float32(spec.epsilon)
    return np.log(frames, out=frames)


def _accurate_magnitudes(windows: NDArray[np.float32], spec: LogMelSpec) -> NDArray[np.float32]:
    """Return mel magnitudes [bands, n] of windows [n, n_fft], in single precision where it does."""
    frames = _mel_frames(windows, spec, np.dtype(np.float32))
    drowned = _is_drowned(frames, spec)
    if drowned.any():
        frames[:, drowned] = _mel_frames(windows[drowned], spec, np.dtype(np.float64))
    return frames


def _mel_frames(
    windows: NDArray[np.float32], spec: LogMelSpec, precision: Precision
) -> NDArray[np.float32]:
    """Return mel magnitudes or powers [bands, n] of windows [n, n_fft], in the FFT's precision."""
    bins = spec.n_fft // 2 + 1
    frames = np.empty((spec.bands, len(windows)), np.float32)
    windowed = np.empty((FRAMES_BATCH_SIZE, spec.n_fft), precision)
    spectra = np.empty((FRAMES_BATCH_SIZE, bins), np.result_type(precision, 1j))
    magnitudes = np.empty((FRAMES_BATCH_SIZE, bins), np.float32)
    for start in range(0, len(windows), FRAMES_BATCH_SIZE):
        batch = windows[start : start + FRAMES_BATCH_SIZE]
        size, stop = len(batch), start + len(batch)
        np.multiply(batch, _window(spec, precision), out=windowed[:size])
        # numpy computes in single precision only where it scales; the filters scale back.
        np.fft.rfft(windowed[:size], axis=1, norm="forward", out=spectra[:size])
        _write_magnitudes(spectra[:size], spec, magnitudes[:size])
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
    quietest = ((frames + np.float32(spec.epsilon)) / errors).min(axis=0)
    drowned: NDArray[np.bool_] = quietest < MIN_CONTRAST * loudest_bins
    return drowned


def band_centres_hz(spec: LogMelSpec = COALA) -> NDArray[np.float64]:
    """Return the centre frequency of each mel band in Hz, [bands]."""
    return _band_edges_hz(spec)[1:-1]


def _emphasised(samples: NDArray[np.float32], spec: LogMelSpec) -> NDArray[np.float32]:
    """Return each sample but the first less a share of the one before it."""
    if not spec.pre_emphasis:
        return samples
    if len(samples) == 1:
        return np.zeros(1, np.float32)
    samples = samples.astype(np.float32, copy=False)
    return samples[1:] - np.float32(spec.pre_emphasis) * samples[:-1]


def _write_magnitudes(
    spectra: NDArray[np.complexfloating], spec: LogMelSpec, out: NDArray[np.float32]
) -> None:
    """Write magnitude or power of spectra into an array of the same shape."""
    if spec.power == 1:
        np.abs(spectra, out=out)
    else:
        out[:] = np.square(spectra.real) + np.square(spectra.imag)


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
def _window(spec: LogMelSpec, precision: Precision) -> NDArray[np.floating]:
    """Return a Hann window in the middle of zeros, [n_fft]."""
    size = spec.window_size
    period = size if spec.periodic else size - 1
    before = (spec.n_fft - size) // 2
    window = np.zeros(spec.n_fft)
    window[before : before + size] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / period)
    return window.astype(precision)


@lru_cache
def _mel_filters(spec: LogMelSpec) -> NDArray[np.float32]:
    """Return triangular filters, [bands, n_fft // 2 + 1]."""
    filters = _kaldi_filters(spec) if spec.scale == "kaldi" else _slaney_filters(spec)
    return filters.astype(np.float32)


def _slaney_filters(spec: LogMelSpec) -> NDArray[np.float64]:
    """Return Slaney's filters: triangles in Hz, of unit area (Auditory Toolbox, 1998)."""
    edges = _band_edges_hz(spec)
    bins = np.fft.rfftfreq(spec.n_fft, 1 / spec.rate)
    filters: NDArray[np.float64] = _triangles(edges, bins) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return filters


def _kaldi_filters(spec: LogMelSpec) -> NDArray[np.float64]:
    """Return Kaldi's filters: triangles in mels, of unit height; nothing of half the rate."""
    hz = np.fft.rfftfreq(spec.n_fft, 1 / spec.rate)
    filters = _triangles(_kaldi_edges_mel(spec), _KALDI_MELS * np.log1p(hz / _KALDI_BREAK_HZ))
    filters[:, -1] = 0
    return filters


def _triangles(edges: NDArray[np.float64], bins: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return triangles of unit height between every third of `edges`, [edges - 2, bins]."""
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    return triangles


@lru_cache
def _peaks_and_errors(spec: LogMelSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return of each filter, [bands, 1]: its largest weight, and how it adds up unrelated bins."""
    filters, tiny = _mel_filters(spec), np.finfo(np.float32).tiny  # some filters have no bin
    peaks: NDArray[np.float32] = np.maximum(filters.max(axis=1, keepdims=True), tiny)
    return peaks, np.maximum(np.sqrt(np.square(filters).sum(axis=1, keepdims=True)), tiny)


@lru_cache
def _filter_groups(spec: LogMelSpec) -> list[tuple[slice, slice, NDArray[np.float32]]]:
    """Return groups of neighbours: bands, the FFT bins that they use, filters [bands, bins].

    The filters are for bins of an FFT that is divided by its length.
    """
    filters, groups = _mel_filters(spec) * np.float32(spec.n_fft**spec.power), []
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
# Kaldi's: logarithmic everywhere.
_KALDI_MELS = 1127.0
_KALDI_BREAK_HZ = 700.0


def _band_edges_hz(spec: LogMelSpec) -> NDArray[np.float64]:
    """Return where bands begin and end, equally spaced in mels, [bands + 2]."""
    edges: NDArray[np.float64]
    if spec.scale == "kaldi":
        edges = _KALDI_BREAK_HZ * np.expm1(_kaldi_edges_mel(spec) / _KALDI_MELS)
        return edges
    mels = np.linspace(0.0, _hz_to_mel(spec.last_hz), spec.bands + 2)
    logarithmic = _BREAK_HZ * np.exp(_LOG_STEP * (mels - _BREAK_MEL))
    edges = np.where(mels < _BREAK_MEL, mels * _LINEAR_HZ_PER_MEL, logarithmic)
    return edges


def _kaldi_edges_mel(spec: LogMelSpec) -> NDArray[np.float64]:
    """Return where bands begin and end in Kaldi's mels, [bands + 2]."""
    highest = _KALDI_MELS * np.log1p(spec.last_hz / _KALDI_BREAK_HZ)
    return np.linspace(0.0, highest, spec.bands + 2)


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return _BREAK_MEL + float(np.log(hz / _BREAK_HZ)) / float(_LOG_STEP)
