"""The browser gets an Ogg that plays, whatever was uploaded, and a small picture of the sound."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from core.audio.decode import decode
from core.audio.errors import NotAudio, TooLong, TruncatedAudio
from core.audio.spectrogram import MAX_WIDTH, spectrogram_webp
from core.audio.types import AudioLimits
from core.model.logmel import FLOOR, log_mel
from tests.helpers.sound_files import encoded, tone, written

ROOT = Path(__file__).parents[3]
LIMITS = AudioLimits()


def preview_of(data: bytes, limits: AudioLimits = LIMITS) -> bytes:
    return decode(data, limits=limits, with_preview=True).preview


def played(data: bytes) -> tuple[np.ndarray, int]:
    """Samples [n, channels] and rate of what must be an Ogg."""
    assert data[:4] == b"OggS"
    return soundfile.read(BytesIO(data), always_2d=True)


def pixels(webp: bytes) -> np.ndarray:
    """RGB as int [height, width, 3]."""
    picture = Image.open(BytesIO(webp))
    assert picture.format == "WEBP"
    return np.array(picture.convert("RGB"), int)


def brightness(webp: bytes) -> np.ndarray:
    return pixels(webp).sum(axis=2)


# --- Sound


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_comes_back_as_it_is(subtype):
    data = written(tone(rate=48_000), 48_000, "OGG", subtype)

    assert preview_of(data) == data


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("container", ["WAV", "FLAC", "MP3", "AIFF", "m4a"])
def test_other_files_become_ogg_vorbis_of_the_same_sound(container, channels):
    sound = tone(seconds=1.5, channels=channels)
    data = encoded(sound) if container == "m4a" else written(sound, 44_100, container)

    ogg = preview_of(data)
    samples, rate = played(ogg)

    assert soundfile.info(BytesIO(ogg)).subtype == "VORBIS"
    assert (rate, samples.shape[1]) == (44_100, channels)
    assert len(samples) / rate == pytest.approx(1.5, abs=0.05)
    middle = samples[len(samples) // 4 : -len(samples) // 4, 0]
    assert np.argmax(np.abs(np.fft.rfft(middle))) * rate / len(middle) == pytest.approx(440, abs=3)
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (1_000, 1_000),
        (8_000, 8_000),
        (22_050, 22_050),
        (48_000, 48_000),
        (96_000, 48_000),
        (192_000, 48_000),
    ],
)
@pytest.mark.parametrize("seconds", [0.005, 0.7])
def test_the_rate_is_kept_up_to_48_khz(rate, expected, seconds):
    samples, played_rate = played(preview_of(written(tone(200, seconds, rate), rate)))

    assert played_rate == expected
    assert len(samples) == pytest.approx(seconds * expected, abs=2)


def test_left_and_right_stay_where_they_are():
    sound = tone(channels=2)
    sound[:, 1] = 0

    samples, _ = played(preview_of(written(sound)))

    assert np.abs(samples[:, 0]).max() > 0.4
    assert np.abs(samples[:, 1]).max() < 0.05


@pytest.mark.parametrize("channels", [3, 6, 8])
def test_more_than_two_channels_are_mixed_into_one(channels):
    sound = tone(channels=channels)
    sound[:, 0] = 0

    samples, _ = played(preview_of(written(sound)))

    assert samples.shape == (44_100, 1)
    expected = 0.5 * (channels - 1) / channels
    assert np.sqrt(2 * np.mean(samples**2)) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("channels", [3, 6, 8])
def test_one_channel_in_use_among_many_is_played_at_its_own_level(channels):
    sound = np.zeros((44_100, channels), np.float32)
    sound[:, -1] = tone()[:, 0]

    samples, _ = played(preview_of(written(sound)))

    assert samples.shape == (44_100, 1)
    assert np.sqrt(2 * np.mean(samples**2)) == pytest.approx(0.5, rel=0.1)


def test_five_minutes_do_not_overflow_the_stack_of_a_small_thread(tmp_path):
    program = """
import sys, threading
from pathlib import Path
from core.audio.decode import decode

