"""Where published sounds stand at Freesound: asked for with few requests, and remembered.

Freesound lists a person's sounds while they are processed and while they wait for a moderator. What
became of a sound that is in no list follows from the sound itself and from what was known before.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sql

from core.events.types import Sound
from core.freesound.client import MAX_PAGE_SIZE, FreesoundClient
from core.freesound.errors import SoundNotFound
from core.freesound.types import FreesoundSound, PendingSound, PendingUploads
from core.freesound.vocabulary import license_name
from core.publishing.comparison import is_same_text
from core.publishing.upload_log import Upload
from core.sqlite import open_database
from core.storage.workspace import Workspace

Stage = Literal[
    "processing",
    "not processed",
    "failed",
    "in moderation",
    "set back",
    "public",
    "removed",
    "deleted",
]
"""*not processed*: for so long that it has probably failed; *set back*: in moderation although it
was public; *removed*: gone before it was public; *deleted*: gone after that."""
GONE_STAGES: tuple[Stage, ...] = ("removed", "deleted")
MAX_PROCESSING_S = 900
"""Freesound processes a sound within a minute; a trusted uploader's that failed is in no list."""
MIN_GONE_AGE_S = 3600
"""Freesound may not show a trusted uploader's sound before it is processed."""
MAX_LOOKUPS = 5
"""Sounds that one look asks for one by one: requests are counted."""

_meta = sql.MetaData()
_standings = sql.Table(
    "standings",
    _meta,
    sql.Column("sound", sql.Integer, primary_key=True),
    sql.Column("stage", sql.Text, nullable=False),
    sql.Column("checked", sql.Float, nullable=False),
    sql.Column("was_listed", sql.Integer, nullable=False),
    sql.Column("was_public", sql.Integer, nullable=False),
    sql.Column("edits", sql.Text, nullable=False),
)


@dataclass(frozen=True)
class Standing:
    """A published sound's place between upload and publication.

    Attributes:
        stage: As Freesound said when it was last asked.
        checked: When that was, in seconds since the epoch.
        was_listed: It was among the uploader's pending sounds once.
        was_public: It was public once.
        edits: What was changed on Freesound since it was published, as nouns.
    """

    stage: Stage
    checked: float
    was_listed: bool = False
    was_public: bool = False
    edits: tuple[str, ...] = ()


