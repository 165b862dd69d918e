"""Sizes that a recorder left open: it lost power before it wrote them, or wrote into a pipe.

Such a file is read to its end. A size that is stated and too large is left: that file is cut off.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_UNKNOWN_32 = (0, 0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 0x7FFFF000)
"""Zero, the largest numbers, and what SoX and eSpeak write into a pipe."""
_UNKNOWN_64 = (0, (1 << 64) - 1, (1 << 63) - 1)
_AIFF_OFFSETS = 8  # offset and block size, which stand before the samples of an AIFF
_BOXES = (b"moov", b"moof", b"mdat")  # of an MP4 or QuickTime file, which hold its sound
_SEGMENT = b"\x18\x53\x80\x67"  # of a Matroska file: all but its head
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"


@dataclass(frozen=True)
class SoundChunk:
    """The chunk that holds the samples.

    Attributes:
        size_format: How its size is written, for `struct`.
        size_at: Where.
        start: Where its content begins.
        size: Of its content, as stated.
        counted: Bytes that the stated size counts besides the content.
    """

    size_format: str
    size_at: int
    start: int
    size: int
    counted: int = 0


def with_known_sizes(data: bytes) -> bytes:
    """Return a file whose sizes were left open with the true ones; every other file as it is."""
    chunk = sound_chunk(data)
    if chunk is None or chunk.start >= len(data) or not _is_open(data, chunk):
        return data
    known = bytearray(data)
    size = len(data) - chunk.start
    if data[:4] == b"FORM":
        _set_aiff_frames(known, size - _AIFF_OFFSETS)
    if data[:4] in (b"RF64", b"BW64"):
        _set_rf64_frames(known, size)
    struct.pack_into(chunk.size_format, known, chunk.size_at, size + chunk.counted)
    if data[:4] in (b"RIFF", b"RIFX", b"FORM"):
        struct.pack_into(chunk.size_format, known, 4, min(len(data) - 8, 0xFFFFFFFF))
    if data[:4] == b"riff":
        struct.pack_into("<Q", known, 16, len(data))
    return bytes(known)


def announces_more(data: bytes) -> bool:
    """Return True if the samples' stated size, not left open, is more than the file has."""
    chunk = sound_chunk(data)
    if chunk is None or _is_open(data, chunk):
        return False
    return chunk.start + chunk.size > len(data)


def end_of_sounds_file(data: bytes) -> int:
    """Return where a WAV, RF64, W64, AIFF, CAF or AU file says that it ends; 0 if it is unknown."""
    chunk = sound_chunk(data)
    if chunk is None or _is_open(data, chunk):
        return 0
    end = chunk.start + chunk.size
    if data[:4] in (b"RIFF", b"RIFX", b"FORM"):
        stated: int = struct.unpack_from(chunk.size_format, data, 4)[0]
        return max(end, stated + 8) + end % 2 if stated < 0xFFFFFFF7 else 0
    return end + -end % (8 if data[:4] == b"riff" else 2 if data[:4] == b"RF64" else 1)


def is_cut_container(data: bytes) -> bool:
    """Return True if a box of an MP4, or the segment of a Matroska file, is not whole."""
    if data[:4] == b"\x1a\x45\xdf\xa3":
        start, size = _matroska_size(data, 4)
        start += size
        if data[start : start + 4] != _SEGMENT:
            return False
        start, size = _matroska_size(data, start + 4)
        return start + size > len(data)
    start = 0
    while start + 16 <= len(data):
        size, name = struct.unpack_from(">I4s", data, start)
        if size == 1:
            size = struct.unpack_from(">Q", data, start + 8)[0]
        if name in _BOXES and start + size > len(data):
            return True
        start += size if size >= 8 else len(data)
    return False


def with_padding(data: bytes) -> bytes:
    """Return a WAV whose chunk of an odd size before the samples is padded; others as they are.

    Some writers leave the byte out.
    """
    start = 12
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE" or sound_chunk(data):
        return data
    while start + 8 <= len(data):
        size = struct.unpack_from("<I", data, start + 4)[0]
        end = start + 8 + size
        if size % 2 and _is_chunk_name(data[end : end + 4]):
            return with_padding(data[:end] + b"\0" + data[end:])
        start = end + size % 2
    return data