threading.stack_size(512 * 1024)  # what macOS gives to threads
sound, ogg = Path(sys.argv[1]), Path(sys.argv[2])
encode = lambda: ogg.write_bytes(decode(sound, with_preview=True).preview)
thread = threading.Thread(target=encode)
thread.start()
thread.join()
"""
    sound, ogg = tmp_path / "a.wav", tmp_path / "a.ogg"
    sound.write_bytes(written(tone(seconds=300, rate=16_000), 16_000))

    done = subprocess.run(
        [sys.executable, "-c", program, sound, ogg],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, "the encoder fell over" if done.returncode < 0 else done.stderr
    assert soundfile.info(ogg).duration == pytest.approx(300, abs=0.01)


def test_samples_beyond_full_scale_are_clipped():
    samples, _ = played(preview_of(written(tone(level=50), 44_100, "WAV", "FLOAT")))

    assert np.abs(samples).max() < 1.5  # Vorbis rings a little at the corners
    assert np.abs(samples).max() > 0.9


def test_a_preview_of_what_is_no_sound_raises_the_same_errors_as_decoding():
    with pytest.raises(NotAudio):
        preview_of(b"no sound at all")
    with pytest.raises(TruncatedAudio):
        preview_of(written(tone())[:5000])
    with pytest.raises(TooLong):
        preview_of(written(tone()), AudioLimits(seconds=0.5))


# --- Picture


@pytest.mark.parametrize(
    ("frames", "width"),
    [
        (1, 1),
        (2, 2),
        (215, 215),
        (1201, 1201),
        (4800, 4800),
        (4801, 2401),
        (25_782, 4297),
    ],
)
def test_a_picture_is_as_high_as_there_are_bands_and_grows_with_the_length(frames, width):
    assert width <= MAX_WIDTH

    assert pixels(spectrogram_webp(np.full((96, frames), FLOOR, np.float32))).shape == (
        96,
        width,
        3,
    )


def test_silence_is_dark():
    assert pixels(spectrogram_webp(np.full((96, 200), FLOOR, np.float32))).max() < 50


def test_loud_is_bright_and_quiet_is_dark():
    frames = np.full((96, 200), FLOOR, np.float32)
    frames[:, 100:] = 2.0

    picture = brightness(spectrogram_webp(frames))

    assert picture[:, :90].max() < 150
    assert picture[:, 110:].min() > 600


def test_low_bands_are_at_the_bottom():
    low = (0.5 * np.sin(2 * np.pi * 200 * np.arange(44_000) / 22_000)).astype(np.float32)

    picture = brightness(spectrogram_webp(log_mel(low)))

    assert picture.mean(axis=1).argmax() > 80
    assert picture[-20:].mean() > 2 * picture[:20].mean()


def test_time_runs_from_left_to_right():
    burst = np.zeros(44_000, np.float32)
    burst[:5000] = np.random.default_rng(0).normal(0, 0.3, 5000)

    picture = brightness(spectrogram_webp(log_mel(burst)))

    assert picture[:, :5].mean() > 3 * picture[:, -20:].mean()


def test_a_click_in_a_long_clip_stays_visible():
    frames = np.full((96, 25_000), FLOOR, np.float32)
    frames[:, 12_345] = 2.0

    columns = brightness(spectrogram_webp(frames)).mean(axis=0)

    assert columns.max() > 3 * np.median(columns)
    assert columns.argmax() / len(columns) == pytest.approx(12_345 / 25_000, abs=0.003)


def test_a_pictures_brightness_does_not_hang_on_the_recording_level():
    sound = np.random.default_rng(1).normal(0, 0.3, 66_000).astype(np.float32)

    loud, quiet = (brightness(spectrogram_webp(log_mel(level * sound))) for level in (1.0, 0.1))

    assert np.abs(loud - quiet).mean() < 20


def test_pictures_are_small():
    noisy = np.random.default_rng(2).normal(-5, 2, (96, 1200)).astype(np.float32)

    assert len(spectrogram_webp(noisy)) < 100_000
