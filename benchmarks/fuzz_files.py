"""Damaged sound files: whole ones of every kind, and the mutations that spoil them.

The same seed and number always give the same file.
"""

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from benchmarks.fuzz_kinds import with_ogg_checksums

MAX_MUTATIONS = 3
HEAD_BYTES = 160
_CHUNK_NAME = re.compile(rb"[A-Za-z]{3}[A-Za-z0-9 ]")
_NUMBERS = (0, 1, 2, 7, 255, 0x7F, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 44_100, 768_000, 0xAC440000)
_LARGE_NUMBERS = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB, (1 << 63) - 1, (1 << 64) - 1)


@dataclass(frozen=True)
class DamagedFile:
    """A file to be read.

    Attributes:
        kind: The name of the whole file that it was.
        mutations: Names of what was done to it, in order.
        data: Its bytes.
    """

    kind: str
    mutations: tuple[str, ...]
    data: bytes


def damaged_file(kinds: Mapping[str, bytes], seed: int, number: int) -> DamagedFile:
    """Return file `number` of those that a seed stands for.

    Args:
        kinds: Whole files by name.
        seed: Of the whole run.
        number: From 0 on; every kind takes its turn.
    """
    random = Random(f"{seed} {number}")
    kind = list(kinds)[number % len(kinds)]
    data, names = kinds[kind], list[str]()
    for _ in range(random.randint(1, MAX_MUTATIONS)):
        mutation = random.choice(MUTATIONS)
        names.append(mutation.__name__)
        data = mutation(data, random, list(kinds.values()))
    if data.startswith(b"OggS") and random.random() < 0.7:
        names.append("with_ogg_checksums")
        data = with_ogg_checksums(data)
    return DamagedFile(kind, tuple(names), data)


def flip_bits(data: bytes, random: Random, _: list[bytes]) -> bytes:
    """Flip single bits, half of the time in the head."""
    changed = bytearray(data)
    end = min(len(data), HEAD_BYTES) if random.random() < 0.5 else len(data)
    for _flip in range(random.choice((1, 1, 2, 5, 20))):
        if end:
            changed[random.randrange(end)] ^= 1 << random.randrange(8)
    return bytes(changed)


def overwrite_run(data: bytes, random: Random, _: list[bytes]) -> bytes:
    """Write zeros, ones or noise over some bytes."""
    start, size = _place(data, random), random.choice((1, 4, 8, 64, 1000))
    run = random.choice((bytes(size), b"\xff" * size, random.randbytes(size)))
    return data[:start] + run[: len(data) - start] + data[start + size :]


def truncate(data: bytes, random: Random, _: list[bytes]) -> bytes:
    """Drop the end."""
    return data[: random.choice((_place(data, random), max(0, len(data) - random.randint(1, 40))))]


def insert(data: bytes, random: Random, _: list[bytes]) -> bytes:
    """Put noise or zeros between."""
    start, size = _place(data, random), random.choice((1, 2, 4, 8, 100, 3000))
    return data[:start] + random.choice((bytes(size), random.randbytes(size))) + data[start:]


def delete(data: bytes, random: Random, _: list[bytes]) -> bytes:
    """Take some bytes out."""
    start = _place(data, random)
    return data[:start] + data[start + random.choice((1, 2, 4, 8, 100, 1000)) :]


def duplicate(data: bytes, random: Random, _: list[bytes]) -> bytes:
    """Repeat a stretch."""
    start, size = _place(data, random), random.choice((4, 8, 24, 500, 4000))
    return data[: start + size] + data[start:]


def swap(data: bytes, random: Random, _: list[bytes]) -> bytes:
    """Exchange two neighbouring stretches: chunks or pages where there are any."""
    marks = _marks(data)
    if len(marks) < 3:
        marks = sorted(_place(data, random) for _place_number in range(3))
    at = random.randrange(len(marks) - 2)
    start, middle, end = marks[at : at + 3]
    return data[:start] + data[middle:end] + data[start:middle] + data[end:]


