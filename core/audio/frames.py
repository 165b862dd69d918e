"""Search for the frames of MPEG sound among other bytes; all of them begin with a byte of ones."""

from collections.abc import Callable

MIN_CHAIN = 4
"""Frames that follow each other exactly; fewer may be chance."""
MAX_JUNK_BYTES = 1 << 17
"""So much before the first frame is skipped."""


def find_chain(
    data: bytes, start: int, stop: int, is_chain: Callable[[bytes, int], bool]
) -> int | None:
    """Return the first position where frames follow each other; None if none do.

    Args:
        data: The file.
        start: Where the search begins.
        stop: Where it ends.
        is_chain: Tells, of the file and a position, if frames follow each other from there on.
    """
    position = data.find(b"\xff", start, stop)
    while position >= 0:
        if is_chain(data, position):
            return position
        position = data.find(b"\xff", position + 1, stop)
    return None