def sound_chunk(data: bytes) -> SoundChunk | None:
    """Return where the samples of a WAV, RF64, W64, AIFF, CAF or AU file are."""
    if data[:4] in (b"RIFF", b"RIFX") and data[8:12] == b"WAVE":
        return _find(data, 12, b"data", ">I" if data[:4] == b"RIFX" else "<I")
    if data[:4] in (b"RF64", b"BW64") and data[12:16] == b"ds64" and len(data) > 44:
        chunk = _find(data, 12, b"data", "<I")
        stated = struct.unpack_from("<Q", data, 28)[0]
        return chunk and SoundChunk("<Q", 28, chunk.start, stated)
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return _find(data, 12, b"SSND", ">I")
    if data[:4] == b"caff":
        return _find(data, 8, b"data", ">Q", padding=1)
    if data[:4] == b"riff":
        return _find_w64(data)
    if data[:4] == b".snd" and len(data) >= 24:
        start, size = struct.unpack_from(">II", data, 4)
        return SoundChunk(">I", 8, start, size)
    return None


def chunks(
    data: bytes, start: int, size_format: str, padding: int = 2
) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start of the content and stated size of each chunk of a RIFF, IFF or CAF file.

    Args:
        data: The file.
        start: Where the first chunk begins.
        size_format: How sizes are written, for `struct`.
        padding: Chunks are padded to a multiple of so many bytes.
    """
    head = 4 + struct.calcsize(size_format)
    while start + head <= len(data):
        size: int = struct.unpack_from(size_format, data, start + 4)[0]
        yield data[start : start + 4], start + head, size
        start += head + size + -size % padding


def _find(
    data: bytes, start: int, name: bytes, size_format: str, padding: int = 2
) -> SoundChunk | None:
    for kind, content, size in chunks(data, start, size_format, padding):
        if kind == name:
            return SoundChunk(size_format, content - struct.calcsize(size_format), content, size)
    return None


def _find_w64(data: bytes) -> SoundChunk | None:
    """Return the samples of a Sony Wave64: names of 16 bytes, sizes that count the chunk's head."""
    start = 40
    while start + 24 <= len(data):
        size = struct.unpack_from("<Q", data, start + 16)[0]
        if data[start : start + 16] == _W64_DATA:
            return SoundChunk("<Q", start + 16, start + 24, max(0, size - 24), 24)
        start += max(24, size + -size % 8)
    return None


def _is_open(data: bytes, chunk: SoundChunk) -> bool:
    """Return True if the stated size is one of those that stand for an unknown one."""
    if chunk.size == 0:
        return not _is_end(data, chunk)
    if chunk.size_format[1] == "Q":
        return chunk.size + chunk.counted in _UNKNOWN_64
    heads = (0, 8, 36, 44, chunk.start, chunk.start - 8)  # some subtract what stands before
    return any(chunk.size + head in _UNKNOWN_32 for head in heads)


def _is_end(data: bytes, chunk: SoundChunk) -> bool:
    """Return True if only whole chunks follow an empty one: it is empty indeed."""
    end = chunk.start
    if chunk.size_format[1] == "I":
        for name, content, size in chunks(data, end, chunk.size_format):
            if not _is_chunk_name(name):
                return False
            end = content + size + size % 2
    return len(data) <= end <= len(data) + 1


def _is_chunk_name(name: bytes) -> bool:
    return len(name) == 4 and name.isascii() and name.decode("ascii").isprintable()


def _matroska_size(data: bytes, at: int) -> tuple[int, int]:
    """Return where an element's content begins, and its size; 0 where it is unknown (RFC 8794)."""
    if at >= len(data) or not data[at]:
        return at, 0
    length = 9 - data[at].bit_length()
    size = int.from_bytes(data[at : at + length]) & (1 << 7 * length) - 1
    return at + length, 0 if size == (1 << 7 * length) - 1 else size


def _set_aiff_frames(known: bytearray, size: int) -> None:
    for name, start, _ in chunks(bytes(known[:4096]), 12, ">I"):
        if name == b"COMM":
            channels, _, bits = struct.unpack_from(">HIH", known, start)
            frame = max(1, channels * -(-bits // 8))
            struct.pack_into(">I", known, start + 2, max(0, size) // frame)
            return


def _set_rf64_frames(known: bytearray, size: int) -> None:
    struct.pack_into("<Q", known, 20, len(known) - 8)
    for name, start, _ in chunks(bytes(known[:4096]), 12, "<I"):
        if name == b"fmt ":
            frame = struct.unpack_from("<H", known, start + 12)[0]
            struct.pack_into("<Q", known, 36, size // max(1, frame))
            return
