"""Files of every kind become the same mono samples; others say in one sentence why not."""

import itertools
import re
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.audio.decode import MODEL_RATE_HZ, decode
from core.audio.errors import (
    AbsurdHeader,
    AudioError,
    BadSamples,
    EmptyAudio,
    NoSamples,
    NotAudio,
    TooLarge,
    TooLong,
    TooManySamples,
    TruncatedAudio,
    UnsupportedAudio,
)
from core.audio.libsndfile import BLOCK_SAMPLES
from core.audio.types import AudioLimits, Recording
from tests.helpers.sound_files import (
    aiff_rate,
    encoded,
    flac_claiming,
    float_wav,
    ogg_claiming,
    png,
    silent_video,
    tone,
    wav,
    written,
)

MAX_MEMORY_BYTES = 50e6


def pitch(recording: Recording) -> float:
    """Return the strongest frequency in Hz of the middle half."""
    middle = _middle(recording)
    return float(
        np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle)))))
        * recording.rate
        / len(middle)
    )


def level(recording: Recording) -> float:
    """Return the amplitude of the sine in the middle half (encoders ring at the ends)."""
    return float(np.sqrt(2 * np.mean(_middle(recording) ** 2)))


def _middle(recording: Recording) -> np.ndarray:
    quarter = len(recording.samples) // 4
    return recording.samples[quarter:-quarter]


def check_tone(
    recording: Recording, seconds: float = 1.0, slack_s: float = 0.002, loudness: float = 0.5
) -> None:
    assert recording.rate == MODEL_RATE_HZ
    assert recording.samples.dtype == np.float32
    assert recording.samples.ndim == 1
    assert recording.seconds == pytest.approx(seconds, abs=slack_s)
    assert pitch(recording) == pytest.approx(440, abs=4)
    assert level(recording) == pytest.approx(loudness, rel=0.06)


# --- Readable

LOSSLESS = [
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "ULAW"),
    ("WAVEX", "PCM_16"),
    ("RF64", "PCM_16"),
    ("W64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("AIFF", "PCM_16"),
    ("AIFF", "FLOAT"),
    ("CAF", "PCM_16"),
    ("AU", "PCM_16"),
]


@pytest.mark.parametrize(("container", "subtype"), LOSSLESS)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_lossless_files_keep_length_pitch_and_level(container, subtype, channels):
    recording = decode(written(tone(channels=channels), 44_100, container, subtype))

    check_tone(recording)
    assert (recording.facts.rate, recording.facts.channels, recording.facts.seconds) == (
        44_100,
        channels,
        1.0,
    )


