"""Queries over the sounds of an event log: what pages and jobs ask."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sql

from core.events import schema
from core.events.fold import SoundState, fold
from core.events.store import BATCH_SIZE, batches, histories
from core.events.types import ModelRef, SoundEvent, Verdict
from core.sqlite import Database

Show = Literal["all", "to review", "reviewed"]


@dataclass(frozen=True)
class Query:
    """A choice of sounds: reviewed or not, and only those that carry `tag` now."""

    show: Show = "all"
    tag: str | None = None


@dataclass(frozen=True)
class Page:
    """One page of sounds, newest first, and the `total` number of sounds that match."""

    sounds: tuple[SoundState, ...]
    total: int


@dataclass(frozen=True)
class Counts:
    """The number of sounds in view, and of those that a person has reviewed."""

    sounds: int
    reviewed: int


class SoundIndex:
    """Queries on the tables that an `EventStore` keeps in the same database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, sound_id: str) -> SoundState | None:
        """Return a sound's current state, or None if it is unknown."""
        with self._database.reading() as connection:
            history = histories(connection, [sound_id]).get(sound_id)
        return fold(history) if history else None

    def all(self) -> Iterator[SoundState]:
        """Iterate over every sound's current state, by sound id."""
        column, after = schema.sounds.c.sound_id, ""
        while True:
            query = sql.select(column).where(column > after).order_by(column).limit(BATCH_SIZE)
            with self._database.reading() as connection:
                sound_ids = connection.execute(query).scalars().all()
                events = histories(connection, sound_ids)
            if not sound_ids:
                return
            after = sound_ids[-1]
            yield from (fold(events[sound_id]) for sound_id in sound_ids)

    def page(self, query: Query, number: int, size: int) -> Page:
        """Return page `number` (from 1) of the matching sounds, newest arrival first."""
        columns = schema.sounds.c
        matching = _matching(query)
        count = sql.select(sql.func.count()).select_from(matching.subquery())
        newest = matching.order_by(columns.arrived.desc(), columns.sound_id.desc())
        newest = newest.limit(size).offset((max(1, number) - 1) * size)
        with self._database.reading() as connection:
            total = connection.execute(count).scalar_one()
            sound_ids = connection.execute(newest).scalars().all()
            events = histories(connection, sound_ids)
        return Page(tuple(fold(events[sound_id]) for sound_id in sound_ids), total)

    def counts(self) -> Counts:
        """Return how many sounds are in view and how many of them are reviewed."""
        columns = schema.sounds.c
        query = sql.select(sql.func.count(), sql.func.sum(columns.reviewed))
        with self._database.reading() as connection:
            sounds, reviewed = connection.execute(query.where(columns.withdrawn == 0)).one()
        return Counts(sounds, reviewed or 0)

    def added_tags(self) -> list[str]:
        """Return the tags that people have added anywhere, sorted."""
        columns = schema.decisions.c
        query = sql.select(columns.tag).where(columns.verdict == "added").distinct()
        with self._database.reading() as connection:
            return list(connection.execute(query.order_by(columns.tag)).scalars())

    def tag_counts(self) -> list[tuple[str, int]]:
        """Return (tag, number of sounds that carry it now), most frequent first."""
        tag, count = schema.sound_tags.c.tag, sql.func.count()
        query = sql.select(tag, count).group_by(tag).order_by(count.desc(), tag)
        with self._database.reading() as connection:
            return [(tag, number) for tag, number in connection.execute(query)]

    def verdict_counts(self) -> dict[str, dict[Verdict, int]]:
        """Return by tag how many decisions that count now kept, removed and added it."""
        tag, verdict = schema.decisions.c.tag, schema.decisions.c.verdict
        query = sql.select(tag, verdict, sql.func.count()).group_by(tag, verdict)
        counts: dict[str, dict[Verdict, int]] = {}
        with self._database.reading() as connection:
            for name, decided, number in connection.execute(query):
                counts.setdefault(name, {"kept": 0, "removed": 0, "added": 0})[decided] = number
        return counts

    def tagged(self, sound_ids: Sequence[str], model: ModelRef | None = None) -> set[str]:
        """Return those of some sounds that need no tagging.

        They are withdrawn, or predicted already (by `model`, where it is given).
        """
        predictions, sounds = schema.predictions.c, schema.sounds.c
        predicted = sql.select(predictions.sound_id)
        if model is not None:
            same = (predictions.name == model.name, predictions.version == model.version)
            predicted = predicted.where(*same)
        withdrawn = sql.select(sounds.sound_id).where(sounds.withdrawn == 1)
        tagged: set[str] = set()
        with self._database.reading() as connection:
            for batch in batches(sound_ids):
                for query in (
                    predicted.where(predictions.sound_id.in_(batch)),
                    withdrawn.where(sounds.sound_id.in_(batch)),
                ):
                    tagged.update(connection.execute(query).scalars())
        return tagged

    def decided_histories(self) -> Iterator[list[SoundEvent]]:
        """Iterate over the histories of sounds that were ever reviewed or published."""
        columns = schema.events.c
        query = sql.select(columns.sound_id).distinct()
        query = query.where(columns.kind.in_(("reviewed", "published")))
        with self._database.reading() as connection:
            sound_ids = connection.execute(query).scalars().all()
        for batch in batches([sound_id for sound_id in sound_ids if sound_id]):
            with self._database.reading() as connection:
                yield from histories(connection, batch).values()

    def has_events(self, kind: str) -> bool:
        """Return True if the log holds an event of that kind."""
        query = sql.select(schema.events.c.sequence).where(schema.events.c.kind == kind).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def shown_by_others(self, media_names: Sequence[str], sound_id: str) -> set[str]:
        """Return those media that another sound in view has too: two may have the same bytes."""
        media, sounds = schema.sound_media.c, schema.sounds.c
        # Not a join: SQLite would begin with all sounds in view.
        withdrawn = sql.select(sounds.withdrawn).where(sounds.sound_id == media.sound_id)
        query = sql.select(media.media_name)
        query = query.where(media.sound_id != sound_id, withdrawn.scalar_subquery() == 0)
        shown: set[str] = set()
        with self._database.reading() as connection:
            for batch in batches(media_names):
                rows = connection.execute(query.where(media.media_name.in_(batch)))
                shown.update(rows.scalars())
        return shown


def _matching(query: Query) -> sql.Select[tuple[str]]:
    """Return the selection of the ids of matching sounds."""
    columns = schema.sounds.c
    matching = sql.select(columns.sound_id).where(columns.withdrawn == 0)
    if query.show != "all":
        matching = matching.where(columns.reviewed == int(query.show == "reviewed"))
    if query.tag:
        tagged = sql.select(schema.sound_tags.c.sound_id)
        tagged = tagged.where(schema.sound_tags.c.tag == query.tag)
        matching = matching.where(columns.sound_id.in_(tagged))
    return matching
