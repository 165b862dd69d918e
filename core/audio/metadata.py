"""The text tags inside an audio file: title, artist, license, recording date and the like."""

import re
from datetime import UTC, datetime, timedelta
from io import BytesIO

from core.audio.detect import plan_reading
from core.audio.errors import AudioError

MAX_TEXT_LENGTH = 500
MIN_YEAR = 1980
"""Clocks that were never set show years before."""

_DATES = ("date", "creation_time", "recording_date", "date_recorded")
_DATE = re.compile(r"(\d{4})[-:/._ ]?(\d\d)[-:/._ ]?(\d\d)(?!\d)")
_TIME = re.compile(r"(\d\d)[:.](\d\d)(?:[:.](\d\d))?")
_KANA = re.compile(r"[\u3041-\u30fe]{2}")
_CYRILLIC = re.compile(r"[\u0410-\u044f]{3}")


def embedded_metadata(data: bytes) -> dict[str, str]:
    """Return the text tags of a file by name, in lower case, as far as FFmpeg reads them.

    Args:
        data: The file's bytes.

    Returns:
        Texts of up to `MAX_TEXT_LENGTH` characters; empty ones are left out. `recorded` is the time
        of recording in ISO 8601, of the day at least.
    """
    texts = {name: text[:MAX_TEXT_LENGTH] for name, text in _tags(data).items() if text}
    recorded = _recording_time(texts)
    return texts | ({"recorded": recorded.isoformat()} if recorded else {})


def decode_text(raw: bytes) -> str:
    """Return a text in UTF-8, or in the code page that its bytes look like.

    RIFF and AIFF do not say: UTF-8 is tried first, then Japanese (code page 932) and Cyrillic
    (1251) where their letters stand together, and at last Western (1252).
    """
    for encoding, letters in (("utf-8", None), ("cp932", _KANA), ("cp1251", _CYRILLIC)):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if letters is None or letters.search(text):
            return text
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


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
    return {
        name.lower(): decode_text(text.encode("latin-1")).replace("\0", "").strip()
        for name, text in tags.items()
    }


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
