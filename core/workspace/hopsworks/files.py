"""Event files and segments: many lines in one file that is written once, named by nobody else, and carries a hash of what it holds.

The first line is a header, `{"earmark":"events","lines":2,"sha256":"..."}`; the hash is that of all bytes after it. Each further line is an
event. A segment has one line more before them: the list of the event files whose lines it repeats. Paths, relative to the project's folder:

    events/<UTC day>/<UTC time>_<random>.jsonl        one per save, or per batch
    segments/<UTC time>_<random>.jsonl                many event files' lines, so that a new reader needs few requests

All names here and beside keep to letters, digits, dot, hyphen and single underscore, and to 88 characters: Hopsworks' own server source
(FolderNameValidator) allows folders no more than that.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

Kind = Literal["events", "segment"]
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
FILE_NAME = re.compile(r"\d{8}T\d{12}Z_[0-9a-f]{32}(-\d+)?\.jsonl")
MOST_LINES, MOST_BYTES = 5000, 4 << 20
"""Of one file: well below the 10 MiB that the client uploads in one piece."""


class Incomplete(ValueError):
    """A file that is not, or not yet, what it says it is."""


def encode(kind: Kind, lines: Sequence[str]) -> bytes:
    """A file of these lines."""
    body = "".join(f"{line}\n" for line in lines).encode()
    header = {"earmark": kind, "lines": len(lines), "sha256": hashlib.sha256(body).hexdigest()}
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + body


def decode(kind: Kind, data: bytes) -> list[str]:
    """The lines of a file. Raises `Incomplete` if a byte is missing or wrong."""
    first, _, body = data.partition(b"\n")
    try:
        header = json.loads(first)
        whole = header["earmark"] == kind and header["sha256"] == hashlib.sha256(body).hexdigest()
        lines = body.decode().split("\n")[:-1]
    except (ValueError, KeyError, TypeError) as error:
        raise Incomplete("the file has no header") from error
    if not whole or header.get("lines") != len(lines):
        raise Incomplete("the file is cut short or changed")
    if kind == "segment":
        _check_list(lines)
    return lines


def _check_list(lines: Sequence[str]) -> None:
    try:
        paths = json.loads(lines[0])
    except (ValueError, IndexError) as error:
        raise Incomplete("the segment does not say which files it repeats") from error
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise Incomplete("the segment does not say which files it repeats")


def new_name(now: datetime | None = None) -> str:
    """A name that nobody else can choose."""
    return f"{(now or datetime.now(UTC)).strftime('%Y%m%dT%H%M%S%fZ')}_{uuid.uuid4().hex}.jsonl"


def event_path(name: str, now: datetime | None = None) -> str:
    """Where an event file of that name goes today."""
    return f"events/{(now or datetime.now(UTC)).strftime('%Y-%m-%d')}/{name}"


def another_name(path: str) -> str:
    """The path with its counter raised: `a.jsonl`, `a-1.jsonl`, `a-2.jsonl` ... for bytes whose name was spoilt by a torn upload."""
    stem, dot, ending = path.rpartition(".")
    counted = re.fullmatch(r"(.*[0-9a-z])-(\d+)", stem)
    base, number = counted.groups() if counted else (stem, "0")
    return f"{base}-{int(number) + 1}{dot}{ending}"


def portions(lines: Iterable[str]) -> Iterator[list[str]]:
    """The lines in portions that make one file each."""
    portion: list[str] = []
    size = 0
    for line in lines:
        if portion and (len(portion) == MOST_LINES or size + len(line) > MOST_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(line)
        size += len(line.encode())
    if portion:
        yield portion


def segment_lines(paths: Sequence[str], lines: Sequence[str]) -> list[str]:
    """The lines of a segment that repeats those of the event files `paths`."""
    return [json.dumps(list(paths), separators=(",", ":")), *lines]


def repeated(lines: Sequence[str]) -> list[str]:
    """The event files that a segment of these lines repeats."""
    return json.loads(lines[0])
