"""Kinds of files that recorders, pipes and people make, and that decoders disagree about."""

import struct
import subprocess
import sys
import time
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from benchmarks.fuzz_kinds import with_ogg_checksums
from core.audio.decode import decode
from core.audio.errors import NotAudio, TooLong, TooManySamples, TruncatedAudio
from core.audio.trim import trim
from core.audio.types import AudioLimits, Recording
from tests.helpers.sound_files import (
    encoded,
    flac_claiming,
    id3_tag,
    ogg_claiming,
    silent_vorbis_bomb,
    tone,
    with_number,
    written,
)

ROOT = Path(__file__).parents[3]
CASES = ROOT.parent / "shared" / "cases"
SECONDS = 2.0
SOUND = tone(seconds=SECONDS)
WAV, FLAC, MP3 = written(SOUND), written(SOUND, container="FLAC"), written(SOUND, container="MP3")
VORBIS = written(SOUND, container="OGG", subtype="VORBIS")
OPUS = written(tone(seconds=SECONDS, rate=48_000), 48_000, "OGG", "OPUS")
ADTS = encoded(SOUND, 44_100, "adts", "aac")
STEREO_VORBIS = written(tone(seconds=SECONDS, rate=48_000, channels=2), 48_000, "OGG", "VORBIS")
LAME = encoded(SOUND, 44_100, "mp3", "libmp3lame")
XING_FRAMES = max(LAME.find(b"Xing"), LAME.find(b"Info")) + 8
RF64 = written(SOUND, container="RF64")
M4A = encoded(SOUND)
MP3_IN_WAV = encoded(SOUND, 44_100, "wav", "libmp3lame")
PICTURE = b"\xff\xd8\xff\xe0" + np.random.default_rng(6).bytes(20_000)
JUNK = np.random.default_rng(5).bytes(3000)


def with_open_sizes(container: str, size: int, subtype: str = "PCM_16") -> bytes:
    """Return a file whose samples' size is a number that stands for an unknown one."""
    data = written(SOUND, container=container, subtype=subtype)
    if container == "RF64":
        return with_number(with_number(data, 28, "<Q", size), 36, "<Q", size)
    name = {"AIFF": b"SSND", "AU": b".snd"}.get(container, b"data")
    at = data.index(name) + (16 if container == "W64" else 8 if container == "AU" else 4)
    wide = "Q" if container in ("CAF", "W64") else "I"
    return with_number(data, at, (">" if container in ("AIFF", "AU", "CAF") else "<") + wide, size)


def xing_of(share: float) -> bytes:
    """Return an MP3 whose length header counts a share of its frames."""
    frames = struct.unpack_from(">I", LAME, XING_FRAMES)[0]
    return with_number(LAME, XING_FRAMES, ">I", int(share * frames))


def swapped(data: bytes, old: bytes, new: bytes) -> bytes:
    """Return a file with its first `old` replaced."""
    assert old in data
    return data.replace(old, new, 1)


def vbri_of(data: bytes) -> bytes:
    """Return an MP3 whose length header is Fraunhofer's."""
    frames, size = struct.unpack_from(">II", data, XING_FRAMES)
    start = XING_FRAMES - 8
    header = b"VBRI" + struct.pack(">HHHIIHHHH", 1, 0, 80, size, frames, 0, 1, 2, 1)
    return data[:start] + header + data[start + len(header) :]


def tag_of_size(size: int) -> bytes:
    """Return an ID3 tag of 109 bytes that states another size."""
    return b"ID3\3\0\0" + bytes(
        [size >> 21, size >> 14 & 127, size >> 7 & 127, size & 127, *[0] * 99]
    )


def flac_picture() -> bytes:
    """Return a metadata block with a picture (RFC 9639, 8.8)."""
    head = struct.pack(">II", 3, 10) + b"image/jpeg" + bytes(20)
    body = head + struct.pack(">I", len(PICTURE)) + PICTURE
    return b"\6" + len(body).to_bytes(3, "big") + body


