"""Whatever a header says: no hang, no other error than an `AudioError`, no length of its own."""

import time
from io import BytesIO

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.audio.decode import decode
from core.audio.errors import AudioError
from tests.helpers.sound_files import encoded, id3_tag, tone, written

RATE = 16_000
SOUND = tone(seconds=0.5, rate=RATE)
FILES = {
    **{kind: written(SOUND, RATE, kind, "PCM_16") for kind in ("WAV", "RF64", "W64", "AIFF")},
    "CAF": written(SOUND, RATE, "CAF", "PCM_16"),
    "AU": written(SOUND, RATE, "AU", "PCM_16"),
    "FLAC": written(SOUND, RATE, "FLAC"),
    "Vorbis": written(SOUND, RATE, "OGG", "VORBIS"),
    "chained": written(SOUND, RATE, "OGG", "VORBIS") * 2,
    "MP3": written(SOUND, RATE, "MP3"),
    "tagged MP3": id3_tag() + written(SOUND, RATE, "MP3"),
    "MP3 in WAV": encoded(SOUND, RATE, "wav", "libmp3lame"),
    "ADTS": encoded(SOUND, RATE, "adts", "aac"),
    "m4a": encoded(SOUND, RATE, "ipod", "aac"),
    "Opus": written(tone(seconds=0.5, rate=48_000), 48_000, "OGG", "OPUS"),
    "Ogg FLAC": encoded(SOUND, RATE, "ogg", "flac"),
    "MP2": encoded(SOUND, RATE, "mp2", "mp2"),
    "3GP": encoded(SOUND, RATE, "3gp", "aac"),
    "ALAC": encoded(SOUND, RATE, "ipod", "alac"),
    "WavPack": encoded(SOUND, RATE, "wv", "wavpack"),
    "WebM": encoded(tone(seconds=0.5, rate=48_000), 48_000, "webm", "libopus"),
    "Matroska": encoded(SOUND, RATE, "matroska", "pcm_s16le"),
}
HEADER_BYTES = 160
MAX_CPU_S = 5.0
MAX_FRAMES = 5 * 2 * 3 * SOUND.size
"""Of the longest, at 48 kHz.

Bits of a compressed frame's header change how many samples it decodes to, not without end.
"""


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
@given(
    changes=st.lists(
        st.tuples(
            st.integers(0, HEADER_BYTES),
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.sampled_from(
                    [bytes(4), bytes(8), b"\xff" * 4, b"\xff" * 8, b"\x7f\xff\xff\xff"]
                ),
            ),
        ),
        min_size=1,
        max_size=3,
    )
)
@settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
def test_a_changed_header_is_refused_or_the_sound_is_as_long_as_its_samples(data, changes):
    changed = bytearray(data)
    for at, put in changes:
        changed[at : at + len(put)] = put
    started = time.process_time()

    try:
        recording = decode(bytes(changed[: len(data)]), with_preview=True)
    except AudioError:
        recording = None

    assert time.process_time() - started < MAX_CPU_S
    if recording:
        facts = recording.facts
        assert recording.seconds == pytest.approx(facts.seconds, abs=2 / recording.rate)
        assert facts.seconds * facts.rate <= MAX_FRAMES
        played = soundfile.info(BytesIO(recording.preview)).duration
        assert played == pytest.approx(facts.seconds, abs=0.03)
        assert np.isfinite(recording.samples).all()
