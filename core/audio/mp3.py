"""The frames of an MP3: where its sound is, and if its header's count of them is right."""

import re
import struct
from dataclasses import dataclass

from core.audio.frames import MAX_JUNK_BYTES, MIN_CHAIN, find_chain

MAX_FRAME_BYTES = 2_881
COUNT_SLACK = 8
"""Writers disagree about what counts; 0.2 s."""
SILENT_FRAMES = 2
"""That an encoder adds at both ends, and decoders leave out."""

MIN_READ_SHARE = 0.75
"""Of the frames that a damaged file states; with fewer it counts as cut off."""

_NOT_ZERO = re.compile(rb"[^\0]")
_RATES = (44_100, 48_000, 32_000)
_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s by version (2 and 2.5 share a table) and layer (ISO 11172-3, 13818-3)."""


@dataclass(frozen=True)
class Mp3Layout:
    """The frames of an MP3.

    Attributes:
        first: Offset of the first frame.
        end: Offset after the last frame that is whole.
        frames: How many there are, without the one that holds the length header.
        stretches: Runs of frames without anything between; more than one: a hole, or two files.
        stated: The length header's count (Xing, Info, VBRI); None without one.
        stated_bytes: Its count of bytes; 0 without one.
        cut: The last frame is not whole.
        frame_seconds: Of sound in a frame.
    """

    first: int
    end: int
    frames: int
    stretches: int
    stated: int | None
    stated_bytes: int
    cut: bool
    frame_seconds: float

    @property
    def min_seconds(self) -> float:
        """Return how much sound there is if the length header is right; 0 without one."""
        return max(0, (self.stated or 0) - COUNT_SLACK - SILENT_FRAMES) * self.frame_seconds

    @property
    def is_damaged(self) -> bool:
        """Return True if something else stands between the frames, or in place of some."""
        if self.stated is None or self.stretches < 2:
            return False
        return MIN_READ_SHARE * self.stated <= self.frames <= self.stated

    @property
    def is_longer_than_stated(self) -> bool:
        """Return True if a decoder that believes the header leaves sound out."""
        return self.stated is not None and self.frames > self.stated + 1

    @property
    def is_miscounted(self) -> bool:
        """Return True if the header counts too many frames, though no byte is missing."""
        if self.stated is None or self.frames + COUNT_SLACK >= self.stated or self.cut:
            return False
        return 0 < self.stated_bytes <= self.end - self.first + COUNT_SLACK


def find_frames(data: bytes, start: int) -> Mp3Layout | None:
    """Return the layout of an MP3 whose frames begin at `start` or soon after; None if none do."""
    content = _NOT_ZERO.search(data, start)
    start = content.start() if content else len(data)
    first = find_chain(data, start, start + MAX_JUNK_BYTES, _is_chain)
    if first is None:
        return None
    position, frames, stretches, end = first, 0, 0, first
    while True:
        count, end = _follow(data, position)
        frames, stretches = frames + count, stretches + 1
        following = find_chain(data, end, len(data), _is_chain)
        if following is None:
            break
        position = following
    head = data[first : first + 256]
    stated, stated_bytes = _stated(head)
    cut = 0 < len(data) - end < _frame_bytes(data, end)
    frames -= 0 if stated is None else 1
    seconds = _frame_seconds(head)
    return Mp3Layout(first, end, frames, stretches, stated, stated_bytes, cut, seconds)


def _is_chain(data: bytes, position: int) -> bool:
    """Return True for several frames in a row, or fewer that end with the file."""
    kind = _kind(data, position)
    for _ in range(MIN_CHAIN):
        size = _frame_bytes(data, position)
        if not size or _kind(data, position) != kind:
            return False
        position += size
        if position == len(data):
            return True
    return position < len(data)


def _follow(data: bytes, position: int) -> tuple[int, int]:
    """Return the count of whole frames from here on, and where the last one ends."""
    count = 0
    while (size := _frame_bytes(data, position)) and position + size <= len(data):
        count, position = count + 1, position + size
    return count, position


def _kind(data: bytes, position: int) -> tuple[int, int]:
    """Return what all frames of a file share: version and layer, and the rate."""
    head = data[position : position + 3]
    return (head[1] & 0x1E, head[2] & 0x0C) if len(head) == 3 else (0, 0)


def _frame_bytes(data: bytes, position: int) -> int:
    """Return the size of the frame whose header is here; 0 if there is none."""
    head = data[position : position + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = (2.5, 0, 2, 1)[head[1] >> 3 & 3], 4 - (head[1] >> 1 & 3)
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    if not version or layer == 4 or bitrate in (0, 15) or rate == 3:
        return 0
    hz = _RATES[rate] // {1: 1, 2: 2, 2.5: 4}[version]
    bits = 1000 * _KBITS[1 if version == 1 else 2, layer][bitrate - 1]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // hz + padding) * 4
    return (72 if layer == 3 and version != 1 else 144) * bits // hz + padding


def _frame_seconds(head: bytes) -> float:
    """Return how long the sound of the frame with this header is."""
    version, layer = (2.5, 0, 2, 1)[head[1] >> 3 & 3], 4 - (head[1] >> 1 & 3)
    samples = {1: 384, 2: 1152, 3: 1152 if version == 1 else 576}[layer]
    return samples / (_RATES[head[2] >> 2 & 3] // {1: 1, 2: 2, 2.5: 4}[version])


def _stated(frame: bytes) -> tuple[int | None, int]:
    """Return the counts of frames and bytes in a length header; None and 0 where missing."""
    for mark in (b"Xing", b"Info"):
        at = frame.find(mark)
        if 0 <= at <= len(frame) - 16:
            flags, frames, size = struct.unpack_from(">III", frame, at + 4)
            if flags & 1:
                return frames, size if flags & 2 else 0
    at = frame.find(b"VBRI")
    if 0 <= at <= len(frame) - 18:
        size, frames = struct.unpack_from(">II", frame, at + 10)
        return frames, size
    return None, 0