def ogg_skeleton(data: bytes) -> bytes:
    """Return an Ogg file with a stream that describes the other (Ogg Skeleton)."""
    serial, second = 777, data.index(b"OggS", 4)
    head = b"fishead\0" + struct.pack("<HHqqqq", 3, 0, 0, 1000, 0, 1000) + bytes(20)
    first = b"OggS\0\2" + struct.pack("<qIII", 0, serial, 0, 0) + bytes([1, len(head)]) + head
    last = b"OggS\0\4" + struct.pack("<qIII", 0, serial, 1, 0) + bytes([1, 0])
    return with_ogg_checksums(first + data[:second] + last + data[second:])


def ogg_from(data: bytes, granule: int) -> bytes:
    """Return an Ogg file whose positions begin later, as in a recorded broadcast."""
    changed, start = bytearray(data), data.find(b"OggS")
    while start >= 0:
        position = struct.unpack_from("<q", data, start + 6)[0]
        if position > 0:
            struct.pack_into("<q", changed, start + 6, position + granule)
        start = data.find(b"OggS", start + 4)
    return with_ogg_checksums(bytes(changed))


def ogg_ending_before(data: bytes, samples: int) -> bytes:
    """Return an Ogg file whose last page ends so many samples before its packets do."""
    last = data.rfind(b"OggS")
    end = struct.unpack_from("<q", data, last + 6)[0]
    return with_ogg_checksums(with_number(data, last + 6, "<q", end - samples))


def film(
    container: str, codec: str, start_s: float = 0, pictures_s: int = 0, second_s: float = 0
) -> bytes:
    """Return the sound in a container that may hold more.

    Args:
        container: FFmpeg's name of it.
        codec: Of the sound.
        start_s: The sound's first timestamp.
        pictures_s: Length of the pictures; none by default.
        second_s: Length of a second stream of sound; none by default.
    """
    out, lengths = BytesIO(), [SECONDS, second_s] if second_s else [SECONDS]
    with av.open(out, "w", format=container) as file:
        video = file.add_stream("mpeg4", rate=1) if pictures_s else None
        if video:
            video.width = video.height = 32
            video.pix_fmt = "yuv420p"
        streams = [file.add_stream(codec, rate=48_000, layout="mono") for _ in lengths]
        for _ in range(pictures_s):
            picture = np.zeros((32, 32, 3), np.uint8)
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        if video:
            file.mux(video.encode(None))
        for stream, seconds in zip(streams, lengths, strict=True):
            planes = np.ascontiguousarray(tone(seconds=seconds, rate=48_000).T)
            frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout="mono")
            frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
            frame.pts = round(start_s * 48_000)
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return out.getvalue()


