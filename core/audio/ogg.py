"""The pages of an Ogg file (RFC 3533): its streams, and if a browser can play it as it is."""

from collections.abc import Iterator
from dataclasses import dataclass

OPUS_RATE_HZ = 48_000
LENGTH_SLACK_S = 0.02
"""Encoders round."""
_CODECS = {
    b"\x01vorbis": "vorbis",
    b"OpusHead": "opus",
    b"\x7fFLAC": "flac",
    b"Speex   ": "speex",
}


@dataclass(frozen=True)
class OggLayout:
    """The streams of an Ogg file.

    Attributes:
        codecs: Of the first link's streams; an empty text for what is no sound.
        links: Where the files begin that stand one after the other (a chained Ogg).
        last_granule: The position that the last page states, in samples.
        preskip: Samples at the start that are not played.
        is_damaged: Pages among those of the sound are missing or stand twice.
    """

    codecs: tuple[str, ...]
    links: tuple[int, ...]
    last_granule: int
    preskip: int
    is_damaged: bool

    @property
    def is_read_by_libsndfile(self) -> bool:
        """Return True for one whole stream of a codec that it reads within Ogg."""
        return self.codecs in (("vorbis",), ("opus",)) and not self.is_damaged

    @property
    def is_playable(self) -> bool:
        """Return True if browsers play the file itself."""
        return len(self.links) == 1 and self.codecs in (("vorbis",), ("opus",))

    def plays_as(self, seconds: float, rate: int) -> bool:
        """Return True if a browser that plays the file plays just `seconds` of it."""
        if self.codecs == ("opus",):
            rate = OPUS_RATE_HZ
        return abs((self.last_granule - self.preskip) / rate - seconds) <= LENGTH_SLACK_S


def ogg_layout(data: bytes) -> OggLayout:
    """Return the layout of an Ogg file."""
    codecs: list[str] = []
    links: list[int] = []
    granule, preskip, in_heads, is_damaged = 0, 0, False, False
    sequence: dict[bytes, int] = {}
    for start in _pages(data):
        is_first_page = bool(data[start + 5] & 2)
        if is_first_page and not in_heads:
            links.append(start)
        if is_first_page and len(links) == 1:
            body = start + 27 + data[start + 26]
            codecs.append(_codec(data[body : body + 8]))
            if codecs[-1] == "opus":
                preskip = int.from_bytes(data[body + 10 : body + 12], "little")
        in_heads = is_first_page
        position = int.from_bytes(data[start + 6 : start + 14], "little", signed=True)
        serial, number = data[start + 14 : start + 18], _page_number(data, start)
        is_next = number == sequence.get(serial, number - 1) + 1
        # A recording of a broadcast begins anywhere behind its heads.
        is_damaged = is_damaged or not (is_next or is_first_page or not granule)
        sequence[serial] = number
        granule = position if position >= 0 else granule
    return OggLayout(tuple(codecs), tuple(links), granule, preskip, is_damaged)


def is_truncated_ogg(data: bytes) -> bool:
    """Return True if the last Ogg page claims more bytes than the file has."""
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


def _page_number(data: bytes, start: int) -> int:
    return int.from_bytes(data[start + 18 : start + 22], "little")


def _pages(data: bytes) -> Iterator[int]:
    """Yield the offset of each page that is whole."""
    start = data.find(b"OggS")
    while 0 <= start <= len(data) - 27:
        sizes = data[start + 27 : start + 27 + data[start + 26]]
        end = start + 27 + len(sizes) + sum(sizes)
        if end > len(data) or len(sizes) < data[start + 26]:
            return
        yield start
        start = end if data[end : end + 4] == b"OggS" else data.find(b"OggS", start + 4)


def _codec(packet: bytes) -> str:
    return next((name for magic, name in _CODECS.items() if packet.startswith(magic)), "")
