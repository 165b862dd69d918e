"""Recognise a file by its first bytes: its decoder, or the reason that it cannot be read."""

from core.audio.errors import AudioError, NotAudio, TruncatedAudio, UnsupportedAudio

PICTURE_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif")
"""MP4 brands of pictures, which share their container with m4a."""
MP3_FRAMES = (b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2")
MIN_SOUND_BYTES = 512

_FLAC_LENGTH_MASK = (1 << 36) - 1  # the bits of STREAMINFO that count samples (RFC 9639, 8.2)
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
_SOUND_CONTAINERS = (
    b"RIFF",
    b"RF64",
    b"riff",
    b"FORM",
    b"fLaC",
    b"OggS",
    b"ID3",
    b"caff",
    *MP3_FRAMES,
)


def ffmpeg_container(data: bytes) -> str | None:
    """Return FFmpeg's name of the container for a sound that libsndfile does not read correctly.

    None for all others. It is a fixed list: a playlist must never make FFmpeg open other files.
    """
    if _is_mp3_without_length(data):
        return "mp3"
    if data[4:8] == b"ftyp" and data[8:12] not in PICTURE_BRANDS:
        return "mov"
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if data[:4] == b"wvpk":
        return "wv"
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        return "aac"
    if data[:4] == b"fLaC" and len(data) > 25 and not _flac_length(data):
        return "flac"  # of unstated length, as pipes write it: libsndfile reads its first block
    return None


def is_truncated_ogg(data: bytes) -> bool:
    """Return True if the last Ogg page claims more bytes than the file has (RFC 3533, 6)."""
    if data[:4] != b"OggS":
        return False
    tail = data[max(0, len(data) - (1 << 17)) :]
    start = tail.rfind(b"OggS")
    if start < 0:
        return False  # a page has at most 65,307 bytes, so this is no Ogg tail: the decoder tells
    page = tail[start:]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    return len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])


def truncated(name: str) -> TruncatedAudio:
    """Return the error for a file that ends before its sound does."""
    reason = "it ends before the sound its header announces"
    return TruncatedAudio(f"{name} is cut off: {reason}; please export or copy it again.")


def unreadable(data: bytes, name: str) -> AudioError:
    """Return the error that fits what the bytes of an unreadable file look like."""
    other = _describe_other(data)
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


def _is_mp3_without_length(data: bytes) -> bool:
    """Return True if an MP3's first frame states no length (Xing, Info, VBRI).

    libsndfile guesses the length from one bit rate and stops there.
    """
    start = 0
    if data[:3] == b"ID3":
        digits = enumerate(reversed(data[6:10]))
        start = sum(byte << 7 * place for place, byte in digits) + 10
    frame = data[start : start + 256]
    marks = (b"Xing", b"Info", b"VBRI")
    return frame[:2] in MP3_FRAMES and not any(mark in frame for mark in marks)


def _flac_length(data: bytes) -> int:
    return int.from_bytes(data[21:26]) & _FLAC_LENGTH_MASK


def _describe_other(data: bytes) -> str | None:
    """Return what a file is that is certainly no sound, in words; None where it may be one."""
    head = data[:64]
    if head[4:8] == b"ftyp" or head[8:12] == b"WEBP":
        return "a picture"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((words for magic, words in _OTHER_FILES.items() if start.startswith(magic)), None)