MAX_32, MAX_64 = (1 << 32) - 1, (1 << 64) - 1
KINDS = {
    **{
        f"WAV of size {size:#x}": (with_open_sizes("WAV", size), SECONDS)
        for size in (0, MAX_32, MAX_32 - 36, 0x80000000, 0x7FFFFFFF, 0x7FFFF000)
    },
    "float WAV of size 0": (with_open_sizes("WAV", 0, "FLOAT"), SECONDS),
    "RF64 of size 0": (with_open_sizes("RF64", 0), SECONDS),
    "RF64 of unknown size": (with_open_sizes("RF64", MAX_64), SECONDS),
    "W64 of size 0": (with_open_sizes("W64", 0), SECONDS),
    "CAF of unknown size": (with_open_sizes("CAF", MAX_64), SECONDS),
    "AIFF of size 0": (with_open_sizes("AIFF", 0), SECONDS),
    "AIFF of unknown size": (with_open_sizes("AIFF", MAX_32), SECONDS),
    "AU of unknown size": (with_open_sizes("AU", MAX_32), SECONDS),
    "WAV with a stray chunk": (WAV[:36] + b"n\0i\0" + bytes(4) + WAV[36:], SECONDS),
    "WAV with stray zeros": (WAV[:36] + bytes(8) + WAV[36:], SECONDS),
    "MP3 in WAV": (MP3_IN_WAV, SECONDS),
    "MP3 in WAV of unknown size": (
        with_number(MP3_IN_WAV, MP3_IN_WAV.index(b"data") + 4, "<I", MAX_32),
        SECONDS,
    ),
    "Ogg FLAC": (encoded(SOUND, 44_100, "ogg", "flac"), SECONDS),
    "FLAC behind ID3": (id3_tag() + FLAC, SECONDS),
    "piped FLAC behind ID3": (id3_tag() + flac_claiming(0), 1.0),
    "FLAC that states too little": (flac_claiming(20_000), 1.0),
    "FLAC twice": (FLAC + FLAC, 2 * SECONDS),
    "FLACs of other rates and channels": (
        FLAC + written(tone(seconds=SECONDS, rate=48_000, channels=2), 48_000, "FLAC"),
        2 * SECONDS,
    ),
    "ADTS behind ID3": (id3_tag() + ADTS, SECONDS),
    "ADTS twice": (ADTS + ADTS, 2 * SECONDS),
    "MP3 behind two ID3 tags": (id3_tag() + id3_tag(300) + MP3, SECONDS),
    "MP3 behind padding": (id3_tag(60, 3000) + MP3, SECONDS),
    "MP3 behind junk": (JUNK + MP3, SECONDS),
    "MP3 behind zeros": (bytes(5000) + MP3, SECONDS),
    "MP3 twice": (MP3 + MP3, 2 * SECONDS),
    "MP3 twice with tags": (MP3 + b"TAG" + bytes(125) + id3_tag() + MP3, 2 * SECONDS),
    **{
        f"MP3 that counts {share:g} of its frames": (xing_of(share), SECONDS)
        for share in (0, 0.5, 2)
    },
    "MPEG layer II": (encoded(SOUND, 44_100, "mp2", "mp2"), SECONDS),
    "chained Vorbis": (VORBIS + VORBIS, 2 * SECONDS),
    "three links": (VORBIS * 3, 3 * SECONDS),
    "chained Opus": (OPUS + OPUS, 2 * SECONDS),
    "chained of other rates and channels": (VORBIS + STEREO_VORBIS, 2 * SECONDS),
    "chained of stereo and mono": (STEREO_VORBIS + VORBIS, 2 * SECONDS),
    "chained of Vorbis and Opus": (VORBIS + OPUS, 2 * SECONDS),
    "3GP": (encoded(tone(seconds=SECONDS, rate=8000), 8000, "3gp", "aac"), SECONDS),
    "WAV with an odd chunk that is not padded": (
        WAV[:36] + b"note" + struct.pack("<I", 5) + b"abcde" + WAV[36:],
        SECONDS,
    ),
    "WAV with garbage behind": (WAV + JUNK, SECONDS),
    "MP3 in WAV of too small a size": (
        with_number(MP3_IN_WAV, MP3_IN_WAV.index(b"data") + 4, "<I", 4000),
        SECONDS,
    ),
    "RF64 whose ds64 is empty": (RF64[:20] + bytes(24) + RF64[44:], SECONDS),
    "MP3 behind three ID3 tags": (id3_tag() * 3 + MP3, SECONDS),
    "MP3 behind a tag with a footer": (
        b"ID3\4\0\x10\0\0\0\x64" + bytes(100) + b"3DI\4\0\x10\0\0\0\x64" + MP3,
        SECONDS,
    ),
    **{
        f"MP3 behind a tag that states {size} bytes": (tag_of_size(size) + MP3, SECONDS)
        for size in (40, 4000, 2_000_000)
    },
    "MP3 behind a tag with a picture": (tag_of_size(99 + len(PICTURE)) + PICTURE + MP3, SECONDS),
    "MP3 behind a picture that the tag does not count": (tag_of_size(99) + PICTURE + MP3, SECONDS),
    "FLAC with a picture": (FLAC[:42] + flac_picture() + FLAC[42:], SECONDS),
    "MP3 behind an APE tag": (b"APETAGEX" + bytes(224) + MP3, SECONDS),
    **{f"MP3 behind {size} bytes": (b"\x55" * size + MP3, SECONDS) for size in (1, 2, 1 << 16)},
    "MP3 behind many zeros": (bytes(200_000) + MP3, SECONDS),
    "MP3 with a VBRI header": (vbri_of(LAME), SECONDS),
    "MP3s of other rates and channels": (
        MP3 + written(tone(seconds=SECONDS, rate=22_050, channels=2), 22_050, "MP3"),
        2 * SECONDS,
    ),
    "ADTS behind junk": (JUNK + ADTS, SECONDS),
    "ADTS behind a byte": (b"\0" + ADTS, SECONDS),
    "ADTS behind two ID3 tags": (id3_tag() + id3_tag(70, 300) + ADTS, SECONDS),
    "m4a behind ID3": (id3_tag() + M4A, SECONDS),
    "QuickTime without its first box": (swapped(M4A, b"ftyp", b"free"), SECONDS),
    "ALAC": (encoded(SOUND, 44_100, "ipod", "alac"), SECONDS),
    "FLAC in MP4": (encoded(SOUND, 44_100, "mp4", "flac"), SECONDS),
    "Vorbis with a skeleton": (ogg_skeleton(VORBIS), SECONDS),
    "Opus with a skeleton": (ogg_skeleton(OPUS), SECONDS),
    "Vorbis of a broadcast": (ogg_from(VORBIS, 441_000), SECONDS),
    "Opus of a broadcast": (ogg_from(OPUS, 480_000), SECONDS),
    "Opus that ends within a packet": (ogg_ending_before(OPUS, 300), SECONDS),
    "Ogg FLAC and Vorbis": (encoded(SOUND, 44_100, "ogg", "flac") + VORBIS, 2 * SECONDS),
    **{
        f"{container} that begins at 5 s": (film(container, codec, start_s=5), SECONDS)
        for container, codec in (("webm", "libopus"), ("matroska", "aac"), ("mp4", "aac"))
    },
    **{
        f"{container} with {pictures} s of pictures": (
            film(container, "aac", pictures_s=pictures),
            SECONDS,
        )
        for container in ("mp4", "matroska", "mov")
        for pictures in (1, 5)
    },
    **{
        f"{container} with another sound of {seconds} s": (
            film(container, "aac", second_s=seconds),
            SECONDS,
        )
        for container in ("mp4", "matroska")
        for seconds in (0.7, 5)
    },
}
kinds = pytest.mark.parametrize(("data", "seconds"), KINDS.values(), ids=KINDS.keys())


