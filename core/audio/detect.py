"""Recognise a file by its bytes: its decoder, or the reason that it cannot be read."""

import struct
from dataclasses import dataclass, replace

from core.audio.adts import first_adts_frame, is_adts
from core.audio.errors import AudioError, NotAudio, TruncatedAudio, UnsupportedAudio
from core.audio.flac import flac_has_unstated_sound, flac_links
from core.audio.mp3 import MAX_FRAME_BYTES, Mp3Layout, find_frames
from core.audio.ogg import ogg_layout
from core.audio.sizes import chunks, end_of_sounds_file, sound_chunk, with_known_sizes, with_padding

PICTURE_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif")
"""MP4 brands of pictures, which share their container with m4a."""
MIN_SOUND_BYTES = 512
HEAD_BYTES = 1 << 18
"""So much of a file's beginning is enough for `error_of_head`."""

FIRST_OF_SEVERAL = "The file holds another one behind the first, and only the first was read."
DAMAGED = "Parts of the file are damaged and were left out."

_MPEG_IN_WAV = (0x50, 0x55)  # format tags of MPEG layers I to III
_QUICKTIME_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""With one of these begins a QuickTime file of before 2001, and one of a few cameras today."""
_ID3_FOOTER = 0x10
_OTHER_FILES = {
    b"\x89png": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"gif8": "a picture (GIF)",
    b"%pdf": "a PDF document",
    b"pk\x03\x04": "a ZIP archive or office document",
    b"\x1f\x8b": "a gzip archive",
    b"<htm": "a web page",
    b"<!do": "a web page",
    b"#ext": "a playlist",
}
_UNSUPPORTED = {
    b"MThd": "MIDI notes",
    b"0&\xb2u": "Windows Media",
    b"#!AM": "AMR",
    b"MAC ": "Monkey's Audio",
    b".snd": "a Sun audio file of an unknown kind",
    b"DSD ": "DSD",
    b"FRM8": "DSD",
}
_READ_BY_LIBSNDFILE = (
    b"RIFF",
    b"RIFX",
    b"RF64",
    b"riff",
    b"FORM",
    b"fLaC",
    b"OggS",
    b"caff",
    b".snd",
    b"dns.",
    b"NIST",
    b"Crea",
)
"""What may reach libsndfile: its readers of rarer kinds print into stdout (SDS)."""
_SOUND_CONTAINERS = (*_READ_BY_LIBSNDFILE[:8], b"ID3", b"\xff\xfb", b"\xff\xf3")


@dataclass(frozen=True)
class ReadPlan:
    """The way to read a file.

    Attributes:
        data: Its bytes, without what stands before the sound, and with sizes where they were open.
        ffmpeg_format: FFmpeg's name of the container; None for libsndfile.
        fallback_format: The same, for what libsndfile refuses; None where FFmpeg cannot help.
        links: Where several sounds begin that the file holds; empty for one alone.
        note: A sentence for the person where not all of the file can be read.
        min_seconds: With less sound, an MP3 is not what its length header says; 0 without one.
    """

    data: bytes
    ffmpeg_format: str | None
    fallback_format: str | None = None
    links: tuple[int, ...] = ()
    note: str = ""
    min_seconds: float = 0.0

    def parts(self) -> tuple[bytes, ...]:
        """Return the file of each of several sounds."""
        ends = (*self.links[1:], len(self.data))
        return tuple(self.data[start:end] for start, end in zip(self.links, ends, strict=True))


def plan_reading(data: bytes, name: str) -> ReadPlan:
    """Return how to read a file: by libsndfile, and by FFmpeg what it refuses or shortens.

    FFmpeg is always told the container: it must not guess, as a playlist names other files.

    Raises:
        AudioError: It is nothing that either of them should get.
    """
    start = _end_of_id3(data)
    plan = _plan_container(_known_behind(data, start) if start else data)
    if plan is None and describe_other(data) is None:
        plan = _plan_frames(data, _end_of_zeros(data, start) if start else 0)
    if plan is None:
        raise unreadable(data, name)
    return plan


def error_of_head(head: bytes, name: str) -> AudioError | None:
    """Return the error of a file that begins so and cannot be read; None where it may be."""
    try:
        plan_reading(head[:HEAD_BYTES], name)
    except AudioError as error:
        return error
    return None


def _plan_container(data: bytes) -> ReadPlan | None:
    """Return how to read a file that begins as a known container does."""
    if data[:4] == b"fLaC":
        return _plan_flac(data)
    if data[:4] == b"OggS":
        return _plan_ogg(data)
    container = _ffmpeg_container(data)
    if container:
        return ReadPlan(data, container)
    if not data.startswith(_READ_BY_LIBSNDFILE):
        return None
    plan = _plan_chunks(with_known_sizes(with_padding(data)))
    end = end_of_sounds_file(data)
    is_last = not end or not _is_known(data[end : end + 12])
    return plan if is_last else replace(plan, note=FIRST_OF_SEVERAL)


def _plan_frames(data: bytes, start: int) -> ReadPlan | None:
    """Return how to read frames of an MP3 or AAC without a container, if there are any."""
    layout = _mp3_layout(data, start)
    if layout:
        return _plan_mp3(data, layout)
    first = first_adts_frame(data, start)
    if first is not None:
        return ReadPlan(data[first:], "aac")
    # Not with its tag: libsndfile looks behind it for every kind that it knows.
    return ReadPlan(data[start:], None) if data[start : start + 1] == b"\xff" else None


def _plan_flac(data: bytes) -> ReadPlan:
    """Return how to read a FLAC; libsndfile believes its stated length."""
    links = flac_links(data)
    if len(links) > 1:
        return ReadPlan(data, "flac", links=links)
    fallback = "flac" if any(data[18:20]) else None  # a rate of 0 Hz is refused
    return ReadPlan(data, "flac" if flac_has_unstated_sound(data) else None, fallback)


def _plan_ogg(data: bytes) -> ReadPlan:
    """Return how to read an Ogg file; libsndfile reads only the first link of a chained one."""
    layout = ogg_layout(data)
    note = DAMAGED if layout.is_damaged else ""
    if len(layout.links) > 1:
        return ReadPlan(data, "ogg", links=layout.links, note=note)
    return ReadPlan(data, None if layout.is_read_by_libsndfile else "ogg", "ogg", note=note)


def _plan_chunks(data: bytes) -> ReadPlan:
    """Return how to read a RIFF, IFF or CAF file."""
    if data[8:12] == b"WAVE" and data[:4] != b"riff":
        if _wav_format_tag(data) in _MPEG_IN_WAV:
            return _plan_mpeg_in_wav(data)
        return ReadPlan(data, None, "wav")
    magic = data[:4]
    formats = {b"FORM": "aiff", b"caff": "caf", b"riff": "w64", b".snd": "au", b"Crea": "voc"}
    return ReadPlan(data, None, formats.get(magic))


def _plan_mpeg_in_wav(data: bytes) -> ReadPlan:
    """Return how to read MPEG frames in a WAV, also those beyond the size that it states."""
    chunk = sound_chunk(data)
    layout = find_frames(data, chunk.start) if chunk else None
    if chunk and layout and layout.end > chunk.start + chunk.size + MAX_FRAME_BYTES:
        return ReadPlan(data[layout.first :], "mp3")
    return ReadPlan(data, "wav", "wav")


def _plan_mp3(data: bytes, layout: Mp3Layout) -> ReadPlan:
    """Return how to read an MP3.

    By FFmpeg: libsndfile prints a line about each damaged frame, guesses the length where no header
    states it, knows one ID3 tag at the start, and refuses what else stands there.
    """
    note = DAMAGED if layout.is_damaged else ""
    is_wrong = layout.is_longer_than_stated or layout.is_miscounted or layout.is_damaged
    min_seconds = 0.0 if is_wrong else layout.min_seconds
    return ReadPlan(data[layout.first :], "mp3", note=note, min_seconds=min_seconds)


def _mp3_layout(data: bytes, start: int) -> Mp3Layout | None:
    """Return the layout of an MP3; if none stands behind its tag, the tag's size is wrong."""
    layout = find_frames(data, start)
    if data[:3] == b"ID3" and (layout is None or layout.first != start):
        return find_frames(data, 10) or layout
    return layout


