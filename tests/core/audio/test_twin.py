"""The AAC twin of a preview is the same sound."""

from io import BytesIO

import numpy as np
import pytest
import soundfile

from core.audio.decode import decode
from core.audio.errors import AudioError
from core.audio.twin import aac_twin
from core.audio.types import AudioLimits
from core.work import WorkStopped


def ogg(rate: int, channels: int, seconds: float = 1.5) -> bytes:
    """A sweep, in the second channel twice as high."""
    times = np.arange(int(rate * seconds)) / rate
    sweeps = [np.sin(2 * np.pi * (200 + 300 * times) * times * (n + 1)) for n in range(channels)]
    out = BytesIO()
    samples = 0.4 * np.stack(sweeps, axis=1).astype(np.float32)
    soundfile.write(out, samples, rate, format="OGG", subtype="VORBIS")
    return out.getvalue()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
def test_a_twin_is_the_same_sound_at_the_same_time(rate, channels):
    preview = ogg(rate, channels)

    twin = decode(aac_twin(preview))

    original = decode(preview)
    assert (twin.facts.container, twin.facts.channels) == ("AAC", channels)
    assert twin.facts.seconds == pytest.approx(original.facts.seconds, abs=0.15)
    length = min(len(original.samples), len(twin.samples))
    first, second = original.samples[:length], twin.samples[:length]
    assert np.corrcoef(first, second)[0, 1] > 0.97


def test_an_unusual_rate_becomes_the_next_that_aac_has():
    assert decode(aac_twin(ogg(10_000, 1))).facts.rate == 11_025


def test_what_is_no_sound_has_no_twin():
    with pytest.raises(AudioError):
        aac_twin(b"no sound")


def test_a_sound_beyond_the_limits_has_no_twin():
    with pytest.raises(AudioError):
        aac_twin(ogg(8000, 1), limits=AudioLimits(seconds=0.5))


def test_encoding_can_be_stopped():
    def stop() -> None:
        raise WorkStopped("enough")

    with pytest.raises(WorkStopped):
        aac_twin(ogg(8000, 1), checkpoint=stop)
