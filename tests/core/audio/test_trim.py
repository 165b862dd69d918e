"""The part of a sound that a person publishes: every sample as it was."""

import contextlib
import struct
from io import BytesIO

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from core.audio.decode import open_blocks
from core.audio.errors import (
    AudioError,
    BadSamples,
    BadSelection,
    EmptyAudio,
    NotAudio,
    TooLong,
    TruncatedAudio,
)
from core.audio.part import Quantizer
from core.audio.trim import trim
from core.audio.types import AudioLimits
from core.publishing.form import check_file_name
from tests.helpers.sound_files import encoded, float_wav, tone, wav, wav_with_info, written

NATIVE = {"PCM_24": "int32", "PCM_32": "int32", "FLOAT": "float32", "DOUBLE": "float64"}
KEPT = [
    *[("WAV", kind) for kind in "PCM_U8 PCM_16 PCM_24 PCM_32 FLOAT DOUBLE ULAW ALAW".split()],
    *[("WAVEX", kind) for kind in "PCM_16 PCM_24 PCM_32 FLOAT".split()],
    *[("AIFF", kind) for kind in "PCM_S8 PCM_U8 PCM_16 PCM_24 PCM_32 FLOAT DOUBLE".split()],
    *[("FLAC", kind) for kind in "PCM_S8 PCM_16 PCM_24".split()],
]
RATES, CHANNELS = (8_000, 22_050, 44_100, 48_000, 96_000), (1, 2, 6)


def noise(frames: int, channels: int, seed: int = 0) -> np.ndarray:
    """Every bit of every sample in use: int32 [frames, channels]."""
    return np.random.default_rng(seed).integers(-(2**31), 2**31, (frames, channels), np.int32)


def file_of(container: str, subtype: str, frames: int, rate: int, channels: int) -> bytes:
    samples = noise(frames, channels)
    floats = {"FLOAT": np.float32, "DOUBLE": np.float64}
    return written(
        samples / floats[subtype](2**30) if subtype in floats else samples, rate, container, subtype
    )


def decoded(data: bytes) -> np.ndarray:
    """Samples [n, channels] in the type that the file itself has."""
    with soundfile.SoundFile(BytesIO(data)) as file:
        return file.read(dtype=NATIVE.get(file.subtype, "int16"), always_2d=True)


