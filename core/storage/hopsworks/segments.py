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
from datetime import UTC, date, datetime
from typing import Literal

Kind = Literal["events", "segment"]
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
FILE_NAME = re.compile(r"[0-9]{8}T[0-9]{12}Z_[0-9a-f]{32}(-[0-9]+)?\.jsonl")
MAX_LINES, MAX_BYTES = 5000, 4 << 20
"""Of one file: well below the 10 MiB that the client uploads in one piece."""
MAX_READ_BYTES = 16 << 20
"""Of a file that is read; one of Earmark's is never so large."""
MAX_HEADER_BYTES = 1000


class IncompleteFile(ValueError):
    """A file that is not, or not yet, what it says it is."""


class DamagedFile(IncompleteFile):
    """A file that will not become what it says it is, either; the text says why."""


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
        IncompleteFile: A byte is missing.
        DamagedFile: A byte is wrong, or it is a file of another kind.
    """
    first, newline, body = data.partition(b"\n")
    if not newline and len(first) < MAX_HEADER_BYTES:
        raise IncompleteFile("it has no header yet")
    count, digest = _parse_header(kind, first)
    if hashlib.sha256(body).hexdigest() != digest:
        if body.count(b"\n") < count:
            raise IncompleteFile("it is cut short")
        raise DamagedFile("its content is not what its header states")
    try:
        lines = body.decode().split("\n")[:-1]
    except UnicodeDecodeError as error:
        raise DamagedFile("it is not UTF-8") from error
    if len(lines) != count:
        raise DamagedFile("it has more or fewer lines than its header states")
    if kind == "segment":
        compacted_paths(lines)
    return lines


def _parse_header(kind: Kind, line: bytes) -> tuple[int, str]:
    """Return the number of lines and the hash that a file's first line states.

    Raises:
        DamagedFile: It is no header, or that of a file of another kind.
    """
    try:
        header = json.loads(line)
        stated_kind, count, digest = header["earmark"], header["lines"], header["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedFile("it has no header") from error
    if stated_kind != kind or not isinstance(count, int):
        raise DamagedFile("it is a file of another kind")
    return count, digest


def new_name(now: datetime | None = None) -> str:
    """Return a name that nobody else can choose."""
    return f"{(now or datetime.now(UTC)).strftime('%Y%m%dT%H%M%S%fZ')}_{uuid.uuid4().hex}.jsonl"


def event_path(name: str, now: datetime | None = None) -> str:
    """Return where an event file of that name goes today."""
    return f"events/{(now or datetime.now(UTC)).strftime('%Y-%m-%d')}/{name}"


def day_of(name: str) -> date | None:
    """Return the day that a folder of event files is named for; None for another name."""
    try:
        return date.fromisoformat(name) if _DAY.fullmatch(name) else None
    except ValueError:
        return None


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
        DamagedFile: The first line does not name them.
    """
    try:
        paths = json.loads(lines[0])
    except (ValueError, IndexError, RecursionError) as error:
        raise DamagedFile("it does not say which files it repeats") from error
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise DamagedFile("it does not say which files it repeats")
    return paths
