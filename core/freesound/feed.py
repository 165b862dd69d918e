"""New sounds of freesound.org, as a source of the tagging job."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from core.freesound.client import BadPreview, FreesoundClient, FreesoundSound, NotThere, Previews, ServerTrouble, Unreachable
from core.freesound.terms import own_page
from core.id2prediction import Sound
from core.sources import FoundSound, SourceError, SourceTrouble
from core.workspace import Workspace

MOST_LOOKED_THROUGH = 3000
"""Rows of the list that one run looks through: twenty requests, which is what a shared credential may make in a minute."""
LONGEST_NAME = 80
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
LONGEST_TITLE, LONGEST_DESCRIPTION, MOST_TAGS = 512, 5000, 60


@dataclass(frozen=True, kw_only=True)
class FoundOnFreesound(FoundSound):
    """A sound in Freesound's list, with what its uploader said `about` it."""

    about: FreesoundSound
    client: Previews

    @classmethod
    def of(cls, about: FreesoundSound, client: Previews) -> "FoundOnFreesound":
        """The sound that a row of the list is about."""
        name = f"{_text(about.name, LONGEST_NAME)} ({about.id})"
        return cls(name=name, sound_id=f"freesound:{about.id}", about=about, client=client)

    def read(self) -> bytes:
        """The best preview."""
        try:
            return self.client.preview(self.about)
        except (Unreachable, ServerTrouble) as error:
            raise SourceTrouble(str(error)) from error
        except (BadPreview, NotThere) as error:
            raise SourceError(str(error)) from error

    def describe(self, data: bytes) -> Sound:
        """The uploader's own words, cut where they are longer than anybody reads: they are in every event about the sound."""
        about = self.about
        return Sound(
            title=_text(about.name, LONGEST_TITLE) or f"sound {about.id}",
            source=FreesoundSource.name,
            author=_text(about.username),
            license=_text(about.license),
            created=_text(about.created),
            description=_text(about.description, LONGEST_DESCRIPTION),
            url=own_page(about.url, self.client.api),
            tags=tuple(_text(tag) for tag in about.tags[:MOST_TAGS]),
            category=": ".join(_text(part) for part in (about.category, about.subcategory) if part),
            gen_ai_preference=_text(about.gen_ai_preference),
        )


class FreesoundSource:
    """The newest sounds of Freesound, newest first, of at most `longest_s` seconds.

    A sound stands in the list only after moderation, days later, but under its old date: nothing remembers how far the list was
    read. It is looked through from its start, as far as it is needed, back to `days` ago; what is known is passed over by its id.
    """

    name = "Freesound"

    def __init__(self, client: FreesoundClient, longest_s: float = 10, days: int = 30) -> None:
        self.client = client
        self._filter = f"duration:[0 TO {longest_s:g}] created:[NOW-{days}DAY TO NOW]"

    def sounds(self, workspace: Workspace) -> Iterator[FoundSound]:
        """Raises kinds of `FreesoundError`, and `DailyLimitReached`, while it is looked through."""
        seen: set[int] = set()
        for number, row in enumerate(self.client.search_rows(filter=self._filter)):
            if number == MOST_LOOKED_THROUGH:
                too_deep = f"A run looks no further than the {number:,} newest sounds; what lies deeper was left out."
                yield _Gap(name="The rest of Freesound's list", sound_id="", problem=too_deep)
                return
            if row is None:
                yield _Gap(name="A row of Freesound's list", sound_id="", problem="Freesound lists a sound that it does not have any more.")
            elif row.id not in seen:
                seen.add(row.id)
                yield FoundOnFreesound.of(row, self.client)


class _Gap(FoundSound):
    """A place in the list that holds no sound."""

    def read(self) -> bytes:
        raise SourceError(self.problem)

    def describe(self, data: bytes) -> Sound:
        raise SourceError(self.problem)


def _text(value: str, most: int = 200) -> str:
    """At most so many characters, without those that steer terminals, and halves of characters, which JSON can carry and UTF-8 cannot."""
    return _CONTROL.sub(" ", value[:most]).encode("utf-8", "replace").decode()
