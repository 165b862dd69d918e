"""Text from outside, made safe for places where Streamlit reads Markdown, and small phrases for people."""

import re
from datetime import UTC, datetime

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$&^='\"])")
_LINK_STARTS = re.compile(r"(:|@|www)", re.IGNORECASE)
_WORD_JOINER = "\u2060"  # invisible; splits `:smile:`, `:red[...]`, `www.` and `a@b`, which no escape prevents


def plain(text: str) -> str:
    """Markdown that shows exactly `text`: no markup, no HTML, no links, no emoji codes, no coloured spans, on one line."""
    return _LINK_STARTS.sub(rf"\1{_WORD_JOINER}", _MARKUP.sub(r"\\\1", " ".join(text.split())))


def ago(time: datetime, now: datetime | None = None) -> str:
    """How long ago, in words: `just now`, `5 min ago`, `3 h ago`, or the date."""
    seconds = ((now or datetime.now(UTC)) - time).total_seconds()
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 86400:
        return f"{seconds // 3600:.0f} h ago"
    return f"{time.day} {time:%B %Y}"


def plural(count: int, noun: str) -> str:
    """`1 sound`, `2 sounds`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def clock(seconds: float) -> str:
    """`4.2 s` for short sounds, `3:07` for long ones."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