@pytest.mark.parametrize(
    "rate",
    [
        8_000,
        11_025,
        16_000,
        22_000,
        22_050,
        24_000,
        32_000,
        44_100,
        48_000,
        88_200,
        96_000,
        176_400,
        192_000,
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_every_sample_rate_becomes_the_models(rate, channels):
    recording = decode(written(tone(rate=rate, channels=channels), rate))

    check_tone(recording)
    assert abs(len(recording.samples) - MODEL_RATE_HZ) <= 1


@pytest.mark.parametrize(
    ("container", "subtype", "rate", "channels"),
    [
        *[
            ("OGG", "VORBIS", rate, channels)
            for rate in (8_000, 44_100, 192_000)
            for channels in (1, 2)
        ],
        *[
            ("OGG", "OPUS", rate, channels)
            for rate in (8_000, 16_000, 48_000)
            for channels in (1, 2)
        ],
        *[
            ("MP3", None, rate, channels)
            for rate in (8_000, 22_050, 44_100, 48_000)
            for channels in (1, 2)
        ],
    ],
)
def test_compressed_files_of_libsndfile_keep_length_pitch_and_level(
    container, subtype, rate, channels
):
    check_tone(
        decode(written(tone(rate=rate, channels=channels), rate, container, subtype)), slack_s=0.01
    )


@pytest.mark.parametrize(
    ("container", "codec", "rate", "channels"),
    [
        ("ipod", "aac", 8_000, 1),
        ("ipod", "aac", 44_100, 2),
        ("mp4", "aac", 48_000, 1),
        ("adts", "aac", 44_100, 2),
        ("ipod", "alac", 44_100, 2),
        ("wv", "wavpack", 44_100, 1),
        ("wv", "wavpack", 192_000, 6),
        ("webm", "libopus", 48_000, 1),
        ("webm", "libopus", 48_000, 2),
        ("matroska", "flac", 44_100, 2),
    ],
)
def test_files_that_only_ffmpeg_reads_keep_length_pitch_and_level(
    container, codec, rate, channels, tmp_path
):
    data = encoded(tone(rate=rate, channels=channels), rate, container, codec)
    path = tmp_path / "tone"
    path.write_bytes(data)

    recording = decode(data)

    check_tone(recording, slack_s=3 * 1024 / rate if codec == "aac" else 0.01)
    np.testing.assert_array_equal(decode(path).samples, recording.samples)


@pytest.mark.parametrize(
    ("container", "codec"),
    [("OGG", "VORBIS"), ("OGG", "OPUS"), ("ipod", "aac"), ("webm", "libopus")],
)
def test_all_channels_of_surround_sound_count_except_the_bass(container, codec):
    sound = tone(rate=48_000, channels=6)
    data = (
        written(sound, 48_000, container, codec)
        if container == "OGG"
        else encoded(sound, 48_000, container, codec)
    )

    recording = decode(data)

    assert recording.facts.channels == 6
    assert pitch(recording) == pytest.approx(440, abs=4)
    assert (
        0.5 * 5 / 6 * 0.97 < level(recording) < 0.5 * 1.03
    )  # encoders may low-pass the fourth channel (LFE)


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("WAV", "PCM_16"), ("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)],
)
def test_a_path_its_text_and_its_bytes_decode_to_the_same(container, subtype, tmp_path):
    data = written(tone(rate=48_000), 48_000, container, subtype)
    path = tmp_path / "no ending"
    path.write_bytes(data)

    from_bytes = decode(data)

    np.testing.assert_array_equal(decode(path).samples, from_bytes.samples)
    np.testing.assert_array_equal(decode(str(path)).samples, from_bytes.samples)
    assert decode(path).facts == from_bytes.facts


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 192_000])
def test_resampling_is_soxr_hq(rate):
    noise = np.random.default_rng(rate).uniform(-0.5, 0.5, rate).astype(np.float32)

    recording = decode(written(noise, rate, "WAV", "FLOAT"))

    expected = soxr.resample(noise, rate, MODEL_RATE_HZ, quality="HQ")
    assert abs(len(recording.samples) - len(expected)) <= 1
    shared = min(len(recording.samples), len(expected))
    np.testing.assert_allclose(recording.samples[:shared], expected[:shared], atol=1e-4)


def test_sound_at_the_models_own_rate_is_not_touched():
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 5000).astype(np.float32)

    np.testing.assert_array_equal(
        decode(written(noise, MODEL_RATE_HZ, "WAV", "FLOAT")).samples, noise
    )


@pytest.mark.parametrize("channels", [2, 3, 6])
def test_channels_are_averaged(channels):
    noise = np.random.default_rng(2).uniform(-0.5, 0.5, (5000, channels)).astype(np.float32)

    recording = decode(written(noise, MODEL_RATE_HZ, "WAV", "FLOAT"))

    np.testing.assert_allclose(recording.samples, noise.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("container", "subtype"), [("WAV", "PCM_16"), ("FLAC", None), ("OGG", "VORBIS"), ("MP3", None)]
)
def test_reading_in_many_blocks_changes_nothing(container, subtype, monkeypatch):
    data = written(tone(seconds=1.5, channels=2), 44_100, container, subtype)
    whole = decode(data)

    monkeypatch.setattr("core.audio.libsndfile.BLOCK_SAMPLES", 2 * 4099)
    in_blocks = decode(data)

    assert len(in_blocks.samples) == len(whole.samples)
    np.testing.assert_allclose(in_blocks.samples, whole.samples, atol=1e-4)


