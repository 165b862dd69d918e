"""Corrections of RIFF and IFF files that libsndfile has no means for."""

import struct

EXTENSIBLE_FORMAT = 0xFFFE
"""WAVE_FORMAT_EXTENSIBLE, whose format chunk names the loudspeaker of each channel."""
_MASK_OFFSET = 20  # of the loudspeakers in an extensible format chunk
_SOUND_DATA_HEADER = 8  # offset and block size stand before the samples of an AIFF


def channel_mask(data: bytes) -> bytes | None:
    """Return the loudspeakers that an extensible WAV names; None for every other file."""
    start = _extensible_format(data)
    return data[start + _MASK_OFFSET : start + _MASK_OFFSET + 4] if start else None


def with_channel_mask(data: bytes, mask: bytes | None) -> bytes:
    """Return an extensible WAV that names these loudspeakers; every other file as it is.

    libsndfile writes a mask of its own choice.
    """
    start = _extensible_format(data)
    if not start or not mask:
        return data
    return data[: start + _MASK_OFFSET] + mask + data[start + _MASK_OFFSET + 4 :]


def with_aiff_length(data: bytes, frames: int, frame_bytes: int) -> bytes:
    """Return an AIFF that states its true length.

    libsndfile 1.2.2 counts the byte that pads an odd number of bytes as a sample.
    """
    corrected = bytearray(data)
    common, sound = _chunk(data, b"COMM", ">"), _chunk(data, b"SSND", ">")
    struct.pack_into(">I", corrected, common + 2, frames)
    struct.pack_into(">I", corrected, sound - 4, _SOUND_DATA_HEADER + frames * frame_bytes)
    return bytes(corrected)


def _extensible_format(data: bytes) -> int:
    """Return the start of the extensible format of a RIFF or RF64 file; 0 if it has none."""
    if data[:4] not in (b"RIFF", b"RF64") or data[8:12] != b"WAVE":
        return 0
    start = _chunk(data, b"fmt ", "<")
    if not start or start + _MASK_OFFSET + 4 > len(data):
        return 0
    return start if struct.unpack_from("<H", data, start)[0] == EXTENSIBLE_FORMAT else 0


def _chunk(data: bytes, name: bytes, byte_order: str) -> int:
    """Return the start of a chunk's content; its size is the four bytes before. 0 if missing."""
    start = 12
    while start + 8 <= len(data):
        kind, size = struct.unpack_from(f"{byte_order}4sI", data, start)
        if kind == name:
            return start + 8
        start += 8 + size + size % 2
    return 0
