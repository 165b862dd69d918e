"""Ogg by two decoders: what FFmpeg decodes is what libsndfile does, and else libsndfile decides."""

import numpy as np
import pytest

from core.audio.decode import decode
from core.audio.errors import AudioError
from core.audio.types import AudioLimits, Recording
from tests.helpers.sound_files import ogg_claiming, tone, written

RATES = {"VORBIS": (8_000, 22_050, 44_100, 48_000, 96_000), "OPUS": (8_000, 12_000, 24_000, 48_000)}
KINDS = [(kind, rate, channels) for kind in RATES for rate in RATES[kind] for channels in (1, 2)]


def noisy(seconds: float, rate: int, channels: int):
    """Return a tone with noise, of which codecs keep all bands."""
    sound = tone(seconds=seconds, rate=rate, channels=channels)
    return 0.7 * sound + 0.1 * np.random.default_rng(3).standard_normal(sound.shape)


def both(data: bytes, **options) -> tuple[Recording, Recording]:
    """Return the sound as FFmpeg decodes it, and as libsndfile does."""
    return decode(data, **options), decode(data, import_little=True, **options)


def outcome(data: bytes, import_little: bool) -> tuple[object, ...]:
    """Return facts and samples, or the error."""
    try:
        recording = decode(data, import_little=import_little)
    except AudioError as error:
        return type(error), str(error)
    return recording.facts, recording.samples.tobytes()


@pytest.mark.parametrize(("kind", "rate", "channels"), KINDS)
def test_both_decoders_give_the_same(kind, rate, channels):
    data = written(noisy(2.3, rate, channels), rate, "OGG", kind)
    for model_rate in (22_000, 32_000):
        quick, other = both(data, rate=model_rate)
        assert quick.facts == other.facts
        assert len(quick.samples) == len(other.samples)
        error = np.sqrt(np.mean((quick.samples - other.samples) ** 2))
        assert error < 2e-3 * np.sqrt(np.mean(other.samples**2))


@pytest.mark.parametrize("kind", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("claimed_s", [0.5, 2, 500])
def test_a_file_that_states_another_length_than_it_has_is_libsndfiles_to_read(kind, claimed_s):
    data = ogg_claiming(int(48_000 * claimed_s), kind)
    outcomes = [outcome(data, import_little) for import_little in (False, True)]
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("kind", ["VORBIS", "OPUS"])
def test_a_damaged_page_is_libsndfiles_to_judge(kind):
    data = bytearray(written(noisy(4, 48_000, 1), 48_000, "OGG", kind))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    outcomes = [outcome(bytes(data), import_little) for import_little in (False, True)]
    assert outcomes[0] == outcomes[1]


def test_channels_beyond_stereo_keep_their_order():
    """The first channel sounds, the others are silent: where it stands shows in the note."""
    sound = np.zeros((48_000, 6), np.float32)
    sound[:, 0] = noisy(1, 48_000, 1)[:, 0]
    quick, other = both(written(sound, 48_000, "OGG", "VORBIS"))
    assert quick.facts == other.facts
    assert quick.facts.note


def test_the_limits_hold_for_both():
    data = written(noisy(3, 44_100, 2), 44_100, "OGG", "VORBIS")
    errors = []
    for limits in (AudioLimits(seconds=2), AudioLimits(samples=1000), AudioLimits(megabytes=0.01)):
        for import_little in (False, True):
            with pytest.raises(AudioError, match="the limit is") as caught:
                decode(data, limits=limits, import_little=import_little)
            errors.append((caught.type, str(caught.value)))
    assert errors[::2] == errors[1::2]