def test_a_file_longer_than_one_block_is_decoded_to_its_end():
    seconds = 1.4 * BLOCK_SAMPLES / 44_100
    sound = tone(seconds=seconds, level=0.1)
    sound[-44_100:] += tone(hz=1000, seconds=1, level=0.4)

    recording = decode(written(sound))

    assert recording.seconds == pytest.approx(seconds, abs=0.001)
    assert np.abs(recording.samples[-8000:-1000]).max() == pytest.approx(0.5, rel=0.02)


QUIET_THEN_NOISY = np.concatenate(
    [tone(seconds=4), np.random.default_rng(3).uniform(-0.5, 0.5, (88_200, 1)).astype(np.float32)]
)
BARE_MP3 = encoded(tone(seconds=2), 44_100, "mp3", "libmp3lame", write_xing="0")


def test_an_mp3_of_constant_rate_without_a_length_header_loads():
    check_tone(decode(BARE_MP3), seconds=2, slack_s=0.1)


@pytest.mark.parametrize("header", ["0", "1"])
@pytest.mark.parametrize(
    "sound", [QUIET_THEN_NOISY, QUIET_THEN_NOISY[::-1]], ids=["quiet first", "noisy first"]
)
def test_an_mp3_of_variable_rate_is_decoded_to_its_end(sound, header):
    recording = decode(
        encoded(
            sound,
            44_100,
            "mp3",
            "libmp3lame",
            {"flags": "+qscale", "global_quality": "236"},
            write_xing=header,
        )
    )

    assert recording.seconds == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize(
    "junk", [bytes(3000), b"TAG" + b"a song".ljust(125, b"\0"), b"LYRICSBEGIN" + b"la" * 300]
)
def test_what_follows_the_frames_of_an_mp3_does_no_harm(junk):
    check_tone(decode(BARE_MP3 + junk), seconds=2, slack_s=0.1)
    check_tone(decode(written(tone(seconds=2), 44_100, "MP3") + junk), seconds=2, slack_s=0.1)


def test_a_hole_in_a_streamed_mp3_is_skipped():
    recording = decode(BARE_MP3[:8000] + BARE_MP3[9100:])

    assert recording.seconds == pytest.approx(2 - 1100 / len(BARE_MP3) * 2, abs=0.15)


def test_raw_aac_of_variable_rate_is_not_taken_for_cut_off():
    recording = decode(encoded(QUIET_THEN_NOISY[::-1], 44_100, "adts", "aac"))

    assert recording.seconds == pytest.approx(6, abs=0.1)


def test_a_flac_of_unstated_length_loads():
    recording = decode(flac_claiming(0))

    check_tone(recording)
    assert recording.facts.seconds == 1.0


def test_a_flac_of_unstated_length_still_obeys_the_limit():
    with pytest.raises(TooLong):
        decode(flac_claiming(0), limits=AudioLimits(seconds=0.5))


def test_metadata_in_an_unknown_encoding_does_no_harm():
    data = encoded(tone(), 44_100, "ipod", "aac")
    at = data.index(b"Lavf")

    check_tone(decode(data[:at] + b"\xe9\xff" + data[at + 2 :]), slack_s=0.1)


def test_other_rates_than_the_models_can_be_asked_for():
    recording = decode(written(tone()), rate=16_000)

    assert (recording.rate, len(recording.samples)) == (16_000, 16_000)


def test_samples_beyond_full_scale_are_kept_as_they_are():
    assert np.abs(decode(float_wav([3.0, -3.0] * 5000), rate=44_100).samples).max() == 3.0


def test_silence_is_valid():
    recording = decode(float_wav([0.0] * 44_100))

    assert len(recording.samples) == MODEL_RATE_HZ
    assert not recording.samples.any()


def test_real_clips_load(clips):
    files = sorted((clips / "audio").iterdir())[::100]
    assert files

    for path in files:
        recording = decode(path)
        assert recording.samples.any(), path.name
        assert recording.seconds == pytest.approx(soundfile.info(path).duration, abs=0.001), (
            path.name
        )


