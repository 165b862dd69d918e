"""The front-end makes librosa's numbers, for sounds of every kind and length, without it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.audio.decode import decode
from core.model.logmel import (
    AUDIOSET,
    COALA,
    EPSILON,
    FLOOR,
    FRAMES_BATCH_SIZE,
    LogMelSpec,
    band_centres_hz,
    log_mel,
)

ROOT = Path(__file__).parents[3]
RATE = COALA.rate
PAD_MODES = ("reflect", "constant")


def reference(samples: np.ndarray, spec: LogMelSpec) -> np.ndarray:
    import librosa

    padded = np.pad(
        samples, spec.n_fft // 2, mode=spec.pad_mode
    )  # librosa refuses to reflect what is shorter than half a window
    magnitudes = librosa.feature.melspectrogram(
        y=padded,
        sr=spec.rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop,
        n_mels=spec.bands,
        power=1,
        center=False,
    )
    return np.log(magnitudes + EPSILON)


def librosa_itself(samples: np.ndarray, spec: LogMelSpec) -> np.ndarray:
    import librosa

    magnitudes = librosa.feature.melspectrogram(
        y=samples,
        sr=spec.rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop,
        n_mels=spec.bands,
        power=1,
        center=True,
        pad_mode=spec.pad_mode,
    )
    return np.log(magnitudes + EPSILON)


def audioset_reference(samples: np.ndarray) -> np.ndarray:
    """The front-end of EfficientAT in plain torch and double precision, with Kaldi's filters."""
    import torch

    def mel(hz: np.ndarray) -> np.ndarray:
        return 1127 * np.log(1 + hz / 700)

    step = mel(np.array(15_000.0)) / 129
    bins = mel(32_000 / 1024 * np.arange(512))
    left = step * np.arange(128)[:, None]
    filters = np.maximum(0, np.minimum(bins - left, left + 2 * step - bins) / step)
    filters = np.pad(filters, ((0, 0), (0, 1)))
    emphasised = torch.from_numpy(samples[1:].astype(float) - 0.97 * samples[:-1].astype(float))
    window = torch.hann_window(800, periodic=False, dtype=torch.double)
    spectra = torch.stft(
        emphasised, 1024, 320, 800, window, center=True, pad_mode="reflect", return_complex=True
    )
    return np.log(filters @ spectra.abs().square().numpy() + 1e-5)