def facts(data: bytes) -> tuple[str, str, int, int]:
    with soundfile.SoundFile(BytesIO(data)) as file:
        return file.format, file.subtype, file.samplerate, file.channels


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(KEPT),
    rate=st.sampled_from(RATES),
    channels=st.sampled_from(CHANNELS),
    data=st.data(),
)
def test_a_part_keeps_every_sample_and_everything_about_the_file(kind, rate, channels, data):
    frames = data.draw(st.integers(rate // 5, rate // 4))
    first = data.draw(st.integers(0, frames - rate // 10))
    last = data.draw(st.integers(first + rate // 10, frames))
    original = file_of(*kind, frames, rate, channels)
    part = trim(original, "a.x", first / rate, last / rate)
    assert facts(part.data) == facts(original) == (*kind, rate, channels)
    np.testing.assert_array_equal(decoded(part.data), decoded(original)[first:last], strict=True)
    assert (part.facts.rate, part.facts.channels, part.facts.seconds, part.note) == (
        rate,
        channels,
        (last - first) / rate,
        "",
    )


@pytest.mark.parametrize(
    "kind",
    [
        ("AIFF", "PCM_S8"),
        ("AIFF", "PCM_24"),
        ("WAVEX", "PCM_24"),
        ("FLAC", "PCM_24"),
        ("WAV", "PCM_U8"),
    ],
)
def test_another_decoder_than_the_one_that_wrote_it_reads_the_same(kind):
    import av

    original = file_of(*kind, 4_000, 8_000, 1)
    part = trim(original, "a", 0.1, 1601 / 8_000)  # an odd number of samples, which 8-bit files pad
    resampler = av.AudioResampler(format="s32")
    with av.open(BytesIO(part.data)) as file:
        parts = [part for frame in file.decode(audio=0) for part in resampler.resample(frame)]
        samples = np.concatenate([part.to_ndarray().ravel() for part in parts])
    expected = soundfile.read(BytesIO(original), dtype="int32")[0][800:1601]
    assert np.array_equal(samples, expected)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_the_bytes_of_plain_samples_are_the_originals(bits):
    frame = 2 * bits // 8
    payload = np.random.default_rng(1).bytes(8_000 * frame)
    part = trim(wav(payload, 8_000, 2, bits), "a.wav", 0.25, 0.75)
    assert part.data.endswith(payload[2_000 * frame : 6_000 * frame])


def test_floats_beyond_full_scale_and_numbers_too_small_to_hear_stay():
    samples = [1.5, -3.25, 1e-30, 0.1, -0.0] * 400
    part = trim(float_wav(samples * 10), "a.wav", 0, 0.2)
    assert np.array_equal(decoded(part.data)[:5, 0], np.float32(samples[:5]))


def test_a_long_file_is_cut_in_blocks(monkeypatch):
    monkeypatch.setattr("core.audio.trim.BLOCK_SAMPLES", 1000)
    for container, subtype in (("WAV", "PCM_24"), ("FLAC", "PCM_24"), ("WAV", "IMA_ADPCM")):
        original = file_of(container, subtype, 20_000, 8_000, 2)
        np.testing.assert_array_equal(
            decoded(trim(original, "a", 0.5, 2.1).data), decoded(original)[4_000:16_800]
        )


@pytest.mark.parametrize(
    ("container", "subtype", "becomes"),
    [
        ("W64", "PCM_24", ("WAV", "PCM_24")),
        ("CAF", "FLOAT", ("WAV", "FLOAT")),
        ("AU", "PCM_S8", ("WAV", "PCM_U8")),
        ("CAF", "ALAC_24", ("WAV", "PCM_24")),
        ("WAV", "IMA_ADPCM", ("WAV", "PCM_16")),
        ("WAV", "MS_ADPCM", ("WAV", "PCM_16")),
        ("AIFF", "IMA_ADPCM", ("AIFF", "PCM_16")),
    ],
)
def test_what_freesound_does_not_take_or_cannot_be_cut_becomes_its_lossless_equivalent(
    container, subtype, becomes
):
    original = file_of(container, subtype, 10_000, 22_050, 2)
    part = trim(original, "a.caf", 0.1, 0.4)
    assert facts(part.data)[:2] == becomes
    assert np.array_equal(decoded(part.data), decoded_as(original, becomes[1])[2205:8820])
    assert part.note.endswith(".")
    assert list(check_file_name(part.file_name)) == []


def decoded_as(data: bytes, subtype: str) -> np.ndarray:
    return soundfile.read(BytesIO(data), dtype=NATIVE.get(subtype, "int16"), always_2d=True)[0]


def test_an_rf64_file_becomes_a_wav_with_the_same_loudspeakers():
    original = file_of("RF64", "PCM_24", 10_000, 48_000, 6)
    part = trim(original, "a.wav", 0.05, 0.2)
    assert facts(part.data)[1:] == ("PCM_24", 48_000, 6)
    assert np.array_equal(decoded(part.data), decoded(original)[2400:9600])
    assert list(check_file_name(part.file_name)) == []


def test_an_extensible_wav_keeps_which_loudspeaker_each_channel_is_for():
    original = bytearray(file_of("WAVEX", "PCM_24", 10_000, 48_000, 4))
    at = original.index(b"fmt ") + 8 + 20
    assert original[at : at + 4] != bytes(4)
    original[at : at + 4] = bytes(4)  # no loudspeakers: ambisonics
    part = trim(bytes(original), "a.wav", 0.05, 0.2).data
    assert struct.unpack_from("<I", part, part.index(b"fmt ") + 28) == (0,)
    assert np.array_equal(decoded(part), decoded(bytes(original))[2400:9600])


STEREO = tone(seconds=1, channels=2)
STEREO_48K = tone(rate=48_000, channels=2, seconds=1)
LOSSY = {
    "a.ogg": lambda: written(STEREO, 44_100, "OGG", "VORBIS"),
    "a.opus": lambda: written(STEREO_48K, 48_000, "OGG", "OPUS"),
    "a.mp3": lambda: written(STEREO, 44_100, "MP3", "MPEG_LAYER_III"),
    "a.m4a": lambda: encoded(STEREO),
    "a.webm": lambda: encoded(STEREO_48K, 48_000, "webm", "libopus"),
    "a.aac": lambda: encoded(STEREO, container="adts"),
    "b.mp3": lambda: encoded(
        tone(seconds=1, channels=2), container="mp3", codec="libmp3lame", write_xing="0"
    ),
}


@pytest.mark.parametrize("name", LOSSY)
def test_a_compressed_sound_becomes_a_flac_of_what_it_decodes_to(name):
    original = LOSSY[name]()
    opened = open_blocks(original)
    rate, whole = opened.facts.rate, np.concatenate(list(opened.blocks))
    first, last = round(0.25 * rate), round(0.8 * rate)
    part = trim(original, name, 0.25, 0.8)
    assert facts(part.data) == ("FLAC", "PCM_24", rate, 2)
    expected = np.rint(whole[first:last].astype(np.float64) * 2**23).astype(np.int64)
    assert np.array_equal(decoded(part.data) >> 8, expected)
    assert "24-bit FLAC" in part.note
    assert part.file_name == f"{name[0]}_0.25-0.8s.flac"


def test_a_compressed_sound_that_is_too_loud_is_limited_and_says_so():
    part = trim(written(tone(level=2.0), 44_100, "OGG", "VORBIS"), "a.ogg", 0, 0.5)
    assert "beyond full scale" in part.note
    assert (decoded(part.data) >> 8).max() == 2**23 - 1


@pytest.mark.parametrize(
    ("container", "codec", "kind", "becomes"),
    [
        ("ipod", "alac", "s16p", ("FLAC", "PCM_16")),
        ("ipod", "alac", "s32p", ("FLAC", "PCM_24")),
        ("wv", "wavpack", "s16p", ("FLAC", "PCM_16")),
        ("wv", "wavpack", "s32p", ("WAV", "PCM_32")),
        ("wv", "wavpack", "fltp", ("WAV", "FLOAT")),
        ("matroska", "pcm_s24le", "s32", ("FLAC", "PCM_24")),
        ("matroska", "pcm_f64le", "dbl", ("WAV", "DOUBLE")),
    ],
)
def test_lossless_codecs_that_freesound_or_libsndfile_do_not_have_keep_every_sample(
    container, codec, kind, becomes
):
    samples, original = exactly_encoded(container, codec, kind)
    part = trim(original, "a.m4a", 0.25, 0.75)
    assert facts(part.data) == (*becomes, 44_100, 2)
    got = decoded(part.data)
    assert np.array_equal(got, samples[11_025:33_075])
    assert part.note.endswith("the same samples.")


def exactly_encoded(container: str, codec: str, kind: str) -> tuple[np.ndarray, bytes]:
    """A second of noise in FFmpeg's `kind` of sample, as [n, 2] and as a file."""
    import av

    packed = kind.removesuffix("p")
    bits = noise(44_100, 2)
    if codec != "wavpack":
        bits &= ~0xFF  # 24 bits in 32
    samples = {
        "s16": (bits >> 16).astype(np.int16),
        "s32": bits,
        "flt": (bits / 2**31).astype(np.float32),
        "dbl": bits / 2**31,
    }[packed]
    out = BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=44_100, layout="stereo")
        stream.format = kind
        for start in range(0, 44_100, 4096):
            block = samples[start : start + 4096]
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(block.T if kind.endswith("p") else block.reshape(1, -1)),
                kind,
                "stereo",
            )
            frame.sample_rate, frame.pts = 44_100, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return samples, out.getvalue()


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        (-0.1, 0.5, "begin at 0 s or later"),
        (float("nan"), 0.5, "begin"),
        (0, float("inf"), "to end"),
        (0.5, 0.5, "before it begins"),
        (0.6, 0.5, "before it begins"),
        (0.5, 0.55, "at least 0.1 s"),
        (0.5, 1.2, "already at 1 s"),
        (2, 3, "already at 1 s"),
    ],
)
@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.m4a"])
def test_times_that_make_no_sense_are_refused(start, end, says, name):
    data = written(tone()) if name == "a.wav" else LOSSY["a.mp3" if name == "a.mp3" else "a.m4a"]()
    with pytest.raises(BadSelection, match=r"\.$") as error:
        trim(data, name, start, end)
    if name == "a.wav" or "already" not in says:
        assert says in str(error.value)


def test_an_end_past_a_sound_whose_header_states_no_length_is_found_while_decoding():
    with pytest.raises(BadSelection, match="already at 1"):
        trim(LOSSY["b.mp3"](), "b.mp3", 0.2, 5)


def test_an_end_that_the_player_rounded_up_is_the_end_of_the_sound():
    part = trim(written(tone(seconds=1.0004, rate=44_100)), "a.wav", 0.5, 1.004)
    assert len(decoded(part.data)) == round(1.0004 * 44_100) - 22_050


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyAudio),
        (b"%PDF-1.4" + bytes(2000), NotAudio),
        (wav(bytes(4000), claimed=400_000), TruncatedAudio),
        (written(tone(seconds=2)), TooLong),
    ],
)
def test_a_file_that_is_no_whole_sound_is_refused_as_everywhere(data, error):
    with pytest.raises(error, match=r"\.$"):
        trim(data, "a.wav", 0, 1, AudioLimits(seconds=1.5))