# --- Refused

PCM = (tone() * 20_000).astype("<i2").tobytes()
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.wav\n#EXT-X-ENDLIST\n"

NO_SOUND = {
    "text": b"Meeting notes, Tuesday.\n" * 40,
    "one byte": b"x",
    "random bytes": np.random.default_rng(4).bytes(5000),
    "zeros": bytes(5000),
    "ones": b"\xff" * 5000,
    "PNG": png(),
    "JPEG": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(600),
    "JPEG from a camera": b"\xff\xd8\xff\xe1\0\x10Exif\0" + bytes(600),
    "GIF": b"GIF89a" + bytes(600),
    "WebP": b"RIFF" + struct.pack("<I", 612) + b"WEBPVP8 " + bytes(600),
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(600),
    "PDF": b"%PDF-1.7\n" + bytes(600),
    "ZIP": b"PK\x03\x04" + bytes(600),
    "web page": b"<html><body>Hello</body></html>",
    "web page with doctype": b"\n<!doctype html><title>404</title>" + b" " * 600,
    "playlist": PLAYLIST,
    "playlist with a byte order mark": b"\xef\xbb\xbf" + PLAYLIST,
    "film without sound": silent_video(),
}
UNREAD_KINDS = {
    "MIDI": b"MThd\0\0\0\6\0\1\0\1\0`MTrk\0\0\0\4\0\xff/\0",
    "Windows Media": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(600),
    "AMR": b"#!AMR\n" + bytes(600),
    "WAV of an unknown codec": wav(PCM, kind=0x1234),
    "WAV of no channels": wav(PCM, channels=0),
    "WAV of 0 Hz": wav(PCM, rate=0),
    "FLAC of 0 Hz": flac_claiming(44_100, rate=0),
    "AVI film": b"RIFF" + struct.pack("<I", 4000) + b"AVI LIST" + bytes(4000),
}
NO_SAMPLE_VALUES = {
    "NaN": [float("nan")] * 500,
    "one NaN in the middle": [0.1] * 5000 + [float("nan")] + [0.1] * 5000,
    "infinity": [float("inf")] * 500,
    "minus infinity": [0.0] * 500 + [-float("inf")],
    "absurdly loud": [0.0, 1e30, -1e30] * 100,
    "just absurd": [2e6] * 500,
}
LYING_HEADERS = {
    "FLAC that claims five hours": (flac_claiming(44_100 * 3600 * 5), TooLong),
    "FLAC that claims the most there is": (flac_claiming((1 << 36) - 1), TooLong),
    "FLAC that claims nine minutes": (flac_claiming(44_100 * 540), TruncatedAudio),
    "FLAC that claims two seconds": (flac_claiming(88_200), TruncatedAudio),
    "FLAC that claims eight channels": (flac_claiming(44_100 * 540, channels=8), TooManySamples),
    "FLAC of 1 Hz": (flac_claiming(44_100, rate=1), AbsurdHeader),
    "FLAC of a million Hz": (flac_claiming(44_100, rate=1_048_575), AbsurdHeader),
    "WAV that claims 4 GB": (wav(PCM, claimed=4_000_000_000), TruncatedAudio),
    "WAV that claims all there is": (wav(PCM, claimed=0xFFFFFFFE), TruncatedAudio),
    "WAV that claims nine minutes": (wav(PCM, claimed=44_100 * 2 * 540), TruncatedAudio),
    "WAV of 1 Hz": (wav(PCM, rate=1), AbsurdHeader),
    "WAV of 999 Hz": (wav(PCM, rate=999), AbsurdHeader),
    "WAV of ten million Hz": (wav(PCM, rate=10_000_000), AbsurdHeader),
    "WAV of 1000 channels": (wav(PCM, channels=1000), AbsurdHeader),
    "WAV of 65 channels": (wav(PCM, channels=65), AbsurdHeader),
    "AIFF of 1 Hz": (
        aiff_rate(written(tone(), 44_100, "AIFF"), bytes.fromhex("3fff8000000000000000")),
        AbsurdHeader,
    ),
    "AIFF of ten million Hz": (
        aiff_rate(written(tone(), 44_100, "AIFF"), bytes.fromhex("40169896800000000000")),
        AbsurdHeader,
    ),
    "Opus that claims five hours": (ogg_claiming(48_000 * 3600 * 5, "OPUS"), TooLong),
    "Opus that claims nine minutes": (ogg_claiming(48_000 * 540, "OPUS"), TruncatedAudio),
    "RF64 that lies": (written(tone(), 44_100, "RF64")[:-2000], TruncatedAudio),
}


