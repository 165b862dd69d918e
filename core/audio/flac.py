"""The stated and the true length of a FLAC file (RFC 9639)."""

_LENGTH_MASK = (1 << 36) - 1  # the bits of STREAMINFO that count samples (8.2)
_STREAM_START = b"fLaC\0\0\0\x22"  # and the size of STREAMINFO
_TAIL_BYTES = 1 << 18


def flac_links(data: bytes) -> tuple[int, ...]:
    """Return where the files begin that were put one after the other into this one."""
    starts, position = [0], data.find(_STREAM_START, 4)
    while position > 0:
        starts.append(position)
        position = data.find(_STREAM_START, position + 4)
    return tuple(starts)


def flac_length(data: bytes) -> int:
    """Return the samples per channel that STREAMINFO states; 0 where unstated, as pipes do."""
    return int.from_bytes(data[21:26]) & _LENGTH_MASK


def flac_kind(data: bytes) -> int:
    """Return the bits of STREAMINFO that state rate, channels and depth."""
    return int.from_bytes(data[18:22]) >> 4


def flac_has_unstated_sound(data: bytes) -> bool:
    """Return True if no length is stated, or the last frame lies beyond it.

    libsndfile would stop there.
    """
    if len(data) <= 26:
        return False
    stated = flac_length(data)
    return not stated or _last_frame_start(data) >= stated


def _last_frame_start(data: bytes) -> int:
    """Return the first sample of the last frame; -1 if none is recognised."""
    block_size = int.from_bytes(data[10:12])
    position = data.rfind(b"\xff", max(42, len(data) - _TAIL_BYTES), len(data) - 1)
    while position >= 42:
        start = _frame_start(data[position : position + 16], block_size, data[18:22])
        if start >= 0:
            return start
        position = data.rfind(b"\xff", max(42, len(data) - _TAIL_BYTES), position)
    return -1


def _frame_start(head: bytes, block_size: int, stream: bytes) -> int:
    """Return the first sample of the frame with this header (9.1); -1 if it is none."""
    if len(head) < 16 or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return -1
    size_code, rate_code, channels = head[2] >> 4, head[2] & 15, head[3] >> 4
    if not size_code or rate_code == 15 or channels > 10:
        return -1
    stated_channels = (stream[2] >> 1 & 7) + 1
    if (channels + 1 if channels < 8 else 2) != stated_channels:
        return -1
    number, used = _coded_number(head[4:11])
    length = 4 + used + {6: 1, 7: 2}.get(size_code, 0) + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if not used or _crc8(head[:length]) != head[length]:
        return -1
    return number if head[1] & 1 else number * block_size


def _coded_number(code: bytes) -> tuple[int, int]:
    """Return a number coded as in UTF-8 and the bytes that it takes; 0 bytes if there is none."""
    first = code[0]
    if first < 0x80:
        return first, 1
    length = 8 - (first ^ 0xFF).bit_length()
    if not 2 <= length <= 7:
        return 0, 0
    number = first & (0x7F >> length)
    for byte in code[1:length]:
        if byte & 0xC0 != 0x80:
            return 0, 0
        number = number << 6 | byte & 0x3F
    return number, length


def _crc8(head: bytes) -> int:
    value = 0
    for byte in head:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07 if value & 0x80 else value << 1) & 0xFF
    return value
