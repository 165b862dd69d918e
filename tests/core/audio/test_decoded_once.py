"""A file is decoded once per use, whatever is made of it."""

import itertools

import av
import pytest
import soundfile

from core.audio.decode import decode
from core.audio.libsndfile import BLOCK_SAMPLES
from core.audio.trim import trim
from core.work import WorkStopped
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
    """Counts the frames that libsndfile decodes, and those in the packets that FFmpeg gets."""

    def __init__(self) -> None:
        self.count = 0


@pytest.fixture
def decoded_frames(monkeypatch) -> DecodedFrames:
    frames, read, open_container = DecodedFrames(), soundfile.SoundFile.read, av.open

    def counted_read(file, *arguments, **options):
        block = read(file, *arguments, **options)
        frames.count += len(block)
        return block

    class CountedContainer:
        def __init__(self, container):
            self._container = container

        def __getattr__(self, name):
            return getattr(self._container, name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self._container.close()

        def demux(self, *streams, **options):
            for packet in self._container.demux(*streams, **options):
                frames.count += round(RATE * (packet.duration or 0) * packet.time_base)
                yield packet

    monkeypatch.setattr(soundfile.SoundFile, "read", counted_read)
    monkeypatch.setattr(
        av,
        "open",
        lambda *arguments, **options: CountedContainer(open_container(*arguments, **options)),
    )
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


@pytest.mark.parametrize("kind", ["wav", "ogg", "m4a"])
def test_decoding_stops_where_the_checkpoint_says_so(kind, decoded_frames):
    calls = iter([None, WorkStopped("given up")])

    def checkpoint() -> None:
        if error := next(calls):
            raise error

    with pytest.raises(WorkStopped, match="given up"):
        decode(FILES[kind], with_preview=True, checkpoint=checkpoint)

    assert 0 < decoded_frames.count < SECONDS * RATE


@pytest.mark.parametrize("channels", [1, 64])
def test_no_stretch_between_two_checkpoints_is_long(channels, decoded_frames):
    samples_before = [0]
    sound = written(
        tone(seconds=1, rate=192_000, channels=channels),
        192_000,
        "FLAC" if channels == 1 else "WAV",
        "PCM_16",
    )

    decode(sound, checkpoint=lambda: samples_before.append(decoded_frames.count * channels))

    steps = [after - before for before, after in itertools.pairwise(samples_before)]
    assert max(steps) <= BLOCK_SAMPLES
    assert sum(steps) == 192_000 * channels
