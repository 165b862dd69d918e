"""Event files and segments: JSON lines in a file that is written once and carries its own hash.

The first line is a header, `{"earmark":"events","lines":2,"sha256":"..."}`; the hash is that of all
bytes after it. Each further line is an event. A segment has one line more before them: the list of
the event files whose lines it repeats. Paths, relative to the project's folder:

    events/<UTC day>/<UTC time>_<random>.jsonl        one per save, or per batch
    segments/<UTC time>_<random>.jsonl                many event files' lines

All names keep to letters, digits, dot, hyphen and single underscore, and to 88 characters: the
server of Hopsworks (its FolderNameValidator) allows folders no more than that.
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
MAX_LINES, MAX_BYTES = 5000, 4 << 20
"""Of one file: well below the 10 MiB that the client uploads in one piece."""


class IncompleteFile(ValueError):
    """A file that is not, or not yet, what it says it is."""


def encode(kind: Kind, lines: Sequence[str]) -> bytes:
    """Return the bytes of a file that holds these lines."""
    body = "".join(f"{line}\n" for line in lines).encode()
    header = {"earmark": kind, "lines": len(lines), "sha256": hashlib.sha256(body).hexdigest()}
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + body


def decode(kind: Kind, data: bytes) -> list[str]:
    """Return the lines of a file.

    Args:
        kind: What it must be.
        data: Its bytes.

    Raises:
        IncompleteFile: A byte is missing or wrong, or it is a file of another kind.
    """
    first, _, body = data.partition(b"\n")
    try:
        header = json.loads(first)
        whole = header["earmark"] == kind and header["sha256"] == hashlib.sha256(body).hexdigest()
        count = header.get("lines")
        lines = body.decode().split("\n")[:-1]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IncompleteFile("the file has no header") from error
    if not whole or count != len(lines):
        raise IncompleteFile("the file is cut short or changed")
    if kind == "segment":
        compacted_paths(lines)
    return lines


def new_name(now: datetime | None = None) -> str:
    """Return a name that nobody else can choose."""
    return f"{(now or datetime.now(UTC)).strftime('%Y%m%dT%H%M%S%fZ')}_{uuid.uuid4().hex}.jsonl"


def event_path(name: str, now: datetime | None = None) -> str:
    """Return where an event file of that name goes today."""
    return f"events/{(now or datetime.now(UTC)).strftime('%Y-%m-%d')}/{name}"


def next_name(path: str) -> str:
    """Return the path with its counter raised: `a.jsonl`, `a-1.jsonl`, `a-2.jsonl` ...

    For bytes whose name was spoilt by an upload that was cut short.
    """
    stem, dot, ending = path.rpartition(".")
    counted = re.fullmatch(r"(.*[0-9a-z])-(\d+)", stem)
    base, number = counted.groups() if counted else (stem, "0")
    return f"{base}-{int(number) + 1}{dot}{ending}"


def chunked(lines: Iterable[str]) -> Iterator[list[str]]:
    """Split lines into lists that make one file each."""
    chunk: list[str] = []
    size = 0
    for line in lines:
        length = len(line.encode())
        if chunk and (len(chunk) == MAX_LINES or size + length > MAX_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(line)
        size += length
    if chunk:
        yield chunk


def segment_lines(paths: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Return the lines of a segment that repeats those of the event files `paths`."""
    return [json.dumps(list(paths), separators=(",", ":")), *lines]


def compacted_paths(lines: Sequence[str]) -> list[str]:
    """Return the event files that a segment of these lines repeats.

    Raises:
        IncompleteFile: The first line does not name them.
    """
    try:
        paths = json.loads(lines[0])
    except (ValueError, IndexError, RecursionError) as error:
        raise IncompleteFile("the segment does not say which files it repeats") from error
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise IncompleteFile("the segment does not say which files it repeats")
    return paths
