"""What Freesound shows of an upload, compared with the form that was sent.

Freesound saves the row of a sound first, and its pack, place, description and tags one after the
other: a fault in between leaves a row that lacks the rest.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from core.freesound.types import Description, FreesoundSound, PendingSound
from core.tags import freesound_tags

CLOCK_TOLERANCE_S = 60
"""Freesound's machines may not agree on the time to the second."""
_MARKUP = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Stored:
    """A sound as Freesound shows it.

    Attributes:
        row: Its row among the uploader's pending sounds, or the sound itself.
        sound: All of it, where that is shown; an unmoderated sound may be hidden.
    """

    row: PendingSound | FreesoundSound
    sound: FreesoundSound | None = None

    @property
    def sound_id(self) -> int:
        """Return the sound's id."""
        return self.row.id

    @property
    def md5(self) -> str:
        """Return the MD5 of its bytes; empty where Freesound does not show it."""
        return self.sound.md5 if self.sound else ""

    @property
    def created(self) -> float | None:
        """Return when the row was saved, in seconds since the epoch; None if that is unknown."""
        return seconds(self.row.created)

    def is_empty(self) -> bool:
        """Return True if it has no description or no tags: Freesound takes no such form."""
        return not self.row.description.strip() or not self.row.tags

    def is_part_of(self, sent: Description, title: str) -> bool:
        """Return True if nothing of it contradicts a form: what is there was sent with it."""
        row = self.row
        has_own_text = bool(row.description.strip())
        return (
            is_same_text(row.name, title)
            and (not has_own_text or is_same_text(row.description, sent.description))
            and set(row.tags) <= _stored_tags(sent)
        )

    def differences(self, sent: Description, title: str) -> tuple[str, ...]:
        """Return the parts of a form that it lacks or has otherwise, as nouns.

        Args:
            sent: The form.
            title: The name that it was sent with.
        """
        return tuple(self._differences(sent, title))

    def _differences(self, sent: Description, title: str) -> Iterator[str]:
        if not is_same_text(self.row.name, title):
            yield "name"
        if not is_same_text(self.row.description, sent.description):
            yield "description"
        if set(self.row.tags) != _stored_tags(sent):
            yield "tags"
        if self.sound is None:
            return
        # Freesound may change the way it writes these, so only their absence counts.
        if sent.bst_category and not self.sound.category_code:
            yield "category"
        if sent.pack and not self.sound.pack_name:
            yield "pack"
        if sent.geotag and not self.sound.geotag:
            yield "place"


def seconds(created: str) -> float | None:
    """Return a date of the API in seconds since the epoch; None for a text that is none."""
    try:
        date = datetime.fromisoformat(created)
    except ValueError:
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def is_same_text(text: str, other: str) -> bool:
    """Return True for texts that differ in nothing but what Freesound may do to them.

    It trims them, writes line breaks its own way, escapes `&` and makes links of addresses.
    """
    return _letters(text) == _letters(other)


def named(parts: tuple[str, ...]) -> str:
    """Return nouns as an enumeration: `description, tags and place`."""
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


def _stored_tags(sent: Description) -> set[str]:
    return set(freesound_tags(" ".join(sent.tags)))


def _letters(text: str) -> str:
    """Return a text without markup, white space and characters that cannot be seen."""
    plain = _MARKUP.sub("", html.unescape(text))
    return "".join(
        character for character in plain if unicodedata.category(character)[0] not in "ZC"
    )