def _known_behind(data: bytes, start: int) -> bytes:
    """Return the file behind its tags, and zeros after them, if it is of a known kind."""
    for position in (start, _end_of_zeros(data, start)):
        if _is_known(data[position : position + 12]):
            return data[position:]
    return data


def _is_known(head: bytes) -> bool:
    return head.startswith(_READ_BY_LIBSNDFILE) or _ffmpeg_container(head) is not None


def _end_of_id3(data: bytes) -> int:
    """Return where the ID3 tags at the start end."""
    start, end = 0, _end_of_tag(data)
    while end > start:
        start, end = end, end + _end_of_tag(data[end : end + 10])
    return start


def _end_of_zeros(data: bytes, start: int) -> int:
    """Return where zeros end that stand at `start`; `start` if nothing follows them soon."""
    rest = data[start : start + HEAD_BYTES]
    padding = len(rest) - len(rest.lstrip(b"\0"))
    return start + padding if padding < len(rest) else start


def _end_of_tag(data: bytes) -> int:
    """Return the size of the ID3 tag at the start, with its head; 0 if there is none."""
    if data[:3] != b"ID3" or len(data) < 10 or any(byte & 0x80 for byte in data[6:10]):
        return 0
    size = sum(byte << 7 * place for place, byte in enumerate(reversed(data[6:10])))
    return size + (20 if data[5] & _ID3_FOOTER else 10)


