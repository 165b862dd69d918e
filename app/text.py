"""Text from outside, made safe where Streamlit reads Markdown, and small phrases for people."""

import re
from datetime import UTC, datetime

from core.untrusted import clean_text

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$&^='\"])")
_LINK_STARTS = re.compile(r"(:|@|www)", re.IGNORECASE)
_WORD_JOINER = "\u2060"
"""Invisible; splits `:smile:`, `:red[...]`, `www.` and `a@b`, which no escape prevents."""


def plain(text: str) -> str:
    """Return Markdown that shows exactly `text`, on one line.

    There is no markup, HTML, link, emoji code or coloured span in it, and nothing that turns text
    around.
    """
    escaped = _MARKUP.sub(r"\\\1", " ".join(unformatted(text).split()))
    return _LINK_STARTS.sub(rf"\1{_WORD_JOINER}", escaped)


def unformatted(text: str) -> str:
    """Return text for places that take no Markdown, without control characters.

    Those that turn text around would also turn what stands beside it.
    """
    return clean_text(text, len(text))


def ago(time: datetime, now: datetime | None = None) -> str:
    """Return how long ago a time was: `just now`, `5 min ago`, `3 h ago`, or the date."""
    seconds = ((now or datetime.now(UTC)) - time).total_seconds()
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 86400:
        return f"{seconds // 3600:.0f} h ago"
    return f"{time.day} {time:%B %Y}"


def plural(count: int, noun: str) -> str:
    """Return `1 sound`, `2 sounds`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def clock(seconds: float) -> str:
    """Return `4.2 s` for short sounds, `3:07` for long ones."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def bullets(lines: list[str]) -> str:
    """Return lines of Markdown as a list."""
    return "\n".join(f"- {line}" for line in lines)
