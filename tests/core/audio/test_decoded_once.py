"""A file is decoded once per use, whatever is made of it."""

import av
import pytest
import soundfile

from core.audio.decode import decode
from core.audio.trim import trim
from tests.helpers.sound_files import encoded, tone, written

SECONDS, RATE = 3, 44_100
STEREO = tone(seconds=SECONDS, rate=RATE, channels=2)
FILES = {
    "wav": written(STEREO, RATE, "WAV", "PCM_24"),
    "flac": written(STEREO, RATE, "FLAC", "PCM_16"),
    "adpcm": written(STEREO, RATE, "WAV", "IMA_ADPCM"),
    "ogg": written(STEREO, RATE, "OGG", "VORBIS"),
    "mp3": written(STEREO, RATE, "MP3"),
    "m4a": encoded(STEREO, RATE),
    "alac": encoded(STEREO, RATE, "ipod", "alac"),
    "wavpack": encoded(STEREO, RATE, "wv", "wavpack"),
}


class DecodedFrames:
    """Counts the frames that libsndfile and FFmpeg decode."""

    def __init__(self) -> None:
        self.count = 0


@pytest.fixture
def decoded_frames(monkeypatch) -> DecodedFrames:
    frames, read, resampler_class = DecodedFrames(), soundfile.SoundFile.read, av.AudioResampler

    def counted_read(file, *arguments, **options):
        block = read(file, *arguments, **options)
        frames.count += len(block)
        return block

    class CountedResampler:
        def __init__(self, **options):
            self._resampler = resampler_class(**options)

        def resample(self, frame):
            frames.count += frame.samples
            return self._resampler.resample(frame)

    monkeypatch.setattr(soundfile.SoundFile, "read", counted_read)
    monkeypatch.setattr(av, "AudioResampler", CountedResampler)
    return frames


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("with_preview", [False, True])
def test_decoding_reads_each_frame_once_with_or_without_a_preview(
    kind, with_preview, decoded_frames
):
    recording = decode(FILES[kind], with_preview=with_preview)

    assert bool(recording.preview) == with_preview
    assert decoded_frames.count == pytest.approx(SECONDS * RATE, rel=0.02)


@pytest.mark.parametrize("kind", FILES)
def test_trimming_reads_no_frame_twice(kind, decoded_frames):
    part = trim(FILES[kind], f"a.{kind}", 1, SECONDS)

    assert part.facts.seconds == pytest.approx(SECONDS - 1)
    assert 0 < decoded_frames.count <= 1.02 * SECONDS * RATE


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_trimming_plain_samples_reads_only_the_part(kind, decoded_frames):
    trim(FILES[kind], f"a.{kind}", 1, 2)

    assert decoded_frames.count == RATE