def level(recording: Recording) -> float:
    """Return the amplitude of a sine."""
    return float(np.sqrt(2 * np.mean(recording.samples**2)))


@kinds
def test_the_whole_sound_is_read_and_played(data, seconds):
    recording = decode(data, with_preview=True)
    played = soundfile.info(BytesIO(recording.preview))

    assert recording.seconds == pytest.approx(seconds, abs=0.15)
    assert recording.facts.note == ""
    assert recording.facts.seconds == pytest.approx(recording.seconds, abs=0.001)
    assert played.duration == pytest.approx(recording.seconds, abs=0.01)
    assert level(recording) == pytest.approx(0.5, rel=0.12)


@kinds
def test_a_path_of_any_suffix_gives_the_same_as_its_bytes(data, seconds, tmp_path):
    path = tmp_path / "sound.mp3"
    path.write_bytes(data)

    np.testing.assert_array_equal(decode(path).samples, decode(data).samples)


@kinds
def test_the_end_can_be_cut_out(data, seconds):
    part = trim(data, "sound", seconds - 0.5, seconds - 0.1)

    assert part.facts.seconds == pytest.approx(0.4, abs=0.001)
    assert np.abs(decode(part.data).samples).max() > 0.3


@kinds
def test_what_a_browser_gets_to_play_is_as_long_for_another_decoder(data, seconds):
    recording = decode(data, with_preview=True)

    with av.open(BytesIO(recording.preview), format="ogg") as preview:
        played = sum(frame.samples / frame.sample_rate for frame in preview.decode(audio=0))

    assert played == pytest.approx(recording.seconds, abs=0.05)


