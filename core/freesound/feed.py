"""New sounds of freesound.org, as a source of the tagging job."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from core.freesound.client import BadPreview, FreesoundClient, FreesoundSound, NotThere, ServerTrouble, Unreachable
from core.freesound.terms import own_page
from core.id2prediction import Sound
from core.sources import FoundSound, SourceError, SourceTrouble
from core.workspace import Workspace

MOST_LOOKED_THROUGH = 3000
"""Rows of the list that one run looks through: twenty requests, which is what a shared credential may make in a minute."""
LONGEST_NAME = 80
LONGEST_TITLE, LONGEST_DESCRIPTION, MOST_TAGS = 512, 5000, 60


@dataclass(frozen=True, kw_only=True)
class FoundOnFreesound(FoundSound):
    """A sound in Freesound's list, with what its uploader said `about` it."""

    about: FreesoundSound
    client: FreesoundClient

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
            title=_text(about.name, LONGEST_TITLE),
            source=FreesoundSource.name,
            author=_text(about.username),
            license=_text(about.license),
            created=_text(about.created),
            description=_text(about.description, LONGEST_DESCRIPTION),
            url=own_page(about.url, self.client.api),
            tags=tuple(_text(tag) for tag in about.tags[:MOST_TAGS]),
            category=" / ".join(_text(part) for part in (about.category, about.subcategory) if part),
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
        for row in islice(self.client.search_rows(filter=self._filter), MOST_LOOKED_THROUGH):
            if row is None:
                yield _Gap(name="A row of Freesound's list", sound_id="", problem="Freesound lists a sound that it does not have any more.")
            elif row.id not in seen:
                seen.add(row.id)
                name = f"{_text(row.name, LONGEST_NAME)} ({row.id})"
                yield FoundOnFreesound(name=name, sound_id=f"freesound:{row.id}", about=row, client=self.client)


class _Gap(FoundSound):
    """A row of the list that holds no sound."""

    def read(self) -> bytes:
        raise SourceError(self.problem)

    def describe(self, data: bytes) -> Sound:
        raise SourceError(self.problem)


def _text(value: str, most: int = 200) -> str:
    """At most so many characters, without halves of characters, which JSON can carry and UTF-8 cannot."""
    return value[:most].encode("utf-8", "replace").decode()