def error_of(
    source: bytes | Path, limits: AudioLimits = AudioLimits(), name: str = "night walk.wav"
) -> AudioError:
    """Decode and return the error: one sentence that names the file, at little cost in memory."""
    tracemalloc.start()
    try:
        with pytest.raises(AudioError) as caught:
            decode(source, name=name, limits=limits)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    sentence = str(caught.value)
    assert sentence.startswith(name)
    assert sentence.endswith(".")
    assert not re.search(r"\. |\n", sentence.removeprefix(name)), (
        f"more than one sentence: {sentence}"
    )
    assert not re.search(r"Error|Errno|Traceback|libsndfile|FFmpeg|PyAV|0x|<|None", sentence), (
        sentence
    )
    assert peak < MAX_MEMORY_BYTES
    return caught.value


def cases(table: dict) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", table.values(), ids=table.keys())


def test_an_empty_file_is_called_empty(tmp_path):
    path = tmp_path / "night walk.wav"
    path.touch()

    assert type(error_of(path)) is EmptyAudio
    assert type(error_of(b"")) is EmptyAudio


@cases(NO_SOUND)
def test_what_is_no_sound_is_refused_whatever_its_name(case, tmp_path):
    path = tmp_path / "night walk.wav"
    path.write_bytes(case)

    assert type(error_of(path)) is NotAudio
    assert type(error_of(case)) is NotAudio


def test_a_playlist_never_plays_the_file_it_names(tmp_path):
    (tmp_path / "secret.wav").write_bytes(written(tone()))
    for ending in ("m3u8", "wav", "m4a", "webm"):
        playlist = tmp_path / f"list.{ending}"
        playlist.write_bytes(PLAYLIST)

        assert type(error_of(playlist)) is NotAudio


def test_a_playlist_behind_the_head_of_another_container_plays_nothing_either(tmp_path):
    (tmp_path / "secret.wav").write_bytes(written(tone()))
    for head in (b"\0\0\0\x10ftypM4A \0\0\0\0", b"\x1a\x45\xdf\xa3", b"wvpk", b"\xff\xf1"):
        disguised = tmp_path / "disguised"
        disguised.write_bytes(head + b"\n" + PLAYLIST)

        error_of(disguised)


@cases(UNREAD_KINDS)
def test_kinds_that_are_not_read_say_so(case):
    assert type(error_of(case)) is UnsupportedAudio


@cases(NO_SAMPLE_VALUES)
def test_samples_that_are_no_sound_are_refused(case):
    assert type(error_of(float_wav(case))) is BadSamples


@pytest.mark.parametrize(
    ("container", "subtype"), [("WAV", "PCM_16"), ("AIFF", "PCM_16"), ("OGG", "VORBIS")]
)
def test_a_file_of_zero_samples_says_so(container, subtype):
    assert (
        type(error_of(written(np.zeros((0, 1), np.float32), 44_100, container, subtype)))
        is NoSamples
    )


@cases(LYING_HEADERS)
def test_headers_that_lie_are_found_out_and_cost_nothing(case, tmp_path):
    data, kind = case
    path = tmp_path / "night walk.wav"
    path.write_bytes(data)

    assert type(error_of(data)) is kind
    assert type(error_of(path)) is kind


@pytest.mark.parametrize("claim", [48_000 * 3600 * 5, 1 << 62, 48_000 * 540])
def test_a_vorbis_file_that_claims_hours_is_only_as_long_as_its_sound(claim):
    tracemalloc.start()
    recording = decode(ogg_claiming(claim))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert recording.seconds == pytest.approx(1, abs=0.05)
    assert peak < MAX_MEMORY_BYTES