def without_pages(data: bytes, pages: int) -> bytes:
    """Return an Ogg file without some pages in the middle."""
    starts = [at for at in range(len(data)) if data.startswith(b"OggS", at)]
    middle = len(starts) // 2
    return data[: starts[middle]] + data[starts[middle + pages] :]


NOISE = np.random.default_rng(1).normal(0, 0.1, (600_000, 1))
IN_PART = {
    "WAV twice": WAV + WAV,
    "AIFF twice": written(SOUND, container="AIFF") * 2,
    "WAV and FLAC": WAV + FLAC,
    "MP3 with a hole": LAME[:8000] + bytes(3000) + LAME[8000:],
    "MP3 without some bytes": LAME[:8000] + LAME[8300:],
    "Vorbis without some pages": without_pages(written(NOISE, 44_100, "OGG", "VORBIS"), 2),
}


@pytest.mark.parametrize("data", IN_PART.values(), ids=IN_PART.keys())
def test_what_is_read_in_part_is_played_in_part_and_says_so(data):
    recording = decode(data, with_preview=True)

    assert recording.facts.note
    played = soundfile.info(BytesIO(recording.preview)).duration
    assert played == pytest.approx(recording.seconds, abs=0.03)


def test_all_links_together_keep_the_limit():
    with pytest.raises(TooLong):
        decode(VORBIS + VORBIS, limits=AudioLimits(seconds=1.5 * SECONDS))
    with pytest.raises(TooManySamples):
        decode(VORBIS + VORBIS, limits=AudioLimits(samples=1.5 * SECONDS * 44_100))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.85])
@pytest.mark.parametrize(
    "data", [LAME, MP3_IN_WAV, written(SOUND, container="CAF")], ids=["MP3", "WAV", "CAF"]
)
def test_a_size_that_is_stated_and_missing_is_still_cut_off(data, share):
    with pytest.raises(TruncatedAudio):
        decode(data[: int(share * len(data))])


def test_an_ogg_whose_last_page_states_another_length_is_encoded_for_the_browser():
    claiming = ogg_claiming(48_000 * 540)

    preview = decode(claiming, with_preview=True).preview

    assert decode(VORBIS, with_preview=True).preview == VORBIS
    assert preview != claiming
    assert soundfile.info(BytesIO(preview)).duration == pytest.approx(1, abs=0.05)


# --- Channels


def test_channels_that_cancel_each_other_are_not_averaged():
    sound = tone(channels=2)
    sound[:, 1] *= -0.8

    recording = decode(written(sound))

    assert level(recording) == pytest.approx(0.5, rel=0.02)
    assert "Channel 1 was used alone" in recording.facts.note
    assert "cancel" in recording.facts.note


@pytest.mark.parametrize("channels", [2, 3, 6, 8])
def test_one_channel_in_use_is_not_diluted(channels):
    sound = np.zeros((44_100, channels), np.float32)
    sound[:, 1] = tone()[:, 0]

    recording = decode(written(sound))

    assert level(recording) == pytest.approx(0.5, rel=0.02)
    assert "Channel 2 was used alone" in recording.facts.note