def _wav_format_tag(data: bytes) -> int:
    order = ">" if data[:4] == b"RIFX" else "<"
    for name, start, _ in chunks(data, 12, f"{order}I"):
        if name == b"fmt " and start + 2 <= len(data):
            tag: int = struct.unpack_from(f"{order}H", data, start)[0]
            return tag
    return 0


def _ffmpeg_container(data: bytes) -> str | None:
    """Return FFmpeg's name of a container that libsndfile does not know at all."""
    if data[4:8] == b"ftyp" and data[8:12] not in PICTURE_BRANDS:
        return "mov"
    if data[4:8] in _QUICKTIME_BOXES:
        return "mov"
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if data[:4] == b"wvpk":
        return "wv"
    if data[:4] == b"BW64":
        return "wav"
    if is_adts(data):
        return "aac"
    return None


def truncated(name: str) -> TruncatedAudio:
    """Return the error for a file that ends before its sound does."""
    reason = "it ends before the sound its header announces"
    return TruncatedAudio(f"{name} is cut off: {reason}; please export or copy it again.")


def unreadable(data: bytes, name: str) -> AudioError:
    """Return the error that fits what the bytes of an unreadable file look like."""
    other = describe_other(data)
    if other:
        return NotAudio(f"{name} is {other}, not a sound.")
    if data[:4] in _UNSUPPORTED:
        kind = f"{_UNSUPPORTED[data[:4]]}, which is not supported"
        return UnsupportedAudio(f"{name} is {kind}; please convert it to WAV, FLAC or OGG.")
    if data.startswith(_SOUND_CONTAINERS):
        if len(data) < MIN_SOUND_BYTES:
            return truncated(name)
        return UnsupportedAudio(
            f"{name} looks like sound, but is damaged or of a kind that is not supported; "
            "please export it as WAV or FLAC."
        )
    readable = "WAV, FLAC, OGG, MP3, AIFF, M4A, WV and WebM are"
    return NotAudio(f"{name} is not a sound file that can be read; {readable}.")


def describe_other(data: bytes) -> str | None:
    """Return what a file is that is certainly no sound, in words; None where it may be one."""
    head = data[:64]
    if head[4:8] == b"ftyp" or head[8:12] == b"WEBP":
        return "a picture"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((words for magic, words in _OTHER_FILES.items() if start.startswith(magic)), None)