class Standings:
    """Asks Freesound where published sounds stand, and remembers the answers."""

    def __init__(
        self,
        folder: Path,
        client: FreesoundClient,
        workspace: Workspace,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open what was remembered.

        Args:
            folder: Its folder.
            client: Talks to Freesound.
            workspace: Knows how the sounds were published.
            clock: Gives seconds since the epoch.

        Raises:
            DatabaseError: The file cannot be opened.
        """
        self._client, self._workspace, self._clock = client, workspace, clock
        self._database = open_database(folder / "standings.sqlite", "standings", _meta)

    def known(self, uploads: Iterable[Upload]) -> dict[int, Standing]:
        """Return what was remembered of published uploads, by sound id."""
        numbers = [upload.sound_id for upload in _published(uploads)]
        query = sql.select(_standings).where(_standings.c.sound.in_(numbers))
        with self._database.reading() as connection:
            return {row.sound: _from_row(row) for row in connection.execute(query)}

    def look_up(self, uploads: Iterable[Upload], pending: PendingUploads) -> dict[int, Standing]:
        """Ask Freesound for published uploads that are not pending, and remember what it says.

        One request finds those that are public, of the sounds that were asked for longest ago; of
        the others some are asked for singly. What is gone is not asked for again.

        Args:
            uploads: A person's uploads, newest first.
            pending: That person's pending uploads.

        Returns:
            What is known now, by sound id.

        Raises:
            FreesoundError: Freesound cannot be asked.
        """
        published = {upload.sound_id: upload for upload in _published(uploads) if upload.sound_id}
        known = self.known(published.values())
        gone = {number for number, each in known.items() if each.stage in GONE_STAGES}
        listed = {sound.id: sound for sound in pending.sounds}
        unlisted = [number for number in published if number not in {*listed, *gone}]
        unlisted.sort(key=lambda number: known[number].checked if number in known else 0.0)
        unlisted = unlisted[:MAX_PAGE_SIZE]
        asked: dict[int, FreesoundSound | None] = {**self._client.listed(unlisted)}
        rest = [number for number in unlisted if number not in asked]
        asked |= {number: self._sound(number) for number in rest[:MAX_LOOKUPS]}
        new = {
            number: self._standing(published[number], known.get(number), pending, asked.get(number))
            for number in published
            if number in listed or number in asked
        }
        self._remember(new)
        return known | new

    def _sound(self, number: int) -> FreesoundSound | None:
        try:
            return self._client.sound(number)
        except SoundNotFound:
            return None

    def _standing(
        self,
        upload: Upload,
        before: Standing | None,
        pending: PendingUploads,
        sound: FreesoundSound | None,
    ) -> Standing:
        """Return where a sound stands that Freesound was asked for."""
        before = before or Standing("processing", 0.0)
        stage = _listed_stage(upload, before, pending)
        is_listed = stage is not None
        if stage is None:
            stage = _unlisted_stage(before, sound, self._clock() - upload.changed)
        return Standing(
            stage,
            self._clock(),
            was_listed=before.was_listed or is_listed,
            was_public=before.was_public or stage == "public",
            edits=self._edits(sound) if stage == "public" and sound else (),
        )

    def _edits(self, sound: FreesoundSound) -> tuple[str, ...]:
        state = self._workspace.sounds.get(f"freesound:{sound.id}")
        return edits(state.sound, sound) if state else ()

    def _remember(self, standings: Mapping[int, Standing]) -> None:
        rows = [_to_row(number, standing) for number, standing in standings.items()]
        if rows:
            with self._database.writing() as connection:
                connection.execute(_standings.insert().prefix_with("OR REPLACE"), rows)


def edits(published: Sound, sound: FreesoundSound) -> tuple[str, ...]:
    """Return what was changed on Freesound, as nouns.

    Args:
        published: The sound as it was published.
        sound: The sound as it is now.
    """
    same = {
        "name": is_same_text(published.title, sound.name),
        "tags": set(published.tags) == set(sound.tags),
        "description": is_same_text(published.description, sound.description),
        "license": license_name(published.license) == license_name(sound.license),
    }
    return tuple(name for name, is_same in same.items() if not is_same)


def _published(uploads: Iterable[Upload]) -> Sequence[Upload]:
    return [upload for upload in uploads if upload.state == "published" and upload.sound_id]


def _listed_stage(upload: Upload, before: Standing, pending: PendingUploads) -> Stage | None:
    """Return the stage of a pending sound; None for one that is not pending."""
    row = _row(upload, pending.pending_processing)
    if row is not None:
        return "failed" if row.processing_state == "Failed" else "processing"
    if _row(upload, pending.pending_moderation) is None:
        return None
    return "set back" if before.was_public else "in moderation"


def _row(upload: Upload, rows: Iterable[PendingSound]) -> PendingSound | None:
    return next((row for row in rows if row.id == upload.sound_id), None)


def _unlisted_stage(before: Standing, sound: FreesoundSound | None, age_s: float) -> Stage:
    """Return the stage of a sound that is not pending; None for one that Freesound does not have.

    A trusted uploader's sound is never pending. It has no length until it is processed.
    """
    if sound is not None and sound.duration > 0:
        return "public"
    if sound is not None:
        return "processing" if age_s < MAX_PROCESSING_S else "not processed"
    if before.was_public:
        return "deleted"
    return "removed" if before.was_listed or age_s > MIN_GONE_AGE_S else "processing"


def _to_row(number: int, standing: Standing) -> dict[str, object]:
    return {
        "sound": number,
        "stage": standing.stage,
        "checked": standing.checked,
        "was_listed": int(standing.was_listed),
        "was_public": int(standing.was_public),
        "edits": json.dumps(standing.edits),
    }


def _from_row(row: sql.Row[Any]) -> Standing:
    return Standing(
        row.stage,
        row.checked,
        bool(row.was_listed),
        bool(row.was_public),
        tuple(json.loads(row.edits)),
    )