def sine(hz: float, seconds: float = 1.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(
        np.float32
    )


def noise(samples: int, level: float = 0.3) -> np.ndarray:
    return np.random.default_rng(samples).normal(0, level, samples).astype(np.float32)


def impulse(at: int, samples: int = 10_000) -> np.ndarray:
    click = np.zeros(samples, np.float32)
    click[at] = 1
    return click


SIGNALS = {
    "low tone": sine(55),
    "middle tone": sine(1000),
    "high tone": sine(10_800),
    "noise": noise(RATE),
    "faint noise": noise(RATE, 1e-5),
    "silence": np.zeros(RATE, np.float32),
    "click at the start": impulse(0),
    "click in the middle": impulse(5000),
    "click at the end": impulse(9999),
    "bass far louder than the highs": sine(40, level=1.0) + sine(9000, level=1e-6),
    "far beyond full scale": noise(RATE, 1000),
    "constant": np.full(RATE, 0.5, np.float32),
}
LENGTHS = [1, 2, 511, 512, 513, 1023, 1024, 1025, 1535, 1536, RATE * 3 + 7]
BOUNDARY_LENGTHS = [
    COALA.hop * (blocks * FRAMES_BATCH_SIZE + extra)
    for blocks in (1, 2)
    for extra in (-2, -1, 0, 1)
]


@pytest.mark.parametrize("pad_mode", PAD_MODES)
@pytest.mark.parametrize("samples", SIGNALS.values(), ids=SIGNALS.keys())
def test_synthetic_sounds_agree_with_librosa(samples, pad_mode):
    spec = LogMelSpec(pad_mode=pad_mode)

    np.testing.assert_allclose(
        log_mel(samples, spec), librosa_itself(samples, spec), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("pad_mode", PAD_MODES)
@pytest.mark.parametrize("length", [*LENGTHS, *BOUNDARY_LENGTHS])
def test_every_length_agrees_with_librosa(length, pad_mode):
    spec = LogMelSpec(pad_mode=pad_mode)
    samples = noise(length)

    frames = log_mel(samples, spec)

    assert frames.shape == (96, 1 + length // 512) == (spec.bands, spec.frames(length))
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames, reference(samples, spec), atol=1e-4, rtol=0)


def test_real_clips_agree_with_librosa(clips):
    files = sorted((clips / "audio").iterdir())[::121]
    assert len(files) >= 15

    for path in files:
        samples = decode(path).samples
        for pad_mode in PAD_MODES:
            spec = LogMelSpec(pad_mode=pad_mode)
            np.testing.assert_allclose(
                log_mel(samples, spec),
                librosa_itself(samples, spec),
                atol=1e-4,
                rtol=0,
                err_msg=path.name,
            )


def test_the_examples_agree_with_librosa(examples):
    for path in sorted(examples.glob("*.ogg"))[:4]:
        samples = decode(path).samples
        np.testing.assert_allclose(
            log_mel(samples), librosa_itself(samples, COALA), atol=1e-4, rtol=0, err_msg=path.name
        )


@pytest.mark.parametrize(
    "spec",
    [
        LogMelSpec(rate=16_000, n_fft=512, hop=160, bands=64),
        LogMelSpec(rate=44_100, n_fft=2048, hop=1024, bands=128),
    ],
)
def test_other_front_ends_agree_with_librosa_too(spec):
    samples = noise(30_000)

    np.testing.assert_allclose(
        log_mel(samples, spec), librosa_itself(samples, spec), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("samples", SIGNALS.values(), ids=SIGNALS.keys())
def test_synthetic_sounds_agree_with_the_front_end_of_audioset(samples):
    frames = log_mel(samples, AUDIOSET)

    assert frames.shape == (128, AUDIOSET.frames(len(samples)))
    assert frames.dtype == np.float32
    # Far from a tone there is as much of the samples' own rounding as of the window's leakage.
    np.testing.assert_allclose(frames, audioset_reference(samples), atol=1e-3, rtol=0)


@pytest.mark.parametrize("length", [514, 1024, 1025, 1601, 32_000, 320_000])
def test_every_length_agrees_with_the_front_end_of_audioset(length):
    samples = noise(length)

    frames = log_mel(samples, AUDIOSET)

    assert frames.shape == (128, 1 + (length - 1) // 320)
    np.testing.assert_allclose(frames, audioset_reference(samples), atol=1e-4, rtol=0)


@pytest.mark.parametrize("length", [1, 2, 3, 320, 321, 322])
def test_clips_shorter_than_a_window_have_audioset_frames_too(length):
    frames = log_mel(noise(length), AUDIOSET)

    assert frames.shape == (128, AUDIOSET.frames(length))
    assert np.isfinite(frames).all()


def test_real_clips_agree_with_the_front_end_of_audioset(clips):
    files = sorted((clips / "audio").iterdir())[::241]
    assert len(files) >= 8

    for path in files:
        samples = decode(path, rate=AUDIOSET.rate).samples
        np.testing.assert_allclose(
            log_mel(samples, AUDIOSET),
            audioset_reference(samples),
            atol=1e-4,
            rtol=0,
            err_msg=path.name,
        )


def test_silence_is_the_floor_of_its_front_end():
    silence = log_mel(np.zeros(5000, np.float32), AUDIOSET)

    np.testing.assert_allclose(silence, np.log(1e-5), rtol=1e-6)
    assert pytest.approx(np.log(1e-5)) == AUDIOSET.floor
    assert pytest.approx(FLOOR) == COALA.floor


def test_a_tone_is_loudest_in_the_audioset_band_of_its_frequency():
    centres = band_centres_hz(AUDIOSET)
    for hz in (500, 4000, 12_000):
        tone = np.sin(2 * np.pi * hz * np.arange(AUDIOSET.rate) / AUDIOSET.rate).astype(np.float32)
        loudest = int(log_mel(tone, AUDIOSET).mean(axis=1).argmax())
        assert abs(centres[loudest] - hz) < 0.03 * hz + 20


def test_a_description_gives_the_front_end_back():
    assert LogMelSpec(**AUDIOSET.described()) == AUDIOSET
    assert COALA.described() == {
        "rate": 22_000,
        "n_fft": 1024,
        "hop": 512,
        "bands": 96,
        "pad_mode": "reflect",
    }


@pytest.mark.parametrize(
    "wrong", [{"window": 0}, {"window": 2048}, {"highest_hz": 12_000.0}, {"epsilon": 0.0}]
)
def test_front_ends_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        LogMelSpec(**wrong)


@given(length=st.integers(1, 6000), pad_mode=st.sampled_from(PAD_MODES))
@settings(deadline=None, max_examples=60)
def test_there_is_a_frame_for_every_hop_begun(length, pad_mode):
    frames = log_mel(noise(length), LogMelSpec(pad_mode=pad_mode))

    assert frames.shape == (96, 1 + length // 512)
    assert np.isfinite(frames).all()


def test_silence_is_the_floor_everywhere():
    assert pytest.approx(-15.942385) == FLOOR
    np.testing.assert_allclose(log_mel(np.zeros(5000, np.float32)), FLOOR, rtol=1e-6)


def test_a_faint_high_is_not_drowned_by_a_loud_bass():
    high_band = int(np.argmin(np.abs(band_centres_hz() - 9000)))

    alone = log_mel(sine(9000, level=1e-6))[high_band, 10:-10]
    beside_bass = log_mel(sine(40, level=1.0) + sine(9000, level=1e-6))[high_band, 10:-10]

    assert np.abs(beside_bass - alone).max() < 1


def test_the_last_ringing_before_silence_costs_no_accuracy():
    subnormal = np.full(5000, 1e-40, np.float32)

    np.testing.assert_allclose(log_mel(subnormal), FLOOR, rtol=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_tones_in_faint_noise_agree_with_librosa_at_any_level(seed):
    random = np.random.default_rng(seed)
    samples = noise(RATE, 10 ** random.uniform(-8, -2))
    for _ in range(3):
        samples = samples + sine(random.uniform(20, 11_000), level=10 ** random.uniform(-6, 0))

    np.testing.assert_allclose(log_mel(samples), librosa_itself(samples, COALA), atol=1e-4, rtol=0)


def test_a_tone_is_loudest_in_the_band_of_its_frequency():
    for hz in (200, 1000, 4000, 9000):
        loudest = int(log_mel(sine(hz)).mean(axis=1).argmax())
        assert abs(band_centres_hz()[loudest] - hz) < 0.05 * hz + 40


def test_the_clip_itself_is_left_as_it_was():
    samples = noise(5000)
    before = samples.copy()

    log_mel(samples)

    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize(
    "samples", [np.zeros((2, 1000)), np.zeros((1000, 1)), np.zeros(0), np.zeros(())]
)
def test_stereo_and_nothing_are_refused(samples):
    with pytest.raises(ValueError, match="mono samples"):
        log_mel(samples.astype(np.float32))


def test_prediction_imports_neither_librosa_nor_ffmpeg_nor_streamlit(examples):
    program = """
import sys
from core.audio.decode import decode
from core.model.predictor import Predictor

predictor = Predictor.from_folder()
prediction = predictor.predict(decode(sys.argv[1], rate=predictor.rate, import_little=True))
assert len(prediction.top) == 5
print(sorted({"librosa", "numba", "av", "streamlit", "sklearn", "matplotlib"} & set(sys.modules)))
"""
    example = sorted(examples.glob("*.ogg"))[0]

    done = subprocess.run(
        [sys.executable, "-c", program, str(example)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == "[]", done.stderr
