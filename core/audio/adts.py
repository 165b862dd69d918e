"""The frames of raw AAC (ADTS, ISO 13818-7, 6.2): where they begin behind something else."""

from core.audio.frames import MAX_JUNK_BYTES, MIN_CHAIN, find_chain

_HEAD_BYTES = 7


def first_adts_frame(data: bytes, start: int) -> int | None:
    """Return where the first frames are that follow each other; None if none do."""
    return find_chain(data, start, start + MAX_JUNK_BYTES, _is_chain)


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