FOUR_SECONDS = tone(seconds=4, rate=48_000)
CUT_FILES = {
    "wav": written(FOUR_SECONDS, 48_000),
    "float wav": written(FOUR_SECONDS, 48_000, "WAV", "FLOAT"),
    "rf64": written(FOUR_SECONDS, 48_000, "RF64", "PCM_16"),
    "w64": written(FOUR_SECONDS, 48_000, "W64", "PCM_16"),
    "aiff": written(FOUR_SECONDS, 48_000, "AIFF"),
    "au": written(FOUR_SECONDS, 48_000, "AU", "PCM_16"),
    "flac": written(FOUR_SECONDS, 48_000, "FLAC"),
    "vorbis": written(FOUR_SECONDS, 48_000, "OGG", "VORBIS"),
    "opus": written(FOUR_SECONDS, 48_000, "OGG", "OPUS"),
    "mp3": written(FOUR_SECONDS, 48_000, "MP3"),
    "m4a": encoded(FOUR_SECONDS, 48_000, "ipod", "aac"),
    "webm": encoded(FOUR_SECONDS, 48_000, "webm", "libopus"),
    "wavpack": encoded(FOUR_SECONDS, 48_000, "wv", "wavpack"),
    "matroska": encoded(FOUR_SECONDS, 48_000, "matroska", "flac"),
}
cut_files = pytest.mark.parametrize("data", CUT_FILES.values(), ids=CUT_FILES.keys())


@cut_files
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 0.9])
def test_a_file_that_ends_too_soon_is_called_cut_off(data, share, tmp_path):
    cut = data[: int(len(data) * share)]
    path = tmp_path / "night walk.wav"
    path.write_bytes(cut)

    assert type(error_of(cut)) is TruncatedAudio
    assert type(error_of(path)) is TruncatedAudio


@cut_files
@pytest.mark.parametrize("length", [1, 3, 4, 5, 8, 11, 12, 20, 27, 30, 36, 40, 44])
def test_a_file_cut_within_its_header_is_refused(data, length):
    assert type(error_of(data[:length])) in (TruncatedAudio, NotAudio, UnsupportedAudio, NoSamples)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("wav", 44),
        ("aiff", 54),
        ("flac", 42),
        ("vorbis", 58),
        ("opus", 47),
        ("mp3", 100),
        ("m4a", 32),
        ("webm", 200),
        ("wavpack", 32),
    ],
)
def test_a_file_cut_after_its_header_is_called_cut_off_or_without_sound(name, header):
    assert type(error_of(CUT_FILES[name][:header])) in (TruncatedAudio, NoSamples)


def test_a_sound_longer_than_the_limit_is_refused_whatever_its_kind():
    for name, data in CUT_FILES.items():
        assert type(error_of(data, AudioLimits(seconds=3))) is TooLong, name
        decode(data, limits=AudioLimits(seconds=4.2))


def test_a_stream_without_a_stated_length_is_refused_when_it_passes_the_limit():
    endless = encoded(FOUR_SECONDS, 48_000, "webm", "libopus", live="1")

    assert decode(endless).seconds == pytest.approx(4, abs=0.05)
    assert type(error_of(endless, AudioLimits(seconds=3))) is TooLong


def test_a_file_larger_than_the_limit_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "night walk.wav"
    with path.open("wb") as file:
        file.truncate(3_000_000_000)

    error = error_of(path)

    assert type(error) is TooLarge
    assert "3,000.0 MB" in str(error)
    assert "100 MB" in str(error)


def test_both_limits_are_named_as_they_were_set():
    assert "0.1 MB" in str(error_of(CUT_FILES["wav"], AudioLimits(megabytes=0.1)))
    assert "the limit is 1.5 s" in str(error_of(CUT_FILES["wav"], AudioLimits(seconds=1.5)))
    assert "5 min" in str(
        error_of(written(tone(seconds=310, rate=1000), 1000), AudioLimits(seconds=300))
    )