def test_a_compressed_sound_with_samples_that_are_no_numbers_is_refused():
    with pytest.raises(BadSamples):
        Quantizer("a.ogg")(np.array([[np.nan]], np.float32))


def test_damaged_bytes_give_a_sentence_or_a_file_never_anything_else():
    whole, random = bytearray(file_of("FLAC", "PCM_16", 9_000, 8_000, 2)), np.random.default_rng(3)
    for _ in range(60):
        damaged = bytearray(whole)
        for at in random.integers(42, len(whole), 20):
            damaged[at] ^= 0xFF
        with contextlib.suppress(AudioError):
            assert trim(bytes(damaged), "a.flac", 0.2, 0.9).data


@pytest.mark.parametrize("container", ["WAV", "AIFF", "FLAC"])
def test_title_artist_and_comment_stay_with_the_part(container):
    out = BytesIO()
    with soundfile.SoundFile(out, "w", 44_100, 1, format=container) as file:
        file.title, file.artist, file.comment = "Regen", "Zoë", "From a roof"
        file.write(tone())
    with soundfile.SoundFile(BytesIO(trim(out.getvalue(), "a", 0.1, 0.6).data)) as file:
        assert file.title == "Regen"
        if container != "AIFF" or file.artist:
            assert file.artist == "Zoë"
        assert file.comment == "From a roof"


