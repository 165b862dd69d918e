"""The text tags inside an audio file: title, artist, license, recording date and the like."""

import re
from datetime import UTC, datetime, timedelta
from io import BytesIO

from core.audio.detect import plan_reading
from core.audio.errors import AudioError
from core.audio.text_encoding import decode_texts
from core.untrusted import clean_text

MAX_TEXT_LENGTH = 500
MIN_YEAR = 1980
"""Clocks that were never set show years before."""

_DATES = ("date", "creation_time", "recording_date", "date_recorded")
_DATE = re.compile(r"(\d{4})[-:/._ ]?(\d\d)[-:/._ ]?(\d\d)(?!\d)")
_TIME = re.compile(r"(\d\d)[:.](\d\d)(?:[:.](\d\d))?")
_WITH_ID3 = ("mp3", "aac", "aiff")
_SEVERAL_LINES = ("comment", "description")


def embedded_metadata(data: bytes) -> dict[str, str]:
    """Return the text tags of a file by name, in lower case, as far as FFmpeg reads them.

    Args:
        data: The file's bytes.

    Returns:
        Texts of up to `MAX_TEXT_LENGTH` characters without control characters; empty ones are left
        out. `recorded` is the time of recording in ISO 8601, of the day at least.
    """
    cleaned = {name: _clean(name, text) for name, text in _tags(data).items()}
    texts = {name: text for name, text in cleaned.items() if text}
    recorded = _recording_time(texts)
    return texts | ({"recorded": recorded.isoformat()} if recorded else {})


def _tags(data: bytes) -> dict[str, str]:
    """Return the tags of the file, and of its first stream where the file has none."""
    import av  # imported only where tags are read

    try:
        plan = plan_reading(data, "The sound")
        container = plan.ffmpeg_format or plan.fallback_format or _format_of(data)
        # Every byte is one character of Latin-1: the texts come as the file holds them.
        with av.open(BytesIO(data), "r", format=container, metadata_encoding="latin-1") as file:
            streams = file.streams.audio
            tags = {**(streams[0].metadata if streams else {}), **file.metadata}
    except (AudioError, av.error.FFmpegError, UnicodeError):
        return {}
    raw = [_bytes_of(text, container) for text in tags.values()]
    return dict(zip(map(str.lower, tags), decode_texts(raw), strict=True))


def _bytes_of(text: str, container: str) -> bytes:
    """Return a tag as the file holds it.

    ID3v2 calls Latin-1 what is often in another encoding, and FFmpeg has made UTF-8 of it.
    """
    raw = text.encode("latin-1")
    if container in _WITH_ID3:
        try:
            return raw.decode().encode("latin-1")
        except UnicodeError:
            pass
    return raw


def _clean(name: str, text: str) -> str:
    """Return a text without control characters, of one line unless it is a description."""
    lines = clean_text(text.replace("\0", ""), MAX_TEXT_LENGTH).splitlines()
    words = [" ".join(line.split()) for line in lines]
    return ("\n" if name in _SEVERAL_LINES else " ").join(words).strip()


def _format_of(data: bytes) -> str:
    """Return FFmpeg's name of a container that libsndfile reads."""
    return {b"OggS": "ogg", b"fLaC": "flac"}.get(data[:4], "mp3")


def _recording_time(texts: dict[str, str]) -> datetime | None:
    """Return the time of recording; UTC where no zone is named. None without a whole date."""
    for name in _DATES:
        time = _parse_time(texts.get(name, ""), texts.get("creation_time", ""))
        if time and time.year >= MIN_YEAR and time < datetime.now(UTC) + timedelta(days=1):
            return time
    return None


def _parse_time(text: str, clock: str) -> datetime | None:
    """Return the moment that a text names; `clock` is its time of day where it has none."""
    if clock.startswith(text):
        text = clock  # the same day, with its time
    date = _DATE.match(text)
    if date is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    try:
        if time is None or _TIME.search(text, date.end()) is None:
            year, month, day = map(int, date.groups())
            time = datetime(year, month, day, tzinfo=UTC)
            of_day = _TIME.search(text, date.end()) or _TIME.match(clock)
            if of_day:
                hour, minute, second = (int(number or 0) for number in of_day.groups())
                time = time.replace(hour=hour, minute=minute, second=second)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