def test_what_cannot_be_opened_is_an_audio_error_too(tmp_path):
    missing, folder, odd = tmp_path / "gone.wav", tmp_path, tmp_path / "nu\0ll.wav"

    for path in (missing, folder, odd, str(missing)):
        assert "cannot be read" in str(error_of(path))


def test_an_error_without_a_given_name_uses_the_files_own(tmp_path):
    path = tmp_path / "field recording 7.flac"
    path.write_bytes(b"nothing")

    with pytest.raises(NotAudio, match=r"^field recording 7\.flac is not"):
        decode(path)
    with pytest.raises(NotAudio, match=r"^The sound is not"):
        decode(b"nothing")


# --- Anything

SHORT = tone(seconds=0.3, rate=16_000)
DAMAGED = {
    "wav": written(SHORT, 16_000),
    "flac": written(SHORT, 16_000, "FLAC"),
    "vorbis": written(SHORT, 16_000, "OGG", "VORBIS"),
    "opus": written(SHORT, 16_000, "OGG", "OPUS"),
    "mp3": written(SHORT, 16_000, "MP3"),
    "aiff": written(SHORT, 16_000, "AIFF"),
    "caf": written(SHORT, 16_000, "CAF", "PCM_16"),
    "m4a": encoded(SHORT, 16_000, "ipod", "aac"),
    "wavpack": encoded(SHORT, 16_000, "wv", "wavpack"),
    "webm": encoded(SHORT, 16_000, "webm", "libopus"),
    "adts": encoded(SHORT, 16_000, "adts", "aac"),
    "film": silent_video(),
}
FUZZ = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def check_decoding(data: bytes) -> None:
    """Decode it; an `AudioError` is an answer, anything else a defect."""
    try:
        samples = decode(data).samples
    except AudioError:
        return
    assert np.isfinite(samples).all()


def no_python_errors(printed: str) -> bool:
    """libmpg123 warns on stderr by itself; Python must not."""
    return not any(word in printed for word in ("Traceback", "Exception ignored", "Error:", "cffi"))


@given(data=st.binary(min_size=1, max_size=2000))
@settings(FUZZ, max_examples=150)
def test_random_bytes_raise_nothing_but_audio_errors(data, capfd):
    check_decoding(data)
    assert no_python_errors(capfd.readouterr().err)


@given(
    magic=st.sampled_from(
        [
            b"RIFF\xff\xff\xff\x7fWAVEfmt ",
            b"fLaC\0\0\0\x22",
            b"OggS\0\2",
            b"ID3\4\0\0",
            b"\0\0\0\x18ftypM4A ",
            b"\x1a\x45\xdf\xa3",
            b"wvpk",
        ]
    ),
    rest=st.binary(max_size=1000),
)
@settings(FUZZ, max_examples=150)
def test_random_bytes_behind_a_true_magic_number_raise_nothing_but_audio_errors(magic, rest, capfd):
    check_decoding(magic + rest)
    assert no_python_errors(capfd.readouterr().err)


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
@given(choices=st.data())
@settings(FUZZ, max_examples=40)
def test_damage_anywhere_raises_nothing_but_audio_errors(data, choices, capfd):
    damaged = bytearray(data)
    places = st.one_of(st.integers(0, min(200, len(data) - 1)), st.integers(0, len(data) - 1))
    for at, bytes_put in choices.draw(
        st.lists(st.tuples(places, st.binary(min_size=1, max_size=8)), min_size=1, max_size=5)
    ):
        damaged[at : at + len(bytes_put)] = bytes_put
    cut = choices.draw(st.one_of(st.none(), places))

    check_decoding(bytes(damaged[:cut]))

    assert no_python_errors(capfd.readouterr().err)


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_file_cut_anywhere_raises_nothing_but_audio_errors(data, capfd):
    for length in itertools.chain(range(1, 130), range(130, len(data), max(1, len(data) // 60))):
        check_decoding(data[:length])

    assert no_python_errors(capfd.readouterr().err)