def drop_chunk(data: bytes, random: Random, _: list[bytes]) -> bytes:
    """Leave a chunk or page out."""
    marks = [*_marks(data), len(data)]
    if len(marks) < 2:
        return data
    at = random.randrange(len(marks) - 1)
    return data[: marks[at]] + data[marks[at + 1] :]


def change_size(data: bytes, random: Random, _: list[bytes]) -> bytes:
    """State another size, in the four or eight bytes beside a chunk's name."""
    marks = _marks(data)
    if not marks:
        return change_field(data, random, _)
    at = random.choice(marks)
    return _with_number(data, at + random.choice((4, 4, 4, 8, -4)), random)


def change_field(data: bytes, random: Random, _: list[bytes]) -> bytes:
    """State another number anywhere in the head: rate, channels, block size, frames ..."""
    return _with_number(data, random.randrange(min(len(data), HEAD_BYTES) or 1), random)


def append_file(data: bytes, random: Random, others: list[bytes]) -> bytes:
    """Put another file, or the same once more, behind it."""
    return data + (data if random.random() < 0.5 else random.choice(others))


def splice(data: bytes, random: Random, others: list[bytes]) -> bytes:
    """Begin as this file and go on as another."""
    other = random.choice(others)
    return data[: _place(data, random)] + other[_place(other, random) :]


def put_in_front(data: bytes, random: Random, _: list[bytes]) -> bytes:
    """Put zeros, noise or tags in front."""
    size = random.choice((1, 2, 3, 100, 4096, 65_536))
    tag = b"ID3\x04\0\0\0\0\x01\x00" + bytes(128)
    ape = b"APETAGEX" + struct.pack("<III", 2000, 32 + size % 5000, 0) + bytes(12)
    return random.choice((bytes(size), random.randbytes(size), tag, tag + tag, ape)) + data


def put_behind(data: bytes, random: Random, _: list[bytes]) -> bytes:
    """Put zeros, noise or tags behind."""
    size = random.choice((1, 2, 3, 100, 4096, 65_536))
    return data + random.choice((bytes(size), random.randbytes(size), b"TAG" + bytes(125)))


Mutation = Callable[[bytes, Random, list[bytes]], bytes]
MUTATIONS: tuple[Mutation, ...] = (
    *(flip_bits, flip_bits, overwrite_run, truncate, insert, delete, duplicate, swap, drop_chunk),
    *(change_size, change_size, change_field, change_field, append_file, splice),
    *(put_in_front, put_behind),
)


def _place(data: bytes, random: Random) -> int:
    """Return an offset: in the head, at a chunk or anywhere."""
    places = _marks(data)
    choice = random.random()
    if places and choice < 0.3:
        return random.choice(places)
    return random.randint(0, min(len(data), HEAD_BYTES) if choice < 0.5 else len(data))


def _marks(data: bytes) -> list[int]:
    """Return where chunks or pages begin, or what looks so."""
    if data.startswith(b"OggS"):
        return [mark.start() for mark in re.finditer(b"OggS", data)]
    marks = [mark.start() for mark in _CHUNK_NAME.finditer(data[:4096])]
    return marks + [4096 + mark.start() for mark in _CHUNK_NAME.finditer(data[4096:])][-20:]


def _with_number(data: bytes, at: int, random: Random) -> bytes:
    size, order = random.choice((2, 4, 4, 8)), random.choice(("<", ">"))
    number = random.choice((*_NUMBERS, *_LARGE_NUMBERS, len(data), random.getrandbits(64)))
    field = struct.pack(f"{order}{ {2: 'H', 4: 'I', 8: 'Q'}[size] }", number % (1 << 8 * size))
    at = max(0, at)
    return data[:at] + field[: max(0, len(data) - at)] + data[at + size :]