def test_a_flacs_license_stays():
    out = BytesIO()
    with soundfile.SoundFile(out, "w", 44_100, 1, format="FLAC") as file:
        file.license = "CC BY 4.0"
        file.write(tone())
    with soundfile.SoundFile(BytesIO(trim(out.getvalue(), "a", 0.1, 0.6).data)) as file:
        assert file.license == "CC BY 4.0"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("rain.wav", "rain_0.1-0.625s.wav"),
        ("rain.tar.WAV", "rain.tar_0.1-0.625s.wav"),
        ("rain", "rain_0.1-0.625s.wav"),
        (".wav", "sound_0.1-0.625s.wav"),
        ("雨" * 98 + ".wav", "雨" * 85 + "_0.1-0.625s.wav"),
    ],
    ids=range(5),
)
def test_the_part_has_a_name_that_says_what_it_is(name, part):
    assert trim(written(tone()), name, 0.1, 0.625).file_name == part


def test_an_aif_stays_an_aif():
    assert trim(written(tone(), container="AIFF"), "rain.aif", 0.1, 0.6).file_name.endswith(".aif")


def test_a_title_that_is_not_utf8_stays_right_in_the_part():
    data = wav_with_info({b"INAM": "Möwe".encode("cp1252"), b"IART": b"Ada"})
    with soundfile.SoundFile(BytesIO(trim(data, "a.wav", 0.1, 0.6).data)) as file:
        assert (file.title, file.artist) == ("Möwe", "Ada")
