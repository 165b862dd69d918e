"""The frames of raw AAC (ADTS, ISO 13818-7, 6.2): where they begin behind something else."""

MIN_CHAIN = 4
"""Frames that follow each other exactly; fewer may be chance."""
MAX_JUNK_BYTES = 1 << 17
_HEAD_BYTES = 7


def first_adts_frame(data: bytes, start: int) -> int | None:
    """Return where the first frames are that follow each other; None if none do."""
    stop = start + MAX_JUNK_BYTES
    position = data.find(b"\xff", start, stop)
    while position >= 0:
        if _is_chain(data, position):
            return position
        position = data.find(b"\xff", position + 1, stop)
    return None


def is_adts(head: bytes) -> bool:
    """Return True for what begins as a frame does."""
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


def _is_chain(data: bytes, position: int) -> bool:
    for _ in range(MIN_CHAIN):
        head = data[position : position + _HEAD_BYTES]
        if len(head) < _HEAD_BYTES or not is_adts(head):
            return False
        size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        if size <= _HEAD_BYTES:
            return False
        position += size
    return position <= len(data)