@pytest.mark.parametrize("channels", [2, 3, 6])
def test_channels_in_use_are_averaged_without_a_note(channels):
    noise = np.random.default_rng(1).normal(0, 0.1, (44_100, channels)).astype(np.float32)

    assert decode(written(noise)).facts.note == ""
    assert decode(written(np.zeros((44_100, channels), np.float32))).facts.note == ""


# --- Work


def test_what_decodes_to_too_many_samples_is_refused_at_once():
    bomb = silent_vorbis_bomb(0.5)
    assert len(bomb) < 100_000
    started = time.process_time()

    with pytest.raises(TooManySamples, match="64 channels"):
        decode(bomb, limits=AudioLimits(samples=1e6))

    assert time.process_time() - started < 0.2
    assert AudioLimits().samples < 64 * 192_000 * 10


def test_a_stream_that_states_no_length_is_stopped_at_the_limit_of_samples():
    endless = encoded(tone(seconds=4, rate=48_000, channels=2), 48_000, "webm", "libopus", live="1")

    with pytest.raises(TooManySamples):
        decode(endless, limits=AudioLimits(samples=2 * 48_000 * 2))


def test_nothing_foreign_is_printed_for_kinds_that_libsndfile_is_noisy_about():
    # MIDI Sample Dump Standard: the header, then packets without their marks
    dump = bytes.fromhex("f07e0001") + bytes([0, 0, 16, 97, 49, 1, 0, 8]) + bytes(9) + b"\xf7"
    program = """
import sys
from core.audio.decode import decode
from core.audio.errors import AudioError
try:
    decode(sys.stdin.buffer.read())
except AudioError as error:
    print(type(error).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=dump + bytes(127 * 200),
        cwd=ROOT,
        capture_output=True,
        check=True,
    )

    assert done.stdout.split() == [NotAudio.__name__.encode()]


# --- The files that people reported

RIGHT_SECONDS = {
    "01-wav-sizes-zero.wav": 4.0,
    "02-wav-sizes-ffffffff.wav": 4.0,
    "08-wav-stray-zero-chunk.wav": 4.0,
    "40-wav-mp3-inside.wav": 4.05,
    "100-caf-size-unknown.caf": 4.0,
    "75-ogg-flac.oga": 4.0,
    "72-flac-id3-front-piped.flac": 4.0,
    "77-adts-id3.aac": 4.04,
    "62-mp3-two-id3-tags.mp3": 4.05,
    "51-mp3-id3-extra-padding.mp3": 4.0,
    "58-mp3-leading-junk.mp3": 4.0,
    "52-mp3-concatenated.mp3": 8.0,
    "56-mp3-xing-frames-half.mp3": 4.0,
    "94-vorbis-chained.ogg": 8.0,
    "30-stereo-phase-inverted.wav": 4.0,
    "ignored-suffix.mp2": 4.0,
    "ignored-suffix.w64": 4.0,
}


@pytest.mark.parametrize("name", RIGHT_SECONDS)
def test_a_reported_file_is_read_as_a_whole(name):
    if not CASES.is_dir():
        pytest.skip("the reported files (shared/cases beside the project) are not on this machine")
    right = decode(CASES / "_reference-right-sound.wav")

    recording = decode(CASES / name, with_preview=True)

    assert recording.seconds == pytest.approx(RIGHT_SECONDS[name], abs=0.11)
    assert level(recording) == pytest.approx(level(right), rel=0.1)
    played = soundfile.info(BytesIO(recording.preview)).duration
    assert played == pytest.approx(recording.seconds, abs=0.01)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bomb-10s.ogg", TooManySamples),
        ("bomb-30s.flac", TooManySamples),
        ("stderr-522.sds", NotAudio),
    ],
)
def test_a_reported_file_is_refused(name, kind):
    if not CASES.is_dir():
        pytest.skip("the reported files (shared/cases beside the project) are not on this machine")
    with pytest.raises(kind):
        decode(CASES / name)
